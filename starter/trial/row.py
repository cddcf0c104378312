"""Trying a mirrored source: where its row says that the retirement stands, and what a run would do there."""

from datetime import UTC, datetime

from activities.actions.action import Call
from activities.actions.answers import Answer
from activities.mirroring.beginning import (
    STATE_NOT_IN_PLAN,
    WRONG_PERSON,
    Hold,
    Refuse,
    Seen,
    where_to_begin,
)
from activities.mirroring.chain import Chain, chain_of
from activities.mirroring.row import row_fields, take_row
from starter.trial.asking import Trying
from starter.trial.findings import Remark, Ruling, problem, warning
from starter.trial.reading import read
from workflows.durations import format_duration
from workflows.messages import Begin
from workflows.names import ANOTHER_DRIVER, Outcome

#: How the plan calls what is read of the row, in the order in which it is read.
_KEYS = ("state", "moved_at", "same_when")


def look_at_row(trying: Trying, *, answer: Answer, call: Call) -> Ruling | None:
    """What the lookup's answer says of the row; None where the plan has no source that keeps one."""
    mirror = trying.plan.mirror
    if mirror is None:
        return None
    fields = row_fields(trying.plan)
    asked = dict(zip(_KEYS, fields.values(), strict=False))
    at_the_end = {} if mirror.verified_when is None else {"verified_when": mirror.verified_when}
    found = read(
        asked | at_the_end, answer=answer, context=call.context, place="mirror", show_values=trying.show_values
    )
    if not asked.keys() <= found.values.keys():
        return Ruling(
            part="mirror", says="the row can't be read, and a run would wait until it can", remarks=found.remarks
        )
    row = take_row({name: found.values[key] for name, key in zip(fields, asked, strict=True)})
    if row is None:
        remark = problem(
            "row_unreadable",
            "mirror.state is no text, or mirror.moved_at no ISO 8601 date.",
            mend="Name the row's state (`body.state`) and when it was moved last (`2026-01-31T12:00:00Z`).",
        )
        return Ruling(part="mirror", says="the row can't be read, and a run would wait until it can", remarks=(remark,))
    chain = chain_of(trying.plan, mirror)
    begins = where_to_begin(chain, row=row, seen=Seen.NEVER, now=datetime.now(UTC))
    # A state that the plan doesn't know may be anything that the expression has read.
    is_known = row.state in chain.states or row.state in mirror.ends
    state = row.state if is_known or trying.show_values else "in a state that the plan doesn't know"
    return Ruling(part="mirror", says=f"{state}: {_told(begins, chain)}", remarks=(*found.remarks, *_doubts(begins)))


def _told(begins: Begin | Refuse | Hold, chain: Chain) -> str:
    match begins:
        case Begin(ended=Outcome.COMPLETE):
            return "a run would do nothing, and end COMPLETE"
        case Begin(ended=Outcome()):
            return "a run would touch nothing, and end ERRORED until it is resumed"
        case Begin(waiting=True, step=step):
            return f"a run would wait for the end of the cool-off, and begin with {step}"
        case Begin(working=True, step=step):
            return f"a run would do {step} once more, and go on: nobody has moved the row for a while"
        case Begin(step=None):
            return f"every step is done: a run would move the row to {chain.mirror.complete}"
        case Begin(step=step):
            return f"a run would go on with {step}"
        case Refuse(reason=reason, code=code):
            return f"a run would change nothing, and end ABORTED ({reason}: {code})"
        case Hold(code=code) if code == ANOTHER_DRIVER:
            rest = format_duration(chain.mirror.adopt_after)
            return f"a run would be held ({code}) until the row has not been moved for {rest}, and then take it over"
        case Hold(code=code):
            return f"a run would be held ({code})"


def _doubts(begins: Begin | Refuse | Hold) -> tuple[Remark, ...]:
    match begins:
        case Hold(code=code) if code == WRONG_PERSON:
            what = "By same_when the row is somebody else's."
            mend = "Check mirror.same_when, and how what was given is written: capitals count."
            return (problem(code, what, mend=mend),)
        case Hold(code=code):
            what = "Somebody else is at work on this person, by the row."
            return (warning(code, what, mend="Nothing, if that is so; otherwise try it with somebody else."),)
        case Refuse(code=code) if code == STATE_NOT_IN_PLAN:
            what = "The row's state is none of the plan's."
            mend = "Check mirror.state, and the states of the mirror and of its steps."
            return (problem(code, what, mend=mend),)
    return ()

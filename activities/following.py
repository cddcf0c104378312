"""Asking, long after a step was accepted, what became of it: when to ask, and what an answer means. Pure but for the call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Answer, Done, NoAnswer, Rules, meaning_of
from activities.probing import reading_rules
from activities.rendering import RenderingError, holds
from ledger.rows import NewWork, WorkKind
from plans.model import FollowUp
from workflows.messages import StepOutcome
from workflows.names import WorkState

#: The service hasn't finished.
NOT_FINISHED = "not_finished"
#: The service says that it has given up.
GIVEN_UP = "given_up"
#: For so long the vault keeps what the last question needs, should it come late.
_SPARE = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one look has shown. `code` says why it is not done."""

    state: WorkState
    code: str | None = None


def work_of(follow_up: FollowUp | None, *, outcome: StepOutcome, accepted_at: datetime) -> NewWork | None:
    """The work that begins with a step's end; None where nothing was accepted, or nobody asks."""
    if follow_up is None or not outcome.result.was_accepted:
        return None
    return NewWork(
        kind=WorkKind.VENDOR,
        next_look_at=accepted_at + follow_up.first,
        held_until=accepted_at + follow_up.duration + _SPARE,
    )


def next_look(follow_up: FollowUp, *, opened_at: datetime, now: datetime) -> datetime | None:
    """When it is asked next, after a look at `now`; None where its time is over. The last look is at its very end."""
    ends_at = opened_at + follow_up.duration
    if now >= ends_at:
        return None
    first = opened_at + follow_up.first
    looks = 0 if now < first else (now - first) // follow_up.every + 1
    return min(first + looks * follow_up.every, ends_at)


async def look(action: Action, call: Call, *, follow_up: FollowUp) -> Heard:
    """Ask once."""
    answer = await action.call(call)
    rules = reading_rules(call, succeeded_before=True)
    return heard_in(answer, rules, context=call.context, follow_up=follow_up)


def heard_in(answer: Answer | NoAnswer, rules: Rules, *, context: Mapping[str, Any], follow_up: FollowUp) -> Heard:
    """What an answer says. One that can't be understood, or refuses us, says nothing: it is asked again at its time."""
    if not isinstance(answer, Answer):
        return Heard(state=WorkState.OPEN, code=answer.code)
    if not isinstance(meaning_of(answer, rules), Done):
        return Heard(state=WorkState.OPEN, code=f"http_{answer.status}")
    known = {**context, **answer.values}
    try:
        # A service that says both is not believed that it is done.
        if follow_up.failed is not None and holds(follow_up.failed, known):
            return Heard(state=WorkState.FAILED, code=GIVEN_UP)
        is_done = holds(follow_up.done, known)
    except RenderingError as error:
        return Heard(state=WorkState.OPEN, code=error.code)
    return Heard(state=WorkState.DONE) if is_done else Heard(state=WorkState.OPEN, code=NOT_FINISHED)

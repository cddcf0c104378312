"""The source, asked and told: reads the row, moves it, and finds out what became of a move whose answer was lost."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from activities.actions.action import Action
from activities.actions.answers import Answer, Done, Held, NoAnswer, Permanent, Transient, meaning_of
from activities.first_contact import Worked
from activities.looking_up import look_up
from activities.mirroring import notes
from activities.mirroring.chain import Chain, chain_of
from activities.mirroring.row import Row, take_row, unlimited, unreadable
from activities.opening import Begun
from activities.probing import reading_rules
from plans.mirror import Mirror
from plans.requests import HttpRequest
from workflows.names import HeldCause

#: Somebody else has moved the row: nothing is written over it.
MOVED_BY_ANOTHER = "moved_by_another"
#: The source refuses a state, or orders states otherwise than the plan.
MIRROR_DISAGREES = "mirror_disagrees"

_NOT_UNDERSTOOD = frozenset({400, 404})


class NotMoved(Exception):
    """The row could not be moved, or not be read. `trouble` says whether that may pass or a person has to look."""

    def __init__(self, trouble: Transient | Held, *, detail: str) -> None:
        super().__init__(trouble.code)
        self.trouble, self.detail = trouble, detail


@dataclass(frozen=True, kw_only=True)
class Source:
    """One retirement's row at the source."""

    action: Action
    worked: Worked
    begun: Begun
    mirror: Mirror
    chain: Chain
    step_id: str

    async def row(self) -> Row | None:
        """Read the row; None where there is none.

        Raises:
            NotMoved: it can't be read now.
        """
        found = await look_up(self.action, begun=self.begun, worked=self.worked, step_id=self.step_id, again=True)
        if found.trouble is not None:
            raise NotMoved(unlimited(found.trouble), detail=found.detail)
        if found.values is None:
            return None
        row = take_row(found.values)
        if row is None:
            raise NotMoved(unreadable(), detail=found.detail)
        if not row.is_same:
            raise NotMoved(moved_by_another(), detail=found.detail)
        return row

    async def answer(self) -> dict[str, Any]:
        """What an expression over the lookup's answer may name, as the source answers now.

        Raises:
            NotMoved: it can't be read now, or there is no row any more.
        """
        lookup = self.begun.plan.subject.lookup
        call = self.begun.call(step=self.step_id, service=lookup.service, request=lookup.request)
        answer = await self.action.call(call)
        meaning = meaning_of(answer, reading_rules(call))
        if isinstance(meaning, Done) and isinstance(answer, Answer):
            return {**call.context, **answer.values}
        trouble = meaning if isinstance(meaning, Transient | Permanent | Held) else Permanent(code="row_gone")
        raise NotMoved(unlimited(trouble), detail=lookup.request.title)

    async def move(self, state: str, *, note: str) -> None:
        """Move the row to a state. `note` is our words and what was quoted: nobody's name is looked for in the former.

        Raises:
            NotMoved: not now (`Transient`), or a person has to look (`Held`): then nothing more is written.
        """
        request = self.mirror.update
        call = self.begun.call(
            step=self.step_id,
            service=self.mirror.service,
            request=request,
            more={"mirror": {"state": state, "note": note[: notes.LONGEST_NOTE]}},
        )
        answer = await self.action.call(call)
        detail = self.action.describe(call, answer)
        meaning = meaning_of(answer, reading_rules(call))
        if isinstance(meaning, Done):
            return
        trouble = meaning if isinstance(meaning, Transient | Permanent | Held) else Permanent(code=_code_of(answer))
        if isinstance(trouble, Held):
            raise NotMoved(trouble, detail=detail)
        refused = isinstance(answer, Answer) and answer.status in _NOT_UNDERSTOOD
        if isinstance(trouble, Permanent) and not refused:
            raise NotMoved(Held(code=f"update_{trouble.code}", cause=HeldCause.CONFIGURATION), detail=detail)
        wait = trouble.wait if isinstance(trouble, Transient) else None
        await self._settle(state, answer=answer, detail=detail, wait=wait)

    async def _settle(self, state: str, *, answer: Answer | NoAnswer, detail: str, wait: timedelta | None) -> None:
        """The update was refused, or its answer lost: the row tells what became of it. `wait`: as long as the source wishes."""
        row = await self.row()
        if row is not None and row.state == state:
            return
        if row is None or not self.chain.is_before(row.state, state):
            raise NotMoved(moved_by_another(), detail=detail)
        if isinstance(answer, Answer) and answer.status == 400:
            raise NotMoved(Held(code=MIRROR_DISAGREES, cause=HeldCause.CONFIGURATION), detail=detail)
        code = answer.code if isinstance(answer, NoAnswer) else f"http_{answer.status}"
        raise NotMoved(Transient(code=f"update_{code}", touched=False, wait=wait), detail=detail)

    async def cancel(self, request: HttpRequest) -> tuple[int | None, str]:
        """Take the request back at the source: the answer's status, None where there was none, and what may be told of it."""
        call = self.begun.call(step=self.step_id, service=self.mirror.service, request=request)
        answer = await self.action.call(call)
        detail = self.action.describe(call, answer)
        meaning = meaning_of(answer, reading_rules(call))
        if isinstance(meaning, Held) and (not isinstance(answer, Answer) or answer.status == 401):
            raise NotMoved(meaning, detail=detail)
        if isinstance(meaning, Transient):
            return None, detail
        return (answer.status if isinstance(answer, Answer) else None), detail


def source_of(begun: Begun, *, action: Action, worked: Worked, step_id: str) -> Source:
    """The source of a case whose plan has one."""
    mirror = begun.plan.mirror
    assert mirror is not None
    return Source(
        action=action,
        worked=worked,
        begun=begun,
        mirror=mirror,
        chain=chain_of(begun.plan, mirror),
        step_id=step_id,
    )


def moved_by_another() -> Held:
    """Held: somebody else has moved the row, and what they did is not written over."""
    return Held(code=MOVED_BY_ANOTHER, cause=HeldCause.CONFLICT)


def _code_of(answer: Answer | NoAnswer) -> str:
    return f"http_{answer.status}" if isinstance(answer, Answer) else answer.code

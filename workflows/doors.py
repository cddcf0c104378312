"""The doors of a run: signals, updates and the status query.

A signal and an update share each name: the signal is durable while every worker is down, the update answers at once.
Both call one method that decides before it waits for anything and never raises: a refusal is an answer, and recorded.
"""

from typing import Any

from temporalio import workflow

from workflows import cooling_off, names, reading
from workflows.mailing import Mailing
from workflows.messages import Answer, Decide, MessageRow, Status, Wish
from workflows.names import HeldCause, Mail, Phase
from workflows.state import RetirementState, status_of

_DECISIONS = ("retry", "skip", "done", "close", "adopt")


class CaseDoors:
    """What can be said to any run of a case, and asked of it."""

    def __init__(self) -> None:
        self._state = RetirementState()
        self._mailing = Mailing(state=self._state)

    @workflow.signal(name=names.RESCIND)
    def rescind(self, *raw: Any) -> None:
        """The person has changed their mind."""
        self._rescind(reading.read_wish(raw))

    @workflow.update(name=names.RESCIND)
    async def rescind_now(self, *raw: Any) -> Answer:
        """The same, answered at once."""
        return self._rescind(reading.read_wish(raw))

    @workflow.signal(name=names.DECIDE)
    def decide(self, *raw: Any) -> None:
        """An operator's way out of a hold."""
        self._decide(reading.read_decide(raw))

    @workflow.update(name=names.DECIDE)
    async def decide_now(self, *raw: Any) -> Answer:
        """The same, answered at once."""
        return self._decide(reading.read_decide(raw))

    @workflow.query(name=names.STATUS)
    def status(self, *raw: Any) -> Status:
        """Where the retirement stands."""
        return status_of(self._state)

    def _rescind(self, wish: Wish) -> Answer:
        if self._state.past_return:
            return self._answer(names.RESCIND, wish, accepted=False, code="past_return")
        if self._state.outcome is not None:
            return self._answer(names.RESCIND, wish, accepted=False, code="closed")
        if not self._state.may_rescind:
            return self._answer(names.RESCIND, wish, accepted=False, code="begun_at_source")
        code = "already_rescinded" if self._state.rescinded else "rescinded"
        self._state.rescinded = True
        return self._answer(names.RESCIND, wish, accepted=True, code=code)

    def _decide(self, wish: Decide) -> Answer:
        if wish.step is None or wish.step not in self._state.holds:
            return self._answer(names.DECIDE, wish, accepted=False, code="not_held")
        if wish.decision == "adopt" and not (
            self._state.outline.has_mirror and self._state.holds[wish.step].cause is HeldCause.CONFLICT
        ):
            return self._answer(names.DECIDE, wish, accepted=False, code="nothing_to_adopt")
        if wish.decision not in _DECISIONS:
            return self._answer(names.DECIDE, wish, accepted=False, code="unknown_decision")
        self._state.decisions[wish.step] = wish
        return self._answer(names.DECIDE, wish, accepted=True, code=wish.decision)

    def _answer(self, kind: str, wish: Wish, *, accepted: bool, code: str) -> Answer:
        self._state.messages.append(
            MessageRow(
                kind=kind,
                accepted=accepted,
                code=code,
                at=workflow.now(),
                by=wish.by or ("unreadable" if wish.unreadable else None),
                reason_code=wish.reason_code,
            )
        )
        return Answer(
            accepted=accepted,
            code=code,
            gone=() if accepted else self._state.gone,
            cool_off_ends_at=self._state.cool_off_ends_at,
        )


class Doors(CaseDoors):
    """Everything that can be said to a running retirement: its cool-off may be moved, too."""

    @workflow.signal(name=names.EXPEDITE)
    def expedite(self, *raw: Any) -> None:
        """End the cool-off now, where the plan allows it."""
        self._expedite(reading.read_wish(raw))

    @workflow.update(name=names.EXPEDITE)
    async def expedite_now(self, *raw: Any) -> Answer:
        """The same, answered at once."""
        return self._expedite(reading.read_wish(raw))

    @workflow.signal(name=names.EXTEND)
    def extend(self, *raw: Any) -> None:
        """A longer cool-off, up to the plan's max."""
        self._extend(raw)

    @workflow.update(name=names.EXTEND)
    async def extend_now(self, *raw: Any) -> Answer:
        """The same, answered at once."""
        return self._extend(raw)

    def _expedite(self, wish: Wish) -> Answer:
        refusal = self._why_cool_off_is_fixed()
        if refusal is None and not self._state.outline.expedite_allowed:
            refusal = "refused_by_plan"
        if refusal is not None:
            return self._answer(names.EXPEDITE, wish, accepted=False, code=refusal)
        self._state.expedited = True
        return self._answer(names.EXPEDITE, wish, accepted=True, code="expedited")

    def _extend(self, raw: tuple[Any, ...]) -> Answer:
        try:
            wish = reading.read_extend(raw)
        except reading.BadField as bad:
            code = f"bad_{bad.field.replace(' ', '_')}"
            return self._answer(names.EXTEND, reading.read_wish(raw), accepted=False, code=code)
        refusal = self._why_cool_off_is_fixed()
        if refusal is not None:
            return self._answer(names.EXTEND, wish, accepted=False, code=refusal)
        extended = cooling_off.extended(
            wish=wish,
            now=workflow.now(),
            ends_at=self._state.ends_at,
            requested_at=self._state.opened.requested_at or workflow.now(),
            longest=self._state.outline.longest_cool_off,
        )
        if isinstance(extended, str):
            return self._answer(names.EXTEND, wish, accepted=False, code=extended)
        self._state.cool_off_ends_at = extended
        self._mailing.post(Mail.EXTENDED, number=extended.isoformat())
        return self._answer(names.EXTEND, wish, accepted=True, code="extended")

    def _why_cool_off_is_fixed(self) -> str | None:
        if self._state.case is None or self._state.case.outline is None:
            return "not_open_yet"
        if self._state.past_return:
            return "past_return"
        if self._state.rescinded or self._state.phase in (Phase.GOING_BACK, Phase.TELL, Phase.CLOSED):
            return "going_back"
        return "already_expedited" if self._state.expedited else None

"""The activities that tell a mirrored source how a retirement ended, and that take a request back there."""

from typing import NoReturn

from temporalio import activity

from activities.actions.action import Action
from activities.actions.answers import Held, Transient
from activities.actions.wire import LONGEST_SAID
from activities.attempts import Attempts, Trying
from activities.errors import step_held
from activities.first_contact import Worked
from activities.guarding import Guard
from activities.mirroring import notes
from activities.mirroring.mirrored_step import SAID
from activities.mirroring.source import NotMoved, Source, moved_by_another, source_of
from activities.opening import Begun, Opening
from activities.patience import FOR_EVER
from activities.rendering import RenderingError, holds
from ledger.ledger import Ledger
from ledger.rows import CaseState, StepAction, StepRow, no_values
from workflows.messages import CancelAtSource, Failure, Mirrored, MirrorEnd
from workflows.names import Activity, HeldCause, Outcome

#: How a source's row is called where a step is named.
MIRROR = "mirror"
NOT_VERIFIED = "not_verified"
#: The source has begun with it: nothing can be taken back.
TOO_LATE = "too_late_at_source"
#: The source has no call for it: somebody does it by hand.
CANCEL_BY_HAND = "cancel_by_hand"


class MirrorActivities:
    """Tells the source. One for a worker."""

    def __init__(self, *, ledger: Ledger, action: Action) -> None:
        self._ledger = ledger
        self._action = action
        self._attempts = Attempts(ledger=ledger)
        self._opening = Opening(ledger=ledger)
        self._guard = Guard(attempts=self._attempts, opening=self._opening)
        self._worked = Worked()

    @activity.defn(name=Activity.MIRROR_END)
    async def mirror_end(self, end: MirrorEnd) -> Mirrored:
        """Move the row to `complete` or `errored`; tried for as long as the source is away. A repeat finds it moved."""
        async with self._guard.guarded(end, step=MIRROR):
            begun = await self._opening.begin(end, step=MIRROR, action=StepAction.DO)
            if begun.case.state is not CaseState.PAST_RETURN:
                failure = Failure(code=f"case_is_{begun.case.state.value}", step=MIRROR, held=HeldCause.CONFLICT)
                raise step_held(failure=failure)
            begun.need_vault(step=MIRROR)
            source = source_of(begun, action=self._action, worked=self._worked, step_id=MIRROR)
            try:
                if end.outcome is Outcome.COMPLETE:
                    await self._move(source, source.mirror.complete, note=source.mirror.complete_note, again=end.again)
                    return Mirrored(code=await self._verified(source))
                note = await self._why(source, failed_step=end.failed_step)
                await self._move(source, source.mirror.errored, note=note)
            except NotMoved as unmoved:
                await self._give_way(begun, unmoved.trouble, detail=unmoved.detail)
            return Mirrored()

    @activity.defn(name=Activity.CANCEL_AT_SOURCE)
    async def cancel_at_source(self, cancel: CancelAtSource) -> Mirrored:
        """Take the request back, and see that the row is gone. One that was taken back before is as good."""
        async with self._guard.guarded(cancel, step=MIRROR):
            begun = await self._opening.begin(cancel, step=MIRROR, action=StepAction.UNDO)
            if begun.case.state is not CaseState.GOING_BACK:
                failure = Failure(code=f"case_is_{begun.case.state.value}", step=MIRROR, held=HeldCause.CONFLICT)
                raise step_held(failure=failure)
            begun.need_vault(step=MIRROR)
            source = source_of(begun, action=self._action, worked=self._worked, step_id=MIRROR)
            try:
                await self._cancel(source)
            except NotMoved as unmoved:
                await self._give_way(begun, unmoved.trouble, detail=unmoved.detail, action=StepAction.UNDO)
            return Mirrored()

    async def _move(self, source: Source, state: str, *, note: str, again: bool = False) -> None:
        if again or activity.info().attempt > 1:
            # An earlier attempt may have got through.
            row = await source.row()
            if row is not None and row.state == state:
                return
            if row is None or not source.chain.is_before(row.state, state):
                raise NotMoved(moved_by_another(), detail=source.mirror.update.title)
        await source.move(state, note=note)

    async def _verified(self, source: Source) -> str | None:
        """Does the source show that nothing is left of the person? None where it does, or where the plan doesn't ask."""
        condition = source.mirror.verified_when
        if condition is None:
            return None
        try:
            return None if holds(condition, await source.answer()) else NOT_VERIFIED
        except RenderingError:
            return NOT_VERIFIED

    async def _why(self, source: Source, *, failed_step: str | None) -> str:
        """What failed, in which state, with the words of the service."""
        rows = await self._ledger.steps(source.begun.ref.retirement_id)
        row = next((row for row in rows if row.step == failed_step and row.action is StepAction.DO), None)
        step = source.begun.plan.steps.get(failed_step or "")
        state = step.mirrored.working if step is not None and step.mirrored is not None else (failed_step or MIRROR)
        said = source.begun.saved_by(failed_step or "").get(SAID)
        if said is not None:
            values = (source.begun.values or no_values())["subject"]
            said = notes.quoted(said, values=values, mask=source.mirror.mask, cut_at=LONGEST_SAID)
        return notes.failing(state, code=_code_of(row), detail=_where(row), said=said)

    async def _cancel(self, source: Source) -> None:
        request = source.mirror.cancel
        if request is None:
            status: int | None = 404
            detail = source.mirror.update.title
        else:
            status, detail = await source.cancel(request)
        row = await source.row()
        if row is None:
            return  # taken back: by this call, by an earlier one, or by somebody at the source
        if row.state != source.mirror.waiting:
            raise NotMoved(Held(code=TOO_LATE, cause=HeldCause.CONFLICT), detail=detail)
        if status == 404:
            raise NotMoved(Held(code=CANCEL_BY_HAND, cause=HeldCause.CONFIGURATION), detail=detail)
        if status is not None and 400 <= status < 500:
            raise NotMoved(Held(code=f"cancel_http_{status}", cause=HeldCause.CONFIGURATION), detail=detail)
        raise NotMoved(Transient(code="not_cancelled", touched=True), detail=detail)

    async def _give_way(
        self, begun: Begun, trouble: Transient | Held, *, detail: str, action: StepAction = StepAction.DO
    ) -> NoReturn:
        trying = Trying(
            retirement_id=begun.ref.retirement_id,
            step=MIRROR,
            action=action,
            service=begun.plan.subject.lookup.service,
            patience=FOR_EVER,
        )
        await self._attempts.give_way(trying, trouble=trouble, detail=detail, row=begun.row)


def _code_of(row: StepRow | None) -> str:
    return (row.code or row.last_code or "failed") if row is not None else "failed"


def _where(row: StepRow | None) -> str | None:
    """`HTTP 500 POST /route/`, from what the record says of the call: `POST /route/ → 500`."""
    if row is None or row.detail is None:
        return None
    route, arrow, status = row.detail.rpartition(" → ")
    return f"HTTP {status} {route}" if arrow and status.isdecimal() else row.detail

"""RetireUser: one data subject's account, from the request to its end.

Reads downwards as the life of a retirement. Up to the point of no return every way leads back and a rescind always wins; after it
every way leads on, and the work is finished or stops as ERRORED, to be resumed.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import asking, cooling_off, mirroring, names, outcomes, reading
from workflows.beside import Beside
from workflows.calls import CallFailed
from workflows.case_run import POINT, CaseRun, Refused
from workflows.doors import Doors
from workflows.following import Following
from workflows.holding import HoldEnded
from workflows.messages import Moved, Result, Start, StepOutcome, StepOutline
from workflows.mirroring import NotMirrored
from workflows.names import Activity, Direction, HeldCause, Mail, Outcome, Phase, Reason, StepResult
from workflows.step_graph import run_graph

#: Runs begun before it went on until the next timer where a rescind came just as a call ended.
_LEAVES_AT_ONCE = "leaves-at-once"


@workflow.defn(name=names.WORKFLOW_TYPE)
class RetireUser(CaseRun, Doors):
    """One workflow a retirement. Address it as `retire-user-{user_id}`."""

    def __init__(self) -> None:
        super().__init__()
        self._beside = Beside()
        self._following = Following(state=self._state)

    @workflow.run
    async def run(self, *raw: Any) -> Result:
        """Reads the start message; the life does the rest, whatever is sent to it meanwhile."""
        try:
            start = self._state.start = _read_start(raw)
        except reading.BadField as bad:
            raise ApplicationError(str(bad), type=names.BAD_REQUEST_ERROR, non_retryable=True) from None
        return await self._to_its_end(self._life(start))

    async def _life(self, start: Start) -> Result:
        await self._open(start)
        match self._state.opened.state, start.go_back:
            case _ if self._state.opened.refused:
                return self._turned_away()
            case "going_back", _:
                return await self._go_back(Reason.RESCINDED)
            case "past_return", True:
                return await self._go_back(Reason.ABANDONED)
            case _, True:
                return await self._go_back(Reason.RESCINDED)
            case "past_return", _:
                self._state.past_return = True
                if self._state.outline.has_mirror:
                    await self._look_at_source()
                return await self._go_forward()
        refused = await self._until_return(self._before_return())
        while refused is None:
            # The point of no return. No await lies between the last look at the rescind flag and this line.
            self._state.past_return = True
            passed = await self._pass_point()
            if passed.moved:
                return await self._go_forward()
            self._state.past_return = False
            if passed.claim_lost:
                return await self._go_back(Reason.CLAIM_LOST)
            if passed.successor_lost:
                return await self._go_back(Reason.NO_SUCCESSOR, "successor_retiring")
            refused = await self._until_return(self._await_inheritance())
        if refused.stops:
            await self._stop(Direction.FORWARD, refused.code)
        return await self._go_back(refused.reason, refused.code)

    # --- before the point of no return -------------------------------------------------------------------------------

    async def _open(self, start: Start) -> None:
        # Every clock runs from the request: a wait for a worker is not the person's.
        requested_at = start.requested_at or workflow.info().workflow_start_time
        asked = start.model_copy(update={"requested_at": requested_at})
        opened = await self._take_case(Activity.OPEN_CASE, asked, summary="open the case")
        if opened.outline is not None:
            # What an earlier run of this case froze, or may have been freezing when it ended, is ours to undo.
            steps = opened.outline.freeze
            self._state.frozen = [s.id for s in steps if s.id not in opened.undone] if opened.resumed else []

    async def _before_return(self) -> None:
        await self._check()
        self._leave_if_rescinded_meanwhile()
        await self._freeze()
        self._leave_if_rescinded_meanwhile()
        if self._is_cooling_off() and not mirroring.has_begun(self._state):
            await self._cool_off()
            await self._check(again=True)  # weeks have passed

    def _leave_if_rescinded_meanwhile(self) -> None:
        """A call that ends just as it is cancelled swallows the cancellation: the wish must not wait for the next timer."""
        if self._state.rescinded and workflow.patched(_LEAVES_AT_ONCE):
            self._state.leave_if_rescinded()

    async def _await_inheritance(self) -> None:
        """Somebody past their point of no return is about to hand over to this very person: what comes is handed on, too."""
        self._enter(Phase.RECHECK)
        try:
            await self._holding.wait(POINT, HeldCause.CONFLICT, "successor_of_another")
        except HoldEnded:
            raise Refused(Reason.HOLD_EXPIRED) from None
        except asyncio.CancelledError:
            self._holding.end(POINT)
            raise
        await self._check(again=True)

    async def _check(self, *, again: bool = False) -> None:
        self._enter(Phase.RECHECK if again else Phase.CHECK)
        try:
            checked = await asking.look_up(self._state, self._holding, again=again)
        except CallFailed as failed:
            raise Refused(Reason.LOOKUP_FAILED, failed.failure.code) from None
        except HoldEnded:
            raise Refused(Reason.HOLD_EXPIRED, stops=self._state.outline.has_mirror) from None
        if checked.refused is not None:
            raise Refused(checked.refused, checked.code)
        if not again:
            self._state.present = checked.present
        if checked.begin is not None:
            if checked.begin.ended is Outcome.ERRORED:
                raise Refused(Reason.ERRORED_BEFORE, "errored_at_source", stops=True)
            mirroring.begin_where(self._state, checked.begin)

    async def _look_at_source(self) -> None:
        """A resumed run begins where the source's row says."""
        try:
            await self._check(again=True)
        except Refused as refused:
            await self._stop(Direction.FORWARD, refused.code or refused.reason)

    async def _freeze(self) -> None:
        self._enter(Phase.FREEZE)
        if (
            self._is_cooling_off()
        ):  # otherwise nothing is left to change one's mind about, and the next mail says it all
            self._mailing.post(Mail.RECEIVED)
        ended = await run_graph(self._state.outline.freeze, self._freeze_step)
        failed = [outcome for outcome in ended if outcome.result is StepResult.FAILED]
        if failed:
            expired = failed[0].code == Reason.HOLD_EXPIRED
            raise Refused(Reason.HOLD_EXPIRED if expired else Reason.FREEZE_FAILED, failed[0].code)

    async def _freeze_step(self, step: StepOutline) -> StepOutcome:
        if step.id not in self._state.frozen:
            self._state.frozen.append(step.id)  # before the call: from now on it may have taken effect
        return await self._run_step(step)

    async def _cool_off(self) -> None:
        self._enter(Phase.COOL_OFF)
        self._publish()
        since = workflow.now()
        while self._is_cooling_off():
            await self._record_messages()
            # Meanwhile an extend or an expedite may have come: all is read again below, without waiting in between.
            now, ends_at, reminders = workflow.now(), self._state.ends_at, self._state.outline.reminders
            due = cooling_off.due_reminder(since=since, now=now, ends_at=ends_at, reminders=reminders)
            if due is not None:
                self._mailing.post(Mail.REMINDER, number=due.isoformat())
            since = now
            wake = cooling_off.next_wake(now=now, ends_at=ends_at, reminders=reminders)
            try:
                # A timeout says only that it is time to look again, never who was first.
                await workflow.wait_condition(
                    lambda: bool(self._state.unrecorded) or not self._is_cooling_off(),
                    timeout=max(wake - now, cooling_off.SHORTEST_WAIT),
                    timeout_summary="cool-off ends" if wake == ends_at else "next reminder",
                )
            except TimeoutError:
                pass
            self._state.leave_if_rescinded()

    def _is_cooling_off(self) -> bool:
        return workflow.now() < self._state.ends_at and not self._state.expedited

    # --- after the point of no return --------------------------------------------------------------------------------

    async def _pass_point(self) -> Moved:
        self._enter(Phase.TRANSFER if self._state.outline.transfer else Phase.ERASE)
        kept = [step for step in self._state.outline.erase if step.retained_for is not None]
        retained = tuple(self._retained(step) for step in kept)
        passed = await self._pass(retained=retained)
        if passed.moved:
            self._state.outcomes.update((outcome.step, outcome) for outcome in retained)
        return passed

    async def _go_forward(self) -> Result:
        finished = (
            # First of all: nothing of what others need is to be erased with its owner.
            await self._run_phase(Phase.TRANSFER, self._state.outline.transfer)
            and await self._run_phase(Phase.ERASE, self._state.outline.erase)
            and await self._verify_erasure()
            # Only now: nobody is to take over the name of a half-deleted account.
            and await self._run_phase(Phase.RELEASE, self._state.outline.release)
        )
        if self._state.outline.has_mirror:
            try:
                await mirroring.tell_end(self._state, self._holding, finished=finished)
            except NotMirrored as unmirrored:
                await self._stop(Direction.FORWARD, unmirrored.code)
        if not finished:
            await self._stop(Direction.FORWARD)
        return await self._close(Outcome.COMPLETE, Mail.COMPLETE, Mail.HANDOVER, Mail.DISCLOSED)

    async def _run_phase(self, phase: Phase, steps: tuple[StepOutline, ...]) -> bool:
        """Run a phase's steps as a graph; has none of them failed?"""
        if steps:
            self._enter(phase)
        ended = await run_graph(steps, self._run_step)
        ended += await self._beside.all_ended()
        await self._following.all_begun()
        return not any(outcome.result is StepResult.FAILED for outcome in ended)

    async def _run_step(self, step: StepOutline) -> StepOutcome:
        ended = self._state.outcomes.get(step.id)
        if ended is None and step.retained_for is not None:  # a resumed run whose plan came to keep something
            self._state.conclude(self._retained(step))
        elif ended is None or ended.result is StepResult.FAILED:
            self._state.begun_at[step.id] = workflow.now()
            if step.id in self._state.deferred:  # by an earlier run
                return self._defer(step, after=timedelta(0))
            try:
                self._state.conclude(await self._call_step(step))
            except CallFailed as deferred:
                return self._defer(step, after=deferred.failure.deferred_for or timedelta(0))
        self._following.begin(step, self._state.outcomes[step.id])
        return self._state.outcomes[step.id]

    async def _call_step(self, step: StepOutline, *, aside: bool = False) -> StepOutcome:
        present = step.id in self._state.present if step.has_probe else None
        return await self._outcome(Activity.RUN_STEP, step, call_id=step.id, present=present, aside=aside)

    def _defer(self, step: StepOutline, *, after: timedelta) -> StepOutcome:
        """Its service fails: it goes on being tried while the steps after it are done."""
        self._state.deferred.add(step.id)
        self._beside.begin(self._run_aside(step, after=after))
        return outcomes.deferred(step.id, now=workflow.now())

    async def _run_aside(self, step: StepOutline, *, after: timedelta) -> StepOutcome:
        if after:
            await workflow.sleep(after, summary=f"{step.id} is deferred: try again")
        outcome = await self._call_step(step, aside=True)
        self._state.deferred.discard(step.id)
        self._state.conclude(outcome)
        self._following.begin(step, outcome)
        return outcome

    async def _verify_erasure(self) -> bool:
        if any(step.has_probe for step in self._state.outline.erase):
            self._enter(Phase.VERIFY)
        return await asking.verify(self._state, self._holding)

    def _retained(self, step: StepOutline) -> StepOutcome:
        now = workflow.now()
        return outcomes.retained(step, requested_at=self._state.opened.requested_at or now, now=now)

    # --- the way back ------------------------------------------------------------------------------------------------

    async def _go_back(self, reason: Reason, code: str | None = None) -> Result:
        """Restore everything that may have been frozen, latest first, and say so. Only ever undoes."""
        self._enter(Phase.GOING_BACK)
        if self._state.opened.reason is not None:
            reason, code = self._state.opened.reason, self._state.opened.code
        await self._turn_back(reason, code)
        if self._state.outline.cancels_at_source and reason is Reason.RESCINDED and code is None:
            try:
                await mirroring.cancel(self._state, self._holding)
            except NotMirrored as unmirrored:
                await self._stop(Direction.BACK, unmirrored.code)
        freeze = {step.id: step for step in self._state.outline.freeze}
        for step in reversed([id for id in self._state.frozen if freeze[id].has_undo]):
            self._state.undone[step] = await self._outcome(Activity.UNDO_STEP, freeze[step], call_id=f"{step}:undo")
        if any(outcome.result is StepResult.FAILED for outcome in self._state.undone.values()):
            await self._stop(Direction.BACK)
        mails = [Mail.RESCINDED if reason is Reason.RESCINDED else Mail.ABORTED]
        if reason is Reason.NO_SUCCESSOR:
            mails.append(Mail.NO_SUCCESSOR)
        return await self._close(Outcome.ABORTED, *mails, reason=reason, code=code)


def _read_start(raw: tuple[Any, ...]) -> Start:
    """Read the start message and refuse a run that could be cut off half-way.

    Raises:
        BadField: naming what can't be used.
    """
    start = reading.read_start(raw)
    info = workflow.info()
    if info.workflow_id != names.workflow_id(user_id=start.user_id, tenant=start.tenant):
        raise reading.BadField("workflow id", "retire-user-{user_id}, or retire-user-{tenant}-{user_id} with a tenant")
    if info.execution_timeout or info.run_timeout:
        raise reading.BadField("execution and run timeout", "left out: a retirement cut off half-way erases half")
    if info.cron_schedule:
        raise reading.BadField("cron schedule", "left out: a person is retired once")
    return start

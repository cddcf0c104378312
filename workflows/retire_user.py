"""RetireUser: one data subject's account, from the request to its end.

Reads downwards as the life of a retirement. Up to the point of no return every way leads back and a rescind always wins; after it
every way leads on, and the work is finished or stops as ERRORED, to be resumed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from workflows import asking, calls, cooling_off, names, outcomes, reading
from workflows.calls import CallFailed
from workflows.doors import Doors
from workflows.holding import HoldEnded, Holding
from workflows.messages import (
    CloseCase,
    Closed,
    Hold,
    MessageRow,
    Moved,
    OpenCase,
    OpenedCase,
    PassPoint,
    RecordMessages,
    Result,
    RunStep,
    Start,
    StepOutcome,
    StepOutline,
    TurnBack,
    Wish,
)
from workflows.names import Activity, Direction, HeldCause, Mail, Outcome, Phase, Reason, StepResult
from workflows.state import attributes_of, details_of, result_of
from workflows.step_graph import run_graph


class _Refused(Exception):
    """Something before the point of no return says that this account is not to be retired."""

    def __init__(self, reason: Reason, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


@workflow.defn(name=names.WORKFLOW_TYPE)
class RetireUser(Doors):
    """One workflow a retirement. Address it as `retire-user-{user_id}`."""

    def __init__(self) -> None:
        super().__init__()
        self._holding = Holding(state=self._state, changed=self._on_hold)

    @workflow.run
    async def run(self, *raw: Any) -> Result:
        """Guards the life against cancellation: before the point of no return a cancel is a rescind, after it only noted."""
        try:
            start = self._state.start = _read_start(raw)
        except reading.BadField as bad:
            raise ApplicationError(str(bad), type=names.BAD_REQUEST_ERROR, non_retryable=True) from None
        life = asyncio.create_task(self._life(start))
        while not life.done():
            try:
                await workflow.wait_condition(life.done)
            except asyncio.CancelledError:
                self._rescind(Wish(by="cancel"))
        return life.result()

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
                return await self._go_forward()
        refused = await self._until_return()
        if refused is not None:
            return await self._go_back(refused.reason, refused.code)
        # The point of no return. No await lies between the last look at the rescind flag and this line.
        self._state.past_return = True
        passed = await self._pass_point()
        if passed.claim_lost:
            self._state.past_return = False
            return await self._go_back(Reason.CLAIM_LOST)
        return await self._go_forward()

    # --- before the point of no return -------------------------------------------------------------------------------

    async def _open(self, start: Start) -> None:
        info = workflow.info()
        # Every clock runs from the request: a wait for a worker is not the person's.
        asked = start.model_copy(update={"requested_at": start.requested_at or info.workflow_start_time})
        opened = await calls.call_ledger(
            Activity.OPEN_CASE,
            OpenCase(start=asked, run_key=info.first_execution_run_id, now=workflow.now()),
            OpenedCase,
            summary="open the case",
        )
        self._state.case = opened
        self._state.cool_off_ends_at = opened.cool_off_ends_at
        self._state.present = opened.present
        self._state.outcomes = {outcome.step: outcome for outcome in opened.ended}
        if opened.outline is not None:
            # What an earlier run of this case froze, or may have been freezing when it ended, is ours to undo.
            steps = opened.outline.freeze
            self._state.frozen = [s.id for s in steps if s.id not in opened.undone] if opened.resumed else []

    async def _until_return(self) -> _Refused | None:
        """Everything that can still be undone. Returns why to go back, or None where nothing stands in the way."""
        before = asyncio.create_task(self._before_return())
        await workflow.wait_condition(lambda: before.done() or self._state.rescinded)
        if not before.done():
            before.cancel()  # interrupts a freeze that is being retried, too
        refused: _Refused | None = None
        try:
            await before
        except _Refused as refusal:
            refused = refusal
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
        # A rescind may have come while we waited: it wins over whatever else was found.
        return _Refused(Reason.RESCINDED) if self._state.rescinded else refused

    async def _before_return(self) -> None:
        await self._check()
        await self._freeze()
        if self._is_cooling_off():
            await self._cool_off()
            await self._check(again=True)  # weeks have passed

    async def _check(self, *, again: bool = False) -> None:
        self._enter(Phase.RECHECK if again else Phase.CHECK)
        try:
            checked = await asking.look_up(self._state, self._holding, again=again)
        except CallFailed as failed:
            raise _Refused(Reason.LOOKUP_FAILED, failed.failure.code) from None
        except HoldEnded:
            raise _Refused(Reason.HOLD_EXPIRED) from None
        if checked.refused is not None:
            raise _Refused(checked.refused, checked.code)
        if not again:
            self._state.present = checked.present

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
            raise _Refused(Reason.HOLD_EXPIRED if expired else Reason.FREEZE_FAILED, failed[0].code)

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
        """Move the case in the ledger, before any effect: the flag alone would not survive a reset of this run."""
        self._enter(Phase.ERASE)
        self._publish()
        kept = [step for step in self._state.outline.erase if step.retained_for is not None]
        retained = tuple(self._retained(step) for step in kept)
        passed = await self._move(
            "point_of_no_return",
            lambda: calls.tell_ledger(
                Activity.PASS_POINT_OF_NO_RETURN,
                PassPoint(
                    retirement_id=self._state.retirement_id,
                    now=workflow.now(),
                    retained=retained,
                    messages=self._take_messages(),
                ),
                Moved,
                summary="point of no return",
            ),
        )
        if passed.moved:
            self._state.outcomes.update((outcome.step, outcome) for outcome in retained)
        return passed

    async def _go_forward(self) -> Result:
        finished = (
            await self._run_phase(Phase.ERASE, self._state.outline.erase)
            and await self._verify_erasure()
            # Only now: nobody is to take over the name of a half-deleted account.
            and await self._run_phase(Phase.RELEASE, self._state.outline.release)
        )
        if not finished:
            await self._stop(Direction.FORWARD)
        return await self._close(Outcome.COMPLETE, Mail.COMPLETE)

    async def _run_phase(self, phase: Phase, steps: tuple[StepOutline, ...]) -> bool:
        """Run a phase's steps as a graph; has none of them failed?"""
        if steps:
            self._enter(phase)
        ended = await run_graph(steps, self._run_step)
        return not any(outcome.result is StepResult.FAILED for outcome in ended)

    async def _run_step(self, step: StepOutline) -> StepOutcome:
        ended = self._state.outcomes.get(step.id)
        if ended is None and step.retained_for is not None:  # a resumed run whose plan came to keep something
            self._state.conclude(self._retained(step))
        elif ended is None or ended.result is StepResult.FAILED:
            present = step.id in self._state.present if step.has_probe else None
            self._state.begun_at[step.id] = workflow.now()
            self._state.conclude(await self._outcome(Activity.RUN_STEP, step, call_id=step.id, present=present))
        return self._state.outcomes[step.id]

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
        await self._move(
            "turn_back",
            lambda: calls.tell_ledger(
                Activity.TURN_BACK,
                TurnBack(
                    retirement_id=self._state.retirement_id,
                    reason=reason,
                    code=code,
                    now=workflow.now(),
                    messages=self._take_messages(),
                    from_past_return=self._state.opened.state == "past_return",
                ),
                Moved,
                summary="turn back",
            ),
        )
        freeze = {step.id: step for step in self._state.outline.freeze}
        for step in reversed([id for id in self._state.frozen if freeze[id].has_undo]):
            self._state.undone[step] = await self._outcome(Activity.UNDO_STEP, freeze[step], call_id=f"{step}:undo")
        if any(outcome.result is StepResult.FAILED for outcome in self._state.undone.values()):
            await self._stop(Direction.BACK)
        mail = Mail.RESCINDED if reason is Reason.RESCINDED else Mail.ABORTED
        return await self._close(Outcome.ABORTED, mail, reason=reason, code=code)

    # --- ends --------------------------------------------------------------------------------------------------------

    def _turned_away(self) -> Result:
        """Another case stands in the way; nothing was touched, and nothing of that case is."""
        self._state.outcome, self._state.reason = Outcome.ABORTED, self._state.opened.refused
        self._enter(Phase.CLOSED)
        self._publish()
        return result_of(self._state, outcome=Outcome.ABORTED, reason=self._state.opened.refused)

    async def _close(
        self, outcome: Outcome, mail: Mail, *, reason: Reason | None = None, code: str | None = None
    ) -> Result:
        self._enter(Phase.TELL)
        self._mailing.drop_posts()
        # The mail holds its own lease of the vault: neither waits for the other.
        told = asyncio.create_task(self._mailing.tell(mail, reason=reason))
        await self._close_case(outcome, reason=reason)
        await told
        self._state.outcome, self._state.reason = outcome, reason
        await self._settle()
        return result_of(self._state, outcome=outcome, reason=reason, code=code)

    async def _stop(self, direction: Direction) -> NoReturn:
        """ERRORED: closes the run as Failed, red in the UI and found by search; the case stays open for a resume."""
        self._enter(Phase.TELL)
        self._mailing.drop_posts()
        told = asyncio.create_task(self._mailing.tell(Mail.ERRORED))
        await self._close_case(Outcome.ERRORED, direction=direction)
        await told
        self._state.outcome = Outcome.ERRORED
        await self._settle()
        raise self._errored(direction)

    def _errored(self, direction: Direction, code: str | None = None) -> ApplicationError:
        failed = [outcome for outcome in self._state.failed if not code]
        why = code or ", ".join(f"{outcome.step}: {outcome.code}" for outcome in failed)
        where = "on the way back" if direction is Direction.BACK else "past the point of no return"
        result = result_of(self._state, outcome=Outcome.ERRORED, code=code)
        return ApplicationError(
            f"Stopped {where} ({why}). Resume with: retire resume {self._state.retirement_id}",
            result.model_copy(update={"direction": direction, "failed": tuple(outcome.step for outcome in failed)}),
            type=names.ERRORED_ERROR,
            non_retryable=True,
        )

    async def _close_case(
        self, outcome: Outcome, *, reason: Reason | None = None, direction: Direction | None = None
    ) -> None:
        await self._record_messages()
        # Past this line only ERRORED can still come out otherwise: by a decision that comes while its task is run again.
        write = calls.tell_ledger if outcome is Outcome.ERRORED else calls.call_ledger
        await write(
            Activity.CLOSE_CASE,
            CloseCase(
                retirement_id=self._state.retirement_id,
                outcome=outcome,
                reason=reason,
                direction=direction,
                concluded=tuple(self._state.concluded.values()),
                concluded_undos=tuple(o for o in self._state.undone.values() if o.by or o.result is StepResult.FAILED),
                now=workflow.now(),
                messages=self._take_messages(),
            ),
            Closed,
            summary=f"close the case: {outcome}",
        )

    async def _settle(self) -> None:
        """Answer and record what still comes in, then show the end."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        while self._state.unrecorded:
            await self._record_messages()
        self._enter(Phase.CLOSED)
        self._publish()

    # --- records -----------------------------------------------------------------------------------------------------

    def _take_messages(self) -> tuple[MessageRow, ...]:
        taken = self._state.unrecorded
        self._state.messages_recorded = len(self._state.messages)
        return taken

    async def _record_messages(self) -> None:
        if not self._state.unrecorded:
            return
        argument = RecordMessages(
            retirement_id=self._state.retirement_id,
            messages=self._take_messages(),
            cool_off_ends_at=self._state.cool_off_ends_at,
        )
        record = calls.tell_ledger(Activity.RECORD_MESSAGES, argument, Closed, summary="record messages")
        # Shielded: a rescind ends the cool-off that waits here, and must not take its own record with it.
        await asyncio.shield(asyncio.create_task(record))

    # --- calls and holds ---------------------------------------------------------------------------------------------

    async def _outcome(
        self, activity: Activity, step: StepOutline, *, call_id: str, present: bool | None = None
    ) -> StepOutcome:
        """Run a step or its undo to an outcome; a failure is one, too."""
        argument = RunStep(**self._state.case_ref(), step=step.id, present=present, now=workflow.now())
        try:
            return await self._holding.call(
                step.id,
                lambda: calls.call_service(
                    activity, argument, StepOutcome, call_id=call_id, summary=call_id, lane=step.lane
                ),
            )
        except CallFailed as failed:
            failure = failed.failure
            return outcomes.failed(step.id, code=failure.code, detail=failure.detail, now=workflow.now())
        except HoldEnded as ended:
            return outcomes.decided(step.id, ended=ended, now=workflow.now())

    async def _move(self, step: str, move: Callable[[], Awaitable[Moved]]) -> Moved:
        """Move the case, or lose a claim. Any other refusal means that this run is not the one to decide: held, never forced.

        Raises:
            ApplicationError: RetirementErrored, where the conflict outlives the hold. The case is left as it is.
        """
        recorded = self._state.messages_recorded
        while not (moved := await move()).moved:
            self._state.messages_recorded = recorded  # a refused move leaves everything as it was, messages too
            if moved.claim_lost:
                break
            try:
                await self._holding.wait(step, HeldCause.CONFLICT, f"case_{moved.state}")
            except HoldEnded:
                self._state.outcome = Outcome.ERRORED
                await self._settle()
                direction = Direction.FORWARD if self._state.past_return else Direction.BACK
                raise self._errored(direction, code="conflict") from None
        self._holding.end(step)
        return moved

    # --- what others see ---------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        self._state.phase = phase
        workflow.set_current_details(details_of(self._state))

    def _publish(self) -> None:
        """An upsert costs a write to visibility: done at cool-off, at the point, at a hold and at the end only."""
        workflow.upsert_search_attributes(attributes_of(self._state))
        workflow.set_current_details(details_of(self._state))

    def _on_hold(self, hold: Hold | None) -> None:
        self._publish()
        if hold is not None:
            self._mailing.post(Mail.HELD, number=f"{hold.step}:{hold.since.isoformat()}")


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

"""What every run of a case has in common, whatever it is about: its point of no return, its ends, its records, its holds.

A run that retires a person and one that only hands over what they own differ in the life between these.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from workflows import calls, mirroring, names, outcomes
from workflows.calls import CallFailed
from workflows.doors import CaseDoors
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

#: What a hold at the point of no return is called.
POINT = "point_of_no_return"


class Refused(Exception):
    """Something before the point of no return says that this is not to be done."""

    def __init__(self, reason: Reason, code: str | None = None, *, stops: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code
        #: It isn't for this run to go back: it stops where it is, to be resumed.
        self.stops = stops


class CaseRun(CaseDoors):
    """One run of one case. Its life is what a workflow adds."""

    def __init__(self) -> None:
        super().__init__()
        self._holding = Holding(state=self._state, changed=self._on_hold)

    async def _to_its_end(self, life: Coroutine[Any, Any, Result]) -> Result:
        """Guards the life against cancellation: before the point of no return a cancel is a rescind, after it only noted."""
        living = asyncio.create_task(life)
        while not living.done():
            try:
                await workflow.wait_condition(living.done)
            except asyncio.CancelledError:
                self._rescind(Wish(by="cancel"))
        return living.result()

    async def _take_case(self, activity: Activity, start: Start, *, summary: str) -> OpenedCase:
        """The case that this run is to work on, and how far earlier runs of it came."""
        info = workflow.info()
        opened = await calls.call_ledger(
            activity,
            OpenCase(start=start, run_key=info.first_execution_run_id, now=workflow.now()),
            OpenedCase,
            summary=summary,
        )
        self._state.case = opened
        self._state.cool_off_ends_at = opened.cool_off_ends_at
        self._state.present = opened.present
        self._state.outcomes = {outcome.step: outcome for outcome in opened.ended}
        return opened

    # --- the point of no return --------------------------------------------------------------------------------------

    async def _until_return(self, life: Coroutine[Any, Any, None]) -> Refused | None:
        """What can still be undone, and is left at once by a rescind. Why to go back, or None where nothing stands in the way."""
        before = asyncio.create_task(life)
        await workflow.wait_condition(lambda: before.done() or self._state.rescinded)
        if not before.done():
            before.cancel()  # interrupts a freeze that is being retried, too
        refused: Refused | None = None
        try:
            await before
        except Refused as refusal:
            refused = refusal
        except BaseException as error:
            if not is_cancelled_exception(error):
                raise
        # A rescind may have come while we waited: it wins over whatever else was found.
        return Refused(Reason.RESCINDED) if self._state.rescinded else refused

    async def _pass(self, *, retained: tuple[StepOutcome, ...] = ()) -> Moved:
        """Move the case in the ledger, before any effect: the flag alone would not survive a reset of this run."""
        self._publish()
        return await self._move(
            POINT,
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

    async def _turn_back(self, reason: Reason, code: str | None) -> None:
        """Move the case in the ledger, before anything is undone."""
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

    # --- ends --------------------------------------------------------------------------------------------------------

    def _turned_away(self) -> Result:
        """Another case stands in the way; nothing was touched, and nothing of that case is."""
        self._state.outcome, self._state.reason = Outcome.ABORTED, self._state.opened.refused
        self._enter(Phase.CLOSED)
        self._publish()
        return result_of(self._state, outcome=Outcome.ABORTED, reason=self._state.opened.refused)

    async def _close(
        self,
        outcome: Outcome,
        *mails: Mail,
        reason: Reason | None = None,
        code: str | None = None,
        also_not_held_by: tuple[str, ...] = (),
    ) -> Result:
        """COMPLETE or ABORTED. `also_not_held_by`: who lets go of the vault besides those who are not written to."""
        self._enter(Phase.TELL)
        self._mailing.drop_posts()
        # Each mail holds its own lease of the vault: nobody waits for another.
        told = asyncio.create_task(self._mailing.tell(*mails, reason=reason))
        not_held_by = (*self._mailing.holders_without(mails), *also_not_held_by)
        await self._close_case(outcome, reason=reason, no_longer_held_by=not_held_by)
        await told
        self._state.outcome, self._state.reason = outcome, reason
        await self._settle()
        return result_of(self._state, outcome=outcome, reason=reason, code=code)

    async def _stop(self, direction: Direction, code: str | None = None) -> NoReturn:
        """ERRORED: closes the run as Failed, red in the UI and found by search; the case stays open for a resume."""
        self._enter(Phase.TELL)
        self._mailing.drop_posts()
        told = asyncio.create_task(self._mailing.tell(Mail.ERRORED))
        await self._close_case(Outcome.ERRORED, direction=direction)
        await told
        self._state.outcome = Outcome.ERRORED
        await self._settle()
        raise self._errored(direction, code)

    def _errored(self, direction: Direction, code: str | None = None) -> ApplicationError:
        failed = [outcome for outcome in self._state.failed if not code]
        why = code or ", ".join(f"{outcome.step}: {outcome.code}" for outcome in failed)
        where = "past the point of no return" if self._state.past_return else "before the point of no return"
        if direction is Direction.BACK:
            where = "on the way back"
        result = result_of(self._state, outcome=Outcome.ERRORED, code=code)
        return ApplicationError(
            f"Stopped {where} ({why}). Resume with: retire resume {self._state.retirement_id}",
            result.model_copy(update={"direction": direction, "failed": tuple(outcome.step for outcome in failed)}),
            type=names.ERRORED_ERROR,
            non_retryable=True,
        )

    async def _close_case(
        self,
        outcome: Outcome,
        *,
        reason: Reason | None = None,
        direction: Direction | None = None,
        no_longer_held_by: tuple[str, ...] = (),
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
                no_longer_held_by=no_longer_held_by,
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
        self, activity: Activity, step: StepOutline, *, call_id: str, present: bool | None = None, aside: bool = False
    ) -> StepOutcome:
        """Run a step or its undo to an outcome; a failure is one, too. `aside`: the steps after it don't wait for it any more.

        Raises:
            CallFailed: its service fails, and the steps after it need not wait (`Failure.deferred_for`).
        """
        argument = RunStep(**self._state.case_ref(), step=step.id, present=present, now=workflow.now(), aside=aside)
        try:
            return await self._holding.call(
                step.id,
                lambda: calls.call_service(
                    activity,
                    self._as_mirrored(argument, step) if step.is_mirrored and not aside else argument,
                    StepOutcome,
                    call_id=call_id,
                    summary=call_id,
                    lane=step.lane,
                ),
            )
        except CallFailed as failed:
            failure = failed.failure
            if failure.deferred_for is not None:
                raise
            return outcomes.failed(step.id, code=failure.code, detail=failure.detail, now=workflow.now())
        except HoldEnded as ended:
            return outcomes.decided(step.id, ended=ended, now=workflow.now())

    def _as_mirrored(self, run: RunStep, step: StepOutline) -> RunStep:
        """What a mirrored step has to know besides: did this run begin it before, and what does the source's row say of it?"""
        begin = self._state.begin
        again = run.step in self._state.mirrored or self._state.adopted
        self._state.mirrored.add(run.step)
        working = not again and begin is not None and begin.working and begin.step == run.step
        told = {"again": again, "working": working, "adopt": self._state.adopted, "defer": step.is_deferrable}
        if mirroring.completes(self._state, step):
            self._state.tried_to_complete = told["completes"] = True
        return run.model_copy(update=told)

    async def _move(self, step: str, move: Callable[[], Awaitable[Moved]]) -> Moved:
        """Move the case, or lose a claim or a successor, or be told to wait for what is handed over to its subject.

        Any other refusal means that this run is not the one to decide: held, never forced.

        Raises:
            ApplicationError: RetirementErrored, where the conflict outlives the hold. The case is left as it is.
        """
        recorded = self._state.messages_recorded
        while not (moved := await move()).moved:
            self._state.messages_recorded = recorded  # a refused move leaves everything as it was, messages too
            if moved.awaited:
                return moved
            if moved.claim_lost or moved.successor_lost:
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

"""TransferOwnership: what somebody owns goes to somebody else, without a retirement.

The transfer steps of a plan, standing alone. `retire transfer` has opened the case, with whom it names and which assets, before a
run takes it up: neither goes through Temporal. Whoever owned it all may be gone already.
"""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows import calls, names, reading
from workflows.calls import CallFailed
from workflows.case_run import CaseRun, Refused
from workflows.holding import HoldEnded
from workflows.messages import CheckedSubject, CheckTransfer, Result, Start, StepOutcome, StepOutline
from workflows.names import Activity, Direction, Mail, Outcome, Phase, Reason, StepResult
from workflows.step_graph import run_graph


@workflow.defn(name=names.TRANSFER_WORKFLOW_TYPE)
class TransferOwnership(CaseRun):
    """One workflow a transfer. Address it as `transfer-ownership-{user_id}`."""

    @workflow.run
    async def run(self, *raw: Any) -> Result:
        """Reads the start message; the life does the rest, whatever is sent to it meanwhile."""
        try:
            start = self._state.start = _read_start(raw)
        except reading.BadField as bad:
            raise ApplicationError(str(bad), type=names.BAD_REQUEST_ERROR, non_retryable=True) from None
        return await self._to_its_end(self._life(start))

    async def _life(self, start: Start) -> Result:
        opened = await self._take_case(Activity.TAKE_UP_TRANSFER, start, summary="take up the case")
        match opened.state, start.go_back:
            case _ if opened.refused:
                return self._turned_away()
            case "past_return", True:
                return await self._go_back(Reason.ABANDONED)
            case ("going_back", _) | (_, True):
                return await self._go_back(Reason.RESCINDED)
            case "past_return", _:
                self._state.past_return = True
                return await self._hand_over()
        refused = await self._until_return(self._check())
        if refused is None:
            # The point of no return. No await lies between the last look at the rescind flag and this line.
            self._state.past_return = True
            self._enter(Phase.TRANSFER)
            if (await self._pass()).moved:
                return await self._hand_over()
            self._state.past_return = False
            refused = Refused(Reason.NO_SUCCESSOR, "successor_retiring")
        return await self._go_back(refused.reason, refused.code)

    async def _check(self) -> None:
        """May whoever is named take over? Nothing has been written before that is known."""
        self._enter(Phase.CHECK)
        steps = tuple(step.id for step in self._state.outline.transfer)
        argument = CheckTransfer(**self._state.case_ref(), steps=steps, now=workflow.now())
        try:
            checked = await self._holding.call(
                "check",
                lambda: calls.call_service(
                    Activity.CHECK_TRANSFER,
                    argument,
                    CheckedSubject,
                    call_id="check",
                    summary="ask whether they may take over",
                    lane=self._state.outline.lookup,
                ),
            )
        except CallFailed as failed:
            raise Refused(Reason.LOOKUP_FAILED, failed.failure.code) from None
        except HoldEnded:
            raise Refused(Reason.HOLD_EXPIRED) from None
        if checked.refused is not None:
            raise Refused(checked.refused, checked.code)

    async def _hand_over(self) -> Result:
        self._enter(Phase.TRANSFER)
        ended = await run_graph(self._state.outline.transfer, self._run_step)
        if any(outcome.result is StepResult.FAILED for outcome in ended):
            await self._stop(Direction.FORWARD)
        return await self._close(Outcome.COMPLETE, Mail.HANDOVER)

    async def _run_step(self, step: StepOutline) -> StepOutcome:
        if step.id not in self._state.outcomes:
            self._state.begun_at[step.id] = workflow.now()
            self._state.conclude(await self._outcome(Activity.RUN_STEP, step, call_id=step.id))
        return self._state.outcomes[step.id]

    async def _go_back(self, reason: Reason, code: str | None = None) -> Result:
        """Nothing was handed over, and nothing has to be undone."""
        self._enter(Phase.GOING_BACK)
        if self._state.opened.reason is not None:
            reason, code = self._state.opened.reason, self._state.opened.code
        await self._turn_back(reason, code)
        return await self._close(Outcome.ABORTED, reason=reason, code=code, also_not_held_by=(names.REPORT_HOLDER,))


def _read_start(raw: tuple[Any, ...]) -> Start:
    """Read the start message and refuse a run that could be cut off half-way.

    Raises:
        BadField: naming what can't be used.
    """
    start = reading.read_start(raw)
    info = workflow.info()
    if start.resume is None:
        raise reading.BadField("resume", "the id of a transfer that `retire transfer` has opened")
    if info.workflow_id != names.transfer_workflow_id(user_id=start.user_id, tenant=start.tenant):
        form = "transfer-ownership-{user_id}, or transfer-ownership-{tenant}-{user_id} with a tenant"
        raise reading.BadField("workflow id", form)
    if info.execution_timeout or info.run_timeout:
        raise reading.BadField("execution and run timeout", "left out: a transfer cut off half-way hands over half")
    if info.cron_schedule:
        raise reading.BadField("cron schedule", "left out: a transfer is taken up once")
    return start

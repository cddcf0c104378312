"""The activities that call the services of a plan. They return and raise ids, codes and templates, never a value."""

import asyncio

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.actions.action import Action
from activities.attempts import Attempts, to_its_end
from activities.checking import Check
from activities.errors import step_failed, step_held
from activities.first_contact import Worked
from activities.guarding import Guard
from activities.manual import ManualStep
from activities.mirroring.mirrored_step import MirroredStep
from activities.mirroring.source import source_of
from activities.opening import Begun, Opening, names_of
from activities.ownership.permitting import Permission
from activities.ownership.transferring import Transfer
from activities.rendering import names_in, names_in_expression
from activities.step_run import StepRun
from activities.undoing import Undoing
from activities.verifying import Verification
from ledger.ledger import Ledger
from ledger.rows import CaseKind, CaseState, StepAction
from plans.model import Step, StepPhase
from workflows import names
from workflows.messages import (
    CheckedSubject,
    CheckSubject,
    CheckTransfer,
    Failure,
    RunStep,
    StepOutcome,
    VerifiedErasure,
    VerifyErasure,
)
from workflows.names import HeldCause

#: Where a step of each phase has its place. A run that believes otherwise (a reset, a second run) is stopped here.
_STATE_OF_PHASE = {
    StepPhase.FREEZE: CaseState.OPEN,
    StepPhase.TRANSFER: CaseState.PAST_RETURN,
    StepPhase.ERASE: CaseState.PAST_RETURN,
    StepPhase.RELEASE: CaseState.PAST_RETURN,
}


class StepActivities:
    """Checks, runs, undoes and verifies. One for a worker; `action` holds its connections and tokens."""

    def __init__(self, *, ledger: Ledger, action: Action) -> None:
        self._ledger = ledger
        self._action = action
        self._attempts = Attempts(ledger=ledger)
        self._opening = Opening(ledger=ledger)
        self._guard = Guard(attempts=self._attempts, opening=self._opening)
        self._worked = Worked()

    @activity.defn(name=names.Activity.CHECK_SUBJECT)
    async def check_subject(self, check: CheckSubject) -> CheckedSubject:
        """Look the person up, and ask every probe once whether they are there. Only reads; one write to store it."""
        step = "subject.recheck" if check.again else "subject.lookup"
        if check.lane is not None:
            step = f"subject.probes:{check.lane.name}"
        if check.choose:
            step = "subject.successors"
        async with self._guard.guarded(check, step=step):
            begun = await self._opening.begin(check, step=step, action=StepAction.DO)
            work = Check(
                action=self._action,
                ledger=self._ledger,
                attempts=self._attempts,
                worked=self._worked,
                begun=begun,
                again=check.again,
                step_id=step,
                adopt=check.adopt,
            )
            if check.choose:
                return await work.choose()
            return await (work.run() if check.lane is None else work.ask_on(check.lane))

    @activity.defn(name=names.Activity.CHECK_TRANSFER)
    async def check_transfer(self, check: CheckTransfer) -> CheckedSubject:
        """May whoever is named take over? Only reads; what it chooses is stored."""
        step = "subject.lookup"
        async with self._guard.guarded(check, step=step):
            begun = await self._opening.begin(check, step=step, action=StepAction.DO)
            asking = Check(
                action=self._action,
                ledger=self._ledger,
                attempts=self._attempts,
                worked=self._worked,
                begun=begun,
                again=False,
                step_id=step,
            )
            steps = (_step_of(begun, id) for id in check.steps)
            policies = dict.fromkeys(step.successor for step in steps if step.successor is not None)
            return await Permission(check=asking).ask(policies)

    @activity.defn(name=names.Activity.RUN_STEP)
    async def run_step(self, run: RunStep) -> StepOutcome:
        """Do one step and see that it is done. A repeat returns the recorded outcome, or calls under the same key."""
        async with self._guard.guarded(run, step=run.step):
            begun = await self._opening.begin(run, step=run.step, action=StepAction.DO)
            recorded = self._recorded(begun)
            step = _step_of(begun, run.step)
            # How far a mirrored step came is for the source's row to say, not for our record: but for one beside the others.
            if recorded is not None and (step.mirrored is None or run.aside):
                return recorded
            if begun.case.state is not _STATE_OF_PHASE[step.phase]:
                raise _conflict(run.step, begun)
            keeps = {name for name, is_kept in _kept_by(step).items() if is_kept}
            begun.need_vault(step=run.step, names=names_of(step) | keeps)
            if step.assets is not None and step.service is not None:
                transfer = Transfer(
                    action=self._action,
                    ledger=self._ledger,
                    attempts=self._attempts,
                    worked=self._worked,
                    begun=begun,
                    step_id=run.step,
                    step=step,
                    assets=step.assets,
                    service=step.service,
                    only_known=begun.hands_over_only_named,
                    stands_alone=begun.case.kind is CaseKind.TRANSFER,
                )
                return await to_its_end(transfer.attempt())
            alone = self._alone(begun, run, step)
            work: StepRun | ManualStep | MirroredStep = alone
            if step.mirrored is not None:
                source = source_of(begun, action=self._action, worked=self._worked, step_id=run.step)
                work = MirroredStep(
                    source=source,
                    step_run=alone,
                    ledger=self._ledger,
                    attempts=self._attempts,
                    run=run,
                    states=step.mirrored,
                )
            while True:
                result = await to_its_end(work.attempt())
                if isinstance(result, StepOutcome):
                    return result
                await asyncio.sleep(result.total_seconds())

    @activity.defn(name=names.Activity.UNDO_STEP)
    async def undo_step(self, run: RunStep) -> StepOutcome:
        """Restore what a freeze step found. A repeat returns the recorded outcome, or calls under the same key."""
        async with self._guard.guarded(run, step=run.step, action=StepAction.UNDO):
            begun = await self._opening.begin(run, step=run.step, action=StepAction.UNDO)
            recorded = self._recorded(begun)
            if recorded is not None:
                return recorded
            step = _step_of(begun, run.step)
            if begun.case.state is not CaseState.GOING_BACK:
                raise _conflict(run.step, begun)
            if step.undo is None or step.service is None:
                raise step_failed(failure=Failure(code="nothing_to_undo_with", step=run.step))
            begun.need_vault(step=run.step, names=names_in(step.undo.request) | names_in_expression(step.undo.when))
            work = Undoing(
                action=self._action,
                ledger=self._ledger,
                attempts=self._attempts,
                worked=self._worked,
                begun=begun,
                step_id=run.step,
                step=step,
                undo=step.undo,
                service=step.service,
            )
            return await to_its_end(work.attempt())

    @activity.defn(name=names.Activity.VERIFY_ERASURE)
    async def verify_erasure(self, verify: VerifyErasure) -> VerifiedErasure:
        """Ask every probe once more: another service may have written the person back. Writes only what changed."""
        first = verify.steps[0] if verify.steps else "subject.lookup"
        async with self._guard.guarded(verify, step=first):
            begun = await self._opening.begin(verify, step=first, action=StepAction.DO)
            if begun.case.state is not CaseState.PAST_RETURN:
                raise _conflict(first, begun)
            work = Verification(
                action=self._action,
                ledger=self._ledger,
                attempts=self._attempts,
                worked=self._worked,
                begun=begun,
                steps=verify.steps,
                present=verify.present,
            )
            return await work.run()

    def _alone(self, begun: Begun, run: RunStep, step: Step) -> StepRun | ManualStep:
        """The step without what its source is told of it."""
        if step.manual is not None:
            return ManualStep(ledger=self._ledger, begun=begun, step_id=run.step, step=step)
        if step.service is None:
            raise step_failed(failure=Failure(code="unknown_step", step=run.step))
        return StepRun(
            action=self._action,
            ledger=self._ledger,
            attempts=self._attempts,
            worked=self._worked,
            begun=begun,
            step_id=run.step,
            step=step,
            service=step.service,
            present=_present(begun, run),
        )

    def _recorded(self, begun: Begun) -> StepOutcome | None:
        return begun.row.outcome if begun.row is not None and begun.row.has_ended else None


def _kept_by(step: Step) -> dict[str, bool]:
    """What of the vault a step needs beside what its requests name."""
    return {"saved": bool(step.save or step.poll or step.find), "subject": step.mirrored is not None}


def _step_of(begun: Begun, step_id: str) -> Step:
    step = begun.plan.steps.get(step_id)
    if step is None:
        raise step_failed(failure=Failure(code="unknown_step", step=step_id))
    return step


def _present(begun: Begun, run: RunStep) -> bool | None:
    if run.present is not None or begun.case.present is None:
        return run.present
    return run.step in begun.case.present


def _conflict(step: str, begun: Begun) -> ApplicationError:
    failure = Failure(code=f"case_is_{begun.case.state.value}", step=step, held=HeldCause.CONFLICT)
    return step_held(failure=failure)

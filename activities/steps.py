"""The activities that call the services of a plan. They return and raise ids, codes and templates, never a value."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.actions.action import Action
from activities.actions.answers import Transient
from activities.actions.wire import BadAddress
from activities.attempts import Attempts, Trying, now, to_its_end
from activities.checking import Check
from activities.errors import step_failed, step_held, try_again
from activities.first_contact import Worked
from activities.opening import Begun, Opening, names_of
from activities.ownership.permitting import Permission
from activities.ownership.transferring import Transfer
from activities.patience import Tries
from activities.rendering import names_in, names_in_expression
from activities.step_run import StepRun
from activities.undoing import Undoing
from activities.verifying import Verification
from ledger.errors import LedgerUnavailable, UnknownCase, VaultLocked, VaultMissing
from ledger.ledger import Ledger
from ledger.rows import CaseKind, CaseState, StepAction
from plans.model import Step, StepPhase
from plans.outline import UnknownPlanFormat
from plans.secrets import SecretMissing
from workflows import names
from workflows.messages import (
    CaseRef,
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

#: Where no step of the plan says how long a fault of our own may take to be mended.
_PATIENCE_WITH_OURSELVES = timedelta(hours=24)

_log = logging.getLogger("retirement.steps")


class StepActivities:
    """Checks, runs, undoes and verifies. One for a worker; `action` holds its connections and tokens."""

    def __init__(self, *, ledger: Ledger, action: Action) -> None:
        self._ledger = ledger
        self._action = action
        self._attempts = Attempts(ledger=ledger)
        self._opening = Opening(ledger=ledger)
        self._worked = Worked()

    @activity.defn(name=names.Activity.CHECK_SUBJECT)
    async def check_subject(self, check: CheckSubject) -> CheckedSubject:
        """Look the person up, and ask every probe once whether they are there. Only reads; one write to store it."""
        step = "subject.recheck" if check.again else "subject.lookup"
        if check.lane is not None:
            step = f"subject.probes:{check.lane.name}"
        if check.choose:
            step = "subject.successors"
        async with self._guarded(check, step=step):
            begun = await self._opening.begin(check, step=step, action=StepAction.DO)
            work = Check(
                action=self._action,
                ledger=self._ledger,
                attempts=self._attempts,
                worked=self._worked,
                begun=begun,
                again=check.again,
                step_id=step,
            )
            if check.choose:
                return await work.choose()
            return await (work.run() if check.lane is None else work.ask_on(check.lane))

    @activity.defn(name=names.Activity.CHECK_TRANSFER)
    async def check_transfer(self, check: CheckTransfer) -> CheckedSubject:
        """May whoever is named take over? Only reads; what it chooses is stored."""
        step = "subject.lookup"
        async with self._guarded(check, step=step):
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
        async with self._guarded(run, step=run.step):
            begun = await self._opening.begin(run, step=run.step, action=StepAction.DO)
            recorded = self._recorded(begun)
            if recorded is not None:
                return recorded
            step = _step_of(begun, run.step)
            if begun.case.state is not _STATE_OF_PHASE[step.phase]:
                raise _conflict(run.step, begun)
            if step.service is None:
                raise step_failed(failure=Failure(code="unknown_step", step=run.step))
            keeps = frozenset({"saved"}) if step.save or step.poll else frozenset[str]()
            begun.need_vault(step=run.step, names=names_of(step) | keeps)
            if step.assets is not None:
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
            work = StepRun(
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
            while True:
                result = await to_its_end(work.attempt())
                if isinstance(result, StepOutcome):
                    return result
                await asyncio.sleep(result.total_seconds())

    @activity.defn(name=names.Activity.UNDO_STEP)
    async def undo_step(self, run: RunStep) -> StepOutcome:
        """Restore what a freeze step found. A repeat returns the recorded outcome, or calls under the same key."""
        async with self._guarded(run, step=run.step, action=StepAction.UNDO):
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
        async with self._guarded(verify, step=first):
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

    def _recorded(self, begun: Begun) -> StepOutcome | None:
        return begun.row.outcome if begun.row is not None and begun.row.has_ended else None

    @asynccontextmanager
    async def _guarded(self, ref: CaseRef, *, step: str, action: StepAction = StepAction.DO) -> AsyncIterator[None]:
        """Turn whatever else can go wrong into one of our three errors; none of it is forwarded."""
        try:
            yield
        except ApplicationError:
            raise
        except SecretMissing as error:
            held = Failure(code="secret_missing", step=step, detail=error.reference, held=HeldCause.CONFIGURATION)
            raise step_held(failure=held) from None
        except BadAddress:
            held = Failure(code="bad_address", step=step, held=HeldCause.CONFIGURATION)
            raise step_held(failure=held) from None
        except UnknownPlanFormat:
            held = Failure(code="unknown_plan_format", step=step, held=HeldCause.CONFIGURATION)
            raise step_held(failure=held) from None
        except VaultMissing:
            raise step_held(failure=Failure(code="vault_missing", step=step, held=HeldCause.VAULT)) from None
        except VaultLocked:
            raise step_held(failure=Failure(code="vault_locked", step=step, held=HeldCause.VAULT)) from None
        except UnknownCase:
            raise step_failed(failure=Failure(code="unknown_case", step=step)) from None
        except LedgerUnavailable:
            # Nothing can be recorded, so no patience is used; the attempt's number stands in for the count.
            tries = Tries(first_failed_at=now(), failures=activity.info().attempt, patience=_PATIENCE_WITH_OURSELVES)
            after = tries.wait(now=now(), chance=random.random())  # noqa: S311 - spreads load, guards nothing
            raise try_again(failure=Failure(code="ledger_unavailable", step=step), after=after) from None
        except Exception as error:
            raise await self._internal_error(ref, step=step, action=action, error=error) from None

    async def _internal_error(
        self, ref: CaseRef, *, step: str, action: StepAction, error: Exception
    ) -> ApplicationError:
        """A bug of ours: told by type in the log, tried again like any trouble that may pass, and then failed."""
        _log.error(
            "step activity failed unexpectedly",
            extra={"retirement_id": ref.retirement_id, "step": step, "problem": type(error).__name__},
            exc_info=error,
        )
        failure = Failure(code="internal_error", step=step, detail=type(error).__name__)
        plan = self._opening.known_plan(ref.plan_digest)
        known = plan.steps.get(step) if plan is not None else None
        lookup = plan.subject.lookup.patience if plan is not None else _PATIENCE_WITH_OURSELVES
        trying = Trying(
            retirement_id=ref.retirement_id,
            step=step,
            action=action,
            service=known.service if known is not None else None,
            patience=known.patience if known is not None else lookup,
        )
        try:
            if known is not None:
                trouble = Transient(code=failure.code, touched=True)
                await self._attempts.give_way(trying, trouble=trouble, detail=type(error).__name__)
            after = await self._attempts.next_wait(trying, code=failure.code, touched=False)
            return step_failed(failure=failure) if after is None else try_again(failure=failure, after=after)
        except ApplicationError as decided:
            return decided
        except Exception:
            # The ledger is what fails.
            return try_again(failure=failure, after=timedelta(seconds=30))


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

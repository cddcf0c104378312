"""What a step activity can meet besides the service's answer, turned into one of our three errors; none of it is forwarded."""

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.actions.answers import Transient
from activities.actions.wire import BadAddress
from activities.attempts import Attempts, Trying, now
from activities.errors import step_failed, step_held, try_again
from activities.opening import Opening
from activities.patience import Tries
from ledger.errors import LedgerUnavailable, UnknownCase, VaultLocked, VaultMissing
from ledger.rows import StepAction
from plans.outline import UnknownPlanFormat
from plans.secrets import SecretMissing
from workflows.messages import CaseRef, Failure
from workflows.names import HeldCause

#: Where no step of the plan says how long a fault of our own may take to be mended.
_PATIENCE_WITH_OURSELVES = timedelta(hours=24)

_log = logging.getLogger("retirement.steps")


class Guard:
    """Stands around every activity that works on a case with the plan's services."""

    def __init__(self, *, attempts: Attempts, opening: Opening) -> None:
        self._attempts = attempts
        self._opening = opening

    @asynccontextmanager
    async def guarded(self, ref: CaseRef, *, step: str, action: StepAction = StepAction.DO) -> AsyncIterator[None]:
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

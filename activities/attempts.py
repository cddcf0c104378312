"""An attempt that did not succeed: recorded once, and turned into the one error that says what happens next."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from temporalio import activity

from activities.actions.answers import Held, Permanent, Transient
from activities.actions.bulkhead import BUSY
from activities.errors import step_failed, step_held, try_again
from activities.patience import Tries
from ledger.ledger import Ledger
from ledger.rows import StepAction, StepRow
from workflows.messages import Failure, StepOutcome
from workflows.names import StepResult

Trouble = Transient | Permanent | Held
T = TypeVar("T")


def now() -> datetime:
    """The server's clock, as of the start of this attempt: virtual where time is skipped."""
    return activity.info().started_time


@dataclass(frozen=True, kw_only=True)
class Trying:
    """What is being tried: one step (or its undo) of one case."""

    retirement_id: str
    step: str
    action: StepAction
    service: str | None
    patience: timedelta


class Attempts:
    """Records failed attempts in the ledger and decides between again, failed and held."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    async def next_wait(
        self,
        trying: Trying,
        *,
        code: str,
        touched: bool,
        wait: timedelta | None = None,
        lied: bool = False,
        timed_out: bool = False,
    ) -> timedelta | None:
        """Record a failed attempt (one write). How long to wait for the next one; None when patience is over.

        `timed_out`: the step's own request got no answer in time, so the next one may be given longer.
        """
        if code == BUSY:
            # The delay is ours: nothing was sent, nothing is counted.
            return timedelta(seconds=1 + 4 * random.random())  # noqa: S311 - spreads load, guards nothing
        at = now()
        row = await self._recorded(trying, code=code, touched=touched, lied=lied, timed_out=timed_out)
        tries = Tries(first_failed_at=row.first_failed_at or at, failures=row.failures, patience=trying.patience)
        if tries.is_over(now=at):
            return None
        return tries.wait(now=at, chance=random.random(), retry_after=wait)  # noqa: S311 - spreads load, guards nothing

    async def give_way(
        self,
        trying: Trying,
        *,
        trouble: Trouble,
        detail: str,
        lied: bool = False,
        timed_out: bool = False,
        row: StepRow | None = None,
    ) -> NoReturn:
        """Record what went wrong and raise what follows from it.

        Raises:
            ApplicationError: TryAgain, StepFailed or StepHeld.
        """
        failure = Failure(code=trouble.code, step=trying.step, detail=detail)
        match trouble:
            case Held(cause=cause):
                # Costs no patience; but an earlier attempt that left no trace may have had its effect.
                if activity.info().attempt - 1 > (row.failures if row else 0):
                    await self._recorded(trying, code=trouble.code, touched=False, lied=False)
                raise step_held(failure=failure.model_copy(update={"held": cause}))
            case Transient(code=code, touched=touched, wait=wait):
                after = await self.next_wait(
                    trying, code=code, touched=touched, wait=wait, lied=lied, timed_out=timed_out
                )
                if after is not None:
                    raise try_again(failure=failure, after=after)
            case Permanent(code=code, touched=touched):
                await self._recorded(trying, code=code, touched=touched, lied=lied)
        await self.fail(trying, code=trouble.code, detail=detail)

    async def fail(
        self, trying: Trying, *, code: str, detail: str | None = None, saved: dict[str, Any] | None = None
    ) -> NoReturn:
        """Record that the step failed for good, and say so. `saved` is what a resume has to know."""
        outcome = StepOutcome(step=trying.step, result=StepResult.FAILED, code=code, detail=detail, at=now())
        await self._ledger.record_outcome(
            retirement_id=trying.retirement_id,
            step=trying.step,
            action=trying.action,
            outcome=outcome,
            service=trying.service,
            saved=saved,
        )
        raise step_failed(failure=Failure(code=code, step=trying.step, detail=detail))

    async def _recorded(
        self, trying: Trying, *, code: str, touched: bool, lied: bool, timed_out: bool = False
    ) -> StepRow:
        return await self._ledger.record_attempt(
            retirement_id=trying.retirement_id,
            step=trying.step,
            action=trying.action,
            at=now(),
            code=code,
            attempt=activity.info().attempt,
            touched=touched,
            lied=lied,
            timed_out=timed_out,
            service=trying.service,
        )


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await something that must not be cut off: a call in flight, and the record of what it did.

    A cancellation is passed on once the work is over; its outcome is then in the ledger, and nowhere else.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()  # Looked at, so that it is not reported as lost: the cancellation is what counts.
        raise

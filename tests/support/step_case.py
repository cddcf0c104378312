"""A case in a real ledger, and activities that run as a worker runs them."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.actions.dispatch import Actions
from activities.addresses import address_of
from activities.errors import TRY_AGAIN
from activities.steps import StepActivities
from ledger.ledger import Ledger
from ledger.rows import StepAction, StepRow, StoredPlan
from plans.defaults import with_defaults
from plans.model import Plan
from plans.outline import snapshot_of
from tests.support.ledgers import a_ledger
from workflows.messages import (
    CheckedSubject,
    CheckSubject,
    Failure,
    RunStep,
    Start,
    StepOutcome,
    VerifiedErasure,
    VerifyErasure,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
USER = "ada-17"

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclasses.dataclass(kw_only=True)
class StepCase:
    """One retirement, its ledger and its activities. `clock` is the server's: moved by hand."""

    ledger: Ledger
    steps: StepActivities
    retirement_id: str
    digest: str
    user_id: str = USER
    clock: datetime = START
    attempt: int = 1

    async def check(self, *, again: bool = False) -> CheckedSubject:
        """Run check_subject."""
        return await self._run(self.steps.check_subject, CheckSubject(**self._ref(), again=again, now=self.clock))

    async def run(self, step: str, *, present: bool | None = None) -> StepOutcome:
        """Run run_step."""
        input = RunStep(**self._ref(), step=step, now=self.clock, present=present)
        return await self._run(self.steps.run_step, input)

    async def undo(self, step: str) -> StepOutcome:
        """Run undo_step."""
        return await self._run(self.steps.undo_step, RunStep(**self._ref(), step=step, now=self.clock))

    async def verify(self, *steps: str, present: tuple[str, ...] = ()) -> VerifiedErasure:
        """Run verify_erasure."""
        input = VerifyErasure(**self._ref(), steps=steps, present=present, now=self.clock)
        return await self._run(self.steps.verify_erasure, input)

    def environment(self) -> ActivityEnvironment:
        """An attempt as the worker would run it now."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, attempt=self.attempt, started_time=self.clock)
        return environment

    def run_input(self, step: str) -> RunStep:
        """The input of run_step."""
        return RunStep(**self._ref(), step=step, now=self.clock)

    async def row(self, step: str, action: StepAction = StepAction.DO) -> StepRow:
        """What the ledger knows of a step."""
        rows = await self.ledger.steps(self.retirement_id)
        return next(row for row in rows if row.step == step and row.action is action)

    async def saved(self, step: str) -> dict[str, Any]:
        """What a step keeps in the vault."""
        start = await self.ledger.begin_step(retirement_id=self.retirement_id, step=step, action=StepAction.DO)
        assert start.values is not None
        return start.values["saved"].get(step, {})

    async def pass_point(self) -> None:
        """Move the case past the point of no return."""
        await self._move("open", "past_return")

    async def turn_back(self) -> None:
        """Move the case onto its way back."""
        await self._move("open", "going_back")

    async def _move(self, from_state: str, to_state: str) -> None:
        moved = await self.ledger.move(
            retirement_id=self.retirement_id, from_state=from_state, to_state=to_state, now=self.clock
        )
        assert moved.moved

    async def _run(self, activity: Callable[[Input], Coroutine[Any, Any, Output]], input: Input) -> Output:
        return await self.environment().run(activity, input)

    def _ref(self) -> dict[str, Any]:
        return {"retirement_id": self.retirement_id, "user_id": self.user_id, "plan_digest": self.digest}


@contextlib.asynccontextmanager
async def step_case(
    folder: Path, plan: dict[str, Any], *, user_id: str = USER, hosts: dict[str, str] | None = None
) -> AsyncIterator[StepCase]:
    """Open a case of a plan in a ledger of its own. `hosts` are the addresses the case was begun with."""
    checked = with_defaults(Plan.model_validate(plan))
    snapshot = snapshot_of(checked)
    action = Actions(version="0.test")
    async with a_ledger("sqlite", folder=folder) as ledger:
        opening = await ledger.open_case(
            start=Start(user_id=user_id),
            workflow_id="retire-user-test",
            run_key="run-1",
            now=START,
            plan=StoredPlan(
                digest=snapshot.digest, name=snapshot.name, format=snapshot.format, document=snapshot.document
            ),
            hosts=hosts or {id: address_of(service) for id, service in checked.services.items()},
            cool_off_ends_at=START + timedelta(days=14),
            due_at=START + timedelta(days=31),
            holders=("run",),
        )
        assert opening.case is not None
        yield StepCase(
            ledger=ledger,
            steps=StepActivities(ledger=ledger, action=action),
            retirement_id=opening.case.retirement_id,
            digest=snapshot.digest,
            user_id=user_id,
        )
        await action.close()


def failure_of(error: ApplicationError) -> Failure:
    """The details of an error as the workflow reads them."""
    failure = error.details[0]
    assert isinstance(failure, Failure)
    return failure


async def refused(work: Awaitable[object], *, kind: str) -> Failure:
    """Await an activity that is to raise an error of this type; gives the details."""
    with pytest.raises(ApplicationError) as caught:
        await work
    assert caught.value.type == kind, caught.value
    assert caught.value.non_retryable is (kind != TRY_AGAIN)
    assert (caught.value.next_retry_delay is not None) is (kind == TRY_AGAIN)
    assert caught.value.__cause__ is None
    return failure_of(caught.value)

"""The real thing, set up for a test: Temporal server, sandbox, ledger and worker; and a retirement seen from outside."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from activities.actions.http import HttpAction
from ledger.keys import Keys
from ledger.ledger import Ledger
from plans.loading import Plans
from sandbox.client import Person
from sandbox.launch import Sandbox
from tests.support.plans import a_plan
from tests.support.waiting import eventually
from worker.converter import DATA_CONVERTER
from worker.runtime import build_workers
from worker.settings import Settings
from workflows import names
from workflows.messages import Answer, Result, Status
from workflows.names import Phase

#: A blocked workflow task hangs instead of failing: no test waits for longer than this.
LONGEST_WAIT = 60.0


@contextlib.asynccontextmanager
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """A real server on which each run has a clock of its own that skips idle time."""
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=os.environ["TEMPORAL_CLI"],
        dev_server_extra_args=[
            "--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true",
            "--log-level", "error",
        ],
        dev_server_startup_timeout=timedelta(seconds=60),
        data_converter=DATA_CONVERTER,
    ) as server:  # fmt: skip
        await register_search_attributes(server.client)
        yield server


async def register_search_attributes(client: Client) -> None:
    """What `retire setup` does."""
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes={a.name: a.indexed_value_type for a in names.SEARCH_ATTRIBUTES},
        )
    )


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything a retirement needs, running."""

    client: Client
    server: WorkflowEnvironment | None
    sandbox: Sandbox
    ledger: Ledger
    settings: Settings

    def plan(self, name: str, change: Any = None) -> str:
        """Add a plan made from the sandbox's."""
        return a_plan(self.settings.plans_dir, name, change)

    async def start(self, person: Person | str, *, running_clock: bool = False, **fields: Any) -> "Retirement":
        """Start a retirement. With `running_clock` its time does not skip until `Retirement.skip`."""
        user_id = person.user_id if isinstance(person, Person) else person
        request = {"user_id": user_id, **fields}
        id = names.workflow_id(user_id=user_id, tenant=fields.get("tenant"))
        paused = self.server.with_time_skipping_disabled() if self.server and running_clock else contextlib.nullcontext()
        with paused:
            handle = await self.client.start_workflow(names.WORKFLOW_TYPE, request, id=id, task_queue=names.QUEUE)
        return Retirement(stage=self, handle=handle)


@dataclass(frozen=True, kw_only=True)
class Retirement:
    """One run, as backends, support and operators see it."""

    stage: Stage
    handle: WorkflowHandle[Any, Any]

    async def result(self) -> Result:
        """What the run returns."""
        async with asyncio.timeout(LONGEST_WAIT):
            return Result.model_validate(await self.handle.result())

    async def error(self) -> ApplicationError:
        """The error the run closes with."""
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                returned = await self.handle.result()
        except WorkflowFailureError as failure:
            assert isinstance(failure.cause, ApplicationError)
            return failure.cause
        raise AssertionError(f"the run did not fail but returned {returned}")

    async def errored(self) -> Result:
        """The progress in the details of RetirementErrored."""
        error = await self.error()
        assert error.type == names.ERRORED_ERROR, error
        return Result.model_validate(error.details[0])

    async def status(self) -> Status:
        """The answer of the status query."""
        async with asyncio.timeout(LONGEST_WAIT):
            return Status.model_validate(await self.handle.query(names.STATUS))

    async def reaches(self, phase: Phase) -> Status:
        """Wait for a phase."""

        async def look() -> Status:
            status = await self.status()
            assert status.phase == phase, status
            return status

        return await eventually(look, within=LONGEST_WAIT)

    async def ask(self, update: str, **fields: Any) -> Answer:
        """Send a message as an update and return its answer."""
        async with asyncio.timeout(LONGEST_WAIT):
            return Answer.model_validate(await self.handle.execute_update(update, fields))

    async def skip(self, duration: timedelta | None = None) -> None:
        """Let this run's clock jump ahead; without a duration, to its end."""
        assert self.stage.server is not None
        await self.stage.server.fast_forward(self.handle, duration)

    async def is_running(self) -> bool:
        """Is the run still open?"""
        return (await self.handle.describe()).status is WorkflowExecutionStatus.RUNNING

    async def now(self) -> datetime:
        """This run's own clock."""
        assert self.stage.server is not None
        return await self.stage.server.get_current_time(self.handle)


@contextlib.asynccontextmanager
async def staged(
    *,
    client: Client,
    sandbox: Sandbox,
    folder: Path,
    server: WorkflowEnvironment | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> AsyncIterator[Stage]:
    """A ledger, the plans and a worker in this process, until the block ends."""
    keys_file = folder / "keys.json"
    settings = Settings(
        database_url=f"sqlite:///{folder / 'ledger.db'}",
        keys_file=keys_file,
        plans_dir=folder / "plans",
        plan="sandbox",
        smtp_host=sandbox.environment["RETIREMENT_SMTP_HOST"],
        smtp_port=int(sandbox.environment["RETIREMENT_SMTP_PORT"]),
        smtp_tls="none",
        **(overrides or {}),
    )
    a_plan(settings.plans_dir, "sandbox")
    keys = Keys.load(keys_file) if keys_file.exists() else Keys.create(keys_file)
    ledger = Ledger(url=settings.database_url, keys=keys)
    await ledger.set_up()
    http = HttpAction(version="test")
    records, calls = build_workers(
        client=client, settings=settings, ledger=ledger, plans=Plans(settings.plans_dir, settings.plan), http=http
    )
    try:
        async with records, calls:
            yield Stage(client=client, server=server, sandbox=sandbox, ledger=ledger, settings=settings)
    finally:
        await http.close()
        ledger.close()

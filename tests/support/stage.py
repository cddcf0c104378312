"""The real thing, set up for a test: Temporal server, sandbox, ledger and worker; and a retirement seen from outside."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker, WorkflowRunner

from activities.actions.dispatch import Actions
from ledger.keys import Keys
from ledger.ledger import Ledger
from ledger.rows import Case
from plans.loading import Plans
from sandbox.client import Person
from sandbox.launch import Sandbox
from tests.support.plans import TEAM_PLAN, a_plan
from tests.support.waiting import eventually
from worker.converter import DATA_CONVERTER
from worker.runtime import WORKFLOW_RUNNER, build_workers
from worker.settings import Settings
from workflows import names
from workflows.messages import Answer, Hold, Result, Status
from workflows.names import Phase

#: A blocked workflow task hangs instead of failing: no test waits for longer than this.
LONGEST_WAIT = 60.0
#: Those that refer to another table first.
_VAULT_TABLES = ("assets", "vault_holders", "vault_fields", "vault")


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
            search_attributes={
                a.name: IndexedValueType.ValueType(a.indexed_value_type) for a in names.SEARCH_ATTRIBUTES
            },
        )
    )


class Crew:
    """A stage's worker, which may be away for a while."""

    def __init__(self, hire: Callable[[], list[Worker]]) -> None:
        self._hire = hire
        self._at_work = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Begin to work."""
        for worker in self._hire():
            await self._at_work.enter_async_context(worker)

    async def stop(self) -> None:
        """Stop working; what is in hand is finished first."""
        await self._at_work.aclose()

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """No worker runs within this block."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything a retirement needs, running."""

    client: Client
    server: WorkflowEnvironment | None
    sandbox: Sandbox
    ledger: Ledger
    settings: Settings
    crew: Crew
    _switch: asyncio.Lock = field(default_factory=asyncio.Lock)

    def plan(self, name: str, change: Any = None) -> str:
        """Add a plan made from the sandbox's."""
        return a_plan(self.settings.plans_dir, name, change)

    def team_plan(self, name: str, change: Any = None) -> str:
        """Add a plan made from the one by which people own documents."""
        return a_plan(self.settings.plans_dir, name, change, like=TEAM_PLAN)

    async def case_of(self, person: Person | str, *, tenant: str | None = None) -> Case:
        """The person's latest case in the ledger."""
        case = await self.ledger.find(user_id=_id_of(person), tenant=tenant)
        assert case is not None, "the ledger has no case of this person"
        return case

    def vault_rows(self, retirement_id: str) -> int:
        """How many rows of the vault are kept for a case: its key, its fields, its holders."""
        with self._ledger_file() as database:
            counts = [
                database.execute(f"select count(*) from {table} where retirement_id = ?", (retirement_id,)).fetchone()
                for table in _VAULT_TABLES
            ]
        return sum(int(count) for (count,) in counts)

    def lose_vault(self, retirement_id: str) -> None:
        """The vault entry of a case is lost, as with an old backup."""
        with self._ledger_file() as database:
            for table in _VAULT_TABLES:
                database.execute(f"delete from {table} where retirement_id = ?", (retirement_id,))

    @contextlib.contextmanager
    def _ledger_file(self) -> Iterator[sqlite3.Connection]:
        """The ledger's own file, not through the ledger."""
        path = self.settings.database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as database:
            yield database

    @contextlib.asynccontextmanager
    async def worker_for(self, *queues: str) -> AsyncIterator[Crew]:
        """Another worker beside the stage's own, until the block ends; it serves these queues alone."""
        settings = self.settings.model_copy(update={"queues": queues})
        actions = Actions(version="-".join(queues))
        plans = Plans(settings.plans_dir, settings.plan)
        crew = Crew(
            lambda: build_workers(
                client=self.client, settings=settings, ledger=self.ledger, plans=plans, actions=actions
            )
        )
        try:
            await crew.start()
            yield crew
        finally:
            await crew.stop()
            await actions.close()

    @contextlib.asynccontextmanager
    async def clock(self, *, running: bool) -> AsyncIterator[None]:
        """Time of runs that are started within the block skips, or does not until somebody says so.

        One block at a time: the server's client has a switch for it, and puts it back to what it was before. Of two blocks
        that overlap, the second would leave it off for good, and whoever starts a run meanwhile would have it off, too.
        """
        async with self._switch:
            off = self.server.with_time_skipping_disabled() if self.server and running else contextlib.nullcontext()
            with off:
                yield

    async def start(self, person: Person | str, *, running_clock: bool = False, **fields: Any) -> "Retirement":
        """Start a retirement. With `running_clock` its time does not skip until `Retirement.skip`."""
        user_id = _id_of(person)
        request = {"user_id": user_id, **fields}
        id = names.workflow_id(user_id=user_id, tenant=fields.get("tenant"))
        async with self.clock(running=running_clock):
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

    async def holds(self, step: str) -> Hold:
        """Wait until a step is held."""

        async def look() -> Hold:
            status = await self.status()
            held = [hold for hold in status.held if hold.step == step]
            assert held, status
            return held[0]

        return await eventually(look, within=LONGEST_WAIT)

    async def attribute(self, key: SearchAttributeKey[Any]) -> Any:
        """A search attribute of this run, or None."""
        return (await self.handle.describe()).typed_search_attributes.get(key)

    async def timers(self) -> list[tuple[str, datetime]]:
        """The timers that fired: the summary of each and the instant, in order."""
        summaries: dict[str, str] = {}
        fired: list[tuple[str, datetime]] = []
        async for event in self.handle.fetch_history_events():
            if event.HasField("timer_started_event_attributes"):
                [summary] = await self.stage.client.data_converter.decode([event.user_metadata.summary], [str])
                summaries[event.timer_started_event_attributes.timer_id] = summary
            elif event.HasField("timer_fired_event_attributes"):
                at = event.event_time.ToDatetime(tzinfo=UTC)
                fired.append((summaries[event.timer_fired_event_attributes.timer_id], at))
        return fired

    async def queues(self) -> dict[str, str]:
        """The task queue of each call so far, by the call's id."""
        scheduled = [
            event.activity_task_scheduled_event_attributes
            async for event in self.handle.fetch_history_events()
            if event.HasField("activity_task_scheduled_event_attributes")
        ]
        return {call.activity_id: call.task_queue.name for call in scheduled}

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


def _id_of(person: Person | str) -> str:
    return person.user_id if isinstance(person, Person) else person


@contextlib.asynccontextmanager
async def staged(
    *,
    client: Client,
    sandbox: Sandbox,
    folder: Path,
    server: WorkflowEnvironment | None = None,
    overrides: Mapping[str, Any] | None = None,
    workflow_runner: WorkflowRunner = WORKFLOW_RUNNER,
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
    actions = Actions(version="test")
    plans = Plans(settings.plans_dir, settings.plan)
    crew = Crew(
        lambda: build_workers(
            client=client,
            settings=settings,
            ledger=ledger,
            plans=plans,
            actions=actions,
            workflow_runner=workflow_runner,
        )
    )
    try:
        await crew.start()
        yield Stage(client=client, server=server, sandbox=sandbox, ledger=ledger, settings=settings, crew=crew)
    finally:
        await crew.stop()
        await actions.close()
        ledger.close()

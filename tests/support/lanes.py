"""Lanes: a namespace, a ledger and a worker process each, on which one life after another is lived and cut short."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle

from ledger.keys import Keys
from ledger.ledger import Ledger
from sandbox.client import Person
from sandbox.launch import Sandbox
from tests.support.plans import a_plan
from tests.support.processes import Process, TemporalServer, a_killable_worker, a_worker
from tests.support.stage import register_search_attributes
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import Phase

#: A worker's end is noticed within 10 s; far more than that, and the retirement is stuck.
LONGEST_LIFE = 75.0


class NotReached(Exception):
    """The retirement ended without passing the boundary it was to be killed at."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """A retirement that has ended, and what was done to it."""

    person: Person
    result: Result
    #: kill -9 of worker or server.
    crashes: int
    #: From the kill to the end of the run; None where nothing was killed.
    recovery: timedelta | None
    ledger: Ledger
    sandbox: Sandbox


class Lane:
    """One retirement at a time."""

    def __init__(self, *, client: Client, folder: Path, sandbox: Sandbox, ledger: Ledger, worker: Process) -> None:
        self.client, self.folder, self.sandbox, self.ledger, self.worker = client, folder, sandbox, ledger, worker

    async def start(self, person: Person) -> WorkflowHandle[Any, Any]:
        """Ask for a retirement."""
        id = names.workflow_id(user_id=person.user_id)
        return await self.client.start_workflow(
            names.WORKFLOW_TYPE, {"user_id": person.user_id}, id=id, task_queue=names.QUEUE
        )

    async def live(
        self, *, wish: str, kill_at: str | None = None, fresh: bool = False, last_wish: str | None = None
    ) -> Life:
        """A whole life: in the cool-off comes a wish (`expedite`, `rescind`). A killed worker is replaced at once.

        With `fresh` its worker has done nothing before: it has no tokens yet. A `last_wish` comes after the kill, before
        there is another worker.

        Raises:
            NotReached: nothing was killed.
        """
        person = self.sandbox.add_person()
        if fresh:
            await self.worker.kill()
        if not self.worker.is_running:
            await self.worker.start()
        order = self.folder / "order"
        if kill_at is not None:
            order.write_text(kill_at)
        kills: list[float] = []
        handle = await self.start(person)
        watch = asyncio.create_task(self._replace_killed(kills, handle=handle, last_wish=last_wish))
        try:
            await reaches(handle, Phase.COOL_OFF)
            await handle.signal(wish, {"by": "test"})
            life = await self.ended(handle, person=person, kills=kills)
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        if kill_at is not None and order.exists():
            order.unlink()
            raise NotReached(kill_at)
        return life

    async def live_and_die_at(self, boundary: str, *, wish: str, last_wish: str | None = None) -> Life:
        """A life cut short at a boundary; if need be with a worker that has no token yet."""
        try:
            return await self.live(wish=wish, kill_at=boundary, last_wish=last_wish)
        except NotReached:
            return await self.live(wish=wish, kill_at=boundary, last_wish=last_wish, fresh=True)

    async def live_and_die_in_cool_off(self, *, wish: str) -> Life:
        """A life whose worker is killed while it waits; the wish comes before there is another."""
        if not self.worker.is_running:
            await self.worker.start()
        person = self.sandbox.add_person()
        handle = await self.start(person)
        await reaches(handle, Phase.COOL_OFF)
        await self.worker.kill()
        killed = time.time()
        await handle.signal(wish, {"by": "test"})
        await self.worker.start()
        return await self.ended(handle, person=person, kills=[killed])

    async def boundaries(self, *, wish: str) -> list[str]:
        """Every boundary that a life passes, each once, in the order in which they came."""
        passed = self.folder / "passed"
        passed.unlink(missing_ok=True)
        await self.live(wish=wish, fresh=True)
        return list(dict.fromkeys(passed.read_text().splitlines()))

    async def ended(self, handle: WorkflowHandle[Any, Any], *, person: Person, kills: list[float]) -> Life:
        """Wait for the end of a run and say how it was; `kills` are the times of what was killed."""
        closed = await eventually(lambda: self._closed(handle), within=LONGEST_LIFE)
        result = Result.model_validate(await handle.result())
        assert closed.close_time is not None
        return Life(
            person=person,
            result=result,
            crashes=len(kills),
            recovery=timedelta(seconds=closed.close_time.timestamp() - kills[-1]) if kills else None,
            ledger=self.ledger,
            sandbox=self.sandbox,
        )

    async def _closed(self, handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionDescription:
        described = await handle.describe()
        running = described.status is WorkflowExecutionStatus.RUNNING
        assert not running, f"{handle.id} has not ended; {_pending(described)}; {self.worker.last_lines()}"
        return described

    async def _replace_killed(
        self, kills: list[float], *, handle: WorkflowHandle[Any, Any], last_wish: str | None
    ) -> None:
        while True:
            code = await self.worker.died()
            kills.append(time.time())
            if code != -signal.SIGKILL:
                return  # it did not die by our hand: the life won't end, and says why
            if last_wish is not None:
                await handle.signal(last_wish, {"by": "test"})
            await self.worker.start()


async def reaches(handle: WorkflowHandle[Any, Any], phase: Phase) -> None:
    """Wait for a phase, as the server shows it: no worker is asked."""

    async def look() -> None:
        described = await handle.describe()
        shown = described.typed_search_attributes.get(names.PHASE_ATTRIBUTE)
        assert shown == phase, f"{handle.id} is in {shown}; {_pending(described)}"

    await eventually(look, within=LONGEST_LIFE)


@contextlib.asynccontextmanager
async def a_lane(
    *options: str, name: str, server: TemporalServer, sandbox: Sandbox, folder: Path, killable: bool = True
) -> AsyncIterator[Lane]:
    """A namespace with a ledger and a worker of its own, in a folder of its own; `options` are the killable worker's."""
    keys = Keys.create(folder / "keys.json")
    a_plan(folder / "plans", "sandbox")
    url = f"sqlite:///{folder / 'ledger.db'}"
    environment = {
        **sandbox.environment,
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": name,
        "RETIREMENT_DATABASE_URL": url,
        "RETIREMENT_KEYS_FILE": str(folder / "keys.json"),
        "RETIREMENT_PLANS_DIR": str(folder / "plans"),
        "RETIREMENT_PLAN": "sandbox",
        "RETIREMENT_LOG_LEVEL": "WARNING",
    }
    client = await a_namespace(server, name)
    ledger = Ledger(url=url, keys=keys)
    await ledger.set_up()
    if killable:
        worker = a_killable_worker(*options, folder=folder, environment=environment)
    else:
        worker = a_worker(folder=folder, environment=environment)
    try:
        await worker.start()
        yield Lane(client=client, folder=folder, sandbox=sandbox, ledger=ledger, worker=worker)
    finally:
        await worker.kill()
        ledger.close()


async def a_namespace(server: TemporalServer, name: str) -> Client:
    """Register a namespace with our search attributes."""
    first = await server.client()
    await first.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86400))
    )
    client = await server.client(namespace=name)

    async def registered() -> None:
        try:
            await register_search_attributes(client)
        except Exception as error:  # a namespace just made is not known everywhere yet
            raise AssertionError(type(error).__name__) from None

    await eventually(registered)
    return client


def _pending(described: WorkflowExecutionDescription) -> str:
    pending = described.raw_description.pending_activities
    return "pending: " + ", ".join(f"{p.activity_type.name} {p.activity_id}, attempt {p.attempt}" for p in pending)

"""kill -9 in the middle of handing over 500 documents: each is moved once, and nobody starts over."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from activities.ownership.transferring import BATCH
from sandbox.client import Document, Person
from sandbox.faults import FaultKind
from sandbox.launch import Sandbox
from tests.crash.conftest import Lanes
from tests.crash.recoveries import Recoveries
from tests.support.killable_worker import RANDOM_KEYS
from tests.support.lanes import LONGEST_LIFE, Lane, Life, a_lane
from tests.support.plans import TEAM_PLAN, a_plan, brisk
from tests.support.processes import TemporalServer
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Outcome, StepResult

_DOCUMENTS = 500
#: The worker dies when so many are moved, more or less: they are moved eight at a time.
_KILLED_AT = 270
#: Each takes so long that the hand-over is seen to go on: a heartbeat every two seconds tells how far it is.
_SECONDS = 0.06

Kill = Callable[[Lane, Person, list[Document]], Coroutine[Any, Any, list[float]]]


@dataclass(kw_only=True)
class HandOver:
    """A retirement that has ended, in whose middle something was killed."""

    life: Life
    successor: Person
    documents: list[Document]
    #: What the heartbeats told, each as the server keeps it.
    beats: list[dict[str, Any]] = field(default_factory=list)


async def hand_over(lane: Lane, *, kill: Kill, at: str) -> HandOver:
    """Retire somebody who owns a lot, and kill something meanwhile."""
    sandbox, org = lane.sandbox, f"org-of-{at}"
    plan = a_plan(lane.folder / "plans", "team", brisk, like=TEAM_PLAN)
    person = sandbox.add_person(org=org, roles=("author",))
    successor = sandbox.add_person(org=org, roles=("admin",))
    documents = sandbox.documents.add_documents(owner=person, count=_DOCUMENTS)
    sandbox.documents.misbehave(FaultKind.SLOW, seconds=_SECONDS, user=person, method="PUT", times=None)
    if not lane.worker.is_running:
        await lane.worker.start()
    request = {"user_id": person.user_id, "plan": plan, "cool_off": "0"}
    id = names.workflow_id(user_id=person.user_id)
    beats: list[dict[str, Any]] = []
    listening: asyncio.Task[None] | None = None
    killing = asyncio.create_task(kill(lane, person, documents))
    try:
        handle = await lane.client.start_workflow(names.WORKFLOW_TYPE, request, id=id, task_queue=names.QUEUE)
        listening = asyncio.create_task(_listen(handle, beats))
        kills = await killing
        life = await lane.ended(handle, person=person, kills=kills)
    finally:
        for task in (killing, listening):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    return HandOver(life=life, successor=successor, documents=documents, beats=beats)


async def _listen(handle: WorkflowHandle[Any, Any], beats: list[dict[str, Any]]) -> None:
    """Keep what each new heartbeat tells, until cancelled."""

    async def look() -> None:
        with contextlib.suppress(RPCError):  # the server may have been killed
            described = (await handle.describe()).raw_description
            for activity in described.pending_activities:
                told = [json.loads(payload.data) for payload in activity.heartbeat_details.payloads]
                beats.extend(beat for beat in told if beat not in beats[-1:])
        raise AssertionError("there may be more")

    await eventually(look, within=2 * LONGEST_LIFE)


async def kill_worker(lane: Lane, person: Person, documents: list[Document]) -> list[float]:
    """Let the worker die right after one document was moved, and replace it."""
    document = documents[_KILLED_AT].id
    (lane.folder / "order").write_text(f"run_step documents: PUT /documents/{document}/owner, answered")
    code = await lane.worker.died()
    assert code == -signal.SIGKILL, lane.worker.last_lines()
    killed = time.time()
    await lane.worker.start()
    return [killed]


def kill_server(server: TemporalServer) -> Kill:
    """Kill the Temporal server when it is half-way, and start it again."""

    async def kill(lane: Lane, person: Person, documents: list[Document]) -> list[float]:
        def half_way() -> None:
            assert len(lane.sandbox.documents.transfers(person)) >= _KILLED_AT

        await eventually(half_way, within=60)
        await server.kill()
        killed = time.time()
        await server.start()
        await server.client()
        return [killed]

    return kill


HandOvers = dict[str, asyncio.Task[HandOver]]


@pytest.fixture(scope="module")
async def hand_overs(
    lanes: Lanes, crash_server: TemporalServer, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HandOvers]:
    """All of them side by side: most of each is waiting."""

    async def with_keys() -> HandOver:
        async with lanes.free() as lane:
            return await hand_over(lane, kill=kill_worker, at="keys")

    async def without_keys() -> HandOver:
        folder: Path = tmp_path_factory.mktemp("no-keys")
        opened = a_lane(RANDOM_KEYS, name="no-keys", server=crash_server, sandbox=sandbox, folder=folder)
        async with opened as lane:
            return await hand_over(lane, kill=kill_worker, at="no-keys")

    async def without_server() -> HandOver:
        folder: Path = tmp_path_factory.mktemp("no-server")
        server = TemporalServer(folder=folder, database=folder / "temporal.db")
        try:
            await server.start()
            opened = a_lane(name="no-server", server=server, sandbox=sandbox, folder=folder, killable=False)
            async with opened as lane:
                return await hand_over(lane, kill=kill_server(server), at="no-server")
        finally:
            await server.kill()

    played = {"with keys": with_keys, "without keys": without_keys, "without a server": without_server}
    hand_overs = {name: asyncio.create_task(play()) for name, play in played.items()}
    yield hand_overs
    for task in hand_overs.values():
        task.cancel()
    await asyncio.gather(*hand_overs.values(), return_exceptions=True)


@pytest.mark.parametrize(
    ("kind", "killed"),
    [("with keys", "worker"), ("without keys", "worker"), ("without a server", "server")],
)
async def test_each_document_is_moved_once(
    kind: str, killed: str, hand_overs: HandOvers, recoveries: Recoveries
) -> None:
    """By its key where the service knows it again, else since a document is only moved from whoever is expected to own it."""
    done = await hand_overs[kind]
    life, sandbox = done.life, done.life.sandbox
    recoveries.note(life, killed=killed, at="in the middle of a hand-over")
    assert life.crashes == 1 and life.result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in life.result.steps}["documents"] is StepResult.TRANSFERRED
    moved = sandbox.documents.transfers(life.person)
    assert moved == dict.fromkeys((document.id for document in done.documents), 1)
    assert len(sandbox.documents.documents_of(done.successor)) == _DOCUMENTS
    last = max(effect.monotonic for effect in sandbox.documents.effects(life.person))
    assert last < min(effect.monotonic for effect in sandbox.forum.effects(life.person) if effect.effect == "erase")
    assert sandbox.accounts.effects_on(life.person) == ["lock", "erase"]


@pytest.mark.parametrize("kind", ["with keys", "without keys", "without a server"])
async def test_nobody_starts_over(kind: str, hand_overs: HandOvers) -> None:
    """What was under way when it crashed may be asked for once more, and nothing else."""
    done = await hand_overs[kind]
    asked = [request for request in done.life.sandbox.documents.requests() if request.method == "PUT"]
    ours = [request for request in asked if any(document.id in request.path for document in done.documents)]
    assert _DOCUMENTS <= len(ours) <= _DOCUMENTS + BATCH


@pytest.mark.parametrize("kind", ["with keys", "without keys", "without a server"])
async def test_its_heartbeats_tell_numbers_and_go_up(kind: str, hand_overs: HandOvers) -> None:
    done = await hand_overs[kind]
    told = [beat["done"] for beat in done.beats]
    assert len(told) > 1 and told == sorted(told), done.beats
    for beat in done.beats:
        assert beat == {"step": "documents", "done": beat["done"], "of": _DOCUMENTS}
        assert isinstance(beat["done"], int) and 0 <= beat["done"] <= _DOCUMENTS
    # Whoever goes on after a crash begins where the other stopped, but for what it had in hand.
    assert told[-1] >= _KILLED_AT - BATCH

"""kill -9 of the worker in the middle of handing over five hundred documents: each is moved once, and none is begun anew."""

import asyncio
import contextlib
import secrets
import time

import pytest

from activities.ownership.transferring import BATCH
from sandbox.client import Person
from sandbox.launch import Sandbox
from tests.crash.recoveries import Recoveries
from tests.support.killable_worker import RANDOM_KEYS
from tests.support.lanes import LONGEST_LIFE, Lane, Life, a_lane
from tests.support.plans import TEAM_PLAN, a_plan, brisk
from tests.support.processes import TemporalServer
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Outcome, StepResult

_ALL = 500
_MOVED_BEFORE = 180


async def cut_short(lane: Lane) -> tuple[Life, Person]:
    """A life whose worker is killed once some of the documents are moved, and replaced."""
    a_plan(lane.folder / "plans", "team", brisk, like=TEAM_PLAN)
    sandbox, org = lane.sandbox, f"org-{secrets.token_hex(4)}"
    ada, bob = (sandbox.add_person(org=org, roles=(role,)) for role in ("author", "admin"))
    sandbox.documents.add_documents(owner=ada, count=_ALL)
    handle = await lane.client.start_workflow(
        names.WORKFLOW_TYPE,
        {"user_id": ada.user_id, "plan": "team", "cool_off": "0"},
        id=names.workflow_id(user_id=ada.user_id),
        task_queue=names.QUEUE,
    )

    def some_are_moved() -> None:
        assert len(sandbox.documents.documents_of(bob)) >= _MOVED_BEFORE

    await eventually(some_are_moved, within=LONGEST_LIFE)
    await lane.worker.kill()
    killed = time.time()
    moved = len(sandbox.documents.documents_of(bob))
    assert _MOVED_BEFORE <= moved < _ALL, "killed too late to prove anything"
    await lane.worker.start()
    return await lane.ended(handle, person=ada, kills=[killed]), bob


async def test_a_worker_killed_in_the_middle_of_five_hundred_documents(
    crash_server: TemporalServer,
    sandbox: Sandbox,
    recoveries: Recoveries,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Once where keys are honoured, and once where they mean nothing, side by side: most of each is waiting."""

    async with contextlib.AsyncExitStack() as stack:
        lanes = []
        for options in ((), (RANDOM_KEYS,)):
            name = f"transfer-{secrets.token_hex(4)}"
            folder = tmp_path_factory.mktemp(name)
            lane = a_lane(*options, name=name, server=crash_server, sandbox=sandbox, folder=folder)
            lanes.append(await stack.enter_async_context(lane))
        for life, bob in await asyncio.gather(*(cut_short(lane) for lane in lanes)):
            recoveries.note(life, killed="worker", at=f"in the middle of handing over {_ALL} documents")
            judge(life, bob=bob)


def judge(life: Life, *, bob: Person) -> None:
    """All of them moved, each once, and hardly any asked for twice."""
    documents = life.sandbox.documents
    assert life.result.outcome is Outcome.COMPLETE
    [handed_over] = [step for step in life.result.steps if step.step == "documents"]
    assert handed_over.result is StepResult.TRANSFERRED
    theirs = documents.documents_of(bob)
    assert len(theirs) == _ALL and documents.documents_of(life.person) == []
    moves = documents.transfers(life.person)
    assert len(moves) == _ALL and set(moves.values()) == {1}
    paths = {f"/documents/{document.id}/owner" for document in theirs}
    asked = [request for request in documents.requests() if request.method == "PUT" and request.path in paths]
    assert _ALL <= len(asked) <= _ALL + BATCH

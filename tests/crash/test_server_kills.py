"""kill -9 of the Temporal server, whose database is a file, and of server and worker together."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from sandbox.faults import FaultKind
from sandbox.launch import Sandbox
from tests.crash.judging import judge_complete, judge_given_back
from tests.crash.recoveries import Recoveries
from tests.support.lanes import Lane, a_lane, reaches
from tests.support.processes import TemporalServer
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Phase

#: Long enough to be killed in.
_SLOW = 2.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """A lane with a server of its own, and what is killed there."""

    lane: Lane
    server: TemporalServer

    async def crash(self, *, with_worker: bool = False) -> float:
        """Kill the server and start it again on the same port and file; gives the time of the kill."""
        await self.server.kill()
        killed = time.time()
        if with_worker:
            await self.lane.worker.kill()
        await self.server.start()
        await self.server.client()
        if with_worker:
            await self.lane.worker.start()
        return killed


@pytest.fixture(scope="module")
async def site(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A server with a file database, and the worker as operators run it."""
    folder = tmp_path_factory.mktemp("site")
    server = TemporalServer(folder=folder, database=folder / "temporal.db")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.kill)
        await server.start()
        opened = a_lane(name="site", server=server, sandbox=sandbox, folder=folder, killable=False)
        yield Site(lane=await stack.enter_async_context(opened), server=server)


@pytest.mark.parametrize("wish", [names.EXPEDITE, names.RESCIND])
async def test_a_server_killed_in_the_cool_off(wish: str, site: Site, recoveries: Recoveries) -> None:
    person = site.lane.sandbox.add_person()
    handle = await site.lane.start(person)
    await reaches(handle, Phase.COOL_OFF)
    killed = await site.crash()
    await handle.signal(wish, {"by": "test"})
    life = await site.lane.ended(handle, person=person, kills=[killed])
    recoveries.note(life, killed="server", at=f"in the cool-off, before {wish}")
    await (judge_complete if wish == names.EXPEDITE else judge_given_back)(life)


@pytest.mark.parametrize("what", ["server", "server and worker"])
async def test_a_server_killed_in_the_middle_of_erasing(what: str, site: Site, recoveries: Recoveries) -> None:
    sandbox, person = site.lane.sandbox, site.lane.sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.SLOW, seconds=_SLOW, user=person, method="DELETE")
    handle = await site.lane.start(person)
    await reaches(handle, Phase.COOL_OFF)
    await handle.signal(names.EXPEDITE, {"by": "test"})

    def erasing() -> None:
        asked = [request for request in sandbox.forum.requests(person) if request.method == "DELETE"]
        assert [request.status for request in asked] == [None]

    await eventually(erasing)
    killed = await site.crash(with_worker=what == "server and worker")
    life = await site.lane.ended(handle, person=person, kills=[killed])
    recoveries.note(life, killed=what, at="in the middle of erasing")
    await judge_complete(life)

"""kill -9 while learners of an Open edX site are retired, of the worker at each of the fourteen requests, and of the server.

A worker that holds a learner at every one of these places at once is killed once. Each place alone: `make test-crash`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

import pytest

from sandbox.launch import Sandbox
from sandbox.lms.client import StandInLms
from sandbox.lms.launch import running_lms
from tests.crash.conftest import LANES
from tests.crash.learners import CHOSEN, KILLS, Ended, Halls, halls, judge, judge_without_server
from tests.crash.recoveries import Recoveries
from tests.support.processes import TemporalServer


@pytest.fixture(scope="module")
async def lms(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StandInLms]:
    """The stand-in for a whole site."""
    async with running_lms(folder=tmp_path_factory.mktemp("lms")) as lms:
        yield lms


@pytest.fixture(scope="module")
async def ended(
    lms: StandInLms, crash_server: TemporalServer, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[list[Ended]]]]:
    """The worker and the server are killed side by side: most of it is waiting."""
    folder = tmp_path_factory.mktemp("site")
    server = TemporalServer(folder=folder, database=folder / "temporal.db")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.kill)
        await server.start()
        opened = halls(name="site", lms=lms, server=server, sandbox=sandbox, folder=folder, killable=False)
        site = await stack.enter_async_context(opened)
        folder = tmp_path_factory.mktemp("halls")
        opened = halls(name="halls", lms=lms, server=crash_server, sandbox=sandbox, folder=folder)
        lane = await stack.enter_async_context(opened)
        tasks = {
            "worker": asyncio.create_task(lane.cut_short(CHOSEN)),
            "server": asyncio.create_task(site.lose_server(server)),
        }
        yield tasks
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_15_a_worker_killed_before_during_and_after_each_request(
    ended: dict[str, asyncio.Task[list[Ended]]], recoveries: Recoveries
) -> None:
    for each in await ended["worker"]:
        judge(each, recoveries=recoveries)


async def test_15_a_server_killed_in_the_middle_of_each_request(ended: dict[str, asyncio.Task[list[Ended]]]) -> None:
    for each in await ended["server"]:
        judge_without_server(each)


@pytest.mark.every_boundary
@pytest.mark.timeout(1800)
async def test_15_a_worker_killed_at_each_of_them_alone(
    lms: StandInLms,
    crash_server: TemporalServer,
    sandbox: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
    recoveries: Recoveries,
    say: Callable[[str], None],
) -> None:
    wanted, wrong = deque(KILLS), list[str]()

    async def work_off(here: Halls) -> None:
        while wanted:
            kill = wanted.popleft()
            try:
                [ended] = await here.cut_short([kill])
                judge(ended, recoveries=recoveries)
            except (AssertionError, TimeoutError) as error:
                wrong.append(f"{kill}: {type(error).__name__} {error}")
                say(f"✗ {wrong[-1]}")

    say(f"{len(KILLS)} kills, one by one")
    async with contextlib.AsyncExitStack() as stack:
        lanes = [
            await stack.enter_async_context(
                halls(name=name, lms=lms, server=crash_server, sandbox=sandbox, folder=tmp_path_factory.mktemp(name))
            )
            for name in (f"alone-{number}" for number in range(LANES))
        ]
        await asyncio.gather(*(work_off(here) for here in lanes))
    assert not wrong, "\n".join(wrong)

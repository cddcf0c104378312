"""Lanes to crash on, and the report of how long recovery took."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sandbox.launch import Sandbox
from tests.crash.recoveries import Recoveries, Summary
from tests.support.lanes import Lane, a_lane
from tests.support.processes import TemporalServer

# Its assertions are to say what they compared, as those of a test do.
pytest.register_assert_rewrite("tests.crash.judging", "tests.crash.learners")

#: Most of a recovery is waiting for a time limit, so that more lanes than processors pay.
LANES = 4


class Lanes:
    """Lanes side by side; whoever wants one waits until one is free."""

    def __init__(self, lanes: list[Lane]) -> None:
        self._lanes = lanes
        self._free: asyncio.Queue[Lane] = asyncio.Queue()
        for lane in lanes:
            self._free.put_nowait(lane)

    @contextlib.asynccontextmanager
    async def free(self) -> AsyncIterator[Lane]:
        """A lane for the length of the block."""
        lane = await self._free.get()
        try:
            yield lane
        finally:
            self._free.put_nowait(lane)

    async def on_each(self, work: Callable[[Lane], Awaitable[None]]) -> None:
        """Work on all lanes at once, until all is done."""

        async def work_on_one() -> None:
            async with self.free() as lane:
                await work(lane)

        await asyncio.gather(*(work_on_one() for _ in self._lanes))


@pytest.fixture(scope="session")
async def crash_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    """A Temporal server whose clock is the real one."""
    server = TemporalServer(folder=tmp_path_factory.mktemp("temporal"))
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@pytest.fixture(scope="session")
async def lanes(
    crash_server: TemporalServer, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lanes]:
    """Lanes with workers that can be killed at any boundary."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(
                a_lane(name=name, server=crash_server, sandbox=sandbox, folder=tmp_path_factory.mktemp(name))
            )
            for name in (f"lane-{number}" for number in range(LANES))
        ]
        yield Lanes(opened)


@pytest.fixture
def recoveries(record_property: Callable[[str, object], None]) -> Recoveries:
    """Where each kill is noted."""
    return Recoveries(record=record_property)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Tells whoever waits how far it is."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report the recoveries, where there were any."""
    ended = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in ended if getattr(report, "when", None) == "call"]
    recoveries = Summary.of(told for call in calls for told in call.user_properties)
    if not recoveries.all:
        return
    terminalreporter.section("recovery after kill -9")
    for line in recoveries.lines():
        terminalreporter.write_line(line)
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is not None:
        path: Path = cache.mkdir("crash") / "recoveries.json"
        recoveries.save(path)
        terminalreporter.write_line(f"each kill: {path}")

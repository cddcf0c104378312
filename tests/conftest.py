"""Fixtures are for things with a life: the server, the sandbox, the stage."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from sandbox.launch import Sandbox
from tests.support.postgresql import PostgreSQL, a_postgresql
from tests.support.servers import NotHere, without
from tests.support.stage import Stage, staged, time_skipping_server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, those of a folder stay together: they share servers that take seconds to start."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder != "unit":
            item.add_marker(pytest.mark.xdist_group(folder))
        if "object_store" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(900))  # the first time on a machine the server is built


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server with time skipping."""
    async with time_skipping_server() as server:
        yield server


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    """The sandbox's services; their addresses and secrets are in this process's environment."""
    async with Sandbox(folder=tmp_path_factory.mktemp("sandbox")) as sandbox:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in sandbox.environment.items():
                patch.setenv(name, value)
            yield sandbox


@pytest.fixture(scope="session")
async def stage(
    server: WorkflowEnvironment, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Everything a retirement needs, running."""
    folder: Path = tmp_path_factory.mktemp("stage")
    async with staged(client=server.client, server=server, sandbox=sandbox, folder=folder) as stage:
        yield stage


@pytest.fixture(scope="session")
async def postgresql() -> AsyncIterator[PostgreSQL]:
    """A real PostgreSQL; the tests that need one are skipped where it is missing."""
    try:
        async with a_postgresql() as server:
            yield server
    except NotHere as why:
        without("postgresql", why)

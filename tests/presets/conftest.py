"""The real services that the ready plans are for."""

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from sandbox.launch import Sandbox
from tests.support.keycloak import Realm, a_realm
from tests.support.servers import NotHere, without
from tests.support.stage import Stage, staged, time_skipping_server


@pytest.fixture(scope="session")
async def realm(request: pytest.FixtureRequest) -> AsyncIterator[Realm]:
    """A realm of a real Keycloak; what plans/keycloak.yaml needs to know of it is in this process's environment."""
    # Past what pytest captures: the first time on a machine this takes minutes.
    say = request.config.get_terminal_writer().line
    try:
        async with a_realm(say=say) as realm:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in realm.environment.items():
                    patch.setenv(name, value)
                yield realm
    except NotHere as why:
        without("keycloak", why)


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server of their own: the one of tests/life has a thousand runs behind it, and is slow to answer by now."""
    async with time_skipping_server() as server:
        yield server


@pytest.fixture(scope="session")
async def stage(
    server: WorkflowEnvironment, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Everything a retirement needs, running on that server."""
    async with staged(
        client=server.client, server=server, sandbox=sandbox, folder=tmp_path_factory.mktemp("presets")
    ) as stage:
        yield stage

"""The real services that the ready plans are for."""

from collections.abc import AsyncIterator

import pytest

from tests.support.keycloak import Realm, a_realm
from tests.support.servers import NotHere, without


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

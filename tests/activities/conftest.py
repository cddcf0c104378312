"""What the tests of the stores share: the kinds of databases."""

import pytest

from tests.support.ledgers import Kind


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """A kind of database; PostgreSQL is started when the first test asks for it."""
    if request.param == "sqlite":
        return "sqlite"
    server: Kind = request.getfixturevalue("postgresql")
    return server

"""What the tests of activities share: the kinds of databases, and the action that asks them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from activities.actions.sql import SqlAction
from tests.support.databases import with_people
from tests.support.ledgers import Kind, an_empty_database
from tests.support.postgresql import PostgreSQL


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """A kind of database; PostgreSQL is started when the first test asks for it."""
    if request.param == "sqlite":
        return "sqlite"
    server: Kind = request.getfixturevalue("postgresql")
    return server


@pytest.fixture
async def database(kind: Kind, tmp_path: Path) -> AsyncIterator[Engine]:
    """A service's database with a few people; its own engine, not the action's."""
    async with an_empty_database(kind, folder=tmp_path) as url:
        with with_people(url) as engine:
            yield engine


@pytest.fixture
def on_postgresql(postgresql: PostgreSQL) -> Iterator[Engine]:
    """The same on PostgreSQL alone."""
    with postgresql.an_empty_database() as url, with_people(url) as engine:
        yield engine


@pytest.fixture
async def sql_action() -> AsyncIterator[SqlAction]:
    """The sql action, without a connection yet."""
    action = SqlAction()
    yield action
    await action.close()

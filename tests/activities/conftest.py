"""What the tests of activities share: the kinds of databases, services to be asked, and a post office."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from activities.actions.http import HttpAction
from activities.actions.sql import SqlAction
from ledger import Ledger
from tests.support.databases import with_people
from tests.support.http_service import HttpService, http_service
from tests.support.ledgers import Kind, a_ledger, an_empty_database
from tests.support.post import Post, a_post
from tests.support.postgresql import PostgreSQL
from tests.support.smtp_server import Mailbox, mail_server
from tests.support.trials import TOKEN, Forum


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """A kind of database; PostgreSQL is started when the first test asks for it."""
    if request.param == "sqlite":
        return "sqlite"
    server: Kind = request.getfixturevalue("postgresql")
    return server


@pytest.fixture
async def ledger(kind: Kind, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger that is set up and empty."""
    async with a_ledger(kind, folder=tmp_path) as ledger:
        yield ledger


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


@pytest.fixture
async def service() -> AsyncIterator[HttpService]:
    """A service that answers as the test says."""
    async with http_service() as service:
        yield service


@pytest.fixture
async def http_action() -> AsyncIterator[HttpAction]:
    """The http action, without a connection yet."""
    action = HttpAction(version="1.2.3")
    yield action
    await action.close()


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    """A case with its person in the vault, and the activity that mails about it."""
    async with a_post(tmp_path) as post:
        yield post


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server without login and TLS, and what was delivered to it."""
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
async def forum(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forum]:
    """The service that plans are tried on, where their references lead."""
    async with http_service() as service:
        monkeypatch.setenv("FORUM_URL", service.url)
        monkeypatch.setenv("FORUM_TOKEN", TOKEN)
        yield Forum(service)

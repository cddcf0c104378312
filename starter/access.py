"""How commands reach settings, ledger, services and Temporal: one way each, with a sign of life where it takes long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output

if TYPE_CHECKING:
    from temporalio.client import Client

    from activities.actions.dispatch import Actions
    from ledger.ledger import Ledger
    from worker.settings import Settings

T = TypeVar("T")

#: After this long a waiting command says what it waits for.
_PATIENCE_SECONDS = 2.0


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part."""
    return asyncio.run(work)


async def with_sign_of_life(work: Awaitable[T], *, out: Output, text: str) -> T:
    """Await `work`; say `text` once if that takes longer than two seconds."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
        if not done:
            out.note(text)
        return await task
    finally:
        task.cancel()


def read_settings() -> "Settings":
    """The settings from the environment."""
    from worker.settings import load_settings

    return load_settings()


async def connect(out: Output) -> "Client":
    """Connect to Temporal."""
    from worker import connection

    return await with_sign_of_life(connection.connect(), out=out, text="Waiting for Temporal to answer …")


def ledger_file(url: str) -> Path | None:
    """The file of an SQLite ledger; None for any other database."""
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


@asynccontextmanager
async def open_ledger(settings: "Settings") -> "AsyncIterator[Ledger]":
    """The ledger, checked for being ready. Reading never makes a file: a missing one is told instead."""
    from ledger.keys import Keys
    from ledger.ledger import Ledger

    file = ledger_file(settings.database_url)
    if file is not None and not file.exists():
        raise CommandError(
            f"There is no ledger at {file} yet.",
            do="Run `retire setup`, or set RETIREMENT_DATABASE_URL to where it is.",
            code=ExitCode.NOT_SET_UP,
        )
    ledger = Ledger(url=settings.database_url, keys=Keys.load(settings.keys_file))
    try:
        await ledger.check()
        yield ledger
    finally:
        ledger.close()


@asynccontextmanager
async def open_actions() -> "AsyncIterator[Actions]":
    """What calls the services of a plan, as a worker would; its connections are given back at the end."""
    from importlib.metadata import version

    from activities.actions.dispatch import Actions

    actions = Actions(version=version("account-retirement"))
    try:
        yield actions
    finally:
        await actions.close()

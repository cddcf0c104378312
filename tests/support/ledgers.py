"""Ledgers on real databases: a SQLite file, or a database of a real PostgreSQL."""

import functools
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from ledger import Case, CaseOpening, Keys, Ledger, StoredPlan
from ledger.migrate import upgrade
from tests.support.postgresql import PostgreSQL
from workflows.messages import Start

#: What a ledger's database is: a file, or the server it is on. The fixture `kind` is first the one, then the other.
Kind = Literal["sqlite"] | PostgreSQL

KEYS = Keys(subject=b"s" * 32, vault={"1": b"v" * 32}, current="1")
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@asynccontextmanager
async def an_empty_database(kind: Kind, *, folder: Path) -> AsyncIterator[str]:
    """The address of a database without tables, which is gone afterwards."""
    if isinstance(kind, PostgreSQL):
        with kind.an_empty_database() as url:
            yield url
    else:
        yield f"sqlite:///{folder / 'ledger.db'}"


@asynccontextmanager
async def a_migrated_database(kind: Kind, *, folder: Path) -> AsyncIterator[str]:
    """The address of a database with the ledger's tables: a copy of one that was migrated once for all tests."""
    if isinstance(kind, PostgreSQL):
        with kind.an_empty_database(like=_migrated_on(kind)) as url:
            yield url
    else:
        (folder / "ledger.db").write_bytes(_migrated_file())
        yield f"sqlite:///{folder / 'ledger.db'}"


@functools.cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        upgrade(f"sqlite:///{file}")
        return file.read_bytes()


@functools.cache
def _migrated_on(server: PostgreSQL) -> str:
    """The name of a database that is there as long as the server."""
    upgrade(server.add_database("migrated"))
    return "migrated"


@asynccontextmanager
async def a_ledger(kind: Kind, *, folder: Path, keys: Keys = KEYS) -> AsyncIterator[Ledger]:
    """A ledger that is set up and empty."""
    async with a_migrated_database(kind, folder=folder) as url:
        ledger = Ledger(url=url, keys=keys)
        try:
            await ledger.set_up()
            yield ledger
        finally:
            ledger.close()


def a_stored_plan(*, digest: str = "digest-1", **phases: str) -> StoredPlan:
    """A plan of the given steps and phases, as the ledger keeps it."""
    phases = phases or {"lock": "freeze", "forum": "erase", "profile": "erase"}
    document = {"plan": "acme", "steps": {step: {"phase": phase} for step, phase in phases.items()}}
    return StoredPlan(digest=digest, name="acme", format=1, document=document)


async def open_case(
    ledger: Ledger,
    *,
    user_id: str = "u-1",
    run_key: str = "run-1",
    now: datetime = NOW,
    plan: StoredPlan | None = None,
    hosts: Mapping[str, str] | None = None,
    holders: tuple[str, ...] = (),
    **start: Any,
) -> CaseOpening:
    """Ask the ledger for a case, with what matters overridden."""
    return await ledger.open_case(
        start=Start(user_id=user_id, **start),
        workflow_id=f"retire-user-{user_id}",
        run_key=run_key,
        now=now,
        plan=plan or a_stored_plan(),
        hosts=hosts or {"accounts": "https://accounts.example"},
        cool_off_ends_at=now + timedelta(days=14),
        due_at=now + timedelta(days=31),
        holders=holders,
    )


async def a_case(ledger: Ledger, **overrides: Any) -> Case:
    """A case that has been opened."""
    opening = await open_case(ledger, **overrides)
    assert opening.refused is None and opening.case is not None
    return opening.case

"""Set-up: migrations equal the models, keys fit the database, and whatever is missing is told with its cure."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect, text

from ledger import Keys, Ledger, LedgerNotReady, LedgerUnavailable, migrate, schema
from ledger.database import engine_for
from tests.support.ledgers import KEYS, Kind, a_case, an_empty_database


def differences(url: str) -> list[Any]:
    engine = engine_for(url)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found: list[Any] = compare_metadata(context, schema.metadata)
    engine.dispose()
    return found


async def test_migrations_make_the_tables_of_the_models(tmp_path: Path, kind: Kind) -> None:
    async with an_empty_database(kind, folder=tmp_path) as url:
        assert not migrate.current_is_head(url)
        assert differences(url), "the comparison sees what is missing"
        migrate.upgrade(url)
        assert migrate.current_is_head(url)
        assert differences(url) == []
        migrate.upgrade(url)
        engine = engine_for(url)
        indexes = {index["name"]: index for index in inspect(engine).get_indexes("cases")}
        assert indexes["uq_cases_open_subject"]["unique"]
        engine.dispose()


def test_every_column_says_what_it_is_for() -> None:
    for table in schema.metadata.sorted_tables:
        assert all(column.comment for column in table.columns), table.name
        assert not [constraint for constraint in table.constraints if isinstance(constraint, CheckConstraint)]


async def test_a_difference_between_migrations_and_models_would_be_seen(tmp_path: Path) -> None:
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        migrate.upgrade(url)
        with sqlite3.connect(tmp_path / "ledger.db") as connection:
            connection.execute("ALTER TABLE mails ADD COLUMN surplus VARCHAR")
        connection.close()
        assert [difference[0] for difference in differences(url)] == ["remove_column"]


async def test_several_set_ups_at_once_are_one_set_up(tmp_path: Path, kind: Kind) -> None:
    async with an_empty_database(kind, folder=tmp_path) as url:
        ledgers = [Ledger(url=url, keys=KEYS) for _ in range(8)]
        await asyncio.gather(*(ledger.set_up() for ledger in ledgers))
        for ledger in ledgers:
            await ledger.check()
            ledger.close()


async def test_a_new_file_that_another_process_writes_to_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger = Ledger(url=f"sqlite:///{tmp_path / 'ledger.db'}", keys=KEYS)
    set_up = asyncio.create_task(ledger.set_up())
    done, _ = await asyncio.wait({set_up}, timeout=0.3)
    assert not done, "neither failed nor finished"
    other.execute("COMMIT")
    other.close()
    await set_up
    await ledger.check()
    ledger.close()


async def test_a_set_up_ledger_keeps_its_cases_when_set_up_again(tmp_path: Path) -> None:
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        ledger = Ledger(url=url, keys=KEYS)
        await ledger.set_up()
        case = await a_case(ledger)
        await ledger.set_up()
        assert await ledger.case(case.retirement_id) == case
        ledger.close()


async def test_a_database_that_is_not_set_up_says_so(tmp_path: Path) -> None:
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        ledger = Ledger(url=url, keys=KEYS)
        with pytest.raises(LedgerNotReady, match="run `retire setup`"):
            await ledger.check()
        migrate.upgrade(url)
        with pytest.raises(LedgerNotReady, match="not tied to a key file"):
            await ledger.check()
        await ledger.set_up()
        await ledger.check()
        ledger.close()


async def test_another_key_file_is_refused_before_anybody_is_looked_for(tmp_path: Path) -> None:
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        ledger = Ledger(url=url, keys=KEYS)
        await ledger.set_up()
        ledger.close()
        other = Ledger(url=url, keys=Keys(subject=b"x" * 32, vault=KEYS.vault, current="1"))
        for ask in (other.check, other.set_up):
            with pytest.raises(LedgerNotReady, match="another subject key"):
                await ask()
        other.close()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://u:secret-word@h/d", "sqlite:////no/such/folder/ledger.db"])
def test_an_address_that_cannot_be_used_is_told_without_being_shown(url: str) -> None:
    with pytest.raises(LedgerNotReady) as raised:
        Ledger(url=url, keys=KEYS)
    assert "secret-word" not in str(raised.value)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    ledger = Ledger(url=f"sqlite:///{tmp_path / 'ledger.db'}", keys=KEYS)
    with pytest.raises(LedgerUnavailable, match="SQLITE_NOTADB"):
        await ledger.check()
    ledger.close()


async def test_sqlite_is_set_to_survive_power_loss_and_to_overwrite_what_is_deleted(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'ledger.db'}")
    expected = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1, "busy_timeout": 30_000}
    with engine.begin() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in expected}
    assert found == expected
    engine.dispose()

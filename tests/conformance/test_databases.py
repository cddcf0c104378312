"""A step that is done in a database is checked as far as databases go."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.actions.dispatch import Actions
from plans.defaults import with_defaults
from plans.model import Plan
from starter.conformance.running import run_kit
from starter.conformance.target import target_in
from starter.conformance.verdicts import Outcome, Result

USERS = ["test-1", "test-2", "test-3", "test-4"]
_ERASE = "DELETE FROM authors WHERE id = :id"
_COUNT = "SELECT count(*) FROM authors WHERE id = :id"


@pytest.fixture
async def actions() -> AsyncIterator[Actions]:
    actions = Actions(version="0.test")
    yield actions
    await actions.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "forum.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE authors (id TEXT)")
        connection.executemany("INSERT INTO authors VALUES (?)", [(user,) for user in [*USERS, "somebody-else"]])
    return file


async def checked(
    actions: Actions,
    database: Path,
    *,
    erase: str | list[str] = _ERASE,
    count: str = _COUNT,
    last_resort: dict[str, Any] | None = None,
) -> list[Result]:
    named = {"id": "{{ user_id }}"}
    document: dict[str, Any] = {
        "plan": "forum",
        "subject": {"lookup": {"service": "forum", "request": {"sql": count, "parameters": named}}},
        "services": {"forum": {"type": "sql", "database_url": f"sqlite:///{database}"}},
        "steps": {
            "authors": {
                "phase": "erase",
                "service": "forum",
                "request": {"sql": erase, "parameters": named},
                "probe": {"request": {"sql": count, "parameters": named}},
                **({"on_permanent": last_resort} if last_resort is not None else {}),
            }
        },
    }
    target = target_in(with_defaults(Plan.model_validate(document)), step_id="authors")
    return await run_kit(target, action=actions, users=USERS, within=timedelta(milliseconds=100))


async def test_a_statement_that_is_right_passes_all_that_makes_sense_for_a_database(
    actions: Actions, database: Path
) -> None:
    results = await checked(actions, database)
    outcomes = {result.check: result.outcome for result in results}
    passed = {check for check, outcome in outcomes.items() if outcome is Outcome.PASSED}
    assert passed == {
        *("reachable", "sees_person", "unknown_is_gone", "read_hostile_ids", "unknown_person", "hostile_requests"),
        *("request_answers", "gone_after", "repeat_same_key", "repeat_other_key", "two_at_once", "bystander"),
        *("two_people_at_once", "in_time"),
    }
    assert {outcomes[check] for check in outcomes.keys() - passed} == {Outcome.DOES_NOT_APPLY}
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT id FROM authors").fetchall() == [("somebody-else",)]


@pytest.mark.parametrize(
    ("erase", "count", "caught_by"),
    [
        ("DELETE FROM authors", _COUNT, "hostile_requests"),
        ("DELETE FROM authors WHERE id = :id AND 1 = 2", _COUNT, "gone_after"),
        ("DELETE FROM writers WHERE id = :id", _COUNT, "request_answers"),
        (_ERASE, "SELECT count(*) FROM writers WHERE id = :id", "reachable"),
        (_ERASE, "SELECT count(*) FROM authors WHERE id LIKE :id", "read_hostile_ids"),
        (_ERASE, "SELECT count(*) FROM authors", "unknown_is_gone"),
    ],
)
async def test_a_statement_that_is_wrong_is_caught(
    actions: Actions, database: Path, erase: str, count: str, caught_by: str
) -> None:
    results = await checked(actions, database, erase=erase, count=count)
    failed = [result.check for result in results if result.outcome is Outcome.FAILED]
    assert caught_by in failed


@pytest.mark.parametrize(("too_much", "failed"), [("", set()), (" OR author LIKE 'test-%'", {"bystander"})])
async def test_what_is_taken_from_somebody_who_is_still_there_is_noticed(
    actions: Actions, database: Path, too_much: str, failed: set[str]
) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE notes (author TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [(user,) for user in USERS])
    count = f"SELECT ({_COUNT}) + (SELECT count(*) FROM notes WHERE author = :id)"
    results = await checked(
        actions, database, erase=[f"DELETE FROM notes WHERE author = :id{too_much}", _ERASE], count=count
    )
    assert {result.check for result in results if result.outcome is Outcome.FAILED} == failed


@pytest.mark.parametrize(("name", "failed"), [("'nobody'", set()), ("name", {"last_resort", "two_at_once"})])
async def test_what_a_database_refuses_to_delete_is_done_by_the_last_resort(
    actions: Actions, database: Path, name: str, failed: set[str]
) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ALTER TABLE authors ADD COLUMN name TEXT DEFAULT 'Somebody'")
        connection.execute(
            "CREATE TRIGGER kept BEFORE DELETE ON authors WHEN OLD.id = 'test-3' "
            "BEGIN SELECT RAISE(ABORT, 'has invoices'); END"
        )
    named = {"id": "{{ user_id }}"}
    results = await checked(
        actions,
        database,
        last_resort={
            "request": {"sql": f"UPDATE authors SET name = {name} WHERE id = :id", "parameters": named},
            "probe": {
                "request": {"sql": "SELECT name FROM authors WHERE id = :id", "parameters": named},
                "gone_when": "body.row.name == 'nobody'",
            },
        },
    )
    told = {result.check: result.seen for result in results if result.outcome is Outcome.FAILED}
    assert set(told) == failed, told

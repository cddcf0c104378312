"""What goes wrong in a real database: each trouble has its meaning, and none of them tells a value."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from activities.actions.answers import Answer, NoAnswer
from activities.actions.sql import SqlAction
from activities.actions.sql_engines import Engines
from activities.actions.wire import BadAddress
from tests.support.databases import CANARY, OURS, a_call, body_of, lasting, rows
from tests.support.waiting import eventually
from workflows.names import HeldCause

#: Hangs as long as `gate` is closed.
AT_THE_GATE = "SELECT pg_advisory_xact_lock_shared(1)"


@pytest.mark.parametrize(
    ("sql", "on_sqlite", "elsewhere"),
    [
        ("SELECT id FROM peeple", "sql_sqlite_error", "sql_42P01"),
        ("SELECT idd FROM people", "sql_sqlite_error", "sql_42703"),
        ("SELEC 1", "sql_sqlite_error", "sql_42601"),
        (
            "INSERT INTO people SELECT 'x', name, email, age, disabled FROM people",
            "sql_sqlite_constraint_unique",
            "sql_23505",
        ),
        ("UPDATE people SET disabled = NULL", "sql_sqlite_constraint_notnull", "sql_23502"),
    ],
)
async def test_a_wrong_statement_is_permanent_and_told_by_a_code(
    database: Engine, sql_action: SqlAction, sql: str, on_sqlite: str, elsewhere: str
) -> None:
    answer = await sql_action.call(a_call(database, sql))
    assert answer == lasting(on_sqlite if database.dialect.name == "sqlite" else elsewhere)
    assert (
        isinstance(answer, NoAnswer) and sql_action.describe(a_call(database, sql), answer) == f"{sql} → {answer.code}"
    )


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1 / 0", "sql_22012"),
        ("SELECT id FROM people WHERE id = CAST('x' AS uuid)::text", "sql_22P02"),
        ("DELETE FROM people WHERE id = 'ada'", "sql_23503"),
        ("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", "sql_P0001"),
    ],
)
async def test_a_refused_value_is_permanent(on_postgresql: Engine, sql_action: SqlAction, sql: str, code: str) -> None:
    assert await sql_action.call(a_call(on_postgresql, sql)) == lasting(code)


async def test_nothing_of_a_value_is_logged_or_told_when_a_statement_fails(
    database: Engine, sql_action: SqlAction, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = "INSERT INTO people VALUES (:id, 'x', :email, 1, false)"
    failing = (
        taken,
        "INSERT INTO nowhere VALUES (:email)",
        "SELECT id FROM people WHERE :email",
        "SELECT CAST(:email AS integer) / 0 FROM people WHERE name = :id",
    )
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="sqlalchemy"):
        first = a_call(database, taken, id="canary", email="{{ subject.email }}")
        assert body_of(await sql_action.call(first))["affected"] == 1
        found = a_call(database, "SELECT email FROM people WHERE email = :email", email="{{ subject.email }}")
        assert body_of(await sql_action.call(found))["value"] == CANARY
        for sql in failing:
            call = a_call(database, sql, id="other", email="{{ subject.email }}")
            answer = await sql_action.call(call)
            assert CANARY not in repr(answer) + sql_action.describe(call, answer)
            if sql in failing[:2]:
                assert isinstance(answer, NoAnswer)
    assert CANARY not in caplog.text + "".join(capfd.readouterr())


def test_an_exception_of_ours_holds_no_parameters(database: Engine) -> None:
    """It is never told; but a debugger, or a library in between, may see it."""
    engine = Engines().of(database.url, limit=1)
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("INSERT INTO nowhere VALUES (:email)"), {"email": CANARY})
    engine.dispose()
    assert CANARY not in str(caught.value)


async def test_a_canary_would_be_found(on_postgresql: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """The test above looks at something: an engine that is not silenced tells all."""
    with caplog.at_level(logging.DEBUG, logger="sqlalchemy"), on_postgresql.connect() as connection:
        connection.execute(text("SELECT :email"), {"email": CANARY}).all()
    assert CANARY in caplog.text


async def test_a_statement_that_takes_too_long_is_stopped_and_taken_back(
    database: Engine, sql_action: SqlAction
) -> None:
    forever = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        if database.dialect.name == "sqlite"
        else "SELECT pg_sleep(30)"
    )
    began = time.monotonic()
    answer = await sql_action.call(a_call(database, "DELETE FROM orders", forever, timeout=0.5))
    assert answer == NoAnswer(code="timeout", touched=False) and time.monotonic() - began < 5
    assert len(rows(database, "SELECT id FROM orders")) == 3
    # The connection is as good as new.
    assert body_of(await sql_action.call(a_call(database, "SELECT count(*) FROM orders", concurrent=50)))["value"] == 3


async def test_the_time_limit_is_for_all_statements_together(on_postgresql: Engine, sql_action: SqlAction) -> None:
    began = time.monotonic()
    answer = await sql_action.call(a_call(on_postgresql, *["SELECT pg_sleep(0.15)"] * 50, timeout=0.5))
    assert answer == NoAnswer(code="timeout", touched=False) and time.monotonic() - began < 5


async def test_a_lock_held_by_others_is_waited_for_and_then_transient(database: Engine, sql_action: SqlAction) -> None:
    with database.connect() as other:
        other.execute(text("UPDATE people SET age = 99 WHERE id = 'ada'"))
        answer = await sql_action.call(a_call(database, "UPDATE people SET age = 1 WHERE id = 'ada'", timeout=0.5))
        code = "sql_sqlite_busy" if database.dialect.name == "sqlite" else "timeout"
        assert answer == NoAnswer(code=code, touched=False)


async def test_a_deadlock_is_transient(on_postgresql: Engine, sql_action: SqlAction) -> None:
    lock = "SELECT id FROM people WHERE id = '{}' FOR UPDATE"
    pause = "SELECT pg_sleep(0.3)"
    one = a_call(on_postgresql, lock.format("ada"), pause, lock.format("bob"))
    other = a_call(on_postgresql, lock.format("bob"), pause, lock.format("ada"))
    answers = await asyncio.gather(sql_action.call(one), sql_action.call(other))
    assert NoAnswer(code="sql_40P01", touched=False) in answers
    assert sum(isinstance(answer, Answer) for answer in answers) == 1


async def test_a_connection_that_breaks_is_transient_and_the_next_call_has_a_new_one(
    on_postgresql: Engine, sql_action: SqlAction
) -> None:
    waiting = asyncio.ensure_future(sql_action.call(a_call(on_postgresql, "DELETE FROM orders", "SELECT pg_sleep(30)")))
    terminate = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS} AND query LIKE '%pg_sleep%'"

    def terminated() -> None:
        assert rows(on_postgresql, terminate) == [(True,)]

    await eventually(terminated)
    # Nothing of it was committed.
    assert await waiting == NoAnswer(code="sql_57P01", touched=False)
    assert body_of(await sql_action.call(a_call(on_postgresql, "SELECT count(*) FROM orders")))["value"] == 3
    # An idle connection that is gone is noticed before it is used.
    rows(on_postgresql, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
    assert body_of(await sql_action.call(a_call(on_postgresql, "SELECT count(*) FROM orders")))["value"] == 3


async def test_a_commit_whose_answer_is_lost_may_have_been_done(on_postgresql: Engine, sql_action: SqlAction) -> None:
    with on_postgresql.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE CONSTRAINT TRIGGER at_commit AFTER DELETE ON orders DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION cut()"
            )
        )
    answer = await sql_action.call(a_call(on_postgresql, "DELETE FROM orders"))
    assert answer == NoAnswer(code="sql_57P01", touched=True)


async def test_a_commit_that_is_refused_did_nothing(on_postgresql: Engine, sql_action: SqlAction) -> None:
    with on_postgresql.begin() as connection:
        connection.execute(text("ALTER TABLE orders ALTER CONSTRAINT orders_person_fkey DEFERRABLE INITIALLY DEFERRED"))
    assert await sql_action.call(a_call(on_postgresql, "DELETE FROM people")) == lasting("sql_23503")


def held(code: str, cause: HeldCause) -> NoAnswer:
    return NoAnswer(code=code, touched=False, held=cause)


async def test_a_wrong_password_is_held_and_healed(on_postgresql: Engine, sql_action: SqlAction) -> None:
    role = f"app_{uuid.uuid4().hex}"
    with on_postgresql.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'right'"))
    url = on_postgresql.url.set(username=role, password="wrong").render_as_string(hide_password=False)
    refused = held("sql_28P01", HeldCause.CREDENTIALS)
    try:
        assert await sql_action.call(a_call(url, "SELECT 1")) == refused
        right = url.replace("wrong", "right")
        assert body_of(await sql_action.call(a_call(right, "SELECT 1")))["value"] == 1
        denied = await sql_action.call(a_call(right, "SELECT count(*) FROM people"))
        assert denied == held("sql_42501", HeldCause.CREDENTIALS)
        with on_postgresql.begin() as connection:
            connection.execute(text(f"GRANT SELECT ON people TO {role}"))
        assert body_of(await sql_action.call(a_call(right, "SELECT count(*) FROM people")))["value"] == 2
        # A password that isn't good any more is not remembered as good.
        assert await sql_action.call(a_call(url, "SELECT 1")) == refused
    finally:
        await sql_action.close()
        with on_postgresql.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


async def test_a_database_that_is_not_there(on_postgresql: Engine, sql_action: SqlAction) -> None:
    elsewhere = on_postgresql.url.set(database="nowhere").render_as_string(hide_password=False)
    assert await sql_action.call(a_call(elsewhere, "SELECT 1")) == held("sql_3D000", HeldCause.CONFIGURATION)
    nobody = on_postgresql.url.set(port=1).render_as_string(hide_password=False)
    assert await sql_action.call(a_call(nobody, "SELECT 1")) == NoAnswer(code="sql_connect_error", touched=False)
    wrong = on_postgresql.url.update_query_dict({"colour": "blue"}).render_as_string(hide_password=False)
    assert await sql_action.call(a_call(wrong, "SELECT 1")) == held("sql_bad_url", HeldCause.CONFIGURATION)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql+nodriver://host/app", "sql_driver_missing"),
        ("nosuchsql://host/app", "sql_driver_missing"),
        ("mysql+mysqldb://host/app", "sql_driver_missing"),
        ("postgresql+psycopg_async://host/app", "sql_driver_async"),
    ],
)
async def test_a_driver_that_is_not_installed_is_held(sql_action: SqlAction, url: str, code: str) -> None:
    assert await sql_action.call(a_call(url, "SELECT 1")) == held(code, HeldCause.CONFIGURATION)


@pytest.mark.parametrize("url", ["", "app", "://x", "postgresql://host:port/app"])
async def test_a_url_that_is_none_is_refused(sql_action: SqlAction, url: str) -> None:
    with pytest.raises(BadAddress, match=r"dialect\+driver"):
        await sql_action.call(a_call(url, "SELECT 1"))


@contextlib.contextmanager
def gate(database: Engine) -> Iterator[None]:
    """A database in which whoever asks for `AT_THE_GATE` waits until the end of the block."""
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
        yield


async def test_no_more_transactions_run_than_the_service_bears(on_postgresql: Engine, sql_action: SqlAction) -> None:
    def three() -> None:
        waiting = f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'"
        assert rows(on_postgresql, waiting) == [(3,)]

    def given_way() -> None:
        assert [call.result() for call in calls if call.done()] == [NoAnswer(code="busy", touched=False)] * 5

    with gate(on_postgresql):
        calls = [
            asyncio.ensure_future(sql_action.call(a_call(on_postgresql, AT_THE_GATE, concurrent=3))) for _ in range(8)
        ]
        await eventually(three)
        await eventually(given_way)
    answers = await asyncio.gather(*calls)
    assert sum(isinstance(answer, Answer) for answer in answers) == 3


async def test_a_database_that_hangs_holds_no_other_up(
    on_postgresql: Engine, tmp_path: Path, sql_action: SqlAction
) -> None:
    with gate(on_postgresql):
        hung = [
            asyncio.ensure_future(sql_action.call(a_call(on_postgresql, AT_THE_GATE, concurrent=4))) for _ in range(4)
        ]
        healthy = f"sqlite:///{tmp_path / 'other.db'}"
        assert body_of(await sql_action.call(a_call(healthy, "SELECT 1", concurrent=4)))["value"] == 1
        assert not any(call.done() for call in hung)
    assert all(isinstance(answer, Answer) for answer in await asyncio.gather(*hung))

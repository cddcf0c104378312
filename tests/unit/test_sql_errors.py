"""What a failure of a database means, as a table: told by SQLSTATE and class, never by a text that may quote a value."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import exc

from activities.actions import sql_errors
from activities.actions.answers import NoAnswer
from activities.actions.sql_errors import Reached
from workflows.names import HeldCause

CREDENTIALS, CONFIGURATION = HeldCause.CREDENTIALS, HeldCause.CONFIGURATION
TRANSIENT, LASTING = "transient", "lasting"
COMMITTING, ASKING = Reached.COMMITTING, Reached.ASKING


def exceptions_of_sqlalchemy() -> Iterator[type[Exception]]:
    """All of them, by name; warnings are none."""
    for _, kind in sorted(vars(exc).items()):
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning):
            yield kind


@pytest.mark.parametrize("kind", list(exceptions_of_sqlalchemy()))
def test_every_exception_of_sqlalchemy_has_a_line_of_its_own(kind: type[Exception]) -> None:
    assert kind in sql_errors.NO_ANSWERS, f"SQLAlchemy has grown {kind.__name__}: say in NO_ANSWERS what it means"


def test_the_walk_over_sqlalchemy_finds_its_exceptions() -> None:
    found = set(exceptions_of_sqlalchemy())
    assert {exc.OperationalError, exc.NoSuchModuleError, exc.SQLAlchemyError, exc.MissingGreenlet} <= found
    assert len(found) >= 40


class OfDriver(Exception):
    """As drivers raise them; the text quotes a value, as they do."""

    def __init__(self, *, sqlstate: str | None = None, sqlite: str | None = None, words: str = "") -> None:
        super().__init__(f"{words} DETAIL: Key (email)=(ada@example.com) already exists.")
        self.sqlstate = sqlstate
        if sqlite is not None:
            self.sqlite_errorname = sqlite


def of_database(kind: type[exc.DBAPIError] = exc.OperationalError, *, lost: bool = False, **driver: Any) -> Exception:
    return kind("SELECT 1", {}, OfDriver(**driver), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("driver", "code", "meaning"),
    [
        *[({"sqlstate": state}, f"sql_{state}", TRANSIENT) for state in ("08006", "40001", "40P01", "53300", "57P01")],
        *[({"sqlstate": state}, f"sql_{state}", TRANSIENT) for state in ("25006", "55P03", "58030", "XX000", "72000")],
        *[({"sqlstate": state}, f"sql_{state}", LASTING) for state in ("22P02", "23505", "42601", "42P01", "42703")],
        *[({"sqlstate": state}, f"sql_{state}", LASTING) for state in ("0A000", "3F000", "54000", "P0001")],
        ({"sqlstate": "57014"}, "timeout", TRANSIENT),
        ({"sqlstate": "28P01"}, "sql_28P01", CREDENTIALS),
        ({"sqlstate": "28000"}, "sql_28000", CREDENTIALS),
        ({"sqlstate": "42501"}, "sql_42501", CREDENTIALS),
        ({"sqlstate": "3D000"}, "sql_3D000", CONFIGURATION),
        ({"sqlite": "SQLITE_BUSY_SNAPSHOT"}, "sql_sqlite_busy_snapshot", TRANSIENT),
        ({"sqlite": "SQLITE_LOCKED"}, "sql_sqlite_locked", TRANSIENT),
        ({"sqlite": "SQLITE_INTERRUPT"}, "timeout", TRANSIENT),
        ({"sqlite": "SQLITE_ERROR"}, "sql_sqlite_error", LASTING),
        ({"sqlite": "SQLITE_CONSTRAINT_UNIQUE"}, "sql_sqlite_constraint_unique", LASTING),
        ({}, "sql_operational_error", TRANSIENT),
        # What isn't a SQLSTATE is not told.
        ({"sqlstate": "ada@example.com"}, "sql_operational_error", TRANSIENT),
    ],
)
def test_an_error_of_a_database_means(driver: dict[str, Any], code: str, meaning: object) -> None:
    told = sql_errors.no_answer(of_database(**driver), reached=Reached.ASKING, transactional=True)
    held = meaning if isinstance(meaning, HeldCause) else None
    assert told == NoAnswer(code=code, touched=False, may_pass=meaning != LASTING, held=held)
    assert "ada@" not in repr(told)


@pytest.mark.parametrize(
    ("words", "code", "held"),
    [
        ('FATAL: password authentication failed for user "ada"', "sql_28P01", CREDENTIALS),
        ("fe_sendauth: no password supplied", "sql_28000", CREDENTIALS),
        ('FATAL: no pg_hba.conf entry for host "10.0.0.1"', "sql_28000", CREDENTIALS),
        ('FATAL: role "ada" does not exist', "sql_28000", CREDENTIALS),
        ('FATAL: permission denied for database "app"', "sql_42501", CREDENTIALS),
        ('FATAL: database "app" does not exist', "sql_3D000", CONFIGURATION),
        ("FATAL: sorry, too many clients already", "sql_53300", None),
        ("FATAL: the database system is starting up", "sql_57P03", None),
        ("connection refused", "sql_connect_error", None),
    ],
)
def test_a_refused_connection_is_told_by_its_words(words: str, code: str, held: HeldCause | None) -> None:
    told = sql_errors.no_answer(of_database(words=words), reached=Reached.CONNECTING, transactional=False)
    assert told == NoAnswer(code=code, touched=False, held=held)
    # Once connected, words are anybody's: a trigger's, for example.
    later = sql_errors.no_answer(of_database(words=words), reached=Reached.ASKING, transactional=True)
    assert later.code == "sql_operational_error"


@pytest.mark.parametrize(
    ("error", "reached", "transactional", "touched"),
    [
        (of_database(lost=True), Reached.CONNECTING, False, False),
        (of_database(lost=True), ASKING, True, False),
        (of_database(sqlstate="23505"), ASKING, True, False),
        # Where a statement's effect may stay without a commit.
        (of_database(sqlstate="23505"), ASKING, False, True),
        # The answer to the commit was lost.
        (of_database(lost=True), COMMITTING, True, True),
        (of_database(), COMMITTING, True, True),
        (of_database(sqlstate="57P01"), COMMITTING, True, True),
        (of_database(sqlstate="08006"), COMMITTING, True, True),
        (of_database(sqlstate="40003"), COMMITTING, True, True),
        # The commit was answered, and refused.
        (of_database(sqlstate="40001"), COMMITTING, True, False),
        (of_database(sqlstate="23503"), COMMITTING, True, False),
    ],
)
def test_only_what_can_t_have_been_committed_counts_as_untouched(
    error: Exception, reached: Reached, transactional: bool, touched: bool
) -> None:
    assert sql_errors.no_answer(error, reached=reached, transactional=transactional).touched is touched


@pytest.mark.parametrize(
    ("error", "reached", "expected"),
    [
        (ImportError("psycopg"), Reached.CONNECTING, sql_errors.DRIVER_MISSING),
        (exc.NoSuchModuleError("x"), Reached.CONNECTING, sql_errors.DRIVER_MISSING),
        (exc.MissingGreenlet("x"), Reached.CONNECTING, sql_errors.DRIVER_ASYNC),
        (TypeError("unexpected keyword"), Reached.CONNECTING, sql_errors.BAD_URL),
        (of_database(exc.ProgrammingError), Reached.CONNECTING, sql_errors.BAD_URL),
        (exc.ArgumentError("x"), Reached.CONNECTING, sql_errors.BAD_URL),
        (OverflowError("too large"), ASKING, NoAnswer(code="sql_bad_parameter", touched=False, may_pass=False)),
        (RuntimeError("?"), ASKING, NoAnswer(code="internal_error", touched=False)),
        (of_database(lost=True), ASKING, NoAnswer(code="sql_connection_lost", touched=False)),
    ],
)
def test_what_is_no_error_of_the_database_means(error: Exception, reached: Reached, expected: NoAnswer) -> None:
    assert sql_errors.no_answer(error, reached=reached, transactional=True) == expected

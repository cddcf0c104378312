"""Values on their way into a database and out of it, its address, and what a statement's words say."""

import datetime
import decimal
import sqlite3

import pytest

from activities.actions.sql_values import bindable, plain, writes
from activities.addresses import address_of, is_same_place
from plans.services import SqlService


@pytest.mark.parametrize(
    ("statement", "is_one"),
    [
        ("DELETE FROM x", True),
        ("  -- tidy up\n UPDATE x SET a = 1", True),
        ("/* select */ insert into x values (1) returning id", True),
        ("WITH a AS (DELETE FROM x RETURNING id) SELECT id FROM a", True),
        ("MERGE INTO x USING y ON true WHEN MATCHED THEN DO NOTHING", True),
        ("SELECT 1", False),
        ("(SELECT 1)", False),
        ("SELECT id FROM x FOR UPDATE", False),
        ("WITH a AS (SELECT 'delete it' AS \"update\") SELECT * FROM a -- insert", False),
        ("WITH a AS (SELECT $$delete$$) SELECT * FROM a", False),
        ("VALUES (1)", False),
        ("", False),
    ],
)
def test_a_statement_that_writes(statement: str, is_one: bool) -> None:
    assert writes(statement) is is_one


def test_values_are_bound_as_a_database_takes_them() -> None:
    given = {"a": [1, None], "b": {"c": [1]}, "d": [[1]], "e": "x", "f": None, "g": True}
    arrays = {"a": [1, None], "b": '{"c": [1]}', "d": "[[1]]", "e": "x", "f": None, "g": True}
    assert bindable(given, arrays=True) == arrays
    assert bindable(given, arrays=False) == {**arrays, "a": "[1, null]"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (decimal.Decimal("1.10"), "1.10"),
        (datetime.timedelta(days=1), "1 day, 0:00:00"),
        (datetime.time(12, 30), "12:30:00"),
        (memoryview(b"\x00\xff"), "00ff"),
        (float("inf"), "inf"),
        ({1: (2, b"\x01")}, {"1": [2, "01"]}),
        (2**70, 2**70),
    ],
)
def test_a_value_is_told_as_json_has_it(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_the_names_of_sqlite_s_errors_are_there() -> None:
    """What the meaning of its errors is told by."""
    with pytest.raises(sqlite3.OperationalError) as caught, sqlite3.connect(":memory:") as connection:
        connection.execute("SELECT * FROM nowhere")
    connection.close()
    assert caught.value.sqlite_errorname == "SQLITE_ERROR"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql+psycopg://ada:s3cret@DB.example/app", "postgresql://db.example:5432/app"),
        ("postgresql://db.example:5432/app?sslmode=require&password=s3cret", "postgresql://db.example:5432/app"),
        ("postgresql:///app?host=/run/pg&connect_timeout=3", "postgresql:///app?host=%2Frun%2Fpg"),
        ("sqlite:////var/lib/app.db", "sqlite:////var/lib/app.db"),
    ],
)
def test_a_database_has_one_address_whoever_asks_by_whichever_driver(url: str, address: str) -> None:
    """What is compared before each call: the same database, and no password in it."""
    service = SqlService(type="sql", database_url=url)
    assert address_of(service) == address
    assert is_same_place(service, known=address)
    assert not is_same_place(service, known=address.replace("app", "other"))
    assert not is_same_place(service, known=None)

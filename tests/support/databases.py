"""An application's database with a few people in it, and calls of the sql action to it."""

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, create_engine, text

from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer
from plans.requests import SqlRequest
from plans.services import Limits, SqlService

HOSTILE = "Robert'); DROP TABLE people;--"
CANARY = "ada.quillfeather@kanarivogel.example"
#: The action's connections, in what PostgreSQL tells of all.
OURS = "application_name = 'account-retirement' AND datname = current_database()"
SCHEMA = (
    "CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, age INTEGER, disabled BOOLEAN NOT NULL)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, person TEXT NOT NULL REFERENCES people (id), total INTEGER NOT NULL)",
    "INSERT INTO people VALUES ('ada', 'Ada', 'ada@example.com', 36, false)",
    "INSERT INTO people VALUES ('bob', 'Bob', 'bob@example.com', NULL, true)",
    "INSERT INTO orders VALUES (1, 'ada', 10), (2, 'ada', 20), (3, 'bob', 30)",
)


@contextlib.contextmanager
def with_people(url: str) -> Iterator[Engine]:
    """Fill an empty database. The engine is its owner's, not the action's."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in SCHEMA:
            connection.execute(text(statement))
    yield engine
    engine.dispose()


def url_of(database: Engine | str) -> str:
    """Its address, with the password."""
    return database if isinstance(database, str) else database.url.render_as_string(hide_password=False)


def a_call(database: Engine | str, *sql: str, timeout: float = 10, concurrent: int = 50, **parameters: Any) -> Call:
    """Statements to be done, with the parameters by name."""
    service = SqlService(
        type="sql",
        database_url=url_of(database),
        timeout=datetime.timedelta(seconds=timeout),
        limits=Limits(concurrent=concurrent),
    )
    context = {"user_id": "ada", "subject": {"email": CANARY, "age": 36, "name": HOSTILE, "nothing": None}}
    return Call(service=service, request=SqlRequest(sql=sql, parameters=parameters), context=context)


def body_of(answer: Answer | NoAnswer) -> Any:
    """The body of what was done."""
    assert isinstance(answer, Answer), answer
    assert answer.status == 200
    return answer.body


def lasting(code: str) -> NoAnswer:
    """What will fail the same way every time."""
    return NoAnswer(code=code, touched=False, may_pass=False)


def rows(database: Engine, sql: str) -> list[tuple[Any, ...]]:
    """What the owner reads."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]

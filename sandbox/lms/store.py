"""The database of the stand-in: learners, their retirement rows, and what the LMS keeps about them besides."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.journal import open_database
from sandbox.lms.states import PENDING, States

# Instants are whole microseconds since 1970: as texts they would not compare where a fraction is missing.
_SCHEMA = """
create table if not exists settings (number integer primary key check (number = 1), body text not null);
create table if not exists users (
    id integer primary key autoincrement, username text not null unique, email text not null, name text not null,
    password text, active integer not null, tracking_id text, enrollments text not null, unknown_to text not null);
create table if not exists retirements (
    id integer primary key autoincrement, user_id integer not null unique,
    original_username text not null, original_email text not null, original_name text not null,
    retired_username text not null, retired_email text not null,
    state text not null, last_state text not null, created integer not null, modified integer not null,
    responses text not null default '');
create index if not exists retirements_by_name on retirements (original_username);
create index if not exists retirements_by_state on retirements (state);
create table if not exists retirement_requests (user_id integer primary key);
create table if not exists partner_reports (
    id integer primary key autoincrement, user_id integer not null unique, original_username text not null,
    original_email text not null, original_name text not null, created integer not null, processing integer not null);
create table if not exists certificates (
    id integer primary key autoincrement, user_id integer not null, status text not null, name text not null, grade text not null,
    download_url text not null, download_uuid text not null, verify_uuid text not null);
create table if not exists effects (
    number integer primary key, row_id integer, user_id integer, effect text not null, detail text);
create table if not exists regulations (id text primary key, type text not null, "values" text not null, status text not null);
create table if not exists amplitude_jobs (day text not null, user_id text not null, status text not null);
"""
_TABLES = (
    "users",
    "retirements",
    "retirement_requests",
    "partner_reports",
    "certificates",
    "effects",
    "regulations",
    "amplitude_jobs",
)
_BEFORE_FIRST_USER = 5_000_000
_ROW = """
select r.*, u.username, u.email, u.name from retirements r join users u on u.id = r.user_id
"""


def now() -> int:
    """This instant in microseconds."""
    return time.time_ns() // 1000


def instant(moment: datetime | str) -> int:
    """An aware datetime, or its ISO text, in microseconds."""
    read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (read - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def told(moment: int) -> str:
    """An instant as Django's REST framework writes it: without a fraction where there is none."""
    read = datetime.fromtimestamp(moment // 1_000_000, UTC).replace(microsecond=moment % 1_000_000)
    return read.isoformat().replace("+00:00", "Z")


def retired_name(username: str) -> str:
    """The name a learner is known by afterwards, forever. Case counts: `Ann` and `ann` are two people."""
    return f"retired__user_{hashlib.sha1(f'stand-in-salt{username}'.encode()).hexdigest()}"  # noqa: S324 - as the LMS does


def retired_address(email: str) -> str:
    """The address that a learner has afterwards."""
    return f"{retired_name(email)}@retired.invalid"


class Store:
    """One SQLite connection, in autocommit mode; `change` makes several statements one."""

    def __init__(self, *, path: Path) -> None:
        self.database = open_database(path=path, schema=_SCHEMA)
        # Far from retirement ids, so that one taken for the other is noticed.
        self.database.execute(
            "insert into sqlite_sequence (name, seq) select 'users', ? where not exists"
            " (select 1 from sqlite_sequence where name = 'users')",
            (_BEFORE_FIRST_USER,),
        )

    @contextmanager
    def change(self) -> Iterator[None]:
        """All or nothing."""
        self.database.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.database.execute("rollback")
            raise
        self.database.execute("commit")

    def reset(self) -> None:
        """Forget everybody and everything. Ids go on where they were: who tests next meets nobody's namesake."""
        with self.change():
            for table in _TABLES:
                self.database.execute(f"delete from {table}")  # noqa: S608 - names from the list above

    # Learners.

    def add_learner(self, learner: dict[str, Any]) -> int:
        """Keep a learner, with a retirement row unless `state` is null. Returns the LMS user id."""
        username, email = learner["username"], learner["email"]
        state = learner.get("state", PENDING)
        cursor = self.database.execute(
            "insert into users (id, username, email, name, password, active, tracking_id, enrollments, unknown_to)"
            " values (?, ?, ?, ?, ?, 1, ?, ?, ?)",
            (
                learner.get("user_id"),
                username,
                email,
                learner["name"],
                learner.get("password", "correct horse"),
                learner.get("tracking_id"),
                json.dumps([[org, True] for org in learner.get("orgs", ())]),
                json.dumps(list(learner.get("unknown_to", ()))),
            ),
        )
        user_id = int(cursor.lastrowid or 0)
        if state is not None:
            created = instant(learner["created"]) if learner.get("created") else now()
            modified = instant(learner["modified"]) if learner.get("modified") else created
            self.request_retirement(
                user_id,
                row_id=learner.get("row_id"),
                state=state,
                last_state=learner.get("last_state") or PENDING,
                created=created,
                modified=modified,
            )
        return user_id

    def request_retirement(
        self,
        user_id: int,
        *,
        row_id: int | None = None,
        state: str = PENDING,
        last_state: str = PENDING,
        created: int,
        modified: int,
    ) -> None:
        """Lock the learner's account and make the row, as the LMS does when the learner asks for it."""
        user = self.user(user_id)
        assert user is not None
        self.database.execute(
            "insert into retirements (id, user_id, original_username, original_email, original_name, retired_username,"
            " retired_email, state, last_state, created, modified) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row_id,
                user_id,
                user["username"],
                user["email"],
                user["name"],
                retired_name(user["username"]),
                retired_address(user["email"]),
                state,
                last_state,
                created,
                modified,
            ),
        )
        self.database.execute("insert or ignore into retirement_requests values (?)", (user_id,))
        self.database.execute(
            "update users set email = ?, password = null where id = ?", (retired_address(user["email"]), user_id)
        )

    def user(self, user_id: int) -> sqlite3.Row | None:
        """A user by LMS user id."""
        return self._one("select * from users where id = ?", user_id)

    def user_named(self, username: str) -> sqlite3.Row | None:
        """A user by the username they have now."""
        return self._one("select * from users where username = ?", username)

    def user_once_named(self, username: str) -> sqlite3.Row | None:
        """A user by the username they had before they were retired, or have now."""
        row = self.row_named(username)
        return self.user_named(username) if row is None else self.user(row["user_id"])

    def user_once_at(self, email: str) -> sqlite3.Row | None:
        """A user by the address they had before they asked to be retired, or have now."""
        row = self._one("select user_id from retirements where original_email = ?", email)
        return self._one("select * from users where email = ?", email) if row is None else self.user(row["user_id"])

    def is_known(self, user: sqlite3.Row, *, to: str) -> bool:
        """Does what answers this route know the learner?"""
        return to not in json.loads(user["unknown_to"])

    # Retirement rows.

    def row(self, row_id: int) -> sqlite3.Row | None:
        """A row by retirement id."""
        return self._one(f"{_ROW} where r.id = ?", row_id)

    def row_of_user(self, user_id: int) -> sqlite3.Row | None:
        """A row by LMS user id."""
        return self._one(f"{_ROW} where r.user_id = ?", user_id)

    def row_named(self, username: str, *, any_case: bool = False) -> sqlite3.Row | None:
        """A row by original username; in any letter case only where nobody has exactly this name."""
        exact = self._one(f"{_ROW} where r.original_username = ?", username)
        if exact is not None or not any_case:
            return exact
        return self._one(f"{_ROW} where r.original_username = ? collate nocase order by r.id", username)

    def rows(
        self, states: Iterable[str], *, before: int, since: int = -(2**62), limit: int | None = None
    ) -> list[sqlite3.Row]:
        """Rows in one of these states that were created in [since, before), ordered by id."""
        listed = list(states)
        marks = ", ".join("?" * len(listed))
        return self.database.execute(
            f"{_ROW} where r.state in ({marks}) and r.created >= ? and r.created < ? order by r.id limit ?",
            (*listed, since, before, -1 if limit is None else limit),
        ).fetchall()

    def move(self, row: sqlite3.Row, *, state: str, response: str) -> None:
        """Put a row into another state, with an entry in its log."""
        log = f"{row['responses']}\n Moved from {row['state']} to {state}:\n{response}\n"
        self.database.execute(
            "update retirements set last_state = state, state = ?, modified = ?, responses = ? where id = ?",
            (state, now(), log, row["id"]),
        )

    def effect(self, effect: str, *, user_id: int | None, row_id: int | None = None, detail: Any = None) -> None:
        """Note that something was really done."""
        self.database.execute(
            "insert into effects (row_id, user_id, effect, detail) values (?, ?, ?, ?)",
            (row_id, user_id, effect, None if detail is None else json.dumps(detail)),
        )

    def _one(self, query: str, value: object) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.database.execute(query, (value,)).fetchone()
        return found


def status_object(row: sqlite3.Row, *, states: States) -> dict[str, Any]:
    """A row as the LMS shows it."""
    return {
        "id": row["id"],
        "user": {
            "id": row["user_id"],
            "username": row["username"],
            "email": row["email"],
            # Not the user id, so that nobody mistakes one for the other unnoticed.
            "profile": {"id": row["user_id"] + 2_000_000, "name": row["name"]},
        },
        "current_state": states.as_object(row["state"]),
        "last_state": states.as_object(row["last_state"]),
        "created": told(row["created"]),
        "modified": told(row["modified"]),
        "original_username": row["original_username"],
        "original_email": row["original_email"],
        "original_name": row["original_name"],
        "retired_username": row["retired_username"],
        "retired_email": row["retired_email"],
    }

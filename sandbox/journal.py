"""What a sandbox service remembers about itself: every request, every effect, the answers it has to repeat."""

import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists sandbox_requests (
    number integer primary key, at real not null, monotonic real not null,
    method text not null, path text not null, user_id text, idempotency_key text, status integer);
create table if not exists sandbox_effects (
    number integer primary key, at real not null, monotonic real not null,
    user_id text not null, effect text not null, asset_id text, idempotency_key text);
create table if not exists sandbox_answers (
    idempotency_key text primary key, request text not null, status integer not null, body text not null);
"""


def open_database(*, path: Path, schema: str) -> sqlite3.Connection:
    """Open a service's database in autocommit mode, and create what is missing."""
    database = sqlite3.connect(path, isolation_level=None)
    database.row_factory = sqlite3.Row
    # A killed process loses nothing this way; only a power cut would, and a sandbox may forget then.
    database.executescript("pragma journal_mode = wal; pragma synchronous = off;" + schema)
    return database


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """The first answer given under an idempotency key, and to which request."""

    request: str
    status: int
    body: Any


class Journal:
    """The log of one service, in its own database. Effects and answers share the transaction of their request."""

    def __init__(self, *, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_SCHEMA)

    def request(self, *, method: str, path: str, user_id: str | None, key: str | None) -> int:
        """Note a request before anything is done about it."""
        row = self._database.execute(
            "insert into sandbox_requests (at, monotonic, method, path, user_id, idempotency_key)"
            " values (?, ?, ?, ?, ?, ?)",
            (time.time(), time.monotonic(), method, path, user_id, key),
        )
        return int(row.lastrowid or 0)

    def answered(self, *, number: int, status: int) -> None:
        """Note with which status a request was answered. One that never was keeps null."""
        self._database.execute("update sandbox_requests set status = ? where number = ?", (status, number))

    def effect(self, *, user_id: str, effect: str, key: str | None, asset_id: str | None = None) -> None:
        """Note that something about a person, or about what is theirs, was really changed."""
        self._database.execute(
            "insert into sandbox_effects (at, monotonic, user_id, effect, asset_id, idempotency_key)"
            " values (?, ?, ?, ?, ?, ?)",
            (time.time(), time.monotonic(), user_id, effect, asset_id, key),
        )

    def known_answer(self, *, key: str) -> KnownAnswer | None:
        """The answer that was given under this idempotency key before."""
        row = self._database.execute("select * from sandbox_answers where idempotency_key = ?", (key,)).fetchone()
        return row and KnownAnswer(request=row["request"], status=row["status"], body=json.loads(row["body"]))

    def remember_answer(self, *, key: str, request: str, status: int, body: Any) -> None:
        """Keep an answer, to be repeated to whoever sends the same key again."""
        self._database.execute(
            "insert into sandbox_answers values (?, ?, ?, ?)", (key, request, status, json.dumps(body))
        )

    def effects(self, *, user_id: str | None) -> list[dict[str, Any]]:
        """The effects in order, of one person or of all."""
        return self._rows(table="sandbox_effects", user_id=user_id)

    def requests(self, *, user_id: str | None) -> list[dict[str, Any]]:
        """The requests in order, of one person or of all."""
        return self._rows(table="sandbox_requests", user_id=user_id)

    def _rows(self, *, table: str, user_id: str | None) -> list[dict[str, Any]]:
        rows = self._database.execute(
            f"select * from {table} where ? is null or user_id = ? order by number",  # noqa: S608 - two literals
            (user_id, user_id),
        )
        return [dict(row) for row in rows]

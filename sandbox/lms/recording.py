"""Every request that came, in order, and how often each route was called."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

_SCHEMA = """
create table if not exists requests (
    number integer primary key autoincrement, at real not null, monotonic real not null, service text, route text,
    method text not null, path text not null, query text not null, headers text not null, body text not null,
    row_id integer, status integer);
"""


class Recording:
    """Requests are kept in the database, so that they outlive a restart; counts are of this process."""

    def __init__(self, *, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_SCHEMA)
        self.counts: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget what came so far."""
        self._database.execute("delete from requests")
        self.counts.clear()

    def request(
        self,
        *,
        service: str | None,
        route: str | None,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        row_id: int | None,
    ) -> int:
        """Note a request before anything is done about it."""
        cursor = self._database.execute(
            "insert into requests (at, monotonic, service, route, method, path, query, headers, body, row_id)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                time.time(),
                time.monotonic(),
                service,
                route,
                method,
                path,
                query,
                json.dumps(dict(headers)),
                body.decode("utf-8", "replace"),
                row_id,
            ),
        )
        return int(cursor.lastrowid or 0)

    def answered(self, number: int, *, status: int) -> None:
        """Note with which status it was answered. One that never was keeps null."""
        self._database.execute("update requests set status = ? where number = ?", (status, number))

    def listed(self, *, after: int, row_id: int | None) -> list[dict[str, Any]]:
        """Requests in the order in which they came, of one learner or of all."""
        rows = self._database.execute(
            "select * from requests where number > ? and (? is null or row_id = ?) order by number",
            (after, row_id, row_id),
        )
        return [{**dict(row), "headers": json.loads(row["headers"])} for row in rows]

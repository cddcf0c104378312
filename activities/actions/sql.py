"""The `sql` action: a plan's statements in one transaction of a service's database."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, Connection, CursorResult, Row, make_url, text

from activities.actions.action import Call, WithoutRoutes
from activities.actions.answers import Answer, NoAnswer
from activities.actions.sql_engines import Engines
from activities.actions.sql_errors import Reached, no_answer
from activities.actions.sql_values import bindable, plain, plain_row, rows_of, writes
from activities.actions.threads import Threads
from activities.actions.wire import LARGEST_BODY, TIMEOUT
from activities.addresses import address_of
from activities.rendering import render_data
from plans.requests import SqlRequest
from plans.secrets import resolve
from plans.services import SqlService

#: How much longer than its time limit a transaction is waited for: one that was stopped in time has its own say.
_GRACE = 0.5
#: Databases in which nothing of a transaction stays that doesn't come to its commit.
_TRANSACTIONAL = frozenset({"postgresql", "sqlite", "oracle", "mssql"})
_WITH_ARRAYS = frozenset({"postgresql"})
_LIMIT_STATEMENT = text("SELECT set_config('statement_timeout', :milliseconds, true)")
#: How many of its own instructions SQLite does before it looks at the clock.
_LOOK_AT_CLOCK = 10_000


class SqlAction(WithoutRoutes):
    """Asks databases. One for a worker: it holds the connections and their slots."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._engines = Engines()

    async def call(self, call: Call) -> Answer | NoAnswer:
        """Do the statements in one transaction, with the values bound to them.

        A repeat does them again: it has no key to be known by, so the statements must not mind.
        """
        service, request = _sql(call)
        place = address_of(service)
        url = make_url(resolve(service.database_url))
        parameters = bindable(
            render_data(request.parameters, call.context), arrays=url.get_backend_name() in _WITH_ARRAYS
        )
        limit, within = service.limits.concurrent, service.timeout.total_seconds()
        transaction = _Transaction(
            engines=self._engines,
            url=url,
            limit=limit,
            statements=request.statements,
            parameters=parameters,
            within=within,
        )
        return await self._threads.run(transaction.run, place=place, limit=limit, within=within + _GRACE)

    async def close(self) -> None:
        """Close the connections."""
        self._engines.close()


def _sql(call: Call) -> tuple[SqlService, SqlRequest]:
    """What the plan's check has made sure of: a database is asked by SQL."""
    assert isinstance(call.service, SqlService) and isinstance(call.request, SqlRequest)
    return call.service, call.request


class _OverTime(Exception):
    """The transaction's time is over. It was not committed."""


@dataclass(kw_only=True)
class _Transaction:
    """One request at work in a thread. `run` never raises."""

    engines: Engines
    url: URL = field(repr=False)
    limit: int
    statements: tuple[str, ...]
    parameters: dict[str, Any] = field(repr=False)
    within: float
    reached: Reached = Reached.CONNECTING
    transactional: bool = False
    deadline: float = field(init=False)

    def run(self) -> Answer | NoAnswer:
        """Do it, from now on for `within` seconds."""
        self.deadline = time.monotonic() + self.within
        try:
            engine = self.engines.of(self.url, limit=self.limit)
            self.transactional = engine.dialect.name in _TRANSACTIONAL
            with _closing(engine.connect()) as connection:
                self.reached = Reached.ASKING
                return self._done(connection)
        except _OverTime:
            return NoAnswer(code=TIMEOUT, touched=not self.transactional)
        except Exception as error:
            return no_answer(error, reached=self.reached, transactional=self.transactional)

    def _done(self, connection: Connection) -> Answer:
        affected, rows = 0, list[Row[Any]]()
        truncated = is_missing = False
        for statement in self.statements:
            with _limited(connection, deadline=self.deadline):
                result: CursorResult[Any] = connection.execute(text(statement), self.parameters)
                if not result.returns_rows or writes(statement):
                    affected += max(result.rowcount, 0)
                rows, truncated = rows_of(result) if result.returns_rows else ([], False)
                is_missing = result.returns_rows and not rows and not writes(statement)
                result.close()
        row = plain_row(rows[0]) if rows else None
        body = {
            "row": row,
            "rows": [plain_row(each) for each in rows],
            "value": plain(rows[0][0]) if rows and len(rows[0]) else None,
            "affected": affected,
            "truncated": truncated,
        }
        answer = Answer(status=404 if is_missing else 200, body=body if len(json.dumps(body)) <= LARGEST_BODY else None)
        if time.monotonic() > self.deadline:
            raise _OverTime
        self.reached = Reached.COMMITTING
        connection.commit()
        return answer


@contextlib.contextmanager
def _closing(connection: Connection) -> Iterator[Connection]:
    """Roll back what isn't committed, and give the connection back. What goes wrong with that changes nothing any more."""
    try:
        yield connection
    finally:
        with contextlib.suppress(Exception):
            connection.close()


@contextlib.contextmanager
def _limited(connection: Connection, *, deadline: float) -> Iterator[None]:
    """Have the database itself stop a statement when the time is over, where we know how to ask for it."""
    left = int((deadline - time.monotonic()) * 1000)
    if left <= 0:
        raise _OverTime
    if connection.dialect.name == "postgresql":
        connection.execute(_LIMIT_STATEMENT, {"milliseconds": str(left)})
        yield
    elif connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {left}").close()
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _LOOK_AT_CLOCK)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)
    else:
        yield

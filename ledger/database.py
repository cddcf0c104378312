"""The database behind the ledger: its engine, threads and transactions. What only SQLite needs is in here."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from ledger.errors import LedgerNotReady, LedgerUnavailable
from ledger.rows import Transactions

T = TypeVar("T")

_WRITES = "ledger_writes"
_BUSY_TIMEOUT_S = 30
_CHECKPOINT_TIMEOUT_S = 1
_POSTGRESQL_THREADS = 8


class Database:
    """Runs functions of a connection as transactions, off the event loop."""

    def __init__(self, *, url: str) -> None:
        self.engine = engine_for(url)
        self._writing = writing(self.engine)
        # SQLite has one writer at a time: a single thread lines ours up, so that none waits in a lock holding a thread.
        threads = 1 if self.is_sqlite else _POSTGRESQL_THREADS
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="ledger")
        self._reads = 0
        self._writes = 0

    @property
    def is_sqlite(self) -> bool:
        """Is it the embedded database?"""
        return self.engine.dialect.name == "sqlite"

    @property
    def transactions(self) -> Transactions:
        """Transactions begun so far."""
        return Transactions(reads=self._reads, writes=self._writes)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one read transaction."""
        self._reads += 1
        return await self._run(self.engine, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction; once more where another process took a unique row first."""
        self._writes += 1
        try:
            return await self._run(self._writing, work)
        except IntegrityError:
            self._writes += 1
        try:
            return await self._run(self._writing, work)
        except IntegrityError as error:
            raise _unavailable(error) from None

    async def checkpoint(self) -> None:
        """Bring SQLite's write-ahead log into the file and cut it, so that nothing deleted lingers there."""
        if not self.is_sqlite:
            return

        def truncate() -> None:
            connection = self.engine.raw_connection()
            cursor = connection.cursor()
            try:
                # Readers elsewhere may keep the log in use. Then the next checkpoint cuts it; ours mustn't wait long,
                # since every write of this process waits behind it.
                cursor.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_TIMEOUT_S * 1000}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise LedgerUnavailable(f"the checkpoint failed: {error.sqlite_errorname}") from None
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1000}")
                cursor.close()
                connection.close()

        await self._off_loop(truncate)

    def close(self) -> None:
        """Let what runs end, then close every connection."""
        self._threads.shutdown()
        self.engine.dispose()

    async def _run(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with engine.begin() as connection:
                return work(connection)

        return await self._off_loop(transaction)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise _unavailable(error) from None


def engine_for(url: str) -> Engine:
    """An engine whose errors show no parameters, set up for several processes on one file where it is SQLite.

    Raises:
        LedgerNotReady: the address is none of a database we know; it is not shown, as it may hold a password.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return _sqlite_engine(address)
        if address.get_backend_name() == "postgresql":
            return create_engine(
                address, hide_parameters=True, pool_size=_POSTGRESQL_THREADS, max_overflow=0, pool_pre_ping=True
            )
    except (ArgumentError, ImportError):
        pass
    raise LedgerNotReady(
        "RETIREMENT_DATABASE_URL is no database address the ledger can use; "
        "write sqlite:////var/lib/retirement/ledger.db or postgresql+psycopg://user@host/name (and install psycopg)"
    )


def writing(engine: Engine) -> Engine:
    """The same engine, for transactions that write."""
    return engine.execution_options(**{_WRITES: True})


def insert_into(table: Table, *, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An insert that knows `on conflict`, which both databases spell alike. Costly to build: keep what comes of it."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _sqlite_engine(address: URL) -> Engine:
    _make_private(address.database)
    engine = create_engine(address, hide_parameters=True, pool_size=1, max_overflow=2)

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_S * 1000}",
            "synchronous = FULL",
            "secure_delete = ON",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        _turn_to_wal(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns to writing fails at once when another process writes, whatever the timeout.
        immediate = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _turn_to_wal(connection: sqlite3.Connection) -> None:
    """Choose the write-ahead log. Of those that open a new file at once, one turns it; SQLite has none wait."""
    until = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _make_private(path: str | None) -> None:
    """Let only its owner read a new database: until a case is closed, its workflow id names the subject.

    A file that is there is not opened: closing it would drop every lock that this process holds on it (POSIX), and another
    process that closes its last connection would then take the write-ahead log away from under ours.
    """
    if not path or path == ":memory:":
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK) or os.path.isdir(path):
            raise _not_openable(path, "PermissionError") from None
    except OSError as error:
        raise _not_openable(path, type(error).__name__) from None


def _not_openable(path: str, kind: str) -> LedgerNotReady:
    return LedgerNotReady(f"can't open the database file {path} ({kind}); is its folder there, and writable?")


def _unavailable(error: SQLAlchemyError) -> LedgerUnavailable:
    """Name the kind of error and the database's own code. Its text may quote values, so it is left out."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None) or "no code"
    return LedgerUnavailable(f"the ledger's database failed: {type(error).__name__} ({code})")

"""The databases of a worker: one engine, with its pool of connections, for each."""

import logging
import threading
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import AwaitRequired
from sqlalchemy.pool import QueuePool

#: Kept open while nobody asks. A service's database has better use for its connections.
_KEPT = 5
#: A connection this old is replaced: firewalls forget idle ones and tell nobody.
_OLDEST = 300
_LOGGED_AS = "service"

#: What libpq is told, where the URL doesn't say otherwise: who we are, and to notice when a host is gone.
_LIBPQ: dict[str, str | int] = {
    "connect_timeout": 5,
    "fallback_application_name": "account-retirement",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_LIBPQ_DRIVERS = frozenset({"psycopg", "psycopg2"})


class Engines:
    """Engines by URL. Used by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: dict[tuple[str, int], Engine] = {}
        _silence()

    def of(self, url: URL, *, limit: int) -> Engine:
        """The engine for a URL, whose pool opens as many connections as `limit` calls need, and those that were given up.

        Raises:
            ImportError, SQLAlchemyError: the driver is missing or asynchronous, or the URL can't be used.
        """
        # The password isn't part of the key: a new one replaces the old one's engine.
        key = (url.render_as_string(), limit)
        with self._lock:
            engine = self._engines.get(key)
            if engine is not None and engine.url == url:
                return engine
            if engine is not None:
                engine.dispose()
            engine = self._engines[key] = _made(url, limit=limit)
            return engine

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.dispose()


def _made(url: URL, *, limit: int) -> Engine:
    if url.get_dialect().is_async:
        raise AwaitRequired("calls are made in threads, by a synchronous driver")
    kept = min(limit, _KEPT)
    return create_engine(
        url,
        hide_parameters=True,
        connect_args=_connect_args(url),
        poolclass=QueuePool,
        pool_size=kept,
        max_overflow=2 * limit - kept,
        pool_timeout=1,
        pool_pre_ping=True,
        pool_recycle=_OLDEST,
        logging_name=_LOGGED_AS,
        pool_logging_name=_LOGGED_AS,
    )


def _connect_args(url: URL) -> dict[str, Any]:
    if url.drivername.partition("+")[2] not in _LIBPQ_DRIVERS:
        return {}
    return {name: value for name, value in _LIBPQ.items() if name not in url.query}


def _silence() -> None:
    """These loggers tell rows and the texts of errors, which hold values. What went wrong is in our own answers."""
    for place in ("sqlalchemy.engine.Engine", "sqlalchemy.pool.impl.QueuePool"):
        logging.getLogger(f"{place}.{_LOGGED_AS}").disabled = True

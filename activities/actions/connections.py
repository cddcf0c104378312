"""The connections of a worker, lent to one exchange at a time."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

CONNECT_TIMEOUT = 5.0
#: An idle connection is given up sooner than common servers do it (5 s): a reused one must not be closing just then.
_KEPT_IDLE = 4.0
_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEPT_IDLE)
#: How many an origin keeps idle. How many are lent at a time is bounded by the services' bulkhead, not here.
_MOST_IDLE = 50


class Connections:
    """Lends connections. The one given back last goes out first, so that the others grow old.

    Each is a client with a pool of one: a pool of many looks at every idle connection's socket for every request.
    """

    def __init__(self, *, user_agent: str) -> None:
        self._user_agent = user_agent
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[str, list[httpx.AsyncClient]] = {}

    @asynccontextmanager
    async def lend(self, origin: str) -> AsyncIterator[httpx.AsyncClient]:
        """A connection to an origin, opened where none is idle."""
        idle = self._idle.setdefault(origin, [])
        client = idle.pop() if idle else self._new()
        try:
            yield client
        finally:
            if len(idle) < _MOST_IDLE:
                idle.append(client)
            else:
                await client.aclose()

    async def close(self) -> None:
        """Close those that are idle."""
        idle, self._idle = self._idle, {}
        for clients in idle.values():
            for client in clients:
                await client.aclose()

    def _new(self) -> httpx.AsyncClient:
        if self._tls is None:
            # Loading the authorities takes 20 ms and more: once, not once a connection.
            self._tls = httpx.create_ssl_context()
        return httpx.AsyncClient(
            verify=self._tls,
            follow_redirects=False,
            limits=_ONE,
            # How long the whole exchange may take is the caller's limit.
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            # No cookie is kept: one person's session must not travel with the next person's request.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            # Without compression the cap on the body is a cap on memory.
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity", "Accept": "application/json"},
        )

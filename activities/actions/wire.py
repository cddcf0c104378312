"""One HTTP exchange: pooled connections, every limit in one place, and every way of failing turned into an answer."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

from activities.actions.answers import Answer, NoAnswer
from activities.actions.bulkhead import NO_SLOT

_CONNECT_TIMEOUT = 5.0
#: Of what is larger nothing is kept, whichever kind of service answers it.
LARGEST_BODY = 1024 * 1024
#: Connections are bounded by the services' bulkhead, not here: services behind one origin share its pool. An idle one is
#: given up sooner than common servers do it (5 s): a reused one must not be closing just then.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=4.0)

TIMEOUT = "timeout"

#: Every exception of httpx by class; a subclass without a line of its own counts as its nearest base.
#: `touched` is False only where it is certain that no request reached the service.
NO_ANSWERS: Mapping[type[Exception], NoAnswer] = {
    httpx.ConnectError: NoAnswer(code="connect_error", touched=False),
    httpx.ConnectTimeout: NoAnswer(code="connect_timeout", touched=False),
    httpx.PoolTimeout: NO_SLOT,
    httpx.ProxyError: NoAnswer(code="proxy_error", touched=False),
    httpx.ReadTimeout: NoAnswer(code=TIMEOUT, touched=True),
    httpx.WriteTimeout: NoAnswer(code=TIMEOUT, touched=True),
    httpx.TimeoutException: NoAnswer(code=TIMEOUT, touched=True),
    httpx.ReadError: NoAnswer(code="read_error", touched=True),
    httpx.WriteError: NoAnswer(code="write_error", touched=True),
    httpx.CloseError: NoAnswer(code="connection_lost", touched=True),
    httpx.NetworkError: NoAnswer(code="connection_lost", touched=True),
    httpx.RemoteProtocolError: NoAnswer(code="connection_lost", touched=True),
    httpx.DecodingError: NoAnswer(code="unreadable_answer", touched=True),
    httpx.ProtocolError: NoAnswer(code="protocol_error", touched=True),
    httpx.TransportError: NoAnswer(code="transport_error", touched=True),
    httpx.RequestError: NoAnswer(code="transport_error", touched=True),
    # Our side made a request that can't be sent: it will be the same every time.
    httpx.LocalProtocolError: NoAnswer(code="bad_request_built", touched=True, may_pass=False),
    httpx.UnsupportedProtocol: NoAnswer(code="bad_url", touched=False, may_pass=False),
    httpx.InvalidURL: NoAnswer(code="bad_url", touched=False, may_pass=False),
    # We neither follow redirects nor raise for a status; told apart all the same, so that nothing is unmapped.
    httpx.TooManyRedirects: NoAnswer(code="redirected", touched=True, may_pass=False),
    httpx.HTTPStatusError: NoAnswer(code="unexpected_status", touched=True, may_pass=False),
    httpx.HTTPError: NoAnswer(code="transport_error", touched=True),
    # Faults of our own use of the library.
    httpx.CookieConflict: NoAnswer(code="internal_error", touched=True),
    httpx.StreamConsumed: NoAnswer(code="internal_error", touched=True),
    httpx.StreamClosed: NoAnswer(code="internal_error", touched=True),
    httpx.ResponseNotRead: NoAnswer(code="internal_error", touched=True),
    httpx.RequestNotRead: NoAnswer(code="internal_error", touched=True),
    httpx.StreamError: NoAnswer(code="internal_error", touched=True),
}


def no_answer(error: Exception) -> NoAnswer:
    """What an exception of the client library says about the service."""
    for kind in type(error).__mro__:
        if kind in NO_ANSWERS:
            return NO_ANSWERS[kind]
    return NoAnswer(code="internal_error", touched=True)


class BadAddress(Exception):
    """A base URL that is none; the plan or the worker's environment is to be mended. Holds no value."""


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, in one spelling.

    Raises:
        BadAddress: not an absolute http or https URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if not parts.hostname:
            raise ValueError
    except (ValueError, KeyError):
        raise BadAddress("a base URL needs http:// or https:// and a host") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


class Wire:
    """The connections of a worker: one pool an origin."""

    def __init__(self, *, version: str) -> None:
        self._user_agent = f"account-retirement/{version}"
        self._tls: ssl.SSLContext | None = None
        self._pools: dict[str, httpx.AsyncClient] = {}

    async def send(
        self,
        *,
        method: str,
        url: str,
        timeout: float,  # noqa: ASYNC109 - a limit of the exchange, which is answered and not raised
        headers: Mapping[str, str | bytes],
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        basic: httpx.BasicAuth | None = None,
    ) -> Answer | NoAnswer:
        """Send one request and read its answer, within `timeout` seconds in all. Never raises for the network."""
        started = _Started()
        try:
            pool = self._pool(origin_of(url))
            request = pool.build_request(
                method, url, headers=_encoded(headers), content=content, data=dict(form) if form else None
            )
            async with asyncio.timeout(timeout):
                return await _exchange(pool, request, started=started, basic=basic)
        except TimeoutError:
            # A status that has arrived stands, even if its body never ends.
            return started.answer or NO_ANSWERS[httpx.TimeoutException]
        except BadAddress:
            return NO_ANSWERS[httpx.InvalidURL]
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError) as error:
            return started.answer or no_answer(error)

    async def close(self) -> None:
        """Close every pool."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()

    def _pool(self, origin: str) -> httpx.AsyncClient:
        pool = self._pools.get(origin)
        if pool is None:
            if self._tls is None:
                # Loading the authorities takes 20 ms and more: once, not once an origin.
                self._tls = httpx.create_ssl_context()
            pool = self._pools[origin] = httpx.AsyncClient(
                verify=self._tls,
                follow_redirects=False,
                limits=_LIMITS,
                # How long the whole exchange may take is the caller's limit.
                timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT),
                # No cookie is kept: one person's session must not travel with the next person's request.
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                # Without compression the cap on the body is a cap on memory.
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity", "Accept": "application/json"},
            )
        return pool


class _Started:
    """How far an exchange has come when it is cut off."""

    answer: Answer | None = None


def _encoded(headers: Mapping[str, str | bytes]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() if isinstance(value, str) else value for name, value in headers.items()}


async def _exchange(
    pool: httpx.AsyncClient, request: httpx.Request, *, started: _Started, basic: httpx.BasicAuth | None
) -> Answer:
    response = await pool.send(request, stream=True, auth=basic)
    try:
        headers = {name.lower(): value for name, value in response.headers.items()}
        started.answer = Answer(status=response.status_code, headers=headers)
        body = await _read(response)
        return Answer(status=response.status_code, headers=headers, body=_parsed(body, response))
    finally:
        await response.aclose()


async def _read(response: httpx.Response) -> bytes | None:
    """The body, None where it is larger than we read. Read even if unused: the connection can then serve again."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _parsed(body: bytes | None, response: httpx.Response) -> Any:
    if not body or not 200 <= response.status_code < 300 or "content-encoding" in response.headers:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None

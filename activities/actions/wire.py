"""One HTTP exchange: pooled connections, every limit in one place, and every way of failing turned into an answer."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from activities.actions.answers import Answer, NoAnswer
from activities.actions.bulkhead import NO_SLOT
from activities.actions.connections import Connections

#: Of what is larger nothing is kept, whichever kind of service answers it, unless whoever asks says otherwise.
LARGEST_BODY = 1024 * 1024
#: So many characters are kept of what an answer that isn't 2xx says. More than anybody passes on: a text is masked first
#: and cut off then, as half a name at the cut would be recognised by no mask.
LONGEST_SAID = 1000

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
    """Sends requests over the connections of a worker."""

    def __init__(self, *, version: str, largest_body: int = LARGEST_BODY) -> None:
        self._connections = Connections(user_agent=f"account-retirement/{version}")
        self._largest_body = largest_body

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
            async with self._connections.lend(origin_of(url)) as client:
                request = client.build_request(
                    method, url, headers=_encoded(headers), content=content, data=dict(form) if form else None
                )
                async with asyncio.timeout(timeout):
                    return await _exchange(client, request, started=started, basic=basic, largest=self._largest_body)
        except TimeoutError:
            # A status that has arrived stands, even if its body never ends.
            return started.answer or NO_ANSWERS[httpx.TimeoutException]
        except BadAddress:
            return NO_ANSWERS[httpx.InvalidURL]
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError) as error:
            return started.answer or no_answer(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


class _Started:
    """How far an exchange has come when it is cut off."""

    answer: Answer | None = None


def _encoded(headers: Mapping[str, str | bytes]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() if isinstance(value, str) else value for name, value in headers.items()}


async def _exchange(
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    started: _Started,
    basic: httpx.BasicAuth | None,
    largest: int,
) -> Answer:
    response = await client.send(request, stream=True, auth=basic)
    try:
        headers = {name.lower(): value for name, value in response.headers.items()}
        started.answer = Answer(status=response.status_code, headers=headers)
        body = await _read(response, largest=largest)
        return Answer(
            status=response.status_code, headers=headers, body=_parsed(body, response), said=_said(body, response)
        )
    finally:
        await response.aclose()


async def _read(response: httpx.Response, *, largest: int) -> bytes | None:
    """The body, None where it is larger than we read. Read even if unused: the connection can then serve again."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > largest:
            return None
    return bytes(body)


def _parsed(body: bytes | None, response: httpx.Response) -> Any:
    if not body or not 200 <= response.status_code < 300 or "content-encoding" in response.headers:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _said(body: bytes | None, response: httpx.Response) -> str | None:
    """How the text of an answer that isn't 2xx begins. What is no text in its charset shows as replacement characters."""
    if not body or 200 <= response.status_code < 300 or "content-encoding" in response.headers:
        return None
    beginning = body[: 4 * LONGEST_SAID]
    try:
        text = beginning.decode(response.charset_encoding or "utf-8", errors="replace")
    except (LookupError, ValueError):  # A charset that nobody knows, or that isn't one of texts.
        text = beginning.decode("utf-8", errors="replace")
    return text.strip()[:LONGEST_SAID].rstrip() or None

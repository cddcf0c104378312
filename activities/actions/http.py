"""The `http` action: a plan's request to a plan's service, over HTTP with JSON."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from activities.actions.action import Call, told
from activities.actions.answers import ROUTE_UNKNOWN, Answer, NoAnswer, Rules, Transient, meaning_of
from activities.actions.auth import Credentials
from activities.actions.bulkhead import NO_SLOT, Bulkhead
from activities.actions.wire import LARGEST_BODY, BadAddress, Wire, origin_of
from activities.addresses import address_of
from activities.rendering import encode_json, render_body, render_headers, render_path, render_query
from plans.requests import HttpRequest, Method
from plans.secrets import resolve, split_references
from plans.services import HttpService, NoAuth

_ROUTE_REMEMBERED = 3600.0

Headers = Mapping[str, str | bytes]
V = TypeVar("V")
W = TypeVar("W")


@dataclass(frozen=True, kw_only=True)
class _Exchange:
    """One request to be sent, all but what shows who we are."""

    method: Method
    url: str = field(repr=False)
    headers: Headers = field(repr=False, default_factory=dict)
    content: bytes | None = field(repr=False, default=None)


class HttpAction:
    """Calls services over HTTP. One for a worker: it holds the connections, their slots and the tokens."""

    def __init__(self, *, version: str, largest_body: int = LARGEST_BODY) -> None:
        self._wire = Wire(version=version, largest_body=largest_body)
        self._bulkhead = Bulkhead()
        self._credentials = Credentials(wire=self._wire)
        #: Whether a route answers "not found" for want of a person or of a route, by address, method and path template.
        self._routes: dict[tuple[str, str, str], tuple[float, bool]] = {}

    async def call(self, call: Call) -> Answer | NoAnswer:
        """Send the request; a renewable token that was refused is renewed once and the request repeated."""
        service, request = _http(call)
        headers: Headers = render_headers(_merged(service.headers, request.headers), call.context)
        content = None
        if request.body is not None:
            content = encode_json(render_body(request.body, call.context))
            headers = _merged(headers, {"Content-Type": "application/json"})
        if call.key is not None and request.method is not Method.GET:
            headers = _merged(headers, {"Idempotency-Key": call.key})
        exchange = _Exchange(method=request.method, url=_url_of(call), headers=headers, content=content)
        return await self._send_as_ourselves(service, exchange)

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """Ask the place an earlier answer named; `place_to_ask` has seen that it is of the service's own origin."""
        service, _ = _http(call)
        headers = render_headers(service.headers, call.context)
        return await self._send_as_ourselves(service, _Exchange(method=Method.GET, url=url, headers=headers))

    async def is_route_known(self, call: Call) -> bool | None:
        """Ask the same URL as a stranger, without body: a route that exists refuses that, and not by "not found".

        Nothing is sent that shows who we are or who is asked for: no credentials, no header or query parameter that is
        not the same for everybody. Asked once an hour for each route. Where there is nothing to leave out, the service
        would only answer the same again.
        """
        service, request = _http(call)
        if not _says_who_asks(service, request):
            return False
        route = (address_of(service), request.method.value, request.path)
        remembered = self._routes.get(route)
        if remembered is not None and time.monotonic() < remembered[0]:
            return remembered[1]
        headers = render_headers(_for_strangers(_merged(service.headers, request.headers)), {})
        exchange = _Exchange(method=request.method, url=_url_of(call, as_stranger=True), headers=headers)
        answer = await self._send(service, exchange)
        if isinstance(answer, NoAnswer) or isinstance(meaning_of(answer, Rules(method="GET")), Transient):
            return None
        # A redirect (to a login page) and 405, 501 are what unknown routes are answered with, too.
        known = answer.status not in ROUTE_UNKNOWN | {405, 501, 505} and not 300 <= answer.status < 400
        self._routes[route] = (time.monotonic() + _ROUTE_REMEMBERED, known)
        return known

    def place_to_ask(self, call: Call, *, url: object) -> str | None:
        """A URL that an answer to `call` named, made absolute; None where it is not of the service's own origin."""
        if not isinstance(url, str):
            return None
        try:
            absolute = str(httpx.URL(_url_of(call)).join(url))
            return absolute if origin_of(absolute) == origin_of(_url_of(call)) else None
        except (httpx.InvalidURL, BadAddress, ValueError):
            return None

    def describe(self, call: Call, answer: Answer | NoAnswer) -> str:
        """Method, path template and what came back: all that may be told of a call."""
        return told(call, answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def _send_as_ourselves(self, service: HttpService, exchange: _Exchange) -> Answer | NoAnswer:
        refused: Mapping[str, str] | None = None
        while True:
            ourselves = await self._credentials.headers(service.auth, refused=refused)
            if isinstance(ourselves, NoAnswer):
                return ourselves
            answer = await self._send(service, exchange, ourselves=ourselves)
            was_refused = isinstance(answer, Answer) and answer.status == 401
            if not was_refused or refused is not None or service.auth.type != "oauth2_client_credentials":
                return answer
            refused = ourselves

    async def _send(
        self, service: HttpService, exchange: _Exchange, *, ourselves: Headers | None = None
    ) -> Answer | NoAnswer:
        async with self._bulkhead.slot(address_of(service), limit=service.limits.concurrent) as has_slot:
            if not has_slot:
                return NO_SLOT
            return await self._wire.send(
                method=exchange.method,
                url=exchange.url,
                timeout=service.timeout.total_seconds(),
                headers=_merged(exchange.headers, ourselves or {}),
                content=exchange.content,
            )


def _http(call: Call) -> tuple[HttpService, HttpRequest]:
    """What the plan's check has made sure of: a service that is reached by HTTP is asked by HTTP."""
    assert isinstance(call.service, HttpService) and isinstance(call.request, HttpRequest)
    return call.service, call.request


def _url_of(call: Call, *, as_stranger: bool = False) -> str:
    service, request = _http(call)
    address = address_of(service)
    base = address if as_stranger else resolve(service.base_url)
    asked = {name: text for name, text in request.query.items() if not (as_stranger and _has_secret(text))}
    query = render_query(asked, call.context)
    url = base.rstrip("/") + render_path(request.path, call.context)
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _says_who_asks(service: HttpService, request: HttpRequest) -> bool:
    headers = _merged(service.headers, request.headers)
    return (
        not isinstance(service.auth, NoAuth)
        or _for_strangers(headers) != headers
        or any(_has_secret(text) for text in request.query.values())
        or address_of(service) != resolve(service.base_url)
    )


def _for_strangers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are the same for everybody. A route may need them: without, it would refuse everything alike."""
    return {name: text for name, text in headers.items() if not _has_secret(text) and "{" not in text}


def _has_secret(text: str) -> bool:
    return any(is_reference for is_reference, _ in split_references(text))


def _merged(first: Mapping[str, V], then: Mapping[str, W]) -> dict[str, V | W]:
    """Headers of two origins. The names' case is nobody's business, so the later one counts however it is written."""
    replaced = {name.lower() for name in then}
    return {**{name: value for name, value in first.items() if name.lower() not in replaced}, **then}

"""The `http` action: a plan's request to a plan's service, over HTTP with JSON."""

import time
from collections.abc import Mapping

import httpx

from activities.actions.action import Call
from activities.actions.answers import ROUTE_UNKNOWN, Answer, NoAnswer, Rules, Transient, meaning_of
from activities.actions.auth import Credentials
from activities.actions.wire import BadAddress, Wire, origin_of
from activities.rendering import encode_json, render_body, render_headers, render_path, render_query
from plans.model import Method, NoAuth
from plans.secrets import resolve
from workflows.names import HeldCause

_ROUTE_REMEMBERED = 3600.0

__all__ = ["BadAddress", "HttpAction", "origin_of"]


class HttpAction:
    """Calls services over HTTP. One for a worker: it holds the connections and the tokens."""

    def __init__(self, *, version: str) -> None:
        self._wire = Wire(version=version)
        self._credentials = Credentials(wire=self._wire)
        #: Whether a route answers "not found" for want of a person or of a route, by origin, method and path template.
        self._routes: dict[tuple[str, str, str], tuple[float, bool]] = {}

    async def call(self, call: Call) -> Answer | NoAnswer:
        """Send the request; a renewable token that was refused is renewed once and the request repeated."""
        request = call.request
        headers: dict[str, str | bytes] = dict(render_headers(request.headers, call.context))
        content = None
        if request.body is not None:
            content = encode_json(render_body(request.body, call.context))
            headers["Content-Type"] = "application/json"
        if call.key is not None and request.method is not Method.GET:
            headers["Idempotency-Key"] = call.key
        return await self._send_as_ourselves(call, url=_url_of(call), headers=headers, content=content)

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """Ask the place an earlier answer named; `place_to_ask` has seen that it is of the service's own origin."""
        return await self._send_as_ourselves(call, url=url, headers={}, content=None, method=Method.GET)

    async def is_route_known(self, call: Call) -> bool | None:
        """Ask the same URL without credentials and body: a route that exists refuses that, and not by "not found".

        Asked once an hour for each route. A service that takes no credentials would only answer the same again.
        """
        if isinstance(call.service.auth, NoAuth) and not call.request.headers:
            return False
        url = _url_of(call)
        route = (origin_of(url), call.request.method.value, call.request.path)
        remembered = self._routes.get(route)
        if remembered is not None and time.monotonic() < remembered[0]:
            return remembered[1]
        answer = await self._wire.send(
            method=call.request.method, url=url, timeout=call.service.timeout.total_seconds(), headers={}
        )
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
        said = answer.status if isinstance(answer, Answer) else answer.code
        return f"{call.request.method.value} {call.request.path} → {said}"

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def _send_as_ourselves(
        self,
        call: Call,
        *,
        url: str,
        headers: Mapping[str, str | bytes],
        content: bytes | None,
        method: Method | None = None,
    ) -> Answer | NoAnswer:
        refused: str | None = None
        while True:
            authorization = await self._credentials.authorization(call.service.auth, refused=refused)
            if isinstance(authorization, NoAnswer):
                return authorization
            if authorization is not None and not (authorization.isascii() and authorization.isprintable()):
                return NoAnswer(code="bad_token", touched=False, held=HeldCause.CREDENTIALS)
            answer = await self._wire.send(
                method=method or call.request.method,
                url=url,
                timeout=call.service.timeout.total_seconds(),
                headers={**headers, **({"Authorization": authorization} if authorization else {})},
                content=content,
            )
            was_refused = isinstance(answer, Answer) and answer.status == 401
            if not was_refused or refused is not None or call.service.auth.type != "oauth2_client_credentials":
                return answer
            refused = authorization


def _url_of(call: Call) -> str:
    base = resolve(call.service.base_url)
    origin_of(base)
    query = render_query(call.request.query, call.context)
    url = base.rstrip("/") + render_path(call.request.path, call.context)
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"

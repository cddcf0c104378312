"""A real HTTP server on a free loopback port that answers as told and keeps what it was sent."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.support.asgi import serving


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came over the wire. `target` is the path with its query, still encoded."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the service is to answer, after how many seconds. A `raw` body is sent as it is."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    raw: bytes | None = None


Behaviour = Reply | Callable[[Received], Reply] | Callable[[Received], Awaitable[Reply]]


class HttpService:
    """Answers each route from its script; the last answer of a script is repeated. An unknown route is a 404."""

    def __init__(self, *, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        #: Set whenever a request has arrived.
        self.arrived = asyncio.Event()
        self._scripts: dict[tuple[str, str], list[Behaviour]] = {}
        self._fallback: Behaviour = Reply(status=404)

    def on(self, method: str, target: str, *answers: Behaviour) -> None:
        """Script a route. `target` is compared with the encoded path and query."""
        self._scripts[method, target] = list(answers)

    def otherwise(self, answer: Behaviour) -> None:
        """What every other route answers."""
        self._fallback = answer

    def forget(self) -> None:
        """As new: no script, and nothing has arrived."""
        self._scripts.clear()
        self._fallback = Reply(status=404)
        self.received.clear()
        self.arrived.clear()

    def calls(self, method: str, target: str | None = None) -> list[Received]:
        """What arrived at a route, in order."""
        return [each for each in self.received if each.method == method and target in (None, each.target)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        query = scope["query_string"].decode()
        received = Received(
            method=request.method,
            target=scope["raw_path"].decode() + (f"?{query}" if query else ""),
            headers=dict(request.headers),
            body=await request.body(),
        )
        self.received.append(received)
        self.arrived.set()
        script = self._scripts.get((received.method, received.target))
        behaviour = self._fallback if script is None else script[0]
        if script is not None and len(script) > 1:
            script.pop(0)
        reply = behaviour if isinstance(behaviour, Reply) else behaviour(received)
        if not isinstance(reply, Reply):
            reply = await reply
        if reply.after:
            await asyncio.sleep(reply.after)
        content = reply.raw if reply.raw is not None else b"" if reply.body is None else json.dumps(reply.body).encode()
        await Response(content, status_code=reply.status, headers=reply.headers)(scope, receive, send)


def http_service() -> AbstractAsyncContextManager[HttpService]:
    """Serve until the end of the block."""
    return serving(lambda url: HttpService(url=url))

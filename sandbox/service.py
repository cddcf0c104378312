"""What the sandbox's services have in common: routes, credentials, the journal, and misbehaving on request."""

import asyncio
import hashlib
import hmac
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.faults import Fault, FaultKind, Faults
from sandbox.journal import Journal, open_database
from sandbox.server import close_connection, write_raw

CONTROL = "_sandbox"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a service says. A string is a page, anything else but None is JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, read. `fault` is how it is being mistreated."""

    method: str
    path: str
    arguments: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]
    raw_body: str
    key: str | None = None
    user_id: str | None = None
    fault: Fault | None = None

    @property
    def lying(self) -> bool:
        """Is the service to pretend only?"""
        return self.fault is not None and self.fault.kind is FaultKind.LIE

    @property
    def bearer(self) -> str:
        """The token of the Authorization header, or nothing."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path such as `/users/{user_id}`, and who answers."""

    method: str
    path: str
    endpoint: Callable[[Call], Answer]
    needs_token: bool = True
    #: The endpoint looks at `call.lying` itself; elsewhere a lie is what was done, rolled back.
    lies_itself: bool = False

    def arguments(self, *, method: str, segments: list[str]) -> dict[str, str] | None:
        """The named segments, or None where the route doesn't fit."""
        wanted = self.path.strip("/").split("/")
        if method != self.method or len(wanted) != len(segments):
            return None
        found = {}
        for want, segment in zip(wanted, segments, strict=True):
            if want.startswith("{"):
                found[want[1:-1]] = segment
            elif want != segment:
                return None
        return found


class Service:
    """An ASGI application over one SQLite database. Subclasses say what they keep and what they do."""

    name: ClassVar[str]
    schema: ClassVar[str]
    #: Does a repeated Idempotency-Key get the first answer again?
    honours_keys: ClassVar[bool] = False

    def __init__(self, *, database: Path) -> None:
        self.database: sqlite3.Connection = open_database(path=database, schema=self.schema)
        self.journal = Journal(database=self.database)
        self.faults = Faults(database=self.database)
        # The secret of whoever may call; given by environment, as an argument would show in the process list.
        self.secret = os.environ.get("SANDBOX_SECRET", "sandbox")
        self._routes = (*self._control_routes(), *self.controls(), *self.routes())

    # What a service has to say.

    def routes(self) -> Iterable[Route]:
        """The service's own routes."""
        raise NotImplementedError

    def add_person(self, person: dict[str, Any]) -> None:
        """Keep a person. Repeating it writes them back."""
        raise NotImplementedError

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """All that is kept of a person, or None."""
        raise NotImplementedError

    # What a service may say.

    def controls(self) -> Iterable[Route]:
        """Control pages beside those that every service has; see `control`."""
        return ()

    async def start(self) -> None:
        """Called once in the event loop, before the first request."""

    def user_of(self, call: Call) -> str | None:
        """Whom a request is about."""
        return call.arguments.get("user_id")

    def allows(self, call: Call) -> bool:
        """Are the credentials of the call good?"""
        return hmac.compare_digest(call.bearer.encode(), self.secret.encode())

    def forget_token(self, call: Call) -> None:
        """Make the call's token invalid from now on, where tokens can be."""

    def settle(self) -> None:
        """Do what has fallen due since the last request."""

    def effect(self, call: Call, effect: str, *, user_id: str | None = None, asset_id: str | None = None) -> None:
        """Note an effect of this call, on a person or on one thing of theirs."""
        self.journal.effect(user_id=user_id or call.user_id or "", effect=effect, key=call.key, asset_id=asset_id)

    # The machinery.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or mistreat it as told."""
        request = Request(scope, receive)
        # Split before decoding, so that an id with a slash stays one segment.
        segments = [unquote(segment) for segment in scope["raw_path"].decode("latin-1").strip("/").split("/")]
        method = request.method
        found = next(
            (
                (route, arguments)
                for route in self._routes
                if (arguments := route.arguments(method=method, segments=segments)) is not None
            ),
            None,
        )
        call = await _read(request, arguments=found[1] if found else {})
        self.settle()
        if call is None:
            await _respond(Answer(status=400, body={"error": "unreadable body"}))(scope, receive, send)
        elif found and segments[0] == CONTROL:
            await _respond(found[0].endpoint(call))(scope, receive, send)
        else:
            await self._serve(route=found[0] if found else None, call=call, scope=scope, receive=receive, send=send)

    async def _serve(self, *, route: Route | None, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        user_id = self.user_of(call)
        number = self.journal.request(method=call.method, path=call.path, user_id=user_id, key=call.key)
        kinds = tuple(kind for kind in FaultKind if _can_apply(kind, route=route))
        fault = self.faults.take(method=call.method, path=call.path, user_id=user_id, kinds=kinds)
        call = replace(call, user_id=user_id, fault=fault)
        kind = fault.kind if fault else None
        if fault and kind not in (FaultKind.LOST_ANSWER, FaultKind.JOB_FAILS, FaultKind.JOB_LATE):
            await asyncio.sleep(fault.seconds)
        if fault and kind is FaultKind.DROP:
            return await close_connection(scope, receive)
        if fault and kind is FaultKind.ECHO:
            self.journal.answered(number=number, status=fault.status)
            return await write_raw(scope, receive, self._echo(call, status=fault.status))
        answer = self._answer(route=route, call=call)
        if fault and kind is FaultKind.LOST_ANSWER:
            await asyncio.sleep(fault.seconds)
            return await close_connection(scope, receive)
        self.journal.answered(number=number, status=answer.status)
        await _respond(answer)(scope, receive, send)

    def _answer(self, *, route: Route | None, call: Call) -> Answer:
        """Decide and do. Everything in here is one step of the event loop, so two calls never mix."""
        kind = call.fault.kind if call.fault else None
        if call.fault and kind is FaultKind.STATUS:
            headers = {"retry-after": call.fault.retry_after} if call.fault.retry_after is not None else {}
            return Answer(status=call.fault.status, body={"error": "told to misbehave"}, headers=headers)
        if kind is FaultKind.TOKEN_EXPIRY:
            self.forget_token(call)
        if route is None:
            return Answer(status=404, body={"error": "no such path"})
        if route.needs_token and (kind is FaultKind.TOKEN_EXPIRY or not self.allows(call)):
            return Answer(status=401, body={"error": "invalid_token"}, headers={"www-authenticate": "Bearer"})
        if self.honours_keys and call.key is not None and call.method != "GET":
            return self._answer_once(route=route, call=call, key=call.key)
        return self._perform(route=route, call=call)

    def _answer_once(self, *, route: Route, call: Call, key: str) -> Answer:
        # With the body: a key that comes back with another wish must not be told that this one was granted.
        request = f"{call.method} {call.path} {hashlib.sha256(call.raw_body.encode()).hexdigest()}"
        known = self.journal.known_answer(key=key)
        if known is not None and known.request != request:
            return Answer(status=422, body={"error": "this Idempotency-Key was used for another request"})
        if known is not None:
            return Answer(status=known.status, body=known.body, headers={"idempotency-replayed": "true"})
        return self._perform(route=route, call=call, remember=(key, request))

    def _perform(self, *, route: Route, call: Call, remember: tuple[str, str] | None = None) -> Answer:
        self.database.execute("begin immediate")
        try:
            answer = route.endpoint(call)
            if call.lying and not route.lies_itself:
                self.database.execute("rollback")
                self.database.execute("begin immediate")
            # A lie is remembered like any answer: that is what makes it last under the same key.
            if remember is not None:
                self.journal.remember_answer(
                    key=remember[0], request=remember[1], status=answer.status, body=answer.body
                )
        except BaseException:
            self.database.execute("rollback")
            raise
        self.database.execute("commit")
        return answer

    def _echo(self, call: Call, *, status: int) -> bytes:
        """An answer that gives away all it can, as careless services do."""
        kept = self.kept(user_id=call.user_id) if call.user_id else None
        told = f"{call.method} {call.path} {call.raw_body} {json.dumps(kept, ensure_ascii=False, default=str)}"
        line = re.sub(r"[\r\n]", " ", told)
        body = json.dumps({"error": told, "request": call.body, "record": kept}, ensure_ascii=False).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase} {line}\r\nx-error: {line}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        return head.encode() + body

    def _control_routes(self) -> tuple[Route, ...]:
        return (
            control("POST", "users", self._add_people),
            control("GET", "users/{user_id}", self._show_person),
            control("GET", "effects", lambda call: Answer(body=self.journal.effects(user_id=call.query.get("user")))),
            control("GET", "requests", lambda call: Answer(body=self.journal.requests(user_id=call.query.get("user")))),
            control("POST", "faults", self._add_fault),
            control("GET", "faults", lambda call: Answer(body=self.faults.listed())),
            control("DELETE", "faults", self._clear_faults),
        )

    def _add_people(self, call: Call) -> Answer:
        people = call.body.get("people", [call.body])
        with self.database:  # rolls back where a person can't be read
            self.database.execute("begin immediate")
            for person in people:
                self.add_person(person)
        return Answer(status=201, body={"added": len(people)})

    def _show_person(self, call: Call) -> Answer:
        kept = self.kept(user_id=call.arguments["user_id"])
        return Answer(body=kept) if kept is not None else Answer(status=404, body={"error": "nobody"})

    def _add_fault(self, call: Call) -> Answer:
        try:
            fault = Fault.read(call.body)
        except ValueError as error:
            return Answer(status=400, body={"error": str(error)})
        return Answer(status=201, body={"fault": self.faults.add(fault=fault)})

    def _clear_faults(self, call: Call) -> Answer:
        self.faults.clear()
        return Answer(status=204)


def control(method: str, path: str, endpoint: Callable[[Call], Answer]) -> Route:
    """A control page: it needs no token, and no fault touches it."""
    return Route(method=method, path=f"/{CONTROL}/{path}", endpoint=endpoint, needs_token=False)


def read_number(text: str, *, most: int) -> int | None:
    """A number from 1 to `most` as a query has it, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    return int(text) if 0 < int(text) <= most else None


def _can_apply(kind: FaultKind, *, route: Route | None) -> bool:
    match kind:
        case FaultKind.LIE | FaultKind.LOST_ANSWER:
            return route is not None and route.method != "GET"
        case FaultKind.TOKEN_EXPIRY:
            return route is not None and route.needs_token
        case FaultKind.JOB_FAILS | FaultKind.JOB_LATE:
            return route is not None and route.lies_itself
        case _:
            return True


async def _read(request: Request, *, arguments: dict[str, str]) -> Call | None:
    raw = (await request.body()).decode("utf-8", "replace")
    body: Any = {}
    if raw and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body = dict(parse_qsl(raw))
    elif raw:
        try:
            body = json.loads(raw)
        except ValueError:
            return None
    return Call(
        method=request.method,
        path=request.scope["raw_path"].decode("latin-1"),
        arguments=arguments,
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=body if isinstance(body, dict) else {},
        raw_body=raw,
        key=request.headers.get("idempotency-key"),
    )


def _respond(answer: Answer) -> Response:
    if answer.body is None:
        return Response(status_code=answer.status, headers=answer.headers)
    if isinstance(answer.body, str):
        return HTMLResponse(answer.body, status_code=answer.status, headers=answer.headers)
    return JSONResponse(answer.body, status_code=answer.status, headers=answer.headers)

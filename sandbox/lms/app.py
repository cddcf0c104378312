"""The ASGI application: finds the route, keeps the rules of every call, misbehaves as told, records."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from starlette.types import Receive, Scope, Send

from sandbox.lms import account_page, guards
from sandbox.lms.calls import Answer, Call, Guard, Refused, Route
from sandbox.lms.certificates import Certificates
from sandbox.lms.control import CONTROL, Control
from sandbox.lms.faults import FaultKind, Faults, Released, Taken
from sandbox.lms.guards import Tokens
from sandbox.lms.neighbours import Neighbours
from sandbox.lms.partners import Partners
from sandbox.lms.people import Subject, subject_of
from sandbox.lms.recording import Recording
from sandbox.lms.routing import Routes
from sandbox.lms.settings import Settings
from sandbox.lms.statuses import Statuses
from sandbox.lms.steps import Steps
from sandbox.lms.store import Store
from sandbox.lms.usernames import Usernames
from sandbox.lms.vendors import Vendors
from sandbox.server import close_connection

#: What happens to a request whoever sends it …
_ON_ARRIVAL = (FaultKind.DROP, FaultKind.REDIRECT, FaultKind.MISSING_ROUTE, FaultKind.HOLD)
#: … and what only to one with good credentials, so that a 404 told here is a 401 without them.
_ONCE_LET_IN = (
    FaultKind.MOVED_BEFORE,
    FaultKind.STATUS,
    FaultKind.MOVED_AFTER,
    FaultKind.HOLD_ANSWER,
    FaultKind.LOST_ANSWER,
    FaultKind.OTHER_ANSWER,
)


class StandIn:
    """The whole site in one application."""

    name: ClassVar[str] = "lms"

    def __init__(self, *, database: Path) -> None:
        self.store = Store(path=database)
        self.tokens = Tokens()
        self.faults = Faults()
        self.recording = Recording(database=self.store.database)
        self.settings = self._kept_settings()
        self.routes = self._build_routes()
        self._control = Control(site=self)

    async def start(self) -> None:
        """Nothing runs beside the requests."""

    def change_settings(self, settings: Settings) -> None:
        """Be another site from now on."""
        self.settings = settings
        self.routes = self._build_routes()
        kept = json.dumps(vars(settings))
        self.store.database.execute("insert or replace into settings values (1, ?)", (kept,))

    def reset(self) -> None:
        """Begin anew with the defaults: no learners, no faults, no requests, no tokens."""
        self.faults.clear(done=False)
        self.tokens.revoke_all()
        self.recording.clear()
        self.store.reset()
        self.change_settings(Settings())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or mistreat it as told."""
        path = scope["raw_path"].decode("latin-1")
        body = await _body(receive)
        if path.startswith(CONTROL):
            answer = self._control.answer(
                method=scope["method"], path=path, query=scope["query_string"].decode("latin-1"), body=body
            )
            return await _say(answer, send=send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        found, arguments = self._find(method=scope["method"], path=path)
        call = Call(
            method=scope["method"],
            path=path,
            arguments=arguments,
            query_string=scope["query_string"].decode("latin-1"),
            headers=headers,
            body=body,
        )
        try:
            answer = await self._serve(call, found=found)
        except (Released, _HangUp):
            return await close_connection(scope, receive)
        await _say(answer, send=send)

    async def _serve(self, call: Call, *, found: list[Route]) -> Answer:
        """Everything but the faults that wait is one step of the event loop: two calls never mix."""
        route = found[0] if len(found) == 1 and found[0].method == call.method else None
        number = None
        subject = Subject()
        self.recording.counts[route.name if route else "none"] += 1
        if self.settings.records or self.faults:
            subject = subject_of(call, store=self.store)
        if self.settings.records:
            number = self.recording.request(
                service=route.service if route else None,
                route=route.name if route else None,
                method=call.method,
                path=call.path,
                query=call.query_string,
                headers=call.headers,
                body=call.body,
                row_id=subject.row_id,
            )
        answer = await self._mistreat(call, found=found, route=route, subject=subject) if self.faults else None
        if answer is None:
            answer = self._answer(call, found=found, route=route)
        if number is not None:
            self.recording.answered(number, status=answer.status)
        return answer

    def _answer(self, call: Call, *, found: list[Route], route: Route | None) -> Answer:
        try:
            self._let_in(call, found=found)
            assert route is not None
            return route.endpoint(call)
        except Refused as refused:
            return refused.answer

    def _let_in(self, call: Call, *, found: list[Route]) -> None:
        """Keep the order of the LMS: is there such a path, who asks, with which method, for what.

        Raises:
            Refused: any of these is wrong.
        """
        if not found:
            raise Refused(404, {"detail": "Not found."})
        guards.check(call, route=found[0], settings=self.settings, tokens=self.tokens)
        if found[0].method != call.method:
            raise Refused(405, {"detail": f'Method "{call.method}" not allowed.'})
        if any(name not in found[0].query for name, _ in call.query):
            raise Refused(400, "Unknown query parameter")

    async def _mistreat(
        self, call: Call, *, found: list[Route], route: Route | None, subject: Subject
    ) -> Answer | None:
        """The answer under the faults that apply, or None where none does."""
        about: dict[str, Any] = {
            "route": route,
            "method": call.method,
            "path": call.path,
            "username": subject.username,
            "new_state": call.json.get("new_state") if isinstance(call.json, dict) else None,
        }
        arriving = _by_kind(self.faults.taken(_ON_ARRIVAL, **about))
        if FaultKind.HOLD in arriving:
            await arriving[FaultKind.HOLD].hold()
        if FaultKind.DROP in arriving:
            raise _HangUp
        if redirect := arriving.get(FaultKind.REDIRECT):
            return Answer(status=301, headers={"location": redirect.fault.location})
        if FaultKind.MISSING_ROUTE in arriving:
            return Answer(status=404, body={"detail": "Not found."})
        if route and route.guard is Guard.JWT and self.faults.taken((FaultKind.REFUSE_TOKEN,), **about):
            self.tokens.forget(guards.token_of(call))
            return Answer(status=401, body={"detail": "Signature has expired."})
        try:
            self._let_in(call, found=found)
        except Refused as refused:
            return refused.answer
        return await self._mistreat_good(call, route=route, subject=subject, about=about)

    async def _mistreat_good(
        self, call: Call, *, route: Route | None, subject: Subject, about: Mapping[str, Any]
    ) -> Answer:
        taken = _by_kind(self.faults.taken(_ONCE_LET_IN, **about))
        if moved := taken.get(FaultKind.MOVED_BEFORE):
            self._move(subject, state=moved.fault.state)
        if status := taken.get(FaultKind.STATUS):
            return _told(status)
        assert route is not None
        try:
            answer = route.endpoint(call)
        except Refused as refused:
            answer = refused.answer
        if moved := taken.get(FaultKind.MOVED_AFTER):
            self._move(subject, state=moved.fault.state)
        if hold := taken.get(FaultKind.HOLD_ANSWER):
            await hold.hold()
        if FaultKind.LOST_ANSWER in taken:
            raise _HangUp
        other = taken.get(FaultKind.OTHER_ANSWER)
        return answer if other is None else _told(other)

    def _move(self, subject: Subject, *, state: str) -> None:
        row = None if subject.row_id is None else self.store.row(subject.row_id)
        if row is not None:
            self.store.move(row, state=state, response="Moved by another driver")

    def _find(self, *, method: str, path: str) -> tuple[list[Route], dict[str, str]]:
        prefix = self.settings.prefix
        below = bool(prefix) and path.startswith(f"{prefix}/")
        found, arguments = self.routes.find(method=method, path=path.removeprefix(prefix) if below else path)
        # Of a site below a prefix the LMS is found there alone, and nothing else is.
        return [
            route
            for route in found
            if route.name not in self.settings.missing_routes and (not prefix or (route.service == "lms") == below)
        ], arguments

    def _kept_settings(self) -> Settings:
        kept = self.store.database.execute("select body from settings").fetchone()
        return Settings() if kept is None else Settings.read(json.loads(kept["body"]))

    def _build_routes(self) -> Routes:
        store, settings = self.store, self.settings
        token = Route(
            name="token",
            service="lms",
            method="POST",
            path="/oauth2/access_token",
            endpoint=lambda call: guards.grant(call, settings=self.settings, tokens=self.tokens),
            guard=Guard.OPEN,
        )
        return Routes(
            [
                token,
                *Statuses(store=store, settings=settings).routes(),
                *Steps(store=store).routes(),
                *Partners(store=store, settings=settings).routes(),
                *account_page.routes(store=store, settings=settings, tokens=self.tokens),
                *Usernames(store=store, settings=settings).routes(),
                *Certificates(store=store, settings=settings).routes(),
                *Neighbours(store=store, settings=settings).routes(),
                *Vendors(store=store, settings=settings).routes(),
            ]
        )


class _HangUp(Exception):
    """The connection is closed without an answer."""


def _by_kind(taken: list[Taken]) -> dict[FaultKind, Taken]:
    # Of two of a kind that apply at once the one told first counts.
    return {each.fault.kind: each for each in reversed(taken)}


def _told(taken: Taken) -> Answer:
    fault = taken.fault
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    return Answer(status=fault.status, body=body, headers=fault.headers)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def _say(answer: Answer, *, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    body = b""
    if isinstance(answer.body, bytes):
        body = answer.body
    elif answer.body is not None:
        body = json.dumps(answer.body).encode()
        if "content-type" not in {name.lower() for name in answer.headers}:
            headers.append((b"content-type", b"application/json"))
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body if answer.status != 204 else b""})

"""A membership service over real HTTP that does everything right, or has exactly one fault."""

import asyncio
import contextlib
import posixpath
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tests.support.asgi import serving

TOKEN = "members-t0ken"


class Fault(StrEnum):
    """What is wrong with the service."""

    NONE = "none"
    PAGES = "reads are answered by a page"
    BLIND = "a read never sees anybody"
    SEES_EVERYBODY = "a read sees whoever is asked for"
    UNKNOWN_BREAKS_READ = "a read of somebody unknown fails"
    READS_OPEN = "a read needs no credentials"
    ANY_TOKEN_READS = "a read takes any token"
    READ_DECODES_FIRST = "a read decodes the path before it is routed"
    READ_STUMBLES = "a read fails on letters beyond ASCII"
    LOGIN_PAGE = "a read without credentials leads to a login page"
    CHANGES_OPEN = "a change needs no credentials"
    ANY_TOKEN_CHANGES = "a change takes any token"
    UNKNOWN_BREAKS = "a change of somebody unknown fails"
    DECODES_FIRST = "a change decodes the path before it is routed"
    REFUSES = "an erasure is refused"
    SLOW = "an erasure takes longer than it may"
    FOREIGN_PLACE = "the place to ask belongs to somebody else"
    NEVER_DONE = "accepted work never ends"
    LIES = "an erasure is said to be done and is not"
    PERSON_BEFORE_TOKEN = "the person is looked up before the credentials"
    REPEAT_REFUSED = "a key is refused the second time"
    GONE_IS_CONFLICT = "the erasure of whoever is erased is a conflict"
    SHORT_KEYS = "keys of more than 64 characters are refused"
    STRICT_UNDO = "an unlock needs a lock"
    UNDO_ONCE = "a second unlock fails"
    RESTORES_NOTHING = "an unlock does nothing"
    RESTORES_TOO_MUCH = "an unlock also resets the name"
    RACES = "a second request for a person at the same time fails"
    TABLE_LOCK = "any second request at the same time is a conflict"
    STUCK_KEY = "a key whose caller has gone stays in progress"
    TAKES_THE_NEXT = "an erasure takes somebody else along"
    LOCKS_NOTHING = "a lock is accepted and does nothing"
    REPLACING_REFUSED = "the data of whoever can't be erased can't be replaced either"
    REPLACES_NOTHING = "replacing data is accepted and does nothing"
    REPLACES_ONCE = "data that was replaced can't be replaced again"
    SILENT_429 = "a 429 doesn't say when to come back"


@dataclass
class Member:
    """Somebody the service knows."""

    name: str
    locked: bool = False
    was_locked_once: bool = False
    email: str | None = None
    version: int = 1


@dataclass
class Members:
    """The application. Honours idempotency keys of erasures; a lock sets a state, whatever it was."""

    fault: Fault = Fault.NONE
    url: str = ""
    people: dict[str, Member] = field(default_factory=dict)
    erased: list[str] = field(default_factory=list)
    #: Who can't be erased (409): their data can only be replaced.
    bound: set[str] = field(default_factory=set)
    kept: dict[str, tuple[int, Any]] = field(default_factory=dict)
    at_work: set[str] = field(default_factory=set)
    jobs: list[str] = field(default_factory=list)
    was_busy: bool = False

    def add(self, *users: str, locked: bool = False) -> None:
        """Let people become members."""
        for user in users:
            self.people[user] = Member(name=f"Name of {user}", locked=locked, email=f"{user}@example.com")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._answer(request, raw_path=scope["raw_path"].decode("latin-1"))
        if self.fault is Fault.STUCK_KEY and request.method == "DELETE" and response.status_code == 200:
            await self._answer_slowly(request, response, receive, send)
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, *, raw_path: str) -> Response:
        reads = request.method == "GET"
        if self.fault is (Fault.READ_DECODES_FIRST if reads else Fault.DECODES_FIRST):
            decoded = unquote(raw_path).partition("?")[0].partition("#")[0].partition(";")[0]
            raw_path = posixpath.normpath(decoded).replace(" ", "")
        segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
        if refusal := self._refusal(request, segments):
            return refusal
        match request.method, segments:
            case "GET", ["members", user]:
                return self._show(user)
            case "DELETE", ["members", user]:
                return await self._erase(user, key=request.headers.get("idempotency-key", ""))
            case "PATCH", ["members", user]:
                return self._change(user, await request.json())
            case "PUT", ["members", user]:
                return self._replace(user, await request.json())
            case "POST", ["members", user, "lock" | "unlock" as verb]:
                return self._lock(user, locks=verb == "lock")
            case "POST", ["deletions"]:
                return self._accept((await request.json())["id"])
            case "GET", ["deletions", number]:
                return self._progress(int(number))
        return _nothing()

    def _refusal(self, request: Request, segments: list[str]) -> Response | None:
        reads = request.method == "GET"
        given = request.headers.get("authorization", "")
        if self.fault is Fault.PERSON_BEFORE_TOKEN and reads and segments[-1] not in self.people:
            return _nothing()
        if not given and self.fault is (Fault.READS_OPEN if reads else Fault.CHANGES_OPEN):
            return None
        if given and self.fault is (Fault.ANY_TOKEN_READS if reads else Fault.ANY_TOKEN_CHANGES):
            return None
        if given != f"Bearer {TOKEN}":
            if reads and not given and self.fault is Fault.LOGIN_PAGE:
                return Response(status_code=302, headers={"location": "/login"})
            return JSONResponse({"error": "who are you?"}, 401)
        if not self.was_busy:
            # Busy once: whoever is told when to come back does so.
            self.was_busy = True
            return Response(status_code=429, headers={} if self.fault is Fault.SILENT_429 else {"retry-after": "0"})
        return None

    def _show(self, user: str) -> Response:
        if self.fault is Fault.READ_STUMBLES and not user.isascii():
            return JSONResponse({"error": "codec"}, 500)
        member = self.people.get(user)
        if self.fault is Fault.BLIND:
            return _nothing()
        if member is None and self.fault is Fault.SEES_EVERYBODY:
            return JSONResponse({"id": user})
        if member is None:
            return JSONResponse({}, 500) if self.fault is Fault.UNKNOWN_BREAKS_READ else _nothing()
        if self.fault is Fault.PAGES:
            return HTMLResponse("<p>Welcome</p>")
        return JSONResponse(
            {"id": user, **{key: getattr(member, key) for key in ("name", "email", "locked", "version")}}
        )

    async def _erase(self, user: str, *, key: str) -> Response:
        if self.fault is Fault.SHORT_KEYS and len(key) > 64:
            return JSONResponse({"error": "key too long"}, 400)
        if key in self.kept:
            status, body = self.kept[key]
            return JSONResponse(body, 409 if self.fault in (Fault.REPEAT_REFUSED, Fault.STUCK_KEY) else status)
        while user in self.at_work:
            if self.fault is Fault.RACES:
                return JSONResponse({"error": "deadlock"}, 500)
            await asyncio.sleep(0.01)
        if self.at_work and self.fault is Fault.TABLE_LOCK:
            return JSONResponse({"error": "table is locked"}, 409)
        self.at_work.add(user)
        try:
            if user in self.people:
                await asyncio.sleep(1.0 if self.fault is Fault.SLOW else 0.3 if self.fault is Fault.RACES else 0.03)
            status = self._remove(user)
        finally:
            self.at_work.discard(user)
        if key and (status == 200 or self.fault is not Fault.STUCK_KEY):
            self.kept[key] = (status, {})
        return JSONResponse({}, status)

    def _remove(self, user: str) -> int:
        """Erase somebody; the status to answer."""
        if user not in self.people:
            if self.fault is Fault.UNKNOWN_BREAKS:
                return 500
            return 409 if self.fault is Fault.GONE_IS_CONFLICT and user in self.erased else 404
        if user in self.bound:
            return 409
        if self.fault is Fault.REFUSES:
            return 422
        if self.fault is Fault.LIES:
            return 200
        users = list(self.people)
        along = users[users.index(user) + 1 :][:1] if self.fault is Fault.TAKES_THE_NEXT and not self.erased else []
        for each in (user, *along):
            del self.people[each]
            self.erased.append(each)
        return 200

    async def _answer_slowly(self, request: Request, response: Response, receive: Any, send: Any) -> None:
        """Answer in two parts; the key is only free again once the second has been sent to somebody."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
        await send({"type": "http.response.body", "body": b"}"})
        self.kept.pop(request.headers.get("idempotency-key", ""), None)

    def _lock(self, user: str, *, locks: bool) -> Response:
        member = self.people.get(user)
        if member is None:
            return _nothing()
        if not locks and not member.locked:
            if self.fault is Fault.STRICT_UNDO:
                return JSONResponse({"error": "not locked"}, 409)
            if self.fault is Fault.UNDO_ONCE and member.was_locked_once:
                return JSONResponse({"error": "not locked any more"}, 409)
        was_locked = member.locked
        member.was_locked_once = member.was_locked_once or locks
        if self.fault is not (Fault.LOCKS_NOTHING if locks else Fault.RESTORES_NOTHING):
            member.locked = locks
        if not locks and was_locked and self.fault is Fault.RESTORES_TOO_MUCH:
            member.name = "Restored"
        return JSONResponse({"was_locked": was_locked})

    def _change(self, user: str, wanted: dict[str, Any]) -> Response:
        """Set what is known of what is wanted, and take the rest without a word, as many services do."""
        member = self.people.get(user)
        if member is None:
            return _nothing()
        member.version += 1
        member.locked = wanted.get("state", "locked" if member.locked else "active") == "locked"
        return JSONResponse({})

    def _replace(self, user: str, wanted: dict[str, Any]) -> Response:
        member = self.people.get(user)
        if member is None:
            return _nothing()
        if self.fault is Fault.REPLACING_REFUSED or (self.fault is Fault.REPLACES_ONCE and member.version > 1):
            return JSONResponse({"error": "not like this"}, 422)
        member.version += 1
        if self.fault is not Fault.REPLACES_NOTHING:
            member.name = wanted.get("name", member.name)
            member.email = wanted.get("email", member.email)
        return JSONResponse({})

    def _accept(self, user: str) -> Response:
        self.jobs.append(user)
        place = f"/deletions/{len(self.jobs) - 1}"
        if self.fault is Fault.FOREIGN_PLACE:
            place = f"https://elsewhere.example{place}"
        return JSONResponse({}, 202, headers={"location": place})

    def _progress(self, number: int) -> Response:
        if self.fault is Fault.NEVER_DONE:
            return JSONResponse({"state": "working"})
        user = self.jobs[number]
        if user in self.people:
            self._remove(user)
            return JSONResponse({"state": "working"})
        return JSONResponse({"state": "done"})


def _nothing() -> Response:
    return JSONResponse({"error": "not found"}, 404)


def a_plan(url: str, **changes: Any) -> dict[str, Any]:
    """A plan over this service: `erase` at once, `replace` where that is refused, `later` by 202, `lock` with undo."""
    member = {"path": "/members/{{ user_id }}"}
    see = {"request": {"method": "GET", **member}}
    document: dict[str, Any] = {
        "plan": "members",
        "subject": {
            "lookup": {
                "service": "members",
                "request": see["request"],
                "fields": {"name": "{{ body.name }}", "locked": "{{ body.locked }}"},
            }
        },
        "cool_off": {"duration": "14d"},
        "services": {
            "members": {
                "base_url": url,
                "auth": {"type": "bearer", "token": "${env:MEMBERS_TOKEN}"},
                "timeout": changes.get("timeout", "5s"),
            }
        },
        "steps": {
            "erase": {
                "phase": "erase",
                "service": "members",
                "request": {"method": "DELETE", **member},
                "absent": [404],
                "probe": see,
            },
            "replace": {
                "phase": "erase",
                "service": "members",
                "request": {"method": "DELETE", **member},
                "absent": [404],
                "probe": see,
                "on_permanent": {
                    "request": {"method": "PUT", **member, "json": {"name": "former member", "email": None}},
                    "probe": {**see, "gone_when": "body.name == 'former member' and body.email is none"},
                },
            },
            "later": {
                "phase": "erase",
                "service": "members",
                "request": {"method": "POST", "path": "/deletions", "json": {"id": "{{ user_id }}"}},
                "poll": {"url": "headers.location", "done": "body.state == 'done'", "every": "50ms"},
                "probe": see,
            },
            "lock": {
                "phase": "freeze",
                "service": "members",
                "request": {"method": "POST", "path": "/members/{{ user_id }}/lock"},
                "absent": [404],
                "undo": {
                    "request": {"method": "POST", "path": "/members/{{ user_id }}/unlock"},
                    **({} if changes.get("no_when") else {"when": "not subject.locked"}),
                },
            },
        },
    }
    return document


def members(fault: Fault = Fault.NONE) -> AbstractAsyncContextManager[Members]:
    """Serve until the end of the block."""
    return serving(lambda url: Members(fault=fault, url=url))

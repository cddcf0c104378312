"""How the stand-in can be told to misbehave: at which request, how, how often; and the holds of crash tests."""

import asyncio
import itertools
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from sandbox.lms.calls import Route


class FaultKind(StrEnum):
    """The ways to misbehave, in the order in which a request meets them."""

    #: Hangs up before anything is done.
    DROP = "drop"
    #: 301 to `location`, and nothing is done.
    REDIRECT = "redirect"
    #: 404 with and without credentials, as a path that this version lacks.
    MISSING_ROUTE = "missing_route"
    #: The request waits, before anything is looked at, for `seconds` (null: without end), or until it is released.
    HOLD = "hold"
    #: The token of the call is refused, now and later. Not at the token endpoint.
    REFUSE_TOKEN = "refuse_token"
    #: Somebody else moves the learner to `state` before the request is looked at.
    MOVED_BEFORE = "moved_before"
    #: Answers `status` to a call with good credentials, with `headers` and `body`, and does nothing.
    STATUS = "status"
    #: Somebody else moves the learner to `state` after the request was done.
    MOVED_AFTER = "moved_after"
    #: The request was done, and waits for its answer as with `hold`.
    HOLD_ANSWER = "hold_answer"
    #: The request was done; then hangs up.
    LOST_ANSWER = "lost_answer"
    #: The request was done; `status`, `headers` and `body` are said in place of what would have been.
    OTHER_ANSWER = "other_answer"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to misbehave. What is None doesn't limit the requests it fits."""

    kind: FaultKind
    #: Names of a route and of a service (lms, credentials, segment, …).
    route: str | None = None
    service: str | None = None
    method: str | None = None
    #: The path starts with this.
    path: str | None = None
    #: The learner's original username.
    username: str | None = None
    #: Fits updates to this state alone.
    new_state: str | None = None
    #: It begins with the n-th fitting request, and applies to so many of them; null is for ever.
    nth: int = 1
    times: int | None = 1
    seconds: float | None = 0
    status: int = 500
    #: A text is sent as it is, anything else but null as JSON.
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    location: str = "/elsewhere/"
    state: str = "ERRORED"

    @classmethod
    def read(cls, raw: Any) -> "Fault":
        """Read a fault from JSON.

        Raises:
            ValueError: not an object, an unknown field or kind; the message lists the known ones.
        """
        known = [each.name for each in fields(cls)]
        if not isinstance(raw, dict) or "kind" not in raw or not set(raw) <= set(known):
            raise ValueError(f"a fault is an object with kind and any of: {', '.join(known)}")
        try:
            return cls(**{**raw, "kind": FaultKind(raw["kind"])})
        except ValueError:
            raise ValueError(f"kind is one of: {', '.join(FaultKind)}") from None

    def fits(self, *, route: Route | None, method: str, path: str, username: str | None, new_state: object) -> bool:
        """Is it about this request?"""
        return (
            (self.route is None or (route is not None and route.name == self.route))
            and (self.service is None or (route is not None and route.service == self.service))
            and (self.method is None or self.method == method)
            and (self.path is None or path.startswith(self.path))
            and (self.username is None or self.username == username)
            and (self.new_state is None or self.new_state == new_state)
        )


class Released(Exception):
    """A held request is let go without being done: it never arrived."""


@dataclass(kw_only=True)
class _Active:
    """A fault with its counts. `held` are the requests that wait now."""

    number: int
    fault: Fault
    seen: int = 0
    hits: int = 0
    held: list[asyncio.Future[bool]] = field(default_factory=list)

    def take(self) -> bool:
        """One more fitting request: does it apply to this one?"""
        self.seen += 1
        fault = self.fault
        applies = self.seen >= fault.nth and (fault.times is None or self.seen < fault.nth + fault.times)
        self.hits += applies
        return applies


class Faults:
    """The misbehaviour that was told. It ends with the process."""

    def __init__(self) -> None:
        self._active: list[_Active] = []
        self._numbers = itertools.count(1)

    def __bool__(self) -> bool:
        """Is there any?"""
        return bool(self._active)

    def add(self, fault: Fault) -> int:
        """Misbehave from now on."""
        self._active.append(_Active(number=next(self._numbers), fault=fault))
        return self._active[-1].number

    def clear(self, *, done: bool) -> None:
        """Behave again. Whoever is held goes on, or is dropped where it is not to be `done`."""
        for active in self._active:
            _let_go(active, done=done)
        self._active.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Every fault, how many requests it has hit, and how many of them it holds now."""
        return [
            {**asdict(active.fault), "number": active.number, "hits": active.hits, "holding": len(active.held)}
            for active in self._active
        ]

    def release(self, number: int, *, done: bool) -> bool:
        """Let go whom this fault holds, and hold nobody any more. Is there such a fault?"""
        found = [active for active in self._active if active.number == number]
        for active in found:
            _let_go(active, done=done)
            self._active.remove(active)
        return bool(found)

    def taken(self, kinds: Collection[FaultKind], **request: Any) -> list["Taken"]:
        """The faults of these kinds that apply to a request (see `Fault.fits`); each is used up by one."""
        fitting = [active for active in self._active if active.fault.kind in kinds and active.fault.fits(**request)]
        return [Taken(fault=active.fault, active=active) for active in fitting if active.take()]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A fault that applies to a request."""

    fault: Fault
    active: _Active

    async def hold(self) -> None:
        """Wait as long as the fault says.

        Raises:
            Released: the request is not to be done at all.
        """
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.active.held.append(waiting)
        await asyncio.wait((waiting,), timeout=self.fault.seconds)
        if not waiting.done():
            self.active.held.remove(waiting)
        elif not waiting.result():
            raise Released


def _let_go(active: _Active, *, done: bool) -> None:
    for waiting in active.held:
        if not waiting.done():
            waiting.set_result(done)
    active.held.clear()

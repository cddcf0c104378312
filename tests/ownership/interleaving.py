"""One thing at a time, in an order that a seed chooses: every exchange and every transaction of activities that run side by side.

An activity stops before each request and each transaction and waits for its turn; whose turn is next, and who is killed instead,
is drawn from the seed. Clocks are virtual: time passes when nobody has anything else to do. The same seed gives the same order.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, TypeVar

from sqlalchemy import Connection

from activities.actions.answers import Answer, NoAnswer
from activities.actions.wire import Wire
from ledger.database import Database
from tests.ownership.connections import Connections

T = TypeVar("T")

#: When every interleaving begins.
BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
#: What one request or transaction takes.
_TICK = timedelta(milliseconds=20)
#: More than any graph needs: whoever gets here waits in a circle.
_MOST_TURNS = 20_000
#: After so many turns of the event loop, whoever can get to the next request or transaction has got there.
_LOOP_TURNS = 15


class Killed(BaseException):
    """kill -9: nothing of the program is asked, as nothing catches a BaseException."""


class Stuck(AssertionError):
    """Nobody gets any further."""


class Verdict(Enum):
    """What becomes of whoever has their turn."""

    GO = auto()
    #: Killed before anything was sent.
    KILLED_BEFORE = auto()
    #: Killed after it had its effect, before anybody heard of it.
    KILLED_AFTER = auto()


@dataclass(eq=False)
class Actor:
    """Somebody whose things are done one after the other, and who may be killed while at work."""

    name: str
    #: Whoever has the lowest goes on.
    rank: float
    #: What is killed together: the attempt at an activity, with all that it does side by side.
    attempt: "Attempt | None" = None
    is_over: bool = False


@dataclass(eq=False)
class Attempt:
    """One attempt at an activity. `began`: by the machine's clock, which the services' logs have, too."""

    actor: Actor
    began: float = field(default_factory=time.monotonic)
    is_dead: bool = False


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request that was sent. Its times are the machine's."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str]
    content: bytes | None
    #: When the attempt began that sent it.
    attempt: float
    sent: float
    #: None where nothing was answered.
    status: int | None


@dataclass(eq=False)
class _Turn:
    """A request or a transaction that waits."""

    actor: Actor
    attempt: Attempt | None
    not_before: datetime
    future: asyncio.Future[Verdict] = field(repr=False)


@dataclass(kw_only=True)
class Interleaving:
    """Actors side by side, of whom the first in rank goes on. Who comes first and who next is drawn once.

    `setbacks`: the turns at which whoever has it becomes the last in rank. Few of them find more than a new draw at each turn:
    what goes wrong only where one overtakes another by a whole life needs somebody to stand still for so long.
    `kills`: the turns at which somebody dies.
    """

    chance: random.Random
    connections: Connections
    setbacks: frozenset[int] = frozenset()
    kills: frozenset[int] = frozenset()
    #: In place of drawing who comes first.
    ranks: Mapping[str, float] = field(default_factory=dict)
    #: How many turns there were.
    turns: int = 0
    #: Whose turns they were, for comparing.
    order: list[str] = field(default_factory=list, repr=False)
    clock: datetime = BEGINNING
    exchanges: list[Exchange] = field(default_factory=list, repr=False)
    _waiting: list[_Turn] = field(default_factory=list, repr=False)
    _actors: list[Actor] = field(default_factory=list, repr=False)
    _at_work: int = 0
    _done: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def play(self, parts: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Let everybody play their part to its end.

        Raises:
            Stuck: somebody never comes to an end.
        """
        tasks = [
            asyncio.ensure_future(self._part(Actor(name, rank=self.ranks.get(name, self.chance.random())), part))
            for name, part in parts.items()
        ]
        try:
            while True:
                await self._settled()
                for task in tasks:
                    if task.done():
                        task.result()
                if not self._waiting:
                    break
                if self.turns > _MOST_TURNS:
                    raise Stuck(f"{self.turns} turns, and still there wait: {self._names()}")
                self._release(self._chosen())
            if not all(task.done() for task in tasks):
                raise Stuck(f"nobody has a turn, and there are left: {self._names()}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, instant: datetime) -> None:
        """Wait for an instant of the virtual clock."""
        await self._turn(not_before=instant)
        self._end_of_turn()

    async def during(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for one's turn, and have it for the length of `work`.

        Raises:
            Killed: before it, or after it.
        """
        verdict = await self._turn(not_before=self.clock)
        try:
            if verdict is Verdict.KILLED_BEFORE:
                raise Killed
            value = await work()
            if verdict is Verdict.KILLED_AFTER:
                raise Killed
            return value
        finally:
            self._end_of_turn()

    async def attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        """One attempt at an activity, which may be killed as a whole.

        Raises:
            Killed: it was.
        """
        actor = _actor.get()
        assert actor is not None
        attempt = actor.attempt = Attempt(actor)
        token = _attempt.set(attempt)
        try:
            return await work()
        finally:
            _attempt.reset(token)
            attempt.is_dead = True  # what it has left behind must not go on in its name
            actor.attempt = None

    def note(self, request: Mapping[str, Any], *, answer: Answer | NoAnswer, sent: float) -> None:
        """Keep what was sent, for whoever judges."""
        attempt = _attempt.get()
        self.exchanges.append(
            Exchange(
                method=request["method"],
                url=request["url"],
                headers=request["headers"],
                content=request.get("content"),
                attempt=sent if attempt is None else attempt.began,
                sent=sent,
                status=answer.status if isinstance(answer, Answer) else None,
            )
        )

    def stand_back(self) -> None:
        """Whoever calls it becomes the last in rank."""
        actor = _actor.get()
        assert actor is not None
        self._set_back(actor)

    async def _part(self, actor: Actor, part: Callable[[], Awaitable[None]]) -> None:
        self._actors.append(actor)
        _here.set(self)
        _actor.set(actor)
        try:
            await self._turn(not_before=self.clock)
            self._end_of_turn()
            await part()
        finally:
            actor.is_over = True

    async def _turn(self, *, not_before: datetime) -> Verdict:
        actor, attempt = _actor.get(), _attempt.get()
        assert actor is not None
        if attempt is not None and attempt.is_dead:
            raise Killed
        turn = _Turn(actor, attempt, not_before, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        return await turn.future

    def _end_of_turn(self) -> None:
        self._at_work -= 1
        self._done.set()

    async def _settled(self) -> None:
        """Wait until nothing is under way, and whoever goes on has come to their next turn."""
        while True:
            for _ in range(_LOOP_TURNS):
                if self._at_work:
                    break
                await _turn_of_the_loop()
                if all(actor.is_over or any(turn.actor is actor for turn in self._waiting) for actor in self._actors):
                    if self._actors:
                        break
            if not self._at_work:
                return
            self._done.clear()
            await self._done.wait()

    def _chosen(self) -> _Turn:
        ready = self._ready()
        if not ready:
            self.clock = min(turn.not_before for turn in self._waiting)
            ready = self._ready()
        first = min(ready, key=lambda turn: turn.actor.rank).actor
        return self.chance.choice([turn for turn in ready if turn.actor is first])

    def _ready(self) -> list[_Turn]:
        return [turn for turn in self._waiting if turn.not_before <= self.clock]

    def _release(self, turn: _Turn) -> None:
        self.turns += 1
        self.clock += _TICK
        self.order.append(turn.actor.name)
        self._waiting.remove(turn)
        if self.turns in self.setbacks:
            self._set_back(turn.actor)
        verdict = Verdict.GO
        if self.turns in self.kills and turn.attempt is not None:
            verdict = self.chance.choice((Verdict.KILLED_BEFORE, Verdict.KILLED_AFTER))
            everybody = self.chance.random() < 0.3  # one worker does it all
            for actor in self._actors if everybody else [turn.actor]:
                self._kill(actor)
        self._at_work += 1
        turn.future.set_result(verdict)

    def _set_back(self, actor: Actor) -> None:
        actor.rank = max(each.rank for each in self._actors) + 1

    def _kill(self, actor: Actor) -> None:
        if actor.attempt is None:
            return
        actor.attempt.is_dead = True
        for turn in [turn for turn in self._waiting if turn.attempt is actor.attempt]:
            self._waiting.remove(turn)
            turn.future.set_exception(Killed())

    def _names(self) -> str:
        return ", ".join(sorted(actor.name for actor in self._actors if not actor.is_over)) or "none"


def stand_back() -> None:
    """Let all others go first from here on."""
    here = _here.get()
    assert here is not None
    here.stand_back()


_here: ContextVar[Interleaving | None] = ContextVar("here", default=None)
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)
_attempt: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


class SteppedWire(Wire):
    """Each exchange is a turn."""

    async def send(self, **request: Any) -> Answer | NoAnswer:
        """Send a request when it is its turn."""
        here = _here.get()
        if here is None:
            return await super().send(**request)

        async def send() -> Answer | NoAnswer:
            sent = time.monotonic()
            answer = await here.connections.send(**{name: request[name] for name in request if name != "timeout"})
            here.note(request, answer=answer, sent=sent)
            return answer

        return await here.during(send)


class SteppedDatabase(Database):
    """Each transaction is a turn."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a read transaction when it is its turn."""
        here = _here.get()
        if here is None:
            return await super().read(work)
        return await here.during(lambda: super(SteppedDatabase, self).read(work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a write transaction when it is its turn."""
        here = _here.get()
        if here is None:
            return await super().write(work)
        return await here.during(lambda: super(SteppedDatabase, self).write(work))


async def _turn_of_the_loop() -> None:
    """Let everybody run who can run now."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn

"""An action that remembers what was asked, what came back and how long it took."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

from activities.actions.action import Action, Call
from activities.actions.answers import Answer, NoAnswer
from plans.services import HttpService


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A call and its answer. Both may hold values of the person."""

    call: Call = field(repr=False)
    answer: Answer | NoAnswer = field(repr=False)
    took: timedelta

    @property
    def status(self) -> int | None:
        """The status of the answer, None where none came."""
        return self.answer.status if isinstance(self.answer, Answer) else None

    @property
    def said(self) -> str:
        """What came back, in a word: a status, or a code where no answer came. Only HTTP has statuses of its own."""
        if isinstance(self.answer, NoAnswer):
            return f"nothing ({self.answer.code})"
        if isinstance(self.call.service, HttpService):
            return str(self.answer.status)
        return "not found" if self.answer.status == 404 else "found"


class Exchanges:
    """Wraps an action; the latest exchange is the last of `made`."""

    def __init__(self, action: Action) -> None:
        self._action = action
        self.made: list[Exchange] = []

    async def call(self, call: Call) -> Answer | NoAnswer:
        """As `Action.call`."""
        started = time.monotonic()
        return self._kept(call, await self._action.call(call), started=started)

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """As `Action.follow`."""
        started = time.monotonic()
        return self._kept(call, await self._action.follow(call, url=url), started=started)

    async def is_route_known(self, call: Call) -> bool | None:
        """As `Action.is_route_known`."""
        return await self._action.is_route_known(call)

    def place_to_ask(self, call: Call, *, url: object) -> str | None:
        """As `Action.place_to_ask`."""
        return self._action.place_to_ask(call, url=url)

    def describe(self, call: Call, answer: Answer | NoAnswer) -> str:
        """As `Action.describe`."""
        return self._action.describe(call, answer)

    async def close(self) -> None:
        """As `Action.close`."""
        await self._action.close()

    def _kept(self, call: Call, answer: Answer | NoAnswer, *, started: float) -> Answer | NoAnswer:
        self.made.append(Exchange(call=call, answer=answer, took=timedelta(seconds=time.monotonic() - started)))
        return answer

"""Asking again: where a service asks to come back later, and for what it may take a moment to show."""

import asyncio
import time
from datetime import timedelta

from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer, retry_after
from starter.exchanges import Exchanges

_MOST_WAITS = 3
_LONGEST_WAIT = timedelta(seconds=30)
#: Where the service doesn't say.
_WAIT_UNSAID = timedelta(seconds=1)
_BETWEEN_LOOKS = 0.25


class PatientExchanges(Exchanges):
    """Remembers every answer; one of 429 is waited out, as a retirement would, but not for long."""

    async def call(self, call: Call) -> Answer | NoAnswer:
        """As `Action.call`."""
        answer = await super().call(call)
        for _ in range(_MOST_WAITS):
            if not await _waited(answer):
                break
            answer = await super().call(call)
        return answer

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """As `Action.follow`."""
        answer = await super().follow(call, url=url)
        for _ in range(_MOST_WAITS):
            if not await _waited(answer):
                break
            answer = await super().follow(call, url=url)
        return answer


async def _waited(answer: Answer | NoAnswer) -> bool:
    if not isinstance(answer, Answer) or answer.status != 429:
        return False
    wished = retry_after(answer)
    wait = _WAIT_UNSAID if wished is None else min(wished, _LONGEST_WAIT)
    await asyncio.sleep(wait.total_seconds())
    return True


async def until_next_look(deadline: float) -> None:
    """Wait a moment before the same is asked again; no longer than to the deadline, by `time.monotonic`."""
    await asyncio.sleep(min(_BETWEEN_LOOKS, max(0.0, deadline - time.monotonic())))

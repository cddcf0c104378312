"""Saying what is waited for, where an answer takes long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starter.output import Output

_PATIENCE_SECONDS = 2.0


@asynccontextmanager
async def signs_of_life(out: Output) -> AsyncIterator[Callable[[str], None]]:
    """Gives a function that is told what to say next; it is said once nothing else has been told for two seconds."""
    waiting: asyncio.TimerHandle | None = None

    def say(text: str) -> None:
        nonlocal waiting
        if waiting is not None:
            waiting.cancel()
        waiting = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, out.note, text)

    try:
        yield say
    finally:
        if waiting is not None:
            waiting.cancel()

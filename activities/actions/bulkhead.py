"""The bulkhead: a service that hangs takes its own slots, and none of anybody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.actions.answers import NoAnswer

_LONGEST_WAIT = 0.5

#: No slot: nothing was sent, and no patience is used.
BUSY = "busy"
NO_SLOT = NoAnswer(code=BUSY, touched=False)


class Bulkhead:
    """Bounds a worker's calls in flight at each place. Whoever finds no slot soon gives way, so that nobody waits in line.

    A place is what answers or hangs as one: a base URL (an origin may be a gateway in front of many services), a
    database, a package. Two services may name the same place with different limits; each then has slots of its own.
    With a count for both, the one that allows more could keep the other out for good, and giving way costs no patience,
    so that nobody would ever hear of it. Services that agree on the limit share it.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], asyncio.Semaphore] = {}

    @asynccontextmanager
    async def slot(self, place: str, *, limit: int) -> AsyncIterator[bool]:
        """Hold one of the place's slots within the block. False: none came free within half a second.

        Hold it for one exchange, and ask for nothing that has slots of its own within it.
        """
        slots = self._slots.setdefault((place, limit), asyncio.Semaphore(limit))
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                await slots.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            slots.release()

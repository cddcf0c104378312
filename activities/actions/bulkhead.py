"""The bulkhead: a service that hangs takes its own slots, and none of anybody else's."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.actions.answers import NoAnswer

#: While no slot comes free for so long, whoever is served hangs.
_NO_MOVE = 0.5
#: However the line moves: an attempt stays a short one.
_LONGEST_WAIT = 10.0

#: No slot: nothing was sent, and no patience is used.
BUSY = "busy"
NO_SLOT = NoAnswer(code=BUSY, touched=False)


class _Slots:
    """The slots of one place."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)
        self._last_freed = time.monotonic()

    async def take(self) -> bool:
        """Wait in line for as long as it moves. False: it doesn't."""
        if not self._free.locked():
            return await self._free.acquire()  # at once: nobody waits before us
        begun = time.monotonic()
        taking = asyncio.ensure_future(self._free.acquire())
        try:
            while not taking.done():
                await asyncio.wait({taking}, timeout=_NO_MOVE)
                now = time.monotonic()
                moved_at = max(self._last_freed, begun)
                if not taking.done() and (now - moved_at >= _NO_MOVE or now - begun >= _LONGEST_WAIT):
                    return False
            return True
        finally:
            if not taking.done():
                taking.cancel()
            elif sys.exc_info()[0] is not None:
                self.give_back()  # cut off just as it was served

    def give_back(self) -> None:
        """Free a slot."""
        self._last_freed = time.monotonic()
        self._free.release()


class Bulkhead:
    """Bounds a worker's calls in flight at each place. Whoever finds the line standing still gives way.

    A place is what answers or hangs as one: a base URL (an origin may be a gateway in front of many services), a
    database, a package. Two services may name the same place with different limits; each then has slots of its own.
    With a count for both, the one that allows more could keep the other out for good, and giving way costs no patience,
    so that nobody would ever hear of it. Services that agree on the limit share it.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], _Slots] = {}

    @asynccontextmanager
    async def slot(self, place: str, *, limit: int) -> AsyncIterator[bool]:
        """Hold one of the place's slots within the block. False: none came free for half a second.

        Hold it for one exchange, and ask for nothing that has slots of its own within it.
        """
        slots = self._slots.get((place, limit))
        if slots is None:
            slots = self._slots[place, limit] = _Slots(limit)
        if not await slots.take():
            yield False
            return
        try:
            yield True
        finally:
            slots.give_back()

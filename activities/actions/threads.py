"""Blocking work in threads of its own, with a time limit that holds even where the work can't be stopped."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable

from activities.actions.answers import Answer, NoAnswer
from activities.actions.bulkhead import NO_SLOT, Bulkhead
from activities.actions.wire import TIMEOUT

Work = Callable[[], Answer | NoAnswer]

#: Given up, and it may go on all the same.
TIMED_OUT = NoAnswer(code=TIMEOUT, touched=True)
#: As many threads as there are slots were given up and still run: no more are begun. It costs patience, so that somebody hears.
STUCK = NoAnswer(code="stuck", touched=False)


class Threads:
    """Calls that block, bounded by a bulkhead.

    A thread can't be ended from outside. One that is given up gives its slot back, so that a hiccup costs nothing, and is
    counted until it ends, so that a service that always hangs can't collect threads without end. They are daemons: the
    worker's end waits for none of them.
    """

    def __init__(self) -> None:
        self._bulkhead = Bulkhead()
        self._given_up: Counter[str] = Counter()

    async def run(self, work: Work, *, place: str, limit: int, within: float) -> Answer | NoAnswer:
        """Do it in a thread, `limit` at a time at one place, for at most `within` seconds."""
        async with self._bulkhead.slot(place, limit=limit) as has_slot:
            if not has_slot:
                return NO_SLOT
            if self._given_up[place] >= limit:
                return STUCK
            ended = self._begin(work, place=place)
            try:
                async with asyncio.timeout(within):
                    return await ended
            except TimeoutError:
                # It may have ended in the very same instant.
                return TIMED_OUT if ended.cancelled() else ended.result()
            finally:
                if ended.cancelled():
                    self._given_up[place] += 1

    def _begin(self, work: Work, *, place: str) -> "asyncio.Future[Answer | NoAnswer]":
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Answer | NoAnswer] = loop.create_future()

        def tell(answer: Answer | NoAnswer) -> None:
            if ended.cancelled():
                self._given_up[place] -= 1
            else:
                ended.set_result(answer)

        def run() -> None:
            answer = _answer_of(work)
            # The loop may be gone: then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, answer)

        threading.Thread(target=run, name="retirement-call", daemon=True).start()
        return ended


def _answer_of(work: Work) -> Answer | NoAnswer:
    """What the work says. It is meant to say everything by its answer; what it raises all the same ends here, untold."""
    try:
        return work()
    except BaseException as error:
        return NoAnswer(code="internal_error", touched=True, kind=type(error).__name__)

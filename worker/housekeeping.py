"""What is looked after now and then: leases that ran out, what was shredded and lingers in the file, legal limits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from temporalio.client import Client

from ledger.ledger import Ledger
from worker.deadlines import Deadlines

logger = logging.getLogger("retirement.housekeeping")

_EVERY = 60.0


async def keep_house(ledger: Ledger, *, client: Client) -> None:
    """Until cancelled. All of it runs by the local clock, with days to spare."""
    deadlines = Deadlines(client=client, ledger=ledger)

    async def tell_of_deadlines() -> None:
        told = await deadlines.look(now=datetime.now(UTC))
        if told:
            logger.warning("legal limits have come near", extra={"count": told})

    async def tidy() -> None:
        expired = await ledger.expire_holders(now=datetime.now(UTC))
        await ledger.checkpoint()
        if expired:
            logger.warning("leases of the vault ran out", extra={"count": expired})

    while True:
        await asyncio.sleep(_EVERY)
        for chore in (tidy, tell_of_deadlines):
            await _try(chore)


async def _try(chore: Callable[[], Awaitable[None]]) -> None:
    """None of them keeps the others from being done."""
    try:
        await chore()
    except Exception:
        logger.warning("housekeeping failed; it is tried again in a minute", exc_info=True)

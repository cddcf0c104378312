"""What a ledger needs now and then: leases that ran out are ended, and what was shredded leaves the file."""

import asyncio
import logging
from datetime import UTC, datetime

from ledger.ledger import Ledger

logger = logging.getLogger("retirement.housekeeping")

_EVERY = 60.0


async def keep_house(ledger: Ledger) -> None:
    """Until cancelled. Leases run by the local clock, with days to spare."""
    while True:
        await asyncio.sleep(_EVERY)
        try:
            expired = await ledger.expire_holders(now=datetime.now(UTC))
            await ledger.checkpoint()
        except Exception:
            logger.warning("housekeeping failed; it is tried again in a minute", exc_info=True)
        else:
            if expired:
                logger.warning("leases of the vault ran out", extra={"count": expired})

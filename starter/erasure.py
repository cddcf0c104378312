"""What is gone, by the ledger's rows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.rows import Case


async def gone_of(case: "Case", *, ledger: "Ledger") -> list[str]:
    """Steps after which something is handed over or erased, or may be: one begun with an unknown outcome counts."""
    from ledger.opening import gone

    plan = await ledger.stored_plan(case.plan_digest)
    return gone(steps=await ledger.steps(case.retirement_id), plan=plan) if plan is not None else []

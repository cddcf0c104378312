"""What is gone, by the ledger's rows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.rows import Case


async def gone_of(case: "Case", *, ledger: "Ledger") -> list[str]:
    """Erase steps after which data is gone, or may be: one begun with an unknown outcome counts."""
    from ledger.rows import StepAction
    from workflows.state import GONE

    plan = await ledger.stored_plan(case.plan_digest)
    phases = plan.phases if plan is not None else {}
    return [
        row.step
        for row in await ledger.steps(case.retirement_id)
        if row.action is StepAction.DO
        and phases.get(row.step, "erase") == "erase"
        and (row.result in GONE or row.touched)
    ]

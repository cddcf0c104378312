"""Transfers that stand alone, as `retire transfer` opens and starts them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ledger.rows import StoredPlan
from ledger.transfers import TransferOpening, TransferWish
from plans.handing_over import handing_over
from plans.loading import Plans
from plans.outline import snapshot_of
from sandbox.client import Person
from tests.support.stage import Retirement, Stage
from workflows import names


def a_wish(
    stage: Stage,
    plan: str,
    *,
    owner: Person,
    successor: Person,
    assets: tuple[str, ...] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> TransferWish:
    """What is to be handed over, by a plan of the stage."""
    read = Plans(stage.settings.plans_dir, plan).get(plan)
    snapshot = snapshot_of(read)
    stored = StoredPlan(digest=snapshot.digest, name=snapshot.name, format=snapshot.format, document=snapshot.document)
    return TransferWish(
        user_id=owner.user_id,
        successor=successor.user_id,
        tenant=None,
        plan=stored,
        steps=tuple(handing_over(read).steps),
        assets=assets,
        subject=subject or {},
    )


async def open_transfer(stage: Stage, wish: TransferWish) -> TransferOpening:
    """Keep it in the ledger; no run takes it up."""
    return await stage.ledger.open_transfer(
        wish=wish,
        workflow_id=names.transfer_workflow_id(user_id=wish.user_id, tenant=wish.tenant),
        holders=(names.REPORT_HOLDER, "admins"),
        now=datetime.now(UTC),
    )


async def start_transfer(stage: Stage, wish: TransferWish, *, running_clock: bool = False, **fields: Any) -> Retirement:
    """Open a transfer and start its run. With `running_clock` its time does not skip until `Retirement.skip`."""
    opening = await open_transfer(stage, wish)
    assert opening.case is not None and opening.obstacle is None, opening
    return await run_transfer(
        stage, running_clock=running_clock, user_id=wish.user_id, resume=opening.case.retirement_id, **fields
    )


async def run_transfer(stage: Stage, *, running_clock: bool = False, **message: Any) -> Retirement:
    """Start a run with any message."""
    id = names.transfer_workflow_id(user_id=str(message.get("user_id")))
    async with stage.clock(running=running_clock):
        handle = await stage.client.start_workflow(names.TRANSFER_WORKFLOW_TYPE, message, id=id, task_queue=names.QUEUE)
    return Retirement(stage=stage, handle=handle)

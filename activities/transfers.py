"""Taking up a transfer that stands alone. It only reads and writes the ledger."""

from datetime import timedelta

from temporalio import activity

from activities.cases import hosts_of, opened_case
from ledger.ledger import Ledger
from plans.handing_over import handing_over
from plans.model import Plan
from plans.outline import outline_of, plan_from_document
from workflows import names
from workflows.messages import OpenCase, OpenedCase, PlanOutline
from workflows.names import Activity, Reason


class TransferActivities:
    """Gives runs their cases. Safe to repeat: the ledger answers a repeat as it answered the first time."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    @activity.defn(name=Activity.TAKE_UP_TRANSFER)
    async def take_up_transfer(self, argument: OpenCase) -> OpenedCase:
        """Take up the case that `retire transfer` has opened, or resume it. The plan is the one that it was given."""
        start = argument.start
        case = await self._ledger.case(start.resume or "")
        stored = None if case is None else await self._ledger.stored_plan(case.plan_digest)
        if stored is None:
            return OpenedCase(retirement_id=start.resume, refused=Reason.NOT_RESUMABLE)
        plan = plan_from_document(stored.document, format=stored.format)
        opening = await self._ledger.take_up_transfer(
            start=start,
            workflow_id=names.transfer_workflow_id(user_id=start.user_id, tenant=start.tenant),
            run_key=argument.run_key,
            hosts=hosts_of(plan),
            now=argument.now,
        )
        if opening.refused is not None or opening.case is None:
            return OpenedCase(retirement_id=start.resume, refused=opening.refused)
        outline = outline_of_transfer(plan, digest=stored.digest)
        opened = opened_case(opening, case=opening.case, outline=outline)
        # Neither is a date of a transfer: nobody's mind may change, and no law sets a limit.
        return opened.model_copy(update={"cool_off_ends_at": None, "due_at": None})


def outline_of_transfer(plan: Plan, *, digest: str) -> PlanOutline:
    """What a transfer branches on: the plan's outline without everything that is about a retirement."""
    outline = outline_of(plan, digest=digest, cool_off=timedelta(0))
    steps = handing_over(plan).steps
    return outline.model_copy(
        update={
            "freeze": (),
            "transfer": tuple(
                step.model_copy(update={"after": tuple(id for id in step.after if id in steps)})
                for step in outline.transfer
                if step.id in steps
            ),
            "erase": (),
            "release": (),
            "reminders": (),
            "expedite_allowed": False,
            "mails": False,
            "recipients": False,
        }
    )

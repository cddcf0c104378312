"""Legal limits that come near: operators hear once of each retirement that isn't finished, whether a run is at work or not."""

from datetime import datetime, timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from ledger.ledger import Ledger
from plans.deadlines import due_at
from plans.model import Plan
from plans.outline import UnknownPlanFormat, plan_from_document
from workflows.deliver_mail import DeliverMail
from workflows.messages import SendMail
from workflows.names import QUEUE, Mail, mail_workflow_id


class Deadlines:
    """Looks through the ledger. Of all workers that do so one tells: the mail's workflow id is taken only once."""

    def __init__(self, *, client: Client, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._plans: dict[str, Plan | None] = {}
        #: Mails that are begun and not on the record yet: the mail server may be away for days.
        self._begun: set[str] = set()

    async def look(self, *, now: datetime) -> int:
        """Begin a mail for each retirement that has come near its legal limit since; gives their number."""
        due: dict[str, SendMail] = {}
        for digest in await self._ledger.plans_at_work():
            plan = await self._plan(digest)
            if plan is None or plan.mail is None or not plan.mail.operators:
                continue
            by = now + nearness(plan, now=now)
            for retirement_id in await self._ledger.due_untold(plan_digest=digest, by=by):
                due[retirement_id] = SendMail(
                    retirement_id=retirement_id,
                    user_id="",  # not known here, and no concern of operators
                    plan_digest=digest,
                    mail=Mail.DEADLINE,
                    now=now,
                    patience=plan.mail.patience,
                )
        self._begun &= set(due)
        new = [mail for retirement_id, mail in due.items() if retirement_id not in self._begun]
        return sum([await self._begin(mail) for mail in new])

    async def _begin(self, mail: SendMail) -> bool:
        try:
            await self._client.start_workflow(
                DeliverMail.run,
                mail,
                id=mail_workflow_id(retirement_id=mail.retirement_id, mail=mail.mail),
                task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"mail: {mail.mail}",
            )
        except WorkflowAlreadyStartedError:
            is_new = False
        else:
            is_new = True
        self._begun.add(mail.retirement_id)
        return is_new

    async def _plan(self, digest: str) -> Plan | None:
        """A plan in use; None where a newer release has stored it, whose workers then look after it."""
        if digest not in self._plans:
            stored = await self._ledger.stored_plan(digest)
            assert stored is not None  # a case refers to it
            try:
                self._plans[digest] = plan_from_document(stored.document, format=stored.format)
            except UnknownPlanFormat:
                self._plans[digest] = None
        return self._plans[digest]


def nearness(plan: Plan, *, now: datetime) -> timedelta:
    """How long before its legal limit a retirement is near it: as the plan says, and never for more than half of its time."""
    assert plan.mail is not None
    whole = due_at(requested_at=now, deadline=plan.deadline) - now
    return min(plan.mail.deadline_near, whole / 2)

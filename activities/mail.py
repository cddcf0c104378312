"""Mails to the person and to the operators. A dead mailbox never fails or delays a retirement."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from temporalio import activity

from activities.attempts import Attempts, Trying, now
from activities.errors import try_again
from activities.mail_building import MailTemplates, UnusableAddress, build_message, greeting_name, recipient
from activities.smtp import MailNotAccepted, SmtpSettings, hand_in
from ledger.errors import UnknownCase, VaultLocked
from ledger.ledger import Ledger
from ledger.rows import Case, StepAction, StepRow
from plans.model import MailSettings, Plan, StepPhase
from plans.outline import plan_from_document
from workflows.messages import Failure, MailReport, SendMail
from workflows.names import Activity, Mail, StepResult

SENT = "sent"
GIVEN_UP = "given_up"
NO_ADDRESS = "no_address"
NO_MAIL = "no_mail"
LATER = "later"

_TO_OPERATORS = frozenset({Mail.ERRORED, Mail.HELD})


class MailActivities:
    """Sends the mails of retirements. What came of each is in the ledger; a mail recorded there is never sent again."""

    def __init__(self, *, ledger: Ledger, smtp: SmtpSettings, templates_dir: Path | None) -> None:
        self._ledger = ledger
        self._smtp = smtp
        self._templates = MailTemplates(overrides=templates_dir)
        self._attempts = Attempts(ledger=ledger)
        self._plans: dict[str, Plan] = {}

    @activity.defn(name=Activity.SEND_MAIL)
    async def send_mail(self, input: SendMail) -> MailReport:
        """Send one mail and record how it fared. After a crash in between it goes out again, under the same Message-ID.

        Without `patience` it is tried once, and a temporary failure is answered with `later` and not recorded.
        """
        plan = await self._plan(input.plan_digest)
        if plan.mail is None:
            report = MailReport(result=NO_MAIL)
            return await self._recorded(input, report) if input.last else report
        for row in await self._ledger.mails(input.retirement_id):
            if (row.mail, row.number) == (input.mail.value, input.number):
                return MailReport(result=row.result, code=row.code)
        try:
            report = await self._sent(input, plan=plan, mail=plan.mail)
        except MailNotAccepted as error:
            refused = error
        else:
            return await self._recorded(input, report)
        if refused.is_temporary:
            if input.patience is None:
                return MailReport(result=LATER, code=refused.code)
            await self._try_again_within_patience(input, code=refused.code, patience=input.patience)
        return await self._recorded(input, MailReport(result=GIVEN_UP, code=refused.code))

    async def _begin(self, input: SendMail) -> tuple[Case, Mapping[str, Any] | None]:
        """The case, and the person's fields. For operators the vault stays shut: it may be what they have to mend."""
        if input.mail in _TO_OPERATORS:
            case = await self._ledger.case(input.retirement_id)
            if case is None:
                raise UnknownCase("there is no case of this id")
            return case, {}
        try:
            start = await self._ledger.begin_step(
                retirement_id=input.retirement_id, step=_step_of(input), action=StepAction.MAIL
            )
        except VaultLocked:
            raise MailNotAccepted(code="vault_locked", is_temporary=True) from None
        return start.case, None if start.values is None else start.values["subject"]

    async def _sent(self, input: SendMail, *, plan: Plan, mail: MailSettings) -> MailReport:
        """Build the mail and hand it in. Only the mail server's refusals, and a template's, are raised."""
        case, subject = await self._begin(input)
        if subject is None:
            # Shredded already. A mail holds nothing up, so nobody is called to bring it back.
            return MailReport(result=GIVEN_UP, code="vault_missing")
        recipients: tuple[Address, ...] = ()
        if input.mail in _TO_OPERATORS:
            recipients = tuple(Address(addr_spec=address) for address in mail.operators)
        elif subject.get("email"):
            try:
                recipients = (recipient(email=subject["email"], name=subject.get("name")),)
            except UnusableAddress:
                return MailReport(result=GIVEN_UP, code="bad_address")
        if not recipients:
            return MailReport(result=NO_ADDRESS)
        context = await self._context(input, plan=plan, mail=mail, case=case)
        try:
            body = self._templates.render(input.mail, context | {"name": greeting_name(subject.get("name"))})
        except Exception:
            # Ours can't fail here, one that overrides it can. Mended while the patience lasts, the mail is sent.
            raise MailNotAccepted(code="bad_template", is_temporary=True) from None
        message = build_message(
            body,
            sender=mail.sender,
            support=mail.support,
            recipients=recipients,
            key=f"{input.retirement_id}:mail:{input.mail.value}:{input.number}",
            date=input.now,
        )
        await hand_in(
            message,
            sender=parseaddr(mail.sender)[1],
            recipients=tuple(address.addr_spec for address in recipients),
            smtp=self._smtp,
        )
        return MailReport(result=SENT)

    async def _context(self, input: SendMail, *, plan: Plan, mail: MailSettings, case: Case) -> dict[str, Any]:
        """What templates may name, besides the person's `name`."""
        steps = await self._ledger.steps(input.retirement_id) if input.mail is Mail.COMPLETE else []
        return {
            "support": mail.support,
            "retirement_id": input.retirement_id,
            "plan": plan.plan,
            "requested_at": case.requested_at,
            "due_at": case.due_at,
            "cool_off_ends_at": input.cool_off_ends_at or case.cool_off_ends_at,
            "is_locked": any(step.phase is StepPhase.FREEZE for step in plan.steps.values()),
            "reason": input.reason,
            "failed_steps": input.failed_steps,
            **what_became_of(plan, steps),
        }

    async def _try_again_within_patience(self, input: SendMail, *, code: str, patience: timedelta) -> None:
        """Record the failed attempt and raise TryAgain, unless the patience is over."""
        step = _step_of(input)
        trying = Trying(
            retirement_id=input.retirement_id, step=step, action=StepAction.MAIL, service=None, patience=patience
        )
        wait = await self._attempts.next_wait(trying, code=code, touched=False)
        if wait is not None:
            raise try_again(failure=Failure(code=code, step=step), after=wait)

    async def _recorded(self, input: SendMail, report: MailReport) -> MailReport:
        await self._ledger.record_mail(
            retirement_id=input.retirement_id,
            mail=input.mail,
            number=input.number,
            result=report.result,
            code=report.code,
            at=now(),
            release=input.last,
        )
        return report

    async def _plan(self, digest: str) -> Plan:
        """The plan this retirement was given. A snapshot never changes, and there are as many as plans in use."""
        if digest not in self._plans:
            stored = await self._ledger.stored_plan(digest)
            if stored is None:
                raise LookupError("the ledger holds no plan of this digest")
            self._plans[digest] = plan_from_document(stored.document, format=stored.format)
        return self._plans[digest]


def _step_of(input: SendMail) -> str:
    """Under which id the failed attempts of this mail are counted."""
    return "-".join(part for part in ("mail", input.mail.value, input.number) if part)


def what_became_of(plan: Plan, rows: Sequence[StepRow]) -> dict[str, list[dict[str, Any]]]:
    """What the last mail tells of each erase step, in the plan's order: `finished`, and `retained` with its ground."""
    ended = {row.step: row for row in rows if row.action is StepAction.DO and row.has_ended}
    told: dict[str, list[dict[str, Any]]] = {"finished": [], "retained": []}
    for id, step in plan.steps.items():
        row = ended.get(id)
        if step.phase is not StepPhase.ERASE or row is None or row.result is None:
            continue
        title = id.replace("_", " ").replace("-", " ").capitalize()
        if row.result is StepResult.RETAINED:
            ground = step.retain.ground if step.retain is not None else None
            told["retained"].append({"title": title, "until": row.until, "ground": ground})
        else:
            told["finished"].append({"title": title, "result": row.result.value})
    return told

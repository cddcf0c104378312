"""Mails to the person and to the operators. A dead mailbox never fails or delays a retirement."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity

from activities.attempts import Attempts, Trying, now
from activities.errors import try_again
from activities.mail_building import TO_OPERATORS, BadTemplate, NobodyToTell, UnusableAddress, build_mail
from activities.mail_templates import MailTemplates
from activities.smtp import MailNotAccepted, SmtpSettings, hand_in
from ledger.errors import UnknownCase, VaultLocked
from ledger.ledger import Ledger
from ledger.rows import Case, StepAction
from plans.model import MailSettings, Plan
from plans.outline import plan_from_document
from workflows.messages import Failure, MailReport, SendMail
from workflows.names import Activity, Mail

SENT = "sent"
GIVEN_UP = "given_up"
NO_ADDRESS = "no_address"
NO_MAIL = "no_mail"
LATER = "later"


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
            report = await self._sent(input, plan=plan, settings=plan.mail)
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
        if input.mail in TO_OPERATORS:
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

    async def _sent(self, input: SendMail, *, plan: Plan, settings: MailSettings) -> MailReport:
        """Build the mail and hand it in. Only the mail server's refusals, and a template's, are raised."""
        case, subject = await self._begin(input)
        if subject is None:
            # Shredded already. A mail holds nothing up, so nobody is called to bring it back.
            return MailReport(result=GIVEN_UP, code="vault_missing")
        tells_of_steps = input.mail in (Mail.COMPLETE, Mail.ABORTED)
        steps = await self._ledger.steps(input.retirement_id) if tells_of_steps else []
        try:
            mail = build_mail(
                input,
                plan=plan,
                settings=settings,
                case=case,
                subject=subject,
                steps=steps,
                templates=self._templates,
            )
        except NobodyToTell:
            return MailReport(result=NO_ADDRESS)
        except UnusableAddress:
            return MailReport(result=GIVEN_UP, code="bad_address")
        except BadTemplate:
            # Mended while the patience lasts, the mail is sent.
            raise MailNotAccepted(code="bad_template", is_temporary=True) from None
        await hand_in(mail.message, sender=mail.sender, recipients=mail.recipients, smtp=self._smtp)
        return MailReport(result=SENT)

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

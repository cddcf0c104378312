"""Mails to the person, to admins, to recipients of data and to operators. A dead mailbox never fails or delays a retirement."""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from temporalio import activity

from activities.attempts import Attempts, Trying, now
from activities.errors import try_again
from activities.mail_building import BadTemplate, Known, Letter, NobodyToTell, NothingToTell, build_letters
from activities.mail_templates import MailTemplates
from activities.smtp import MailNotAccepted, SmtpSettings, hand_in
from ledger.errors import UnknownCase, VaultLocked, VaultMissing
from ledger.ledger import Ledger
from ledger.rows import StepAction, no_values
from plans.model import MailSettings, Plan
from plans.outline import plan_from_document
from plans.secrets import SecretMissing
from workflows.messages import Failure, MailReport, SendMail
from workflows.names import Activity, Audience, Mail

SENT = "sent"
GIVEN_UP = "given_up"
NO_ADDRESS = "no_address"
NO_MAIL = "no_mail"
LATER = "later"

#: In seconds. A round over many mailboxes that takes longer is left to the next attempt, well within an activity's time.
_LONGEST_ROUND = 600.0
_VAULT_MISSING = MailReport(result=GIVEN_UP, code="vault_missing")
_TELL_STEPS = frozenset({Mail.COMPLETE, Mail.ABORTED, Mail.ERRORED, Mail.DEADLINE, Mail.NO_SUCCESSOR, Mail.HANDOVER})
_TELL_COUNTS = frozenset({Mail.COMPLETE, Mail.ERRORED, Mail.HELD, Mail.DEADLINE})
_TELL_ASSETS = frozenset({Mail.NO_SUCCESSOR, Mail.HANDOVER})


class _Settled(Exception):
    """Nothing is to be sent: how that is recorded."""

    def __init__(self, report: MailReport) -> None:
        super().__init__(report.result)
        self.report = report


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

        What goes to several mailboxes is recorded one by one, and goes on where it stopped.
        Without `patience` it is tried once, and a temporary failure is answered with `later` and not recorded.
        """
        plan = await self._plan(input.plan_digest)
        if plan.mail is None:
            report = MailReport(result=NO_MAIL)
            return await self._recorded(input, report, is_last=True) if input.last else report
        rows = [row for row in await self._ledger.mails(input.retirement_id) if row.mail == input.mail.value]
        ended = {row.number: MailReport(result=row.result, code=row.code) for row in rows}
        if input.number in ended:
            return ended[input.number]
        try:
            letters = await self._letters(input, plan=plan, settings=plan.mail)
        except _Settled as settled:
            # Whoever let go of the vault last was this very mail, in an attempt whose answer was lost.
            is_done = bool(ended) and settled.report == _VAULT_MISSING
            return _summary(ended) if is_done else await self._recorded(input, settled.report, is_last=True)
        except MailNotAccepted as refusal:
            left = {input.number: refusal}
        else:
            left = await self._hand_in_all(input, letters, ended=ended)
        if not left:
            return _summary(ended)
        trouble = next(iter(left.values()))
        if input.patience is None:
            return MailReport(result=LATER, code=trouble.code)
        await self._try_again_within_patience(input, code=trouble.code, patience=input.patience)
        for position, (number, why) in enumerate(left.items(), start=1):
            report = MailReport(result=GIVEN_UP, code=why.code)
            ended[number] = await self._recorded(input, report, number=number, is_last=position == len(left))
        return _summary(ended)

    async def _hand_in_all(
        self, input: SendMail, letters: list[Letter], *, ended: dict[str, MailReport]
    ) -> dict[str, MailNotAccepted]:
        """Hand in what isn't recorded yet, and record it in `ended`, too; gives what may go better later.

        The vault is let go of with the last record, in its transaction.
        """
        began = time.monotonic()
        waiting = [letter for letter in letters if letter.number not in ended]
        left: dict[str, MailNotAccepted] = {}
        for position, letter in enumerate(waiting, start=1):
            try:
                report = await self._handed_in(letter)
            except MailNotAccepted as refusal:
                if refusal.is_temporary:
                    left[letter.number] = refusal
                    # The run doesn't wait for the next one, too; a delivery of its own does, for as long as it may.
                    longest = 0.0 if input.patience is None else _LONGEST_ROUND
                    if refusal.code == "smtp_timeout" and time.monotonic() - began > longest:
                        left |= {other.number: refusal for other in waiting[position:]}
                        break
                    continue
                report = MailReport(result=GIVEN_UP, code=refusal.code)
            is_last = position == len(waiting) and not left
            ended[letter.number] = await self._recorded(input, report, number=letter.number, is_last=is_last)
        return left

    async def _handed_in(self, letter: Letter) -> MailReport:
        if letter.mail is None:
            return MailReport(result=GIVEN_UP, code=letter.problem)
        mail = letter.mail
        await hand_in(mail.message, sender=mail.sender, recipients=letter.envelope, smtp=self._smtp)
        return MailReport(result=SENT)

    async def _letters(self, input: SendMail, *, plan: Plan, settings: MailSettings) -> list[Letter]:
        """Build the mail.

        Raises:
            _Settled: there is nothing to build.
            MailNotAccepted: it can't be built now.
        """
        try:
            known = await self._known(input, plan=plan)
            # In a thread: ten thousand assets take a second, and workflows are decided meanwhile.
            return await asyncio.to_thread(
                build_letters, input, plan=plan, settings=settings, known=known, templates=self._templates
            )
        except VaultMissing:
            # Shredded already. A mail holds nothing up, so nobody is called to bring it back.
            settled = _VAULT_MISSING
        except NobodyToTell:
            settled = MailReport(result=NO_ADDRESS)
        except NothingToTell:
            settled = MailReport(result=NO_MAIL)
        except (VaultLocked, BadTemplate, SecretMissing) as error:
            # Mended while the patience lasts, the mail is sent.
            codes = {VaultLocked: "vault_locked", BadTemplate: "bad_template", SecretMissing: "secret_missing"}
            raise MailNotAccepted(code=codes[type(error)], is_temporary=True) from None
        raise _Settled(settled)

    async def _known(self, input: SendMail, *, plan: Plan) -> Known:
        """What the mail may tell. For operators the vault stays shut: it may be what they have to mend.

        Raises:
            VaultMissing, VaultLocked: the vault's entry is gone, or its key.
        """
        id, mail = input.retirement_id, input.mail
        if mail.audience is Audience.OPERATORS:
            case, values = await self._ledger.case(id), no_values()
            if case is None:
                raise UnknownCase("there is no case of this id")
        else:
            start = await self._ledger.begin_step(retirement_id=id, step=_step_of(input), action=StepAction.MAIL)
            if start.values is None:
                raise VaultMissing("the vault entry of this case is gone")
            case, values = start.case, start.values
        owns = any(step.assets is not None for step in plan.steps.values())
        return Known(
            case=case,
            values=values,
            steps=await self._ledger.steps(id) if mail in _TELL_STEPS else (),
            assets=await self._ledger.assets(id) if owns and mail in _TELL_ASSETS else (),
            counts=await self._ledger.asset_counts(id) if owns and mail in _TELL_COUNTS else {},
        )

    async def _try_again_within_patience(self, input: SendMail, *, code: str, patience: timedelta) -> None:
        """Record the failed attempt and raise TryAgain, unless the patience is over."""
        step = _step_of(input)
        trying = Trying(
            retirement_id=input.retirement_id, step=step, action=StepAction.MAIL, service=None, patience=patience
        )
        wait = await self._attempts.next_wait(trying, code=code, touched=False)
        if wait is not None:
            raise try_again(failure=Failure(code=code, step=step), after=wait)

    async def _recorded(
        self, input: SendMail, report: MailReport, *, number: str | None = None, is_last: bool
    ) -> MailReport:
        """Record how one delivery fared. `is_last`: the mail comes to its end with it."""
        holder = input.mail.audience if input.last and input.mail.audience is not Audience.OPERATORS else None
        await self._ledger.record_mail(
            retirement_id=input.retirement_id,
            mail=input.mail,
            number=input.number if number is None else number,
            result=report.result,
            code=report.code,
            at=now(),
            release=holder if is_last else None,
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


def _summary(ended: Mapping[str, MailReport]) -> MailReport:
    """How a mail fared as a whole: sent, where it reached somebody."""
    reports = list(ended.values())
    return next((report for report in reports if report.result == SENT), reports[0])

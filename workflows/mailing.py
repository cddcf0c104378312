"""The mails of one run. No phase waits for one, and a dead mailbox never fails or delays a retirement."""

import asyncio
import contextlib
from collections.abc import Iterable

from temporalio import workflow
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError

from workflows import calls, names
from workflows.deliver_mail import DeliverMail
from workflows.messages import MailReport, SendMail
from workflows.names import Audience, Mail, Reason
from workflows.state import RetirementState

#: Attempts lost to a worker's end; then the delivery workflow takes over.
_TRIES_IN_THE_RUN = 3


class Mailing:
    """Sends mails beside the life, and the last one at its end."""

    def __init__(self, *, state: RetirementState) -> None:
        self._state = state
        self._posts: list[asyncio.Task[None]] = []

    def post(self, mail: Mail, *, number: str = "") -> None:
        """Send a mail in the background, for as long as the plan's patience for mail lasts."""
        if self._is_wanted(mail):
            argument = self._argument(mail, number=number)
            patient = argument.model_copy(update={"patience": self._state.outline.mail_patience})
            self._posts.append(asyncio.create_task(self._deliver(patient)))

    def drop_posts(self) -> None:
        """A mail of an earlier phase that is still being tried would come too late."""
        for post in self._posts:
            post.cancel()

    async def tell(self, *mails: Mail, reason: Reason | None = None) -> None:
        """Try the last mails once, all at the same time; what this plan doesn't want is left out.

        What can't be sent at once goes on in a workflow of its own, with its lease of the vault.
        """
        wanted = [mail for mail in mails if self._is_wanted(mail)]
        others = [asyncio.create_task(self._tell(mail, reason=reason)) for mail in wanted[1:]]
        for mail in wanted[:1]:  # in this very task, as in the histories of when there was only one
            await self._tell(mail, reason=reason)
        for other in others:
            await other

    def holders_without(self, mails: Iterable[Mail]) -> tuple[str, ...]:
        """The holders of the vault that none of these mails will let go of: their audience is not told, after all."""
        told = {mail.audience for mail in mails if self._is_wanted(mail)}
        others = (Audience.PERSON, Audience.ADMINS, Audience.RECIPIENTS)
        # An earlier run of this case may have had another plan, and so other holders.
        mine = [audience for audience in others if self._state.opened.resumed or self._is_told(audience)]
        return tuple(audience.value for audience in mine if audience not in told)

    async def _tell(self, mail: Mail, *, reason: Reason | None) -> None:
        last = mail.audience is not Audience.OPERATORS
        # Everybody is told once; operators each time a run stops.
        number = "" if last else workflow.info().first_execution_run_id
        argument = self._argument(mail, number=number).model_copy(update={"reason": reason, "last": last})
        try:
            report = await calls.send_mail(argument, summary=f"mail: {mail}", most_attempts=_TRIES_IN_THE_RUN)
        except ActivityError:
            report = MailReport(result="later")
        if report.result == "later":
            # A run that was reset finds the delivery under way that it began before.
            with contextlib.suppress(WorkflowAlreadyStartedError):
                await workflow.start_child_workflow(
                    DeliverMail.run,
                    argument.model_copy(update={"patience": self._state.outline.mail_patience}),
                    id=names.mail_workflow_id(retirement_id=self._state.retirement_id, mail=mail, number=number),
                    task_queue=names.QUEUE,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    static_summary=f"mail: {mail}",
                )

    async def _deliver(self, mail: SendMail) -> None:
        with contextlib.suppress(ActivityError):  # dropped, or it can't be written: no reason to stop a retirement
            await calls.send_mail(mail, summary=f"mail: {mail.mail}")

    def _is_wanted(self, mail: Mail) -> bool:
        # Where nobody hands anything over, there is nothing to tell of it.
        hands_over = bool(self._state.outline.transfer) or self._state.outline.successors
        return self._is_told(mail.audience) and (hands_over or mail is not Mail.HANDOVER)

    def _is_told(self, audience: Audience) -> bool:
        outline = self._state.outline
        match audience:
            case Audience.OPERATORS:
                return outline.operators
            case Audience.ADMINS:
                return outline.admins
            case Audience.RECIPIENTS:
                return outline.recipients
        return outline.mails

    def _argument(self, mail: Mail, *, number: str = "") -> SendMail:
        holds = self._state.holds.values() if mail is Mail.HELD else ()
        return SendMail(
            **self._state.case_ref(),
            mail=mail,
            number=number,
            now=workflow.now(),
            cool_off_ends_at=self._state.cool_off_ends_at,
            reason=", ".join(sorted({f"{hold.cause} ({hold.code})" for hold in holds})) or None,
            failed_steps=tuple(each.step for each in holds or self._state.failed),
        )

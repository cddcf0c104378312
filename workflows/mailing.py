"""The mails of one run. No phase waits for one, and a dead mailbox never fails or delays a retirement."""

import asyncio
import contextlib

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows import calls, names
from workflows.deliver_mail import DeliverMail
from workflows.messages import MailReport, SendMail
from workflows.names import Mail, Reason, StepResult
from workflows.state import RetirementState

#: Attempts lost to a worker's end; then the delivery workflow takes over.
_TRIES_IN_THE_RUN = 3
_TO_OPERATORS = (Mail.ERRORED, Mail.HELD)


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

    async def tell(self, mail: Mail, *, reason: Reason | None = None) -> None:
        """Try the last mail once. What can't be sent at once goes on in a workflow of its own, with its lease of the vault."""
        if not self._is_wanted(mail):
            return
        last = mail not in _TO_OPERATORS
        # The person is told once; operators each time a run stops.
        number = "" if last else workflow.info().first_execution_run_id
        argument = self._argument(mail, number=number).model_copy(update={"reason": reason, "last": last})
        try:
            report = await calls.send_mail(argument, summary=f"mail: {mail}", most_attempts=_TRIES_IN_THE_RUN)
        except ActivityError:
            report = MailReport(result="later")
        if report.result == "later":
            await workflow.start_child_workflow(
                DeliverMail.run,
                argument.model_copy(update={"patience": self._state.outline.mail_patience}),
                id=f"mail-{self._state.retirement_id}-{mail}" + (f"-{number}" if number else ""),
                task_queue=names.QUEUE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"mail: {mail}",
            )

    async def _deliver(self, mail: SendMail) -> None:
        with contextlib.suppress(ActivityError):  # dropped, or it can't be written: no reason to stop a retirement
            await calls.send_mail(mail, summary=f"mail: {mail.mail}")

    def _is_wanted(self, mail: Mail) -> bool:
        outline = self._state.outline
        return outline.operators if mail in _TO_OPERATORS else outline.mails

    def _argument(self, mail: Mail, *, number: str = "") -> SendMail:
        ended = (*self._state.outcomes.values(), *self._state.undone.values())
        return SendMail(
            **self._state.case_ref(),
            mail=mail,
            number=number,
            now=workflow.now(),
            cool_off_ends_at=self._state.cool_off_ends_at,
            failed_steps=tuple(outcome.step for outcome in ended if outcome.result is StepResult.FAILED),
        )

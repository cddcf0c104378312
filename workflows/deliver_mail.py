"""DeliverMail: a mail that could not be sent at once, and outlives the retirement it tells about."""

from temporalio import workflow

from workflows import calls, names
from workflows.messages import MailReport, SendMail


@workflow.defn(name=names.MAIL_WORKFLOW_TYPE)
class DeliverMail:
    """Tries until the mail is sent or the plan's patience for mail is over; then the vault may go."""

    @workflow.run
    async def run(self, mail: SendMail) -> MailReport:
        """Returns how it went; a dead mailbox is a result, not a failure."""
        return await calls.send_mail(mail, summary=f"mail: {mail.mail}")

"""FollowUp: asks what became of a step that was accepted, and outlives the retirement that it belongs to."""

import contextlib
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows import calls, names
from workflows.messages import AskFollowUp, CaseRef, FollowedUp, FollowUpOf, SendMail
from workflows.names import Activity, Mail


@workflow.defn(name=names.FOLLOW_UP_WORKFLOW_TYPE)
class FollowUp:
    """Sleeps until the next look, and looks. When, and what an answer means, the activity says, by the plan."""

    @workflow.run
    async def run(self, of: FollowUpOf) -> FollowedUp:
        """Returns how it ended; that a service has failed is a result, too, of which operators are told."""
        while True:
            await workflow.sleep(max(of.look_at - workflow.now(), timedelta(0)), summary=f"{of.step}: next look")
            followed = await self._ask(of)
            if followed.next_look_at is None:
                break
            of = of.model_copy(update={"look_at": followed.next_look_at})
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(of)
        if followed.alarms and of.mail_patience is not None:
            await self._alarm(of, code=followed.code)
        return followed

    async def _ask(self, of: FollowUpOf) -> FollowedUp:
        argument = AskFollowUp(**_case_of(of), step=of.step)
        return await calls.call_service(
            Activity.FOLLOW_UP, argument, FollowedUp, call_id=of.step, summary=f"{of.step}: is it done?", lane=of.lane
        )

    async def _alarm(self, of: FollowUpOf, *, code: str | None) -> None:
        mail = SendMail(
            **_case_of(of),
            mail=Mail.WORK_FAILED,
            number=of.step,
            now=workflow.now(),
            patience=of.mail_patience,
            reason=code,
            failed_steps=(of.step,),
        )
        with contextlib.suppress(ActivityError):  # it is on record all the same
            await calls.send_mail(mail, summary=f"mail: {mail.mail}")


def _case_of(of: FollowUpOf) -> dict[str, Any]:
    return of.model_dump(include=set(CaseRef.model_fields))

"""How the workflow calls its activities: queues, time limits and retries in one place, each with its reason."""

import dataclasses
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from workflows import names
from workflows.messages import Failure, Lane, MailReport, Message, SendMail

M = TypeVar("M", bound=Message)

#: An activity whose worker is gone is noticed after this; one interceptor heartbeats for all.
HEARTBEAT_TIMEOUT = timedelta(seconds=5)
#: Far above any time limit inside: it only ends an attempt that lost its way and still heartbeats.
LONGEST_ATTEMPT = timedelta(minutes=15)
#: A record is one transaction; what takes longer waits for a lock that somebody else holds.
LONGEST_RECORD = timedelta(seconds=4)
#: For a lost worker or an unreachable ledger. A call's own retries say themselves when to come back (patience, Retry-After).
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
)


class CallFailed(Exception):
    """A call of a service failed for good, or is held: what, where, with which answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


async def call_service(
    activity: names.Activity, argument: Message, returns: type[M], *, call_id: str, summary: str, lane: Lane
) -> M:
    """Run an activity that calls the plan's services. No schedule-to-close: patience counts from the first failure, inside.

    `call_id` becomes the activity's id, by which an operator makes the server try it now.

    Cancelling waits until a call in flight has ended: otherwise an unlock could overtake a lock, and the account stay locked.

    Raises:
        CallFailed: out of patience, refused for good, or held.
    """
    try:
        result: M = await workflow.execute_activity(
            activity.value,
            argument,
            result_type=returns,
            task_queue=names.calls_queue(lane.queue),
            priority=Priority(fairness_key=lane.rate_key or names.UNLIMITED_KEY),
            activity_id=call_id,
            start_to_close_timeout=LONGEST_ATTEMPT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary,
        )
        return result
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        raise CallFailed(_failure_of(error)) from None


async def call_ledger(activity: names.Activity, argument: Message, returns: type[M], *, summary: str) -> M:
    """Run an activity that only reads and writes the ledger. Retried for as long as the ledger is away.

    A local one: a transaction of milliseconds, safe to repeat, is not worth a task of its own on the server. Only for what comes
    out the same if a crash loses the workflow task and it is run again, later and with the messages that came meanwhile.

    Raises:
        ApplicationError: the ledger's door refused the request itself (BadRequest).
    """
    try:
        result: M = await workflow.execute_local_activity(
            activity.value,
            argument,
            result_type=returns,
            start_to_close_timeout=LONGEST_RECORD,
            retry_policy=_RETRIES,
            # A longer outage waits in a timer, so that messages are taken meanwhile.
            local_retry_threshold=LONGEST_RECORD,
            summary=summary,
        )
        return result
    except ActivityError as error:
        if isinstance(error.cause, ApplicationError):
            raise error.cause from None
        raise


async def tell_ledger(activity: names.Activity, argument: Message, returns: type[M], *, summary: str) -> M:
    """Write down what the workflow has decided or was told. Retried for as long as the ledger is away.

    The server keeps the decision before the ledger hears of it. With a local activity the ledger could be past the point of no
    return, and the workflow task that decided so be lost and run again with a rescind before it.
    """
    return await _on_own_queue(activity, argument, returns, summary=summary, retries=_RETRIES)


async def send_mail(argument: SendMail, *, summary: str, most_attempts: int = 0) -> MailReport:
    """Try to send a mail, for as long as the argument's patience says.

    Raises:
        ActivityError: cancelled, or `most_attempts` (0: any number) came to nothing.
    """
    retries = dataclasses.replace(_RETRIES, maximum_attempts=most_attempts)
    return await _on_own_queue(names.Activity.SEND_MAIL, argument, MailReport, summary=summary, retries=retries)


async def _on_own_queue(
    activity: names.Activity, argument: Message, returns: type[M], *, summary: str, retries: RetryPolicy
) -> M:
    result: M = await workflow.execute_activity(
        activity.value,
        argument,
        result_type=returns,
        task_queue=names.QUEUE,
        start_to_close_timeout=LONGEST_ATTEMPT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=retries,
        summary=summary,
    )
    return result


def _failure_of(error: ActivityError) -> Failure:
    """The failure an activity described, or one that names only the error's type."""
    cause = error.cause
    details: Any = cause.details[0] if isinstance(cause, ApplicationError) and cause.details else None
    try:
        return Failure.model_validate(details)
    except ValidationError:
        return Failure(code=f"unexpected_{cause.type}" if isinstance(cause, ApplicationError) else "timed_out")

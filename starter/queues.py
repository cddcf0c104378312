"""Which task queues nobody polls: what is put there waits in silence."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from workflows import names

if TYPE_CHECKING:
    from temporalio.client import Client

    from plans.model import Plan

#: A poll lasts a minute, and the server remembers pollers for five: who has not come back for this long has gone.
_POLLED_WITHIN = timedelta(seconds=90)


def queues_of(plan: "Plan") -> dict[str, str | None]:
    """The task queues that a plan needs, each with the service because of which, if it is not for all."""
    queues: dict[str, str | None] = {names.QUEUE: None}
    for id, service in plan.services.items():
        queues.setdefault(names.calls_queue(service.queue), id if service.queue is not None else None)
    return queues


async def unpolled(client: "Client", queues: Iterable[str]) -> list[str]:
    """The queues that no worker has polled for activities of late, in the order given.

    Raises:
        RPCError: Temporal does not answer, or refuses to.
    """
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    lonely = []
    for queue in queues:
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            )
        )
        oldest = datetime.now(UTC) - _POLLED_WITHIN
        if not any(poller.last_access_time.ToDatetime(tzinfo=UTC) >= oldest for poller in described.pollers):
            lonely.append(queue)
    return lonely

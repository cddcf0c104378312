"""Which task queues there are, and who polls them: what is put where nobody does waits in silence."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from workflows import names

if TYPE_CHECKING:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import PollerInfo
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


async def pollers_of(
    client: "Client", queue: str, *, kind: "TaskQueueType.ValueType | None" = None
) -> "list[PollerInfo]":
    """Whoever has polled a queue in the last minutes; for activities, where no kind is given.

    Raises:
        RPCError: Temporal does not answer, or refuses to.
    """
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY if kind is None else kind,
    )
    return list((await client.workflow_service.describe_task_queue(request)).pollers)


def still_polling(pollers: "Iterable[PollerInfo]", *, ahead: timedelta = timedelta(0)) -> set[str]:
    """The identities of those that have not gone, where the server's clock is `ahead` of ours by so much."""
    oldest = datetime.now(UTC) + ahead - _POLLED_WITHIN
    return {each.identity for each in pollers if each.last_access_time.ToDatetime(tzinfo=UTC) >= oldest}


async def unpolled(client: "Client", queues: Iterable[str]) -> list[str]:
    """The queues that no worker has polled for activities of late, in the order given.

    Raises:
        RPCError: Temporal does not answer, or refuses to.
    """
    return [queue for queue in queues if not still_polling(await pollers_of(client, queue))]

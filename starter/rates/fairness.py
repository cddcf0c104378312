"""Does the server hand out activities by fairness key? It doesn't say so, and takes keys and rates without a word either way.

So it is tried: a workflow of our own on a queue of its own schedules activities under a light key, and then under a heavy one.
A server that heeds keys hands out the heavy ones first, any other those that came first. It takes a second, no worker is
needed, and the workflow is deleted afterwards.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.client import Client, WorkflowHandle

#: What a person is told where it doesn't, and what to do about it.
OFF = (
    "the server does not hand out calls by fairness key: once many calls wait for a limited service, "
    "those of all others wait behind them"
)
TURN_ON = "Set matching.enableFairness to true in the server's dynamic configuration."

_NAME = "retirement-doctor"
_WORKFLOW_TYPE = "RetirementDoctor"
_LIGHT, _HEAVY = ("light", 0.001), ("heavy", 1000.0)
#: By chance alone the partitions of a busy server hand out some of the later ones first; not nearly all of them.
_CLEARLY = 0.6
#: Under each key. Spread over the partitions of a queue, their order still tells.
_EACH = 20
_WITHIN = timedelta(seconds=15)
#: A queue that the server is just turning over shows nothing waiting.
_WAITING_WITHIN_SECONDS = 5.0
_LOOK_EVERY_SECONDS = 0.05


async def heeds_keys(client: "Client") -> bool | None:
    """Does the server hand out activities by fairness key? None: it could not be found out.

    Raises:
        RPCError: the server doesn't let us try.
    """
    trial = _Trial(client=client, name=f"{_NAME}-{uuid.uuid4()}")
    # Twice: a server that turns it on for a queue at the sight of the first key has to see one.
    return await trial.run() or await trial.run()


@dataclass(frozen=True, kw_only=True)
class _Trial:
    client: "Client"
    #: Of the queue and of the workflow. Another trial at the same time has another one.
    name: str

    async def run(self) -> bool | None:
        try:
            async with asyncio.timeout(_WITHIN.total_seconds()), self._workflow() as workflow:
                await self._schedule(*_LIGHT)
                await self._wait_for(_EACH)
                await workflow.signal("next")
                await self._schedule(*_HEAVY)
                await self._wait_for(2 * _EACH)
                order = [await self._next() for _ in range(2 * _EACH)]
        except TimeoutError:
            return None
        places = {key: sum(place for place, had in enumerate(order) if had == key) for key, _ in (_LIGHT, _HEAVY)}
        return places[_HEAVY[0]] < _CLEARLY * places[_LIGHT[0]]

    @contextlib.asynccontextmanager
    async def _workflow(self) -> "AsyncIterator[WorkflowHandle[Any, Any]]":
        """A run that ends with the block, or soon after us."""
        from temporalio.service import RPCError

        handle = await self.client.start_workflow(
            _WORKFLOW_TYPE, id=self.name, task_queue=self.name, execution_timeout=2 * _WITHIN
        )
        try:
            yield handle
        finally:
            # Where this is not allowed, it times out, and goes with the namespace's retention.
            with contextlib.suppress(RPCError):
                await handle.terminate()
                await self._delete()

    async def _delete(self) -> None:
        from temporalio.api.common.v1 import WorkflowExecution
        from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest

        execution = WorkflowExecution(workflow_id=self.name)
        await self.client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(namespace=self.client.namespace, workflow_execution=execution)
        )

    async def _schedule(self, key: str, weight: float) -> None:
        """Answer the workflow's task ourselves, with activities under a key."""
        from temporalio.api.command.v1 import Command
        from temporalio.api.enums.v1 import CommandType
        from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest, RespondWorkflowTaskCompletedRequest

        namespace, identity = self.client.namespace, self.client.identity
        task = await self.client.workflow_service.poll_workflow_task_queue(
            PollWorkflowTaskQueueRequest(namespace=namespace, task_queue=self._queue(), identity=identity),
            timeout=_WITHIN,
        )
        if not task.task_token:
            raise TimeoutError
        commands = []
        for number in range(_EACH):
            command = Command(command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK)
            activity = command.schedule_activity_task_command_attributes
            activity.activity_id = f"{key} {number}"
            activity.activity_type.name = key
            activity.task_queue.CopyFrom(self._queue())
            activity.schedule_to_close_timeout.FromTimedelta(_WITHIN)
            activity.priority.fairness_key, activity.priority.fairness_weight = key, weight
            commands.append(command)
        await self.client.workflow_service.respond_workflow_task_completed(
            RespondWorkflowTaskCompletedRequest(
                namespace=namespace, task_token=task.task_token, identity=identity, commands=commands
            )
        )

    async def _wait_for(self, waiting: int) -> None:
        """Wait until so many activities wait: one handed out before the others are there has no order to show."""
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListTaskQueuePartitionsRequest

        listed = await self.client.workflow_service.list_task_queue_partitions(
            ListTaskQueuePartitionsRequest(namespace=self.client.namespace, task_queue=self._queue())
        )
        requests = [
            DescribeTaskQueueRequest(
                namespace=self.client.namespace,
                task_queue=self._queue(partition.key),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
                # The statistics that replace it are remembered for seconds.
                include_task_queue_status=True,
            )
            for partition in listed.activity_task_queue_partitions
        ]
        async with asyncio.timeout(_WAITING_WITHIN_SECONDS):
            while True:
                described = [await self.client.workflow_service.describe_task_queue(request) for request in requests]
                if sum(each.task_queue_status.backlog_count_hint for each in described) >= waiting:
                    return
                await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def _next(self) -> str:
        """The key of the activity that is handed out next."""
        from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest

        request = PollActivityTaskQueueRequest(
            namespace=self.client.namespace, task_queue=self._queue(), identity=self.client.identity
        )
        task = await self.client.workflow_service.poll_activity_task_queue(request, timeout=_WITHIN)
        if not task.task_token:
            raise TimeoutError
        return str(task.activity_type.name)

    def _queue(self, name: str | None = None) -> "TaskQueue":
        from temporalio.api.taskqueue.v1 import TaskQueue

        return TaskQueue(name=name or self.name)

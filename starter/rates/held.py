"""The rates of services as the Temporal server holds them: read, compared with the plans, and brought to what they say."""

from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.preparing import MADE, THERE, Part, not_allowed
from starter.rates.wanted import Change, Held, Wanted, WantedRates, change_for

if TYPE_CHECKING:
    from temporalio.api.taskqueue.v1 import TaskQueueConfig
    from temporalio.client import Client

_REASON = "rates of services in retirement plans"
#: Another set-up may change the same queue at the same time; it settles with the last one.
_ATTEMPTS = 5


async def prepare_rates(client: "Client", *, wanted: WantedRates) -> list[Part]:
    """Have the server hold the rates that the plans give their services.

    Raises:
        CommandError: the server can't, or doesn't let us.
    """
    parts = []
    for queue in wanted.queues:
        changed = await _bring_about(client, wanted=queue)
        if changed or queue.rates:
            told = ", ".join(f"{id} {rate}" for id, rate in queue.rates.items()) or "none"
            parts.append(Part(name=f"rates on {queue.queue}", state=MADE if changed else THERE, where=told))
    return parts


async def held_rates(client: "Client", *, queue: str) -> Held:
    """What the server holds for a task queue. A server that knows no rates holds none."""
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_config=True,
    )
    return _held((await client.workflow_service.describe_task_queue(request)).config)


async def _bring_about(client: "Client", *, wanted: Wanted) -> bool:
    """Make a queue as wanted. Says whether it was not so before."""
    held = await held_rates(client, queue=wanted.queue)
    for attempt in range(_ATTEMPTS):
        change = change_for(held, wanted)
        if change is None:
            return attempt > 0
        # The answer is what the server now holds, with what another set-up may have changed meanwhile.
        held = await _changed(client, queue=wanted.queue, change=change)
    if change_for(held, wanted) is None:
        return True
    raise CommandError(
        f"The rates on the task queue {wanted.queue} keep changing.",
        do="Somebody else sets them, too: see that all who do have the same plans, then run `retire setup` again.",
        code=ExitCode.NOT_SET_UP,
    )


async def _changed(client: "Client", *, queue: str, change: Change) -> Held:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.workflowservice.v1 import UpdateTaskQueueConfigRequest
    from temporalio.service import RPCError, RPCStatusCode

    request = UpdateTaskQueueConfigRequest(
        namespace=client.namespace,
        identity=client.identity,
        task_queue=queue,
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        set_fairness_weight_overrides=change.weights,
        unset_fairness_weight_overrides=change.forgotten,
    )
    request.update_fairness_key_rate_limit_default.reason = _REASON
    if change.default is not None:
        request.update_fairness_key_rate_limit_default.rate_limit.requests_per_second = change.default
    try:
        return _held((await client.workflow_service.update_task_queue_config(request)).config)
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise CommandError(
                f"Temporal refuses the rates of {len(change.weights)} services on the task queue {queue}.",
                do="It holds at most matching.maxFairnessKeyWeightOverrides of them (1000): raise it, "
                "or give some services a `queue` of their own.",
                code=ExitCode.NOT_SET_UP,
            ) from None
        raise not_allowed(f"set the rates of services on the task queue {queue}", error) from None


def _held(config: "TaskQueueConfig") -> Held:
    has_default = config.fairness_keys_rate_limit_default.HasField("rate_limit")
    return Held(
        default=config.fairness_keys_rate_limit_default.rate_limit.requests_per_second if has_default else None,
        weights=dict(config.fairness_weight_overrides),
    )

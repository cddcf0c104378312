"""What `retire doctor` looks at in Temporal: the server, our namespace, who polls, the rates, the clocks."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starter.access import with_sign_of_life
from starter.doctor.here import Check, CheckUp, State, problem
from starter.output import Output
from starter.queues import pollers_of, still_polling
from starter.rates import fairness
from starter.rates.held import held_rates
from starter.rates.wanted import Wanted, WantedRates, differences, wanted_rates
from workflows import names
from workflows.durations import format_duration

if TYPE_CHECKING:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.client import Client

    from plans.model import Plan

#: The first server that holds a rate for each fairness key.
OLDEST_SERVER = (1, 32)
#: What is looked at once Temporal answers.
SEEN_IN_TEMPORAL = ("server version", "namespace", "clock", "queues", "rates")

_MOST_DIFFERENCE = timedelta(minutes=1)
_CLOCK_QUEUE = "retirement-doctor"
_CLOCK_WITHIN = timedelta(seconds=5)
_LOOK_EVERY_SECONDS = 0.05


async def checks_of_temporal(client: "Client", *, plans: "list[Plan]", complete: bool, out: Output) -> CheckUp:
    """Look at a server that answers, for these plans: all there are, or not `complete`, where some can't be used."""
    checks = [await _version(client), namespace := await _namespace(client)]
    if namespace.state is not State.OK:
        return CheckUp(checks=tuple(checks), left_out=SEEN_IN_TEMPORAL[2:])
    clock, ahead = await _clock(client)
    checks.append(clock)
    checks += [await _queue(client, queue, kinds, ahead=ahead) for queue, kinds in _queues(plans).items()]
    checks += await _rates(client, wanted_rates(plans, complete=complete), out=out)
    return CheckUp(checks=tuple(checks))


async def _version(client: "Client") -> Check:
    from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

    try:
        version = (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version
    except Exception as error:
        return problem("server version", error)
    return version_of(version)


def version_of(version: str) -> Check:
    """Is a server of this version new enough?"""
    name, oldest = "server version", ".".join(map(str, OLDEST_SERVER))
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_SERVER:
        return Check(
            name=name,
            state=State.PROBLEM,
            told=f"{version or 'unknown'} is older than {oldest}",
            do=f"Bring the Temporal server to {oldest} or newer: older ones hold no rates of services.",
        )
    return Check(name=name, told=version)


async def _namespace(client: "Client") -> Check:
    from worker.readiness import NotReady, check_temporal

    try:
        await check_temporal(client)
    except NotReady as missing:
        return Check(name="namespace", state=State.PROBLEM, told=str(missing))
    except Exception as error:
        return problem("namespace", error)
    return Check(name="namespace", told=f"{client.namespace}, with {len(names.SEARCH_ATTRIBUTES)} search attributes")


async def _clock(client: "Client") -> tuple[Check, timedelta]:
    """How far the server's clock is ahead of ours. It tells its time only of what happens: so a poll of ours does."""
    name = "clock"
    try:
        async with asyncio.timeout(_CLOCK_WITHIN.total_seconds()), _polling(client) as identity:
            before = datetime.now(UTC)
            while not (seen := [p for p in await pollers_of(client, _CLOCK_QUEUE) if p.identity == identity]):  # noqa: ASYNC110 - another machine changes
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
            after = datetime.now(UTC)
    except Exception as error:
        told = problem(name, error).told if not isinstance(error, TimeoutError) else "the server's time is not known"
        return Check(name=name, state=State.WARNING, told=told, do="Run `retire doctor` again."), timedelta(0)
    theirs = seen[0].last_access_time.ToDatetime(tzinfo=UTC)
    # The poll was sent after `before`, and has been seen by `after`.
    ahead = theirs - min(max(theirs, before), after)
    return difference_of(ahead), ahead


def difference_of(ahead: timedelta) -> Check:
    """Is a server's clock that is ahead of this machine's by so much near enough?"""
    if abs(ahead) <= _MOST_DIFFERENCE:
        return Check(name="clock", told="as the Temporal server's")
    told = format_duration(timedelta(seconds=round(abs(ahead).total_seconds())))
    return Check(
        name="clock",
        state=State.WARNING,
        told=f"this machine's is {told} {'behind' if ahead > timedelta(0) else 'ahead of'} the Temporal server's",
        do="Set both by a time server: dates in mails and the age of tokens would be wrong.",
    )


@contextlib.asynccontextmanager
async def _polling(client: "Client") -> AsyncIterator[str]:
    """A poll of our own, on a queue where nothing ever is. Gives the identity by which it is known."""
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest

    identity = f"{_CLOCK_QUEUE}-{uuid.uuid4()}"
    request = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=_CLOCK_QUEUE), identity=identity
    )
    poll = asyncio.ensure_future(
        client.workflow_service.poll_activity_task_queue(request, timeout=_CLOCK_WITHIN + timedelta(seconds=1))
    )
    try:
        yield identity
    finally:
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)


def _queues(plans: "list[Plan]") -> "dict[str, dict[str, TaskQueueType.ValueType]]":
    """Every task queue that the plans need, with the kinds of tasks on it."""
    from temporalio.api.enums.v1 import TaskQueueType

    activities = {"activities": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY}
    both = {"workflows": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, **activities}
    own = sorted({service.queue for plan in plans for service in plan.services.values() if service.queue is not None})
    return {names.QUEUE: both, **{names.calls_queue(queue): activities for queue in (None, *own)}}


async def _queue(
    client: "Client", queue: str, kinds: "dict[str, TaskQueueType.ValueType]", *, ahead: timedelta
) -> Check:
    name = f"queue {queue}"
    workers: set[str] = set()
    for what, kind in kinds.items():
        try:
            alive = still_polling(await pollers_of(client, queue, kind=kind), ahead=ahead)
        except Exception as error:
            return problem(name, error)
        if not alive:
            return Check(
                name=name, state=State.PROBLEM, told=f"no worker polls it for {what}", do=_how_to_have_it_polled(queue)
            )
        workers |= alive
    return Check(name=name, told=f"polled by {len(workers)} worker{'s' if len(workers) > 1 else ''}")


def _how_to_have_it_polled(queue: str) -> str:
    own = queue.removeprefix(f"{names.CALLS_QUEUE}-")
    if own == queue:
        return "Start one (`retire worker`); its log and /healthz say what keeps it from polling."
    return f"Start one with {own} among RETIREMENT_QUEUES, where the services of this queue can be reached."


async def _rates(client: "Client", wanted: WantedRates, *, out: Output) -> list[Check]:
    checks = [Check(name="rates", state=State.WARNING, told=note) for note in wanted.notes]
    for queue in wanted.queues:
        check = await _rates_on(client, queue)
        if queue.rates or check.state is not State.OK:
            checks.append(check)
    if not wanted.limit_something:
        return [*checks, Check(name="rates", told="no plan limits a service")]
    checks.append(await _fairness(client, out=out))
    return checks


async def _rates_on(client: "Client", wanted: Wanted) -> Check:
    name = f"rates on {wanted.queue}"
    try:
        differing = differences(await held_rates(client, queue=wanted.queue), wanted)
    except Exception as error:
        return problem(name, error)
    if differing:
        return Check(name=name, state=State.PROBLEM, told="; ".join(differing), do="Run `retire setup`.")
    return Check(name=name, told=", ".join(f"{id} {rate}" for id, rate in wanted.rates.items()))


async def _fairness(client: "Client", *, out: Output) -> Check:
    name = "fairness"
    try:
        heeds = await with_sign_of_life(fairness.heeds_keys(client), out=out, text="Trying fairness keys …")
    except Exception as error:
        told = problem(name, error)
        return Check(name=name, state=State.WARNING, told=f"could not be tried: {told.told}", do=told.do)
    if heeds is None:
        return Check(
            name=name, state=State.WARNING, told="the server took too long to tell", do="Run `retire doctor` again."
        )
    if not heeds:
        return Check(name=name, state=State.WARNING, told=fairness.OFF, do=fairness.TURN_ON)
    return Check(name=name, told="no service's calls wait behind those of a limited one")

"""A service's rate over all workers: two worker processes, a real Temporal server that heeds fairness keys, real services."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowHandle

from plans.loading import load_plan
from sandbox.client import SeenRequest
from sandbox.launch import Sandbox
from starter.errors import CommandError
from starter.preparing import MADE, THERE
from starter.rates.fairness import heeds_keys
from starter.rates.held import held_rates, prepare_rates
from starter.rates.wanted import WantedRates, differences, wanted_rates
from tests.support.commands import Retire, a_shell, settings_in
from tests.support.plans import PlanDocument, a_plan, all_of, brisk
from tests.support.processes import TemporalServer, a_worker
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import CALLS_QUEUE, UNLIMITED_KEY, Outcome

#: Calls of the forum, over all workers: one a second and a half is the erasure with its probe.
_RATE = "180/m"
_A_SECOND = 3.0
_MOST_OF_ONE_ACTIVITY = 2
#: A call comes a while after its activity was handed out: two cores have much else to do.
_LATE = 1.0
_PEOPLE = 8
_WORKERS = 2
_LONGEST = 100.0

#: So few calls are looked at together, and calls that wait count so early, that without fairness the limited service's would
#: stand before all others with a handful of people. By default it takes a thousand calls, and five seconds.
_FAIR = {
    "matching.enableFairness": "true",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.getTasksBatchSize": "4",
    "matching.getTasksReloadAt": "1",
    "matching.backlogNegligibleAge": '"100ms"',
    "matching.maxFairnessKeyWeightOverrides": "4",
}


@pytest.fixture(scope="module")
async def fair_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    """A server that hands out tasks by fairness key, each queue in one partition."""
    server = TemporalServer(folder=tmp_path_factory.mktemp("temporal"), config=_FAIR)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@pytest.fixture(scope="module")
async def client(fair_server: TemporalServer) -> Client:
    """A client of that server."""
    return await fair_server.client()


def limited(document: PlanDocument) -> None:
    """The forum has a rate; the account does not wait for it."""
    document["services"]["forum"]["limits"] = {"rate": _RATE}
    document["steps"]["profile"]["after"] = ["newsletter"]


def without_forum(document: PlanDocument) -> None:
    """People of this plan have nothing in the forum."""
    del document["services"]["forum"], document["steps"]["mute"], document["steps"]["forum"]
    document["steps"]["profile"]["after"] = ["newsletter"]


def at_rates(rates: Mapping[str, str], *, queue: str | None = None) -> Callable[[PlanDocument], None]:
    """Services have rates, on a queue of their own or on the common one."""

    def change(document: PlanDocument) -> None:
        for service, rate in rates.items():
            document["services"][service] |= {"limits": {"rate": rate}, "queue": queue}

    return change


@dataclass(frozen=True, kw_only=True)
class Site:
    """A namespace of its own, with plans, a ledger, and workers."""

    client: Client
    sandbox: Sandbox
    folder: Path
    retire: Retire

    async def start(self, *, plan: str) -> WorkflowHandle[Any, Any]:
        """Retire somebody new, at once."""
        person = self.sandbox.add_person()
        request = {"user_id": person.user_id, "plan": plan, "cool_off": "0"}
        id = names.workflow_id(user_id=person.user_id)
        return await self.client.start_workflow(names.WORKFLOW_TYPE, request, id=id, task_queue=names.QUEUE)

    async def calls_waiting(self) -> int:
        """How many calls wait to be handed out, in the one partition of their queue."""
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=CALLS_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            include_task_queue_status=True,
        )
        described = await self.client.workflow_service.describe_task_queue(request)
        return described.task_queue_status.backlog_count_hint


@contextlib.asynccontextmanager
async def a_site(
    *, server: TemporalServer, sandbox: Sandbox, folder: Path, namespace: str, has_rates: bool
) -> AsyncIterator[Site]:
    """Set up by `retire setup`, before or after the plan was given a rate; then worked on by two processes."""
    settings = {**settings_in(folder, address=server.address, namespace=namespace), **sandbox.environment}
    retire = a_shell(settings)
    plans = folder / "plans"
    a_plan(plans, "sandbox", all_of(brisk, without_forum))
    a_plan(plans, "limited", all_of(brisk, limited) if has_rates else brisk)
    ended = await retire("setup")
    assert ended.code == 0, ended
    assert (f"rates on {CALLS_QUEUE}" in ended.stdout) == has_rates
    a_plan(plans, "limited", all_of(brisk, limited))
    workers = []
    for number in range(_WORKERS):
        own = folder / f"worker-{number}"
        own.mkdir()
        workers.append(a_worker(folder=own, environment=settings))
    try:
        for worker in workers:
            await worker.start()
        client = await server.client(namespace=namespace)
        yield Site(client=client, sandbox=sandbox, folder=folder, retire=retire)
    finally:
        for worker in workers:
            await worker.kill()


async def results(handles: Sequence[WorkflowHandle[Any, Any]]) -> list[Result]:
    """How all of them ended."""
    async with asyncio.timeout(_LONGEST):
        return [Result.model_validate(each) for each in await asyncio.gather(*(handle.result() for handle in handles))]


def most_within(seconds: float, requests: Sequence[SeenRequest]) -> int:
    """The most requests of any window of this length."""
    times = sorted(request.monotonic for request in requests)
    return max(sum(begin <= each < begin + seconds for each in times) for begin in times)


def allowed_within(seconds: float) -> float:
    """The rate, a second's worth that may be saved up, what comes late, and one activity's calls."""
    return _A_SECOND * (seconds + 1 + _LATE) + _MOST_OF_ONE_ACTIVITY


async def waits(handle: WorkflowHandle[Any, Any]) -> dict[str, timedelta]:
    """How long each call of a run waited before a worker had it, by its id. Of several attempts the last one is known."""
    scheduled: dict[int, tuple[str, Any]] = {}
    waited: dict[str, timedelta] = {}
    async for event in handle.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            attributes = event.activity_task_scheduled_event_attributes
            if attributes.task_queue.name == CALLS_QUEUE:
                scheduled[event.event_id] = (attributes.activity_id, event.event_time.ToDatetime())
        elif event.HasField("activity_task_started_event_attributes"):
            started = event.activity_task_started_event_attributes
            if started.scheduled_event_id in scheduled and started.attempt == 1:
                id, since = scheduled[started.scheduled_event_id]
                waited[id] = event.event_time.ToDatetime() - since
    return waited


async def workers_of(handles: Sequence[WorkflowHandle[Any, Any]]) -> set[str]:
    """The processes that made calls for these runs."""
    return {
        event.activity_task_started_event_attributes.identity
        for handle in handles
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_started_event_attributes")
    }


async def test_a_rate_holds_over_all_workers_and_keeps_no_other_service_waiting(
    fair_server: TemporalServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = len(sandbox.forum.requests())
    opened = a_site(server=fair_server, sandbox=sandbox, folder=tmp_path, namespace="with-rates", has_rates=True)
    async with opened as site:
        many = [await site.start(plan="limited") for _ in range(_PEOPLE)]

        async def held_back() -> None:
            assert await site.calls_waiting() > int(_FAIR["matching.getTasksBatchSize"])

        await eventually(held_back)
        others = [await site.start(plan="sandbox") for _ in range(2)]
        ended = await results(others)
        assert await site.calls_waiting() > 0
        ended += await results(many)
        assert {result.outcome for result in ended} == {Outcome.COMPLETE}, ended
        requests = sandbox.forum.requests()[before:]
        # Else nothing was seen of a limit.
        assert len(requests) >= 5 * _PEOPLE
        assert len(await workers_of(many)) == _WORKERS
        for window in (1, 2, 5, 10):
            assert most_within(window, requests) <= allowed_within(window), f"in a window of {window} s"
        waited = [wait for handle in others for wait in (await waits(handle)).values()]
        assert len(waited) >= 4 * len(others)
        assert max(waited) < timedelta(seconds=2)


async def test_without_the_server_s_limit_the_same_plan_exceeds_its_rate_and_doctor_says_so(
    fair_server: TemporalServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = len(sandbox.forum.requests())
    opened = a_site(server=fair_server, sandbox=sandbox, folder=tmp_path, namespace="without-rates", has_rates=False)
    async with opened as site:
        many = [await site.start(plan="limited") for _ in range(_PEOPLE)]
        assert {result.outcome for result in await results(many)} == {Outcome.COMPLETE}
        requests = sandbox.forum.requests()[before:]
        assert most_within(5, requests) > allowed_within(5)
        doctor = await site.retire("doctor", "--json")
        rates = {check["name"]: check for check in doctor.facts["checks"]}[f"rates on {CALLS_QUEUE}"]
        assert (rates["state"], rates["told"], rates["do"]) == (
            "problem",
            f"forum: {_RATE} is not held",
            "Run `retire setup`.",
        )


def rates_of(folder: Path, name: str, change: Callable[[PlanDocument], None]) -> WantedRates:
    """What a plan, changed so, wants."""
    return wanted_rates([load_plan(folder / f"{a_plan(folder, name, change)}.yaml")])


async def test_rates_are_set_once_follow_the_plan_and_go_with_it(client: Client, tmp_path: Path) -> None:
    queue = "follows"
    temporal_queue = names.calls_queue(queue)
    wanted = rates_of(tmp_path, "one", at_rates({"forum": "5/s", "accounts": "20/s"}, queue=queue))
    [part] = await prepare_rates(client, wanted=wanted)
    assert (part.state, part.name) == (MADE, f"rates on {temporal_queue}")
    assert part.where == "accounts 20/s, forum 5/s"
    assert [part.state for part in await prepare_rates(client, wanted=wanted)] == [THERE]
    held = await held_rates(client, queue=temporal_queue)
    # Both have a step with a probe.
    assert held.activities("forum") == pytest.approx(2.5)
    assert held.activities("accounts") == pytest.approx(10)
    assert held.activities(UNLIMITED_KEY) == held.activities("of no plan") == pytest.approx(1000)
    slower = rates_of(tmp_path, "one", at_rates({"forum": "6/m"}, queue=queue))
    [part] = await prepare_rates(client, wanted=slower)
    assert part.state == MADE
    held = await held_rates(client, queue=temporal_queue)
    assert held.activities("forum") == pytest.approx(0.05)
    assert held.activities(UNLIMITED_KEY) == pytest.approx(1000)
    # This plan has put the accounts on another queue: their rate here may be that of somebody else's plan.
    assert held.activities("accounts") == pytest.approx(10)


async def test_a_service_that_is_no_longer_limited_loses_its_rate(client: Client, tmp_path: Path) -> None:
    queue = names.calls_queue("freed")

    def on_queue(document: PlanDocument) -> None:
        document["services"]["forum"]["queue"] = "freed"

    await prepare_rates(client, wanted=rates_of(tmp_path, "one", at_rates({"forum": "5/s"}, queue="freed")))
    freed = rates_of(tmp_path, "one", on_queue)
    [wanted] = [each for each in freed.queues if each.queue == queue]
    assert differences(await held_rates(client, queue=queue), wanted)
    [part] = await prepare_rates(client, wanted=freed)
    assert (part.state, part.where) == (MADE, "none")
    held = await held_rates(client, queue=queue)
    assert (held.default, held.weights) == (None, {})
    assert await prepare_rates(client, wanted=freed) == []


async def test_set_ups_beside_each_other_keep_each_other_s_rates(client: Client, tmp_path: Path) -> None:
    plans = {
        f"beside-{number}": rates_of(tmp_path, f"beside-{number}", at_rates({service: rate}, queue="beside"))
        for number, (service, rate) in enumerate({"forum": "5/s", "accounts": "30/m", "newsletter": "3/m"}.items())
    }
    await asyncio.gather(*(prepare_rates(client, wanted=wanted) for wanted in plans.values() for _ in range(2)))
    # Whoever was last has seen the others, so that one more look of each finds nothing left to do in the end.
    for wanted in (*plans.values(), *plans.values()):
        parts = await prepare_rates(client, wanted=wanted)
    assert [part.state for part in parts] == [THERE]
    held = await held_rates(client, queue=names.calls_queue("beside"))
    assert held.activities("forum") == pytest.approx(2.5)
    assert held.activities("accounts") == pytest.approx(0.25)


async def test_fairness_is_found_out_by_trying_and_leaves_nothing_behind(client: Client, tmp_path: Path) -> None:
    assert await heeds_keys(client) is True
    without = TemporalServer(folder=tmp_path)
    await without.start()
    try:
        other = await without.client()
        assert await heeds_keys(other) is False
        for each in (client, other):
            assert [run async for run in each.list_workflows("ExecutionStatus = 'Running'") if "doctor" in run.id] == []
    finally:
        await without.kill()


async def test_more_rates_than_the_server_takes_are_told_with_what_to_do(client: Client, tmp_path: Path) -> None:
    too_many = dict.fromkeys(("accounts", "forum", "invoices", "newsletter"), "5/s")
    wanted = rates_of(tmp_path, "one", at_rates(too_many, queue="crowded"))
    with pytest.raises(CommandError, match="refuses the rates of 5 services on the task queue") as refused:
        await prepare_rates(client, wanted=wanted)
    assert "matching.maxFairnessKeyWeightOverrides" in refused.value.do

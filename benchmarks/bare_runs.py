"""Measures the bare workflow: what the server, a worker and a client take for nothing but a number of activities."""

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks import bare
from benchmarks.measuring import Measured, measure
from worker.runtime import WORKFLOW_RUNNER

_WARM_UP = 5


async def bare_runs(client: Client, *, stages: list[int], count: int, at_once: int) -> Measured[int]:
    """Run so many bare workflows, on a worker of their own."""

    async def run(number: int) -> int:
        id = f"bare-{len(stages)}-{sum(stages)}-{number}"
        return int(await client.execute_workflow(bare.NAME, stages, id=id, task_queue=bare.QUEUE))

    worker = Worker(
        client,
        task_queue=bare.QUEUE,
        workflows=[bare.Bare],
        activities=[bare.no_op],
        workflow_runner=WORKFLOW_RUNNER,
    )
    async with worker:
        await measure(run, range(-_WARM_UP, 0), at_once=_WARM_UP)
        return await measure(run, range(count), at_once=at_once)

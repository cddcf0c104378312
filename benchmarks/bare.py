"""The yardstick: a workflow that does nothing, in as many activities and stages as it is told."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow

NAME = "Bare"
QUEUE = "bare"


@activity.defn
async def no_op(number: int) -> int:
    """Nothing."""
    return number


@workflow.defn(name=NAME)
class Bare:
    """Stages one after another, the activities of a stage at once; no signals, no timers, no attributes."""

    @workflow.run
    async def run(self, stages: list[int]) -> int:
        """Run so many activities in each stage."""
        for activities in stages:
            calls = [
                workflow.execute_activity(no_op, number, start_to_close_timeout=timedelta(seconds=30))
                for number in range(activities)
            ]
            await asyncio.gather(*calls)
        return sum(stages)

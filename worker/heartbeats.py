"""One interceptor heartbeats for every activity, so that a killed worker is noticed within seconds."""

import asyncio
import contextlib
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities import progress

INTERVAL = 2.0


class Heartbeats(Interceptor):
    """Gives each activity a companion that says every two seconds that it is still being worked on."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap an activity."""
        return _Heartbeating(next)


class _Heartbeating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if activity.info().is_local:  # gone with its workflow task, which has a time limit of its own
            return await self.next.execute_activity(input)
        progress.begin()
        companion = asyncio.create_task(_heartbeat())
        try:
            return await self.next.execute_activity(input)
        finally:
            companion.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await companion


async def _heartbeat() -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        activity.heartbeat(*progress.told())

"""One line for each attempt that did not succeed: which retirement, which step, which code."""

import logging
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from workflows.messages import Failure

logger = logging.getLogger("retirement.attempt")


class AttemptLog(Interceptor):
    """Logs failed attempts in our words. The SDK's own lines name neither retirement nor step."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap an activity."""
        return _Logging(next)


class _Logging(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await self.next.execute_activity(input)
        except ApplicationError as error:
            failure = error.details[0] if error.details and isinstance(error.details[0], Failure) else None
            logger.warning(
                "an attempt did not succeed",
                extra={
                    "retirement_id": getattr(input.args[0], "retirement_id", None) if input.args else None,
                    "step": failure.step if failure else activity.info().activity_type,
                    "code": failure.code if failure else error.type,
                    "attempt": activity.info().attempt,
                },
            )
            raise

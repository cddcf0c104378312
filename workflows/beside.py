"""Steps that are tried beside those which follow them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from workflows.messages import StepOutcome


class Beside:
    """Work that nobody waits for before the end of its phase."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[StepOutcome]] = []

    def begin(self, work: Coroutine[Any, Any, StepOutcome]) -> None:
        """Let it run."""
        self._tasks.append(asyncio.create_task(work))

    async def all_ended(self) -> list[StepOutcome]:
        """Wait for everything that was begun, whatever became of it, and forget it."""
        tasks, self._tasks = self._tasks, []
        return [await task for task in tasks]

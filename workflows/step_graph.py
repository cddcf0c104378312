"""Runs a plan's steps as a graph: in parallel where nothing orders them; a failure stops only what depends on it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from workflows.messages import StepOutcome, StepOutline
from workflows.names import StepResult


async def run_graph(
    steps: Sequence[StepOutline], run_step: Callable[[StepOutline], Awaitable[StepOutcome]]
) -> list[StepOutcome]:
    """Run every step after those it names, and return the outcomes of all that were begun, in the plan's order.

    `run_step` returns failures as outcomes. All begun steps are awaited, whatever happens: when cancelled, each is
    told, each is waited for, and only then the cancellation goes on.
    """
    tasks: dict[str, asyncio.Task[StepOutcome | None]] = {}

    async def run_after(step: StepOutline) -> StepOutcome | None:
        for earlier in step.after:
            # Shielded: a cancelled dependant must not cancel the step it waits for.
            outcome = await asyncio.shield(tasks[earlier])
            if outcome is None or outcome.result is StepResult.FAILED:
                return None
        return await run_step(step)

    for step in in_order(steps):
        tasks[step.id] = asyncio.create_task(run_after(step))
    try:
        for task in tasks.values():
            await asyncio.shield(task)
    except (asyncio.CancelledError, Exception):
        for task in tasks.values():
            task.cancel()
        for task in tasks.values():
            await _ended(task)
        raise
    ended = [tasks[step.id].result() for step in steps]
    return [outcome for outcome in ended if outcome is not None]


def in_order(steps: Sequence[StepOutline]) -> list[StepOutline]:
    """The steps in an order in which each comes after those it names; otherwise in the plan's order.

    Raises:
        ValueError: the steps name each other in a circle, or name a step that is not there.
    """
    placed: dict[str, StepOutline] = {}
    waiting = list(steps)
    while waiting:
        ready = [step for step in waiting if all(earlier in placed for earlier in step.after)]
        if not ready:
            raise ValueError(f"steps wait for each other: {', '.join(step.id for step in waiting)}")
        placed.update((step.id, step) for step in ready)
        waiting = [step for step in waiting if step.id not in placed]
    return list(placed.values())


async def _ended(task: "asyncio.Task[StepOutcome | None]") -> None:
    """Wait for a step that was told to stop. What it raises meanwhile is no reason to leave the others running."""
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task

"""Work on many learners, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(
    items: Sequence[T],
    work: Callable[[T], Awaitable[R]],
    *,
    at_a_time: int,
    progress: Callable[[int, int], None],
) -> list[R]:
    """Do the work for each; gives the results in the items' order. `progress` is told how many of how many are through.

    The first error ends it: what is under way is cancelled, what was done stays done. An error that concerns one item alone
    is a result.
    """
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for index, item in waiting:
            results[index] = await work(item)
            progress(len(results), len(items))

    workers = [asyncio.create_task(worker()) for _ in range(min(at_a_time, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [results[index] for index in range(len(items))]

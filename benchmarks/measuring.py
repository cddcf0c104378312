"""Runs many of something, so many at once, and says how long each took."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Measured(Generic[R]):
    """What came back, how long each took, and how long all of them took; in seconds."""

    results: list[R]
    latencies: list[float]
    elapsed: float

    @property
    def per_second(self) -> float:
        """Throughput."""
        return len(self.results) / self.elapsed

    def percentile(self, percent: int) -> float:
        """The latency that so many per cent stay within."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


async def measure(work: Callable[[A], Awaitable[R]], arguments: Sequence[A], *, at_once: int) -> Measured[R]:
    """Do the work for every argument, at most so many at once."""
    slots = asyncio.Semaphore(at_once)
    latencies: list[float] = []

    async def one(argument: A) -> R:
        async with slots:
            began = time.perf_counter()
            result = await work(argument)
            latencies.append(time.perf_counter() - began)
            return result

    began = time.perf_counter()
    results = await asyncio.gather(*(one(argument) for argument in arguments))
    return Measured(results=list(results), latencies=latencies, elapsed=time.perf_counter() - began)

"""Waiting for what must come true, with a limit."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_INTERVAL = 0.05


@overload
async def eventually(assertion: Callable[[], Awaitable[T]], *, within: float = 30) -> T: ...


@overload
async def eventually(assertion: Callable[[], T], *, within: float = 30) -> T: ...


async def eventually(assertion: Callable[[], Any], *, within: float = 30) -> Any:
    """Try an assertion until it holds and return its value; at the deadline raise its last failure.

    Only an AssertionError is tried again: anything else is a mistake in the test.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            value = assertion()
            return await value if inspect.isawaitable(value) else value
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_INTERVAL)

"""Serves an ASGI application over real HTTP, in this process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import uvicorn

A = TypeVar("A", bound=Callable[[Any, Any, Any], Awaitable[None]])


@contextlib.asynccontextmanager
async def serving(application: Callable[[str], A]) -> AsyncIterator[A]:
    """Make an application, told its URL, and serve it on a free loopback port until the end of the block."""
    # Only where the protocol is said does asyncio send small answers at once; otherwise each waits 40 ms for company.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        made = application(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(made, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        at_work = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            # uvicorn has no event for it.
            while not server.started and not at_work.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            yield made
        finally:
            server.should_exit = True
            await at_work

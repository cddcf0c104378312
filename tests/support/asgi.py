"""Serves an ASGI application over real HTTP, in this process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

A = TypeVar("A", bound=Callable[[Any, Any, Any], Awaitable[None]])


@contextlib.asynccontextmanager
async def serving(application: Callable[[str], A]) -> AsyncIterator[A]:
    """Make an application, told its URL, and serve it on a free loopback port until the end of the block.

    What is still being answered then is cut off. Only uvicorn's protocol is used: its server looks ten times a second
    whether it should end, and waits a while when it does, which hundreds of tests have no time for.
    """
    # Only where the protocol is said does asyncio send small answers at once; otherwise each waits 40 ms for company.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        made = application(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(made, log_config=None, lifespan="off")
        config.load()
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: H11Protocol(config=config, server_state=state, app_state={}), sock=listener
        )
        try:
            yield made
        finally:
            server.close()
            await _end(state)


async def _end(state: ServerState) -> None:
    for task in state.tasks:
        task.cancel()
    for connection in state.connections:
        connection.shutdown()
    await asyncio.gather(*state.tasks, return_exceptions=True)
    for connection in state.connections:
        connection.transport.abort()
    # uvicorn has no event for it.
    while state.connections:  # noqa: ASYNC110
        await asyncio.sleep(0)

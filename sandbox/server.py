"""Serves a sandbox service on loopback, with the power to close a connection in mid-request."""

import argparse
import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "sandbox.transport"


class Served(Protocol):
    """An ASGI application with a name and a beginning."""

    name: ClassVar[str]

    async def start(self) -> None:
        """Called once in the event loop, before the first request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


class _Protocol(H11Protocol):
    """Shows the application its connection: ASGI knows no way to hang up, or to send a reason phrase."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        super().connection_made(transport)
        serve = self.app

        async def serve_with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await serve({**scope, _TRANSPORT: transport}, receive, send)

        self.app = serve_with_transport


async def close_connection(scope: Scope, receive: Receive) -> None:
    """Hang up without an answer."""
    scope[_TRANSPORT].close()
    # uvicorn answers 500 to an application that returns before it has noticed the end of the connection.
    while (await receive())["type"] != "http.disconnect":
        pass


async def write_raw(scope: Scope, receive: Receive, answer: bytes) -> None:
    """Send bytes as they are, then hang up."""
    scope[_TRANSPORT].write(answer)
    await close_connection(scope, receive)


def listen(*, port: int) -> socket.socket:
    """Listen on a loopback port, 0 for a free one.

    The port may be held meanwhile by a bound socket of whoever started us, so that a restart finds it free.
    """
    # With the protocol left at 0, asyncio doesn't set TCP_NODELAY, and every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    return listener


def arguments_parser(*, name: str) -> argparse.ArgumentParser:
    """The arguments every service takes."""
    parser = argparse.ArgumentParser(prog=f"python -m sandbox.{name}")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 (default) for a free one, printed")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file; made where missing")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input does, as when the parent is gone"
    )
    return parser


def main(*, make: Callable[[argparse.Namespace], Served], parser: argparse.ArgumentParser) -> None:
    """Read the arguments, serve until SIGTERM or SIGINT."""
    arguments = parser.parse_args()
    service = make(arguments)
    asyncio.run(_serve(service=service, arguments=arguments))


async def _serve(*, service: Served, arguments: argparse.Namespace) -> None:
    await service.start()
    listener = listen(port=arguments.port)
    config: dict[str, Any] = {"http": _Protocol, "loop": "asyncio", "lifespan": "off", "ws": "none"}
    server = uvicorn.Server(
        uvicorn.Config(
            service,
            **config,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            # Longer than any client keeps a connection: else closing would race with the next request on it.
            timeout_keep_alive=120,
            timeout_graceful_shutdown=1,
        )
    )
    if arguments.until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    print(f"{service.name}: http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await server.serve(sockets=[listener])


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True

"""A way to a service that breaks in mid-answer, as networks do: the service has acted, and nobody hears of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx

from plans.secrets import resolve
from plans.services import HttpService

_CHUNK = 65536


@dataclass(kw_only=True)
class Cut:
    """The service by way of the relay, and how many answers were cut off."""

    service: HttpService
    answers: int = 0


@contextlib.asynccontextmanager
async def cut_in_mid_answer(service: HttpService) -> AsyncIterator[Cut]:
    """Relay connections to the service, and hang up on both sides at the first byte that it answers."""
    base_url = resolve(service.base_url)
    parts = urlsplit(base_url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)

    relaying: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        relaying.add(task)
        tls = httpx.create_ssl_context() if is_tls else None
        try:
            answers, asks = await asyncio.open_connection(parts.hostname, port, ssl=tls)
        except OSError:
            writer.transport.abort()
            return
        sending = asyncio.create_task(_pump(reader, asks))
        try:
            with contextlib.suppress(OSError):
                if await answers.read(1):
                    cut.answers += 1
        finally:
            sending.cancel()
            asks.transport.abort()
            writer.transport.abort()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    host, relay_port = server.sockets[0].getsockname()[:2]
    # The service is to believe that it is called by its own name.
    headers = {**service.headers, "Host": parts.netloc.rpartition("@")[2]}
    relayed = urlunsplit(("http", f"{host}:{relay_port}", parts.path, parts.query, ""))
    cut = Cut(service=service.model_copy(update={"base_url": relayed, "headers": headers}))
    try:
        yield cut
    finally:
        server.close()
        # A service that hasn't answered yet is waited for by nobody any more.
        for task in relaying:
            task.cancel()
        await asyncio.gather(*relaying, return_exceptions=True)
        await server.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()

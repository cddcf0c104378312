"""/healthz: is this worker polling, and if not, why."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class Health:
    """What the worker says of itself. `problem` says what keeps it from polling and what to do."""

    problem: str | None = "starting"

    @property
    def is_polling(self) -> bool:
        """Does the worker take work?"""
        return self.problem is None


@contextlib.asynccontextmanager
async def serving(health: Health, *, address: str | None) -> AsyncIterator[None]:
    """Serve /healthz on an address (`127.0.0.1:8081`) while the block runs; without an address, nothing."""
    if address is None:
        yield
        return
    host, _, port = address.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=5)
            writer.write(_answer(health, request))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, host or "127.0.0.1", int(port), limit=8192):
        yield


def _answer(health: Health, request: bytes) -> bytes:
    if not request.startswith((b"GET /healthz ", b"HEAD /healthz ")):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    status = b"200 OK" if health.is_polling else b"503 Service Unavailable"
    body = json.dumps({"polling": health.is_polling, "problem": health.problem}).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, len(body)) + (b"" if request.startswith(b"HEAD") else body)

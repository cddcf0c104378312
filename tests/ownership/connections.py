"""HTTP/1.1 to the sandbox's services with next to no work of our own, for tests that make tens of thousands of exchanges.

It answers as `activities.actions.wire.Wire` does for JSON over plain connections; what that does besides is tested with it.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from activities.actions.answers import Answer, NoAnswer
from activities.actions.wire import NO_ANSWERS

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_LOST = NO_ANSWERS[httpx.RemoteProtocolError]


class Connections:
    """Connections that are kept, each used by one at a time."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Streams]] = defaultdict(list)

    async def send(
        self,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str | bytes],
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        basic: httpx.BasicAuth | None = None,
    ) -> Answer | NoAnswer:
        """Send a request; a connection that is closed without an answer is no answer."""
        parts = urlsplit(url)
        body = content or b""
        lines = [f"{method} {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1", f"host: {parts.netloc}"]
        if form is not None:
            body = urlencode(form).encode()
            lines.append("content-type: application/x-www-form-urlencoded")
        if basic is not None:
            shown = next(basic.auth_flow(httpx.Request(method, url)))
            lines.append(f"authorization: {shown.headers['authorization']}")
        lines += [f"{name}: {value if isinstance(value, str) else value.decode()}" for name, value in headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        idle = self._idle[parts.netloc]
        reader, writer = idle.pop() if idle else await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write("\r\n".join(lines).encode() + body)
            answer = await _read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return _LOST
        idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Close what is idle."""
        for streams in self._idle.values():
            for _, writer in streams:
                writer.close()
                await writer.wait_closed()
        self._idle.clear()


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    status, length = int(head[0].split(" ", 2)[1]), int(headers.get("content-length", "0"))
    body = await reader.readexactly(length)
    return Answer(status=status, headers=headers, body=_parsed(body) if 200 <= status < 300 else None)


def _parsed(body: bytes) -> Any:
    return json.loads(body) if body else None

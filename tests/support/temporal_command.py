"""The plain `temporal` command, as an operator or a script uses it, and messages of every shape it can send."""

import asyncio
import base64
import json
import os
from dataclasses import dataclass
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from tests.support.stage import LONGEST_WAIT
from workflows import names

#: How many commands run at once: each is a process of its own.
_AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Arguments of the command that send a message of one shape."""

    arguments: tuple[str, ...] = ()
    #: What the command refuses to send, but another program may: broken text under the name of JSON.
    raw: tuple[RawValue, ...] = ()
    #: Does it say something that can't be understood? Saying nothing is no such thing.
    unreadable: bool = True


def _raw(data: bytes, encoding: str) -> Shape:
    encoded = base64.b64encode(data).decode()
    return Shape(arguments=("--input", encoded, "--input-base64", "--input-meta", f"encoding={encoding}"))


def _not_json(data: bytes, **metadata: str) -> Shape:
    payload = Payload(data=data, metadata={name: value.encode() for name, value in metadata.items()})
    return Shape(raw=(RawValue(payload),))


def _json(*values: Any) -> Shape:
    return Shape(arguments=tuple(part for value in values for part in ("--input", json.dumps(value))))


#: All that is no JSON object by itself.
WRONG_SHAPES = {
    "no argument": Shape(arguments=(), unreadable=False),
    "null": Shape(arguments=("--input", "null"), unreadable=False),
    "a string": _json("ada.lovelace@person.example"),
    "a number": _json(42),
    "a list": _json(["support-7"]),
    "two arguments": _json({"by": "support-7"}, {"by": "support-8"}),
    "64 kB": _json("x" * 65_536),
    "deep": Shape(arguments=("--input", "[" * 5_000 + "]" * 5_000)),
    "broken json": _not_json(b'{"by": ', encoding="json/plain"),
    "no text": _not_json(b"\xff\x00\xfe", encoding="json/plain"),
    "broken protobuf json": _not_json(b"{", encoding="json/protobuf"),
    "no encoding": _not_json(b"{}"),
    "bytes": _raw(b"\x00\x01\x02", "binary/plain"),
    "encrypted": _raw(b"\x8f\x02\x77", "binary/encrypted"),
    "unknown encoding": _raw(b"{}", "no/such"),
    "unknown message": Shape(arguments=("--input", "{}", "--input-meta", "encoding=json/protobuf")),
}


class TemporalCommand:
    """Runs `temporal workflow …` against one server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connection = (
            *("--address", client.service_client.config.target_host),
            *("--namespace", client.namespace),
            *("--output", "json"),
        )
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def signal(self, workflow_id: str, name: str, shape: Shape) -> None:
        """Send a signal."""
        if shape.raw:
            return await self._client.get_workflow_handle(workflow_id).signal(name, args=shape.raw)
        await self._run("signal", "--workflow-id", workflow_id, "--name", name, *shape.arguments)

    async def update(self, workflow_id: str, name: str, shape: Shape) -> dict[str, Any]:
        """Send an update and return its answer."""
        if shape.raw:
            handle = self._client.get_workflow_handle(workflow_id)
            raw_answer: dict[str, Any] = await handle.execute_update(name, args=shape.raw)
            return raw_answer
        updated = await self._run("update", "execute", "--workflow-id", workflow_id, "--name", name, *shape.arguments)
        answer: dict[str, Any] = updated["result"]
        return answer

    async def status(self, workflow_id: str, shape: Shape) -> dict[str, Any]:
        """Ask the status query."""
        if shape.raw:
            return dict(await self._client.get_workflow_handle(workflow_id).query(names.STATUS, args=shape.raw))
        asked = await self._run("query", "--workflow-id", workflow_id, "--name", names.STATUS, *shape.arguments)
        [status] = asked["queryResult"]
        return dict(status)

    async def start(self, workflow_id: str, shape: Shape) -> None:
        """Start a retirement."""
        if shape.raw:
            await self._client.start_workflow(
                names.WORKFLOW_TYPE, args=shape.raw, id=workflow_id, task_queue=names.QUEUE
            )
            return
        await self._run(
            "start",
            *("--workflow-id", workflow_id, "--type", names.WORKFLOW_TYPE, "--task-queue", names.QUEUE),
            *shape.arguments,
        )

    async def _run(self, *arguments: str) -> Any:
        async with self._slots, asyncio.timeout(LONGEST_WAIT):
            process = await asyncio.create_subprocess_exec(
                os.environ["TEMPORAL_CLI"],
                "workflow",
                *arguments,
                *self._connection,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, errors = await process.communicate()
        assert process.returncode == 0, (arguments[:6], errors.decode()[-500:])
        # A note about an old flag comes before the JSON.
        return json.loads(output[output.index(b"{") :]) if b"{" in output else None

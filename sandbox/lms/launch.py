"""Starts and stops a stand-in in a process of its own, on a loopback port that stays its own."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.launch import SandboxNotReady
from sandbox.lms.client import StandInLms

_ROOT = Path(__file__).resolve().parent.parent.parent
_READY_WITHIN = 60.0
_STOPPED_WITHIN = 5.0


class LmsProcess:
    """The process, which can be taken down and brought back with the data it had."""

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "lms.log"
        # A bound socket that doesn't listen keeps the port while the stand-in is down, and refuses connections.
        self._port = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is served, down or up."""
        return f"http://127.0.0.1:{self._port.getsockname()[1]}"

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            SandboxNotReady: it ended, or was not up in time.
        """
        port = self._port.getsockname()[1]
        self._process = process = self._spawn(port)
        deadline = time.monotonic() + _READY_WITHIN
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                await self.stop()
                raise SandboxNotReady(f"the stand-in LMS did not come up; see {self._log}")
            await asyncio.sleep(0.02)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "sandbox.lms", "--until-stdin-closes", "--port", str(port)]
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [*command, "--database", str(self._folder / "lms.db")],
                # The pipe is the child's leash: should this process be killed, its end makes the child stop, too.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )

    async def stop(self) -> None:
        """End the process. The port refuses connections until the next start; rows and requests stay."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, _STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
        if process.stdin is not None:
            process.stdin.close()

    async def end(self) -> None:
        """End the process and give the port back."""
        await self.stop()
        self._port.close()


@asynccontextmanager
async def running_lms(*, folder: Path) -> AsyncIterator[StandInLms]:
    """A stand-in of its own, until the end of the block.

    async with running_lms(folder=tmp_path) as lms:
        ann = lms.add_learner("ann")
    """
    process = LmsProcess(folder=folder)
    try:
        await process.start()
        with StandInLms(url=process.url, process=process) as lms:
            yield lms
    finally:
        await process.end()


def _answers(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex(("127.0.0.1", port)) == 0

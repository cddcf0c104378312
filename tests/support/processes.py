"""Temporal's server and our worker as processes of their own, which can be killed and come back."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from temporalio.client import Client

from tests.support.waiting import eventually
from worker.converter import DATA_CONVERTER

_ROOT = Path(__file__).parents[2]
_READY_WITHIN = 60.0


class Process:
    """A command that runs, dies when told, and can be run again. Its output is kept in a log."""

    def __init__(self, *command: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.log = log

    async def start(self) -> None:
        """Run it. Its stdin stays open for as long as we live."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=_ROOT,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for pytest, which then ends what it started.
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Is it alive?"""
        return self._process is not None and self._process.returncode is None

    async def died(self) -> int:
        """Wait for its end; gives the exit code, or the signal as a negative number."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """kill -9, if it is still alive."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""


class TemporalServer(Process):
    """Temporal's development server on a port of its own, in memory or on a database file.

    `config` is its dynamic configuration, each value as JSON.
    """

    def __init__(self, *, folder: Path, database: Path | None = None, config: Mapping[str, str] | None = None) -> None:
        port = _free_port()
        arguments = ["--port", str(port), "--ip", "127.0.0.1", "--headless", "--log-level", "error"]
        if database is not None:
            arguments += ["--db-filename", str(database)]
        for name, value in (config or {}).items():
            arguments += ["--dynamic-config-value", f"{name}={value}"]
        super().__init__(os.environ["TEMPORAL_CLI"], "server", "start-dev", *arguments, log=folder / "temporal.log")
        self.address = f"127.0.0.1:{port}"

    async def client(self, *, namespace: str = "default") -> Client:
        """A client, as soon as the server answers."""

        async def connected() -> Client:
            assert self.is_running, self.last_lines()
            try:
                client = await Client.connect(self.address, namespace=namespace, data_converter=DATA_CONVERTER)
                await client.service_client.check_health()
            except RuntimeError as error:
                raise AssertionError(str(error)) from None
            return client

        return await eventually(connected, within=_READY_WITHIN)


def a_worker(*, folder: Path, environment: Mapping[str, str]) -> Process:
    """The worker as operators run it."""
    command = (sys.executable, "-m", "starter.main", "worker")
    return Process(*command, log=folder / "worker.log", environment=environment)


def a_killable_worker(*options: str, folder: Path, environment: Mapping[str, str]) -> Process:
    """The worker that kills itself at the boundary named in `folder`/order."""
    command = (sys.executable, "-m", "tests.support.killable_worker", str(folder), *options)
    return Process(*command, log=folder / "worker.log", environment=environment)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

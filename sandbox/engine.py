"""What a demo runs on besides its services, on free loopback ports: Temporal, a worker, and the `retire` command."""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from temporalio.client import Client

from worker.converter import DATA_CONVERTER

ROOT = Path(__file__).resolve().parent.parent
_SERVER_WITHIN = 60.0
_STOPPED_WITHIN = 10.0
_ATTEMPTS = 3
#: How variables begin that would change what is shown: the product's, Temporal's, those of an Open edX site and its driver.
_OTHERS = ("TEMPORAL_", "RETIREMENT_", "OPENEDX_", "CONFIG_FILE", "COOL_OFF_", "USER_COUNT_", "MAX_USER_")


class StageError(Exception):
    """Something the demo runs on did not come up, or ended; the message says what and where its log is."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a `retire` command ended with."""

    code: int
    output: str
    errors: str

    @property
    def facts(self) -> dict[str, Any]:
        """The printed JSON."""
        return dict(json.loads(self.output))


class Engine(ABC):
    """All of it, in one folder. `async with` starts and ends exactly its own processes; `begin_work` adds the worker."""

    def __init__(self, *, folder: Path, temporal: Path) -> None:
        self.folder = folder
        self._temporal = temporal
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._address = ""
        self.ui_url = ""
        self.client: Client

    @abstractmethod
    async def start_services(self) -> None:
        """Start what people are retired from."""

    @abstractmethod
    async def stop_services(self) -> None:
        """End it, whether it came up or not."""

    @property
    @abstractmethod
    def own_settings(self) -> Mapping[str, str]:
        """What worker and commands need to know of it."""

    async def __aenter__(self) -> Self:
        """Start everything but the worker."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            # Both to their end, whatever becomes of the other: only then can they be stopped again.
            for problem in await asyncio.gather(self._start_temporal(), self.start_services(), return_exceptions=True):
                if problem is not None:
                    raise problem
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        """End everything."""
        await self._stop()

    async def begin_work(self) -> None:
        """Make what a worker needs, and start it: at the end it polls, or is about to. The plans are there by then.

        Raises:
            StageError: it can't be made.
        """
        done = await self.retire("setup")
        if done.code != 0:
            raise StageError(f"`retire setup` ended with {done.code}: {done.errors.strip()}")
        self._spawn("worker", [sys.executable, "-m", "starter.main", "worker"])

    @property
    def environment(self) -> dict[str, str]:
        """What worker and commands are run with. The person's own settings and profiles have no say here."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OTHERS)}
        return {
            **inherited,
            **self.settings,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }

    @property
    def settings(self) -> dict[str, str]:
        """The settings of this stage alone."""
        return {
            "TEMPORAL_ADDRESS": self._address,
            "TEMPORAL_NAMESPACE": "default",
            # A file that isn't there: no profile of the person's is read.
            "TEMPORAL_CONFIG_FILE": str(self.folder / "no-profiles.toml"),
            "RETIREMENT_DATABASE_URL": f"sqlite:///{self.folder / 'ledger.db'}",
            "RETIREMENT_KEYS_FILE": str(self.folder / "keys.json"),
            "RETIREMENT_PLANS_DIR": str(self.folder / "plans"),
            **self.own_settings,
        }

    def write_settings(self) -> Path:
        """Write the settings as a file for a person's shell to read (`. FILE`), and return its path."""
        path = self.folder / "settings.sh"
        path.touch(mode=0o600)
        settings = sorted(self.settings.items())
        path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings))
        return path

    async def retire(self, *arguments: str, together: bool = False) -> Told:
        """Run a `retire` command to its end. `together`: its errors are in its output, in the order of a terminal."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "starter.main", *arguments),
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE,
            start_new_session=True,
        )
        output, errors = await process.communicate()
        return Told(code=process.returncode or 0, output=output.decode(), errors=(errors or b"").decode())

    async def wait_for_an_end(self) -> None:
        """Return never, but raise when the server or the worker has ended.

        Raises:
            StageError: with the log of what ended.
        """
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise StageError(f"the {name} ended with {process.returncode}; see {self._log(name)}")
            await asyncio.sleep(0.5)

    async def _start_temporal(self) -> None:
        # The server takes no socket from us, so its ports are free only as far as anybody can tell; hence the attempts.
        for attempt in range(_ATTEMPTS):
            port, ui_port = _free_ports(2)
            self._address, self.ui_url = f"127.0.0.1:{port}", f"http://127.0.0.1:{ui_port}"
            command = [str(self._temporal), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]
            command += ["--port", str(port), "--ui-port", str(ui_port), "--ui-ip", "127.0.0.1"]
            command += ["--dynamic-config-value", "matching.enableFairness=true"]
            process = self._spawn("temporal", [*command, "--db-filename", str(self.folder / f"temporal-{attempt}.db")])
            if await self._connected(process):
                return
        raise StageError(f"the Temporal server did not come up; see {self._log('temporal')}")

    async def _connected(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = asyncio.get_running_loop().time() + _SERVER_WITHIN
        while process.poll() is None and asyncio.get_running_loop().time() < deadline:
            try:
                self.client = await Client.connect(self._address, data_converter=DATA_CONVERTER)
                return True
            except RuntimeError:
                await asyncio.sleep(0.1)
        await asyncio.to_thread(_end, process)
        return False

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo, which then ends these in their order.
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    async def _stop(self) -> None:
        for name in ("worker", "temporal"):
            if name in self._processes:
                await asyncio.to_thread(_end, self._processes.pop(name))
        await self.stop_services()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _free_ports(count: int) -> list[int]:
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Other people's servers, run for the tests: found or skipped, on a port of their own, ended with us."""

import asyncio
import contextlib
import os
import pwd
import random
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

#: Names, with commas between, of the servers without which the tests fail instead of being skipped.
REQUIRE = "RETIREMENT_TEST_REQUIRE"
KNOWN = ("keycloak", "postgresql", "s3")

_STOPPED_WITHIN = 10.0
_INTERVAL = 0.05

#: Runs the command and, when our end of its stdin closes, however we ended, sends it the signal. Takes signal, command.
_LEASH = """
ending=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(read -r _ <&3; kill -s "$ending" $server) &
leash=$!
wait $server; code=$?
kill $leash 2>/dev/null
exit $code
"""


class NotHere(Exception):
    """A server can't be had on this machine; the text says what is missing, and what to do."""


def without(server: str, why: NotHere) -> NoReturn:
    """Skip the test, as its server is missing here; fail it where RETIREMENT_TEST_REQUIRE names the server."""
    required = [name.strip() for name in os.environ.get(REQUIRE, "").split(",") if name.strip()]
    if unknown := sorted(set(required) - set(KNOWN)):
        raise pytest.fail.Exception(
            f"{REQUIRE} names {', '.join(unknown)}; known: {', '.join(KNOWN)}", pytrace=False
        ) from None
    if server in required:
        raise pytest.fail.Exception(f"{REQUIRE} names {server}, which is missing here: {why}", pytrace=False) from None
    raise pytest.skip.Exception(f"{server} is missing here: {why}") from None


def free_port() -> int:
    """A port on 127.0.0.1 that nobody has. Not one that the kernel gives to outgoing connections meanwhile."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError("of a hundred ports none was free")


class Server:
    """A program that serves until it is stopped, or until this process ends, however it ends."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        ended_by: signal.Signals = signal.SIGTERM,
        user: str | None = None,
    ) -> None:
        self._name = name
        self._command = ("sh", "-c", _LEASH, "leash", ended_by.name.removeprefix("SIG"), *command)
        self._environment = environment
        self._user = user
        self._process: asyncio.subprocess.Process | None = None
        self.log = log

    async def start(self) -> None:
        """Run it, as `user` where one is given. Its output goes to the log."""
        account = None if self._user is None else pwd.getpwnam(self._user)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=dict(self._environment),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=[] if account else None,
                # Ctrl-C is for pytest, which then ends what it started; and the group is ended as a whole.
                start_new_session=True,
            )

    async def ready(self, answers: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Wait until `answers`. A server that ends or stays silent is stopped, and its log shown."""
        deadline = time.monotonic() + within
        while not await answers():
            assert self._process is not None
            if self._process.returncode is not None or time.monotonic() > deadline:
                why = "ended at once" if self._process.returncode is not None else f"was not up within {within:.0f} s"
                await self.stop()
                raise AssertionError(f"{self._name} {why}; the end of its log:\n{self._last_lines()}")
            await asyncio.sleep(_INTERVAL)

    async def stop(self) -> None:
        """End it, and by force what has not ended in time."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOPPED_WITHIN):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _last_lines(self, count: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

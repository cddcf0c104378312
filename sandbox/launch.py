"""Starts and stops the sandbox: one process a service, each on a loopback port that stays its own."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox.client import AccountsService, DocumentsService, MailboxService, Person, SandboxService

_ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN = 60.0
_STOPPED_WITHIN = 5.0

#: The services that keep something about people.
HOLDERS = ("accounts", "documents", "forum", "invoices", "newsletter")


class SandboxNotReady(Exception):
    """A service of the sandbox did not come up; the message names its log."""


@dataclass(kw_only=True)
class _Server:
    """A service's process, and the ports it has whether it runs or not."""

    name: str
    arguments: tuple[str, ...] = ()
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    reserved: list[socket.socket] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def reserve(self) -> int:
        """Let the kernel choose a port, and keep it.

        A bound socket that doesn't listen refuses connections, as a service that is down should, and nobody else
        can be given its port meanwhile.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        self.reserved.append(holder)
        return int(holder.getsockname()[1])

    @property
    def ports(self) -> list[int]:
        """HTTP first."""
        return [int(holder.getsockname()[1]) for holder in self.reserved]


class Sandbox:
    """All services of the sandbox, in a folder of their own.

    async with Sandbox(folder=tmp_path) as sandbox:
        ada = sandbox.add_person(locale="de")
        sandbox.forum.misbehave(FaultKind.LOST_ANSWER, user=ada)
    """

    def __init__(self, *, folder: Path, token_lifetime: float = 300, newsletter_working_time: float = 0.5) -> None:
        self.folder = folder
        self._servers = {
            "accounts": _Server(name="accounts", arguments=("--token-lifetime", str(token_lifetime))),
            "documents": _Server(name="documents"),
            "forum": _Server(name="forum"),
            "invoices": _Server(name="invoices"),
            "newsletter": _Server(name="newsletter", arguments=("--working-time", str(newsletter_working_time))),
            "mailbox": _Server(name="mailbox"),
        }
        for server in self._servers.values():
            server.reserve()
        smtp_port = self._servers["mailbox"].reserve()
        self._servers["mailbox"].arguments = ("--smtp-port", str(smtp_port))
        self.accounts = AccountsService(url=self._url("accounts"))
        self.documents = DocumentsService(url=self._url("documents"))
        self.forum = SandboxService(url=self._url("forum"))
        self.invoices = SandboxService(url=self._url("invoices"))
        self.newsletter = SandboxService(url=self._url("newsletter"))
        self.mailbox = MailboxService(url=self._url("mailbox"))

    @property
    def services(self) -> dict[str, SandboxService]:
        """Every service by name."""
        return {
            "accounts": self.accounts,
            "documents": self.documents,
            "forum": self.forum,
            "invoices": self.invoices,
            "newsletter": self.newsletter,
            "mailbox": self.mailbox,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a worker needs to run the plans of the sandbox against this sandbox."""
        servers = self._servers
        return {
            **{f"{name.upper()}_URL": self._url(name) for name in HOLDERS},
            "ACCOUNTS_CLIENT_SECRET": servers["accounts"].secret,
            "DOCUMENTS_TOKEN": servers["documents"].secret,
            "FORUM_TOKEN": servers["forum"].secret,
            "INVOICES_TOKEN": servers["invoices"].secret,
            "NEWSLETTER_TOKEN": servers["newsletter"].secret,
            "RETIREMENT_SMTP_HOST": "127.0.0.1",
            "RETIREMENT_SMTP_PORT": str(servers["mailbox"].ports[1]),
            "RETIREMENT_SMTP_TLS": "none",
        }

    async def __aenter__(self) -> Self:
        """Start everything."""
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Stop everything."""
        await self.stop()

    async def start(self) -> None:
        """Start every service and wait until all answer.

        Raises:
            SandboxNotReady: a service ended, or was not up in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for server in self._servers.values():
            self._spawn(server)
        try:
            for server in self._servers.values():
                await self._wait_until_ready(server)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End exactly the processes started here, and give the ports back."""
        for server in self._servers.values():
            if server.process is not None:
                server.process.terminate()
        for name, server in self._servers.items():
            await self.take_down(name)
            for holder in server.reserved:
                holder.close()
        for service in self.services.values():
            service.close()

    async def take_down(self, name: str) -> None:
        """End one service. Its port refuses connections until `bring_back`; its data stay."""
        server = self._servers[name]
        process, server.process = server.process, None
        if process is None:
            return
        await asyncio.to_thread(_end, process)
        if process.stdin is not None:
            process.stdin.close()

    async def bring_back(self, name: str) -> None:
        """Start one service again, on the same port, with the data it had."""
        self._spawn(self._servers[name])
        await self._wait_until_ready(self._servers[name])

    def add_person(self, *, at: Collection[str] = HOLDERS, **details: object) -> Person:
        """Make up a person, with what matters overridden (see `Person`), and make them known to the services `at`."""
        person = Person(**details)  # type: ignore[arg-type]  # Person names what it takes; a stranger is a TypeError
        self.add_people([person], at=at)
        return person

    def add_people(self, people: Iterable[Person], *, at: Collection[str] = HOLDERS) -> None:
        """Make people known to the services `at`."""
        listed = list(people)
        for name in at:
            self.services[name].add_people(listed)

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._servers[name].ports[0]}"

    def _log(self, server: _Server) -> Path:
        return self.folder / f"{server.name}.log"

    def _spawn(self, server: _Server) -> None:
        command = [sys.executable, "-m", f"sandbox.{server.name}", "--until-stdin-closes"]
        command += ["--port", str(server.ports[0]), "--database", str(self.folder / f"{server.name}.db")]
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        with self._log(server).open("ab") as log:
            server.process = subprocess.Popen(
                [*command, *server.arguments],
                # The pipe is the child's leash: should this process be killed, its end makes the child stop, too.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, "SANDBOX_SECRET": server.secret},
                # Ctrl-C is for whoever started the sandbox, and is passed on by `stop`.
                start_new_session=True,
            )

    async def _wait_until_ready(self, server: _Server) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while True:
            # The port is reserved, so whoever listens there is our child.
            with socket.socket() as attempt:
                attempt.settimeout(1)
                if attempt.connect_ex(("127.0.0.1", server.ports[0])) == 0:
                    return
            ended = server.process is None or server.process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = "ended at once" if ended else f"did not answer within {_READY_WITHIN:.0f} s"
                raise SandboxNotReady(f"the sandbox's {server.name} {why}; see {self._log(server)}")
            await asyncio.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

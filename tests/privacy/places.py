"""Retirements of canaries on processes of their own, and everything that these wrote, place by place.

Two kinds are told apart. `KEPT` are the data that the services keep of the person: they must be found nowhere. `TOLD` are
data that somebody wrote into a message, where codes and ids belong: they are in that message, and must be found nowhere else.
What a person owned tells of them and of others: of who takes over, of admins who hear of it, and what it is called.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.client import Client

from sandbox.launch import Sandbox
from sandbox.lms.client import StandInLms
from sandbox.lms.launch import running_lms
from sandbox.lms.settings import Settings
from tests.support.leaks import Canary
from tests.support.plans import TEAM_PLAN, PlanDocument, a_plan
from tests.support.smtp_server import Mailbox
from tests.support.stage import LONGEST_WAIT
from tests.support.waiting import eventually
from worker.converter import DATA_CONVERTER

ROOT = Path(__file__).parents[2]

KEPT = Canary(mark="kanari", number="0199773")
TOLD = Canary(mark="stieglitz", number="0188442")
ADMIN = Canary(mark="zeisig", number="0177331")
HEIR = Canary(mark="girlitz", number="0166553")
#: Of an Open edX site, where more is known of them than they say of themselves.
LEARNER = Canary(mark="wiedehopf", number="0155662")
#: The first of the LMS' own ids, what the shop calls them, and what servers say of them when they fail.
LMS_USER_ID, TRACKING, QUARREL = 8844220077000, "kielspur", "Federstreit"
#: What the documents of a person are called.
TITLES = ("Kleiberk\u00fcndigung", "Spechtscheidung & Folgen")
#: What the ids of all documents begin with.
ASSET = "rotschwanz"

#: All that the services keep, by whom or what it tells of.
SECRETS = {
    "person": KEPT.fragments,
    "admin": ADMIN.fragments,
    "successor": HEIR.fragments,
    "titles": ("Kleiberk\u00fcndigung", "Spechtscheidung"),
    "asset ids": (ASSET,),
    # A hash that the LMS makes of a name begins so.
    "learner": (*LEARNER.fragments, str(LMS_USER_ID)[:-3], TRACKING, QUARREL, "retired__user_"),
    "credentials": (Settings().client_secret, Settings().segment_token),
}


class CarelessMailbox(Mailbox):
    """Refuses who is called `bounce` for good and who is called `late` once, with all it can say about them."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A recipient."""
        if "bounce" in address or ("late" in address and address not in self.refused):
            self.refused.append(address)
            code = "550 5.1.1" if "bounce" in address else "451 4.2.1"
            return f"{code} <{address}> {KEPT.name} of {KEPT.phone} is not here"
        return await super().handle_RCPT(server, session, envelope, address, options)


@contextlib.contextmanager
def careless_mail_server() -> Iterator[CarelessMailbox]:
    """Run until the block ends."""
    mailbox = CarelessMailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass(kw_only=True)
class Grounds:
    """Where the canaries are retired: a server with a database file, services, mail, worker processes."""

    folder: Path
    sandbox: Sandbox
    lms: StandInLms
    mailbox: CarelessMailbox
    address: str
    server_metrics: str
    client: Client
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    #: What each command printed, on both streams.
    printed: list[bytes] = field(default_factory=list)
    health: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    metrics: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")

    @property
    def ledger_file(self) -> Path:
        """Where the ledger is."""
        return self.folder / "ledger" / "ledger.db"

    @property
    def environment(self) -> dict[str, str]:
        """Of workers and commands."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "RETIREMENT_"))}
        return {
            **inherited,
            **self.sandbox.environment,
            "OPENEDX_CLIENT_SECRET": self.lms.settings().client_secret,
            "OPENEDX_SEGMENT_AUTH_TOKEN": self.lms.settings().segment_token,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "TEMPORAL_ADDRESS": self.address,
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_CONFIG_FILE": str(self.folder / "no-profiles.toml"),
            "RETIREMENT_DATABASE_URL": f"sqlite:///{self.ledger_file}",
            "RETIREMENT_KEYS_FILE": str(self.folder / "keys.json"),
            "RETIREMENT_PLANS_DIR": str(self.folder / "plans"),
            "RETIREMENT_PLAN": "sandbox",
            "RETIREMENT_SMTP_HOST": "127.0.0.1",
            "RETIREMENT_SMTP_PORT": str(self.mailbox.port),
            "RETIREMENT_LOG_LEVEL": "DEBUG",
            "RETIREMENT_GRACEFUL_SHUTDOWN": "3s",
        }

    def spawn_worker(self, module: str = "starter.main", **more: str) -> subprocess.Popen[bytes]:
        """Run a worker process."""
        here = {"RETIREMENT_HEALTH_ADDRESS": self.health, "RETIREMENT_METRICS_ADDRESS": self.metrics}
        command = [sys.executable, "-m", module, "worker"]
        environment = {**self.environment, **here, **more}
        process = _spawned(command, folder=self.folder, log="worker.log", environment=environment)
        self.processes.append(process)
        return process

    async def polling(self) -> None:
        """Wait until the worker takes work."""

        async def look() -> None:
            if self.processes[-1].poll() is not None:
                raise RuntimeError(f"the worker ended: {(self.folder / 'worker.log').read_text()[-1000:]}")
            assert json.loads(await self.read(f"http://{self.health}/healthz"))["polling"]

        await eventually(look, within=LONGEST_WAIT)

    async def read(self, url: str) -> bytes:
        """What a page says; an AssertionError while nobody serves it."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            try:
                return (await client.get(url)).content
            except httpx.TransportError as error:
                raise AssertionError(f"nothing at {url}") from error

    async def retire(self, *arguments: str) -> bytes:
        """Run a `retire` command to its end; what it printed is kept for the search."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "starter.main", *arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(LONGEST_WAIT):
            output, errors = await process.communicate()
        self.printed += [output, errors]
        return output

    async def stop_worker(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
        """End a worker and wait for it."""
        process.send_signal(number)
        await asyncio.to_thread(process.wait, LONGEST_WAIT)


def _plans(folder: Path) -> None:
    def brief(document: PlanDocument) -> None:
        document["cool_off"] = {"duration": "14d", "reminders": ["30s"], "max": "21d", "expedite": "allowed"}
        document["subject"]["lookup"]["patience"] = "1s"

    def impatient(document: PlanDocument) -> None:
        brief(document)
        for step in document["steps"].values():
            if "retain" not in step:
                step["patience"] = "1s"

    def judged(document: PlanDocument) -> None:
        """Facts, rules and claims that are all about the person: who shares their nest, their name and their number."""
        brief(document)
        nest = {"method": "GET", "path": "/roles/{{ subject.roles[0] }}/users"}
        document["facts"] = {
            "nest": {"service": "accounts", "request": nest, "items": "body.users", "next_page": "body.next"}
        }
        document["facts"]["nest"]["patience"] = "1s"
        alone = "facts.nest | map(attribute='email') | list == [subject.email]"
        document["eligibility"] = [{"refuse_if": alone, "code": "alone_in_the_nest"}]
        document["claims"] = ["nest:{{ subject.name }}:{{ subject.phone }}", "address:{{ subject.email }}"]

    a_plan(folder, "sandbox", brief)
    a_plan(folder, "impatient", impatient)
    a_plan(folder, "judged", judged)
    a_plan(folder, "team", brief, like=TEAM_PLAN)
    a_plan(folder, "impatient_team", impatient, like=TEAM_PLAN)


@contextlib.asynccontextmanager
async def grounds(folder: Path) -> AsyncIterator[Grounds]:
    """Start the server, the services and the mail server; end exactly what was started here."""
    _plans(folder / "plans")
    (folder / "ledger").mkdir()
    (folder / "temporal").mkdir()
    address, metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [os.environ["TEMPORAL_CLI"], "server", "start-dev", "--headless", "--ip", "127.0.0.1"]
    command += ["--port", address.rpartition(":")[2], "--metrics-port", metrics.rpartition(":")[2]]
    command += ["--db-filename", str(folder / "temporal" / "temporal.db"), "--log-level", "debug"]
    processes = [_spawned(command, folder=folder, log="server.log")]
    try:
        with careless_mail_server() as mailbox:
            async with (
                Sandbox(folder=folder / "services", newsletter_working_time=0.1) as sandbox,
                running_lms(folder=folder / "lms") as lms,
            ):
                client = await eventually(lambda: _connected(address), within=LONGEST_WAIT)
                place = Grounds(
                    folder=folder,
                    sandbox=sandbox,
                    lms=lms,
                    mailbox=mailbox,
                    address=address,
                    server_metrics=f"http://{metrics}/metrics",
                    client=client,
                    processes=processes,
                )
                await place.retire("setup")
                yield place
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _spawned(
    command: list[str], *, folder: Path, log: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A process whose streams both go into a log."""
    with (folder / log).open("ab") as stream:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


async def _connected(address: str) -> Client:
    try:
        return await Client.connect(address, data_converter=DATA_CONVERTER)
    except RuntimeError as error:
        raise AssertionError(f"no server at {address} yet") from error


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

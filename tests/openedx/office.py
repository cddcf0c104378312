"""An operator's office: a ledger, the stand-in's plan, a site's file, a place for files, and the commands with all of them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from ledger import Keys, Ledger
from sandbox.lms.client import StandInLms, a_learner
from starter.main import app
from tests.openedx.pipelines import FOUR, SITE, driver_document, write_plan
from tests.support.commands import Ended
from tests.support.ledgers import a_migrated_database

_ROOT = Path(__file__).parents[2]
_LONGEST_WAIT = 60
#: The plan's name.
PLAN = "courses"
_PARTNERS = ("RETIRING_PARTNERS", "PARTNERS_COMPLETE", "LMS", "retirement_partner_queue")


@dataclass(frozen=True, kw_only=True)
class Office:
    """Everything that archives and reports need."""

    folder: Path
    lms: StandInLms
    ledger: Ledger = field(repr=False)
    environment: dict[str, str] = field(repr=False)

    @property
    def site_file(self) -> Path:
        """The site's file."""
        return self.folder / "site.yaml"

    @property
    def place(self) -> Path:
        """A folder for archives and reports."""
        return self.folder / "place"

    def write_site(self, **parts: Any) -> None:
        """Say what the site's file says besides its name and plan."""
        self.site_file.write_text(yaml.safe_dump({"site": SITE, "plan": PLAN, **parts}))

    def files(self) -> dict[str, bytes]:
        """Every file in the place, by its path there."""
        found = sorted(path for path in self.place.rglob("*") if path.is_file())
        return {path.relative_to(self.place).as_posix(): path.read_bytes() for path in found}

    async def retire(self, command: str, *arguments: str) -> Ended:
        """Run `retire openedx …` for the site."""
        given = ["openedx", command, "--site", str(self.site_file), *arguments]
        async with asyncio.timeout(_LONGEST_WAIT):
            result = await asyncio.to_thread(CliRunner().invoke, app, given, prog_name="retire")
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        return Ended(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    @asynccontextmanager
    async def running(self, command: str, *arguments: str) -> AsyncIterator["Running"]:
        """The same in a process of its own, which is killed at the end of the block where it still runs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "starter.main", "openedx", command, "--site", str(self.site_file), *arguments),
            cwd=_ROOT,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running = Running(process=process)
        try:
            yield running
        finally:
            await running.kill()

    def complete(self, number: int, *, ago: timedelta = timedelta(days=60)) -> list[str]:
        """Learners that are COMPLETE in the LMS; gives their usernames."""
        created = datetime.now(UTC) - ago
        names = [f"learner-{each:03}" for each in range(number)]
        done: dict[str, Any] = {"state": "COMPLETE", "last_state": "LMS_COMPLETE", "created": created}
        self.lms.add_learners([a_learner(name, **done) for name in names])
        self.lms.forget_requests()
        return names

    def queue_for_partners(self, username: str, **details: Any) -> dict[str, Any]:
        """A learner of whom partners must be told; gives their row."""
        row = self.lms.add_learner(username, state="RETIRING_PARTNERS", last_state="NOTES_COMPLETE", **details)
        settings = self.lms.settings()
        with httpx.Client(base_url=self.lms.url, trust_env=False) as http:
            form = {"grant_type": "client_credentials", "client_id": settings.client_id}
            form |= {"client_secret": settings.client_secret, "token_type": "jwt"}
            token = http.post("/oauth2/access_token", data=form).raise_for_status().json()["access_token"]
            http.put(
                "/api/user/v1/accounts/retirement_partner_report/",
                json={"username": username},
                headers={"Authorization": f"JWT {token}"},
            ).raise_for_status()
        self.lms.forget_requests()
        return row

    def calls(self) -> list[str]:
        """The routes that were asked for since the last `forget_requests`, but those for tokens."""
        return [str(request.route) for request in self.lms.requests() if request.route != "token"]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A command that runs."""

    process: asyncio.subprocess.Process

    async def comes_to(self, event: asyncio.Event) -> None:
        """Wait until it has got so far; a command that ends before shows what it said."""
        waiting = {asyncio.create_task(event.wait()), asyncio.create_task(self.process.wait())}
        _, pending = await asyncio.wait(waiting, timeout=_LONGEST_WAIT, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if not event.is_set():
            raise AssertionError(f"the command did not come so far; it said: {await self.kill()}")

    async def kill(self) -> str:
        """End it as a power cut does; gives its words on stderr."""
        if self.process.returncode is None:
            self.process.kill()
        _, stderr = await self.process.communicate()
        return stderr.decode()


@asynccontextmanager
async def an_office(lms: StandInLms, *, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """An office of the stand-in."""
    async with a_migrated_database("sqlite", folder=folder) as url:
        keys = Keys.create(folder / "keys.json")
        write_plan(folder / "plans", PLAN, document=driver_document(lms.url, (_PARTNERS, *FOUR)))
        (folder / "place").mkdir()
        environment = {
            "RETIREMENT_DATABASE_URL": url,
            "RETIREMENT_KEYS_FILE": str(folder / "keys.json"),
            "RETIREMENT_PLANS_DIR": str(folder / "plans"),
            "RETIREMENT_PLAN": PLAN,
            "OPENEDX_CLIENT_SECRET": lms.settings().client_secret,
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        ledger = Ledger(url=url, keys=keys)
        try:
            await ledger.set_up()
            yield Office(folder=folder, lms=lms, ledger=ledger, environment=environment)
        finally:
            ledger.close()

"""An operator's desk without Temporal: a site's file, its plan, a ledger, and commands that are given there."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ledger import Keys, Ledger
from sandbox.lms.client import StandInLms
from starter.main import app
from tests.openedx.pipelines import SITE, driver_document, write_plan
from tests.support.commands import Ended
from tests.support.ledgers import a_migrated_database
from tests.support.processes import Process

PLAN = "openedx"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder in which commands find all they need; the environment of this process points to it."""

    folder: Path
    lms: StandInLms
    settings: Mapping[str, str] = field(repr=False)

    @property
    def site(self) -> Path:
        """The site's file."""
        return self.folder / "site.yaml"

    def write_site(self, **more: Any) -> None:
        """The site's file, with these sections."""
        self.site.write_text(yaml.safe_dump({"site": SITE, "plan": PLAN, **more}))

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, seen directly."""
        keys = Keys.load(self.folder / "keys.json")
        ledger = Ledger(url=self.settings["RETIREMENT_DATABASE_URL"], keys=keys)
        try:
            yield ledger
        finally:
            ledger.close()

    async def retire(self, *arguments: str) -> Ended:
        """Give a command about the site, in a thread of this process."""
        given = ["openedx", *arguments, "--site", str(self.site)]
        result = await asyncio.to_thread(CliRunner().invoke, app, given, prog_name="retire")
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        return Ended(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    def process(self, *arguments: str) -> Process:
        """The same command in a process of its own, which can be killed."""
        command = (sys.executable, "-m", "starter.main", "openedx", *arguments, "--site", str(self.site))
        return Process(*command, log=self.folder / "command.log", environment=self.settings)


@asynccontextmanager
async def a_desk(folder: Path, *, lms: StandInLms) -> AsyncIterator[Desk]:
    """A desk with an empty ledger."""
    async with a_migrated_database("sqlite", folder=folder) as url:
        keys = Keys.create(folder / "keys.json")
        ledger = Ledger(url=url, keys=keys)
        await ledger.set_up()
        ledger.close()
        write_plan(folder / "plans", PLAN, document=driver_document(lms.url))
        settings = {
            "RETIREMENT_DATABASE_URL": url,
            "RETIREMENT_KEYS_FILE": str(folder / "keys.json"),
            "RETIREMENT_PLANS_DIR": str(folder / "plans"),
            "RETIREMENT_PLAN": PLAN,
            "OPENEDX_CLIENT_SECRET": lms.settings().client_secret,
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            yield Desk(folder=folder, lms=lms, settings=settings)

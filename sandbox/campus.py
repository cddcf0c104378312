"""What the demo of an Open edX site runs on: a stand-in for the site with learners, Temporal, a worker, and `retire`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from sandbox.engine import ROOT, Engine
from sandbox.lms.client import StandInLms, a_learner
from sandbox.lms.launch import LmsProcess
from sandbox.lms.settings import Settings
from sandbox.lms.states import PENDING, REQUIRED

#: The site's id, with which the ids of its learners' retirements begin.
SITE = "courses"
#: The driver's file and what the import makes of it, in the folder.
DRIVER_FILE, PLAN_FILE, SITE_FILE = "driver.yml", "plans/openedx.yaml", "site.yaml"
#: Where it is told to put archives and partner reports.
ARCHIVE, REPORTS = "archive", "reports"
#: The site's table of states, in the order of the example's pipeline.
_STEPS = ("FORUMS", "ENROLLMENTS", "NOTES", "CREDENTIALS", "PARTNERS", "LMS_MISC", "LMS")
_STATES = (PENDING, *(state for step in _STEPS for state in (f"RETIRING_{step}", f"{step}_COMPLETE")), *REQUIRED[1:])
_EXAMPLE = ROOT / "openedx" / "example_driver.yml"
_EXAMPLE_SECRET = "a-secret-that-stays-here"


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A learner of the site who has asked to be retired, so many days ago."""

    username: str
    days_ago: int
    orgs: tuple[str, ...] = ("ExampleX",)
    #: What is special about them, for people.
    shows: str = "asked, and due"
    #: Where the driver's row was left, if it was left within a step; and the state before.
    left_in: tuple[str, str] | None = None

    def as_made_up(self, *, now: datetime) -> dict[str, Any]:
        """What the stand-in is told."""
        made: dict[str, Any] = {"orgs": self.orgs, "created": now - timedelta(days=self.days_ago)}
        if self.left_in is not None:
            state, last = self.left_in
            made |= {"state": state, "last_state": last, "modified": now - timedelta(days=1)}
        return a_learner(self.username, name=f"{self.username.title()} Example", **made)


class Campus(Engine):
    """All of it, in one folder. `async with Campus(...)` starts and ends exactly its own processes, but for the worker."""

    def __init__(self, *, folder: Path, temporal: Path) -> None:
        super().__init__(folder=folder, temporal=temporal)
        # The port is taken at once, and stays its own.
        self._process = LmsProcess(folder=folder / "lms")
        self.lms = StandInLms(url=self._process.url, process=self._process)

    async def start_services(self) -> None:
        """Start the stand-in."""
        await self._process.start()
        self.lms.set(states=_STATES)

    async def stop_services(self) -> None:
        """End it."""
        self.lms.http.close()
        await self._process.end()

    @property
    def own_settings(self) -> Mapping[str, str]:
        """The site's file, and the one secret that the import asks for."""
        return {
            "OPENEDX_CLIENT_SECRET": Settings().client_secret,
            "RETIREMENT_PLAN": Path(PLAN_FILE).stem,
            "RETIREMENT_OPENEDX_SITE": str(self.folder / SITE_FILE),
        }

    def add_learners(self, learners: Iterable[Learner]) -> None:
        """Make up learners."""
        now = datetime.now(UTC)
        self.lms.add_learners(learner.as_made_up(now=now) for learner in learners)

    def write_driver_file(self) -> None:
        """The configuration of the driver as a site has it: the example's, with the stand-in's addresses and its real secret."""
        text = _EXAMPLE.read_text().replace(_EXAMPLE_SECRET, Settings().client_secret)
        for service in ("credentials", "ecommerce"):
            text = text.replace(f"https://{service}.example.org", f"{self.lms.url}/{service}")
        text = text.replace("https://courses.example.org", self.lms.url)
        (self.folder / DRIVER_FILE).write_text(text)
        (self.folder / PLAN_FILE).parent.mkdir(exist_ok=True)

    def say_where_files_go(self) -> None:
        """What a person writes into the site's file: folders for archives and reports, where the driver's had a bucket."""
        path = self.folder / SITE_FILE
        document = yaml.safe_load(path.read_text())
        for part, folder in (("archive", ARCHIVE), ("reports", REPORTS)):
            (self.folder / folder).mkdir()
            document[part]["to"] = {"directory": str(self.folder / folder)}
        path.write_text(yaml.safe_dump(document, sort_keys=False))

"""Sites for tests of operators' commands: the LMS as commands ask it, and the file that describes a site."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from activities.mirroring.chain import Chain, chain_of
from openedx.lms import Lms
from openedx.row import Row, read_row
from openedx.site import Collect, Site
from plans.loading import load_plan
from plans.model import Plan
from plans.services import HttpService
from sandbox.lms.client import StandInLms
from tests.openedx.pipelines import FOUR, SITE, DriverRow, driver_document, write_plan
from tests.openedx.retiring import Campus
from tests.support.commands import Retire, a_shell, settings_in

#: No test waits for a second between two tries.
NO_WAITS = (0.0, 0.0, 0.0)


def an_imported_plan(folder: Path, *, url: str = "https://lms.example", rows: Sequence[DriverRow] = FOUR) -> Plan:
    """A plan as an import makes it."""
    name = write_plan(folder, "openedx", document=driver_document(url, rows))
    return load_plan(folder / f"{name}.yaml")


def chain_in(plan: Plan) -> Chain:
    """The plan's steps in their order."""
    assert plan.mirror is not None
    return chain_of(plan, plan.mirror)


def a_site(*, cool_off_days: int = 7, **collect: Any) -> Site:
    """A site's file, read."""
    return Site(site=SITE, plan="openedx", cool_off_days=cool_off_days, collect=Collect(**collect))


def write_site(folder: Path, *, plan: str, cool_off_days: int = 7, **more: Any) -> str:
    """A site's file; its path, for --site."""
    file = folder / "site.yaml"
    file.write_text(yaml.safe_dump({"site": SITE, "plan": plan, "cool_off_days": cool_off_days, **more}))
    return str(file)


def a_row(number: int = 46, **changes: Any) -> Row:
    """A row as the LMS tells it: `state`, `last_state`, `created`, `modified`, `username` overridden."""
    created = changes.get("created", "2026-03-01T10:00:00.250000Z")
    username = changes.get("username", f"learner-{number}")
    return read_row(
        {
            "id": number,
            "user": {"id": 5_000_000 + number},
            "current_state": {"state_name": changes.get("state", "PENDING")},
            "last_state": {"state_name": changes.get("last_state", "PENDING")},
            "created": created,
            "modified": changes.get("modified", created),
            "original_username": username,
            "original_email": f"{username}@example.org",
            "original_name": f"Name of {username}",
            "retired_username": f"retired__user_{number}",
            "retired_email": f"retired__user_{number}@retired.invalid",
        }
    )


@asynccontextmanager
async def asking(lms: StandInLms, *, folder: Path, **changes: Any) -> AsyncIterator[Lms]:
    """The LMS as commands ask it, over the service that an import writes. `changes` are of the service."""
    service = an_imported_plan(folder, url=lms.url).services["lms"]
    assert isinstance(service, HttpService)
    asked = Lms(service=service.model_copy(update=changes), version="0", waits=NO_WAITS)
    try:
        yield asked
    finally:
        await asked.close()


def a_shell_on(campus: Campus) -> Retire:
    """Runs `retire` in processes of their own, so that two may run at once; with the settings of the campus."""
    client, folder = campus.stage.client, campus.stage.settings.keys_file.parent
    address = client.service_client.config.target_host
    return a_shell(settings_in(folder, address=address, namespace=client.namespace))

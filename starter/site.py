"""The Open edX site that a command works for: its file, its plan and its LMS, opened and closed in one place."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import read_settings
from starter.errors import CommandError
from starter.exit_codes import ExitCode

if TYPE_CHECKING:
    from activities.mirroring.chain import Chain
    from openedx.lms import Lms
    from openedx.site import Site
    from plans.model import Plan
    from worker.settings import Settings

SiteFile = Annotated[
    Path,
    typer.Option(
        "--site",
        metavar="FILE",
        envvar="RETIREMENT_OPENEDX_SITE",
        help="The site's file, as `retire openedx import` writes it.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; start nothing and move nobody.")]


def read_day(value: str) -> date:
    """A day as the LMS's lists have it."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise typer.BadParameter("not a day; write 2026-03-31.")


@dataclass(frozen=True, kw_only=True)
class OpenSite:
    """A site at work. `chain`: its steps in the order of the LMS's states."""

    site: "Site"
    plan: "Plan"
    chain: "Chain"
    lms: "Lms"
    settings: "Settings"


@asynccontextmanager
async def open_site(file: Path) -> AsyncIterator[OpenSite]:
    """Open a site. What its LMS refuses within the block ends the command with what to do about it.

    Raises:
        CommandError: its file, its plan or its LMS can't be used.
    """
    from importlib.metadata import version

    from activities.actions.wire import BadAddress
    from activities.mirroring.chain import chain_of
    from openedx.lms import LmsNotLetIn, LmsRefused, LmsUnreachable, lms_of
    from openedx.site import SiteError, load_site
    from plans.loading import Plans
    from plans.secrets import SecretMissing

    settings = read_settings()
    try:
        site = load_site(file)
    except SiteError as error:
        raise CommandError(_one_line(error), do="", code=ExitCode.NOT_SET_UP) from None
    plan = Plans(settings.plans_dir, settings.plan).get(site.plan)
    if plan.mirror is None:
        raise CommandError(
            f"The plan {plan.plan} has no `mirror`, so it is no plan of an Open edX site.",
            do=f"Name the site's plan in {file}: `plan: …`, or make one with `retire openedx import`.",
            code=ExitCode.NOT_SET_UP,
        )
    try:
        lms = lms_of(plan, version=version("account-retirement"))
    except ValueError as error:
        raise CommandError(f"{error}.", do="", code=ExitCode.NOT_SET_UP) from None
    try:
        yield OpenSite(site=site, plan=plan, chain=chain_of(plan, plan.mirror), lms=lms, settings=settings)
    except LmsNotLetIn as error:
        raise CommandError(str(error), do="", code=ExitCode.NOT_SET_UP) from None
    except LmsRefused as error:
        raise CommandError(str(error), do="", code=ExitCode.PROBLEMS) from None
    except LmsUnreachable as error:
        raise CommandError(str(error), do="", code=ExitCode.UNREACHABLE) from None
    except (SecretMissing, BadAddress) as error:
        raise CommandError(f"The LMS can't be asked from here: {error}.", do="", code=ExitCode.NOT_SET_UP) from None
    finally:
        await lms.close()


def _one_line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())

"""`retire openedx check`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import read_settings, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output
from starter.problems import count_of, facts_of, tell_problems
from starter.signs_of_life import signs_of_life

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openedx.site import Site
    from plans.model import Plan
    from plans.yaml_reading import Document, Problem


def _check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN",
            help="The plan, as a YAML file. Default: the site's, in the folder of plans (RETIREMENT_PLANS_DIR).",
            show_default=False,
        ),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site",
            metavar="FILE",
            envvar="RETIREMENT_OPENEDX_SITE",
            help="The site's file, as `retire openedx import` writes it. Default: only the plan is checked.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Ask a site whether it has what its plan needs: a token, every state, every route, the archive and the reports' places.

    It only reads, moves nobody, and asks about no learner. Don't let a plan work that has a problem here. Exits 11 for one.
    """
    out = Output(as_json=json)
    if file is None and site is None:
        raise typer.BadParameter("name the plan's file, or the site's by --site (RETIREMENT_OPENEDX_SITE).")
    known = _site(site) if site is not None else None
    if file is None:
        assert known is not None
        file = read_settings().plans_dir / f"{known.plan}.yaml"
    found = _found(file, site, known, out=out)
    _tell(found, as_json=json)
    sys.stdout.flush()
    if any(problem.severity == "error" for problems in found.values() for problem in problems):
        return ExitCode.PROBLEMS
    if not json:
        out.note("Nobody was moved. Next: put the plan where workers read it (RETIREMENT_PLANS_DIR), then collect.")
    return ExitCode.OK


def _site(file: Path) -> "Site":
    from openedx.site import SiteError, load_site

    try:
        return load_site(file)
    except SiteError as error:
        lines = "; ".join(str(error).splitlines())
        raise CommandError(lines, do="", code=ExitCode.NOT_SET_UP) from None


def _found(
    file: Path, site_file: Path | None, site: "Site | None", *, out: Output
) -> "Mapping[Path, Sequence[Problem]]":
    """The problems of each file, in the order of its lines."""
    from openedx.site_checking import compared, missing_secrets
    from plans.loading import check_plan, load_plan
    from plans.yaml_reading import read_yaml

    found: dict[Path, Sequence[Problem]] = {file: check_plan(file, secrets=True)}
    # What the plan itself has wrong comes first: nobody is asked by a plan that can't be used.
    plan = None if any(problem.severity == "error" for problem in found[file]) else load_plan(file)
    if plan is not None:
        found[file] = sorted({*found[file], *run(_live(plan, read_yaml(file.read_bytes()), out=out))})
    if site is not None and site_file is not None:
        document = read_yaml(site_file.read_bytes())
        said = compared(plan, site, document) if plan is not None else ()
        reached = run(_places(site, document, out=out))
        found[site_file] = sorted({*missing_secrets(site, document), *said, *reached})
    return found


async def _live(plan: "Plan", document: "Document", *, out: Output) -> "list[Problem]":
    from importlib.metadata import version

    from activities.actions.http import HttpAction
    from openedx.checking import check_live
    from openedx.lms import lms_of

    product = version("account-retirement")
    try:
        lms = lms_of(plan, version=product)
    except ValueError as error:
        raise CommandError(f"{error}.", do="", code=ExitCode.USAGE) from None
    http = HttpAction(version=product)
    try:
        async with signs_of_life(out) as say:
            return await check_live(plan, document, lms=lms, http=http, say=say)
    finally:
        await http.close()
        await lms.close()


async def _places(site: "Site", document: "Document", *, out: Output) -> "list[Problem]":
    from openedx.site_checking import unreachable_places

    async with signs_of_life(out) as say:
        say("Waiting for the places of archive and reports …")
        return await unreachable_places(site, document)


def _tell(found: "Mapping[Path, Sequence[Problem]]", *, as_json: bool) -> None:
    if as_json:
        files = [
            {"file": str(file), **count_of(problems), "problems": [facts_of(problem) for problem in problems]}
            for file, problems in found.items()
        ]
        Output(as_json=True).result({"files": files}, [])
        return
    for file, problems in found.items():
        tell_problems(str(file), problems)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx check plans/courses.yaml --site courses.site.yaml",
        codes=(ExitCode.PROBLEMS, ExitCode.NOT_SET_UP, ExitCode.INTERRUPTED),
        connected=False,
    )
    app.command("check", epilog=end, short_help="Ask a site whether it has what its plan needs; move nobody.")(_check)

"""`retire openedx import`."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output
from starter.problems import HAS_PROBLEMS, count_of, facts_of, tell_problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openedx.driver_file import DriverFile
    from openedx.importing import Imported
    from plans.yaml_reading import Problem

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NAME_FORM = "lower-case letters, digits, - and _, a letter first, at most 63"
_PREFIX = re.compile(r"[A-Z][A-Z0-9_]{0,62}")


def _read_prefix(value: str) -> str:
    if _PREFIX.fullmatch(value):
        return value
    raise typer.BadParameter("write capital letters, digits and _, a letter first.")


def _read_site(value: str | None) -> str | None:
    if value is None or _NAME.fullmatch(value):
        return value
    raise typer.BadParameter(f"write {_NAME_FORM}.")


def _read_address(value: str | None) -> str | None:
    from plans.checks.people import is_address

    if value is None or is_address(value):
        return value
    raise typer.BadParameter("write a mail address: name@host.")


def _read_addresses(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        _read_address(value)
    return values


def _import(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            envvar=["RETIREMENT_CONFIG_FILE", "CONFIG_FILE"],
            help="The driver's configuration, as YAML or JSON. Default: RETIREMENT_CONFIG_FILE, as for the driver.",
            show_default=False,
        ),
    ],
    site: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            callback=_read_site,
            help="The site's id, which begins the id of each retirement. Default: the first part of the LMS' host name.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="PLAN", help="Where the plan goes; its name is the plan's.")
    ] = Path("openedx.yaml"),
    site_out: Annotated[
        Path | None,
        typer.Option(
            "--site-out",
            metavar="SITE",
            help="Where the site's file goes. Default: beside the plan, as NAME.site.yaml.",
            show_default=False,
        ),
    ] = None,
    cool_off_days: Annotated[
        int,
        typer.Option(
            metavar="DAYS",
            min=0,
            max=3650,
            envvar=["RETIREMENT_COOL_OFF_DAYS", "COOL_OFF_DAYS"],
            help="Days between a learner's request and the first step.",
        ),
    ] = 7,
    threshold: Annotated[
        int,
        typer.Option(
            "--user-count-error-threshold",
            metavar="N",
            min=0,
            envvar=["RETIREMENT_USER_COUNT_ERROR_THRESHOLD", "USER_COUNT_ERROR_THRESHOLD"],
            help="More new learners than this in one sweep, and nobody is started.",
        ),
    ] = 300,
    batch: Annotated[
        int,
        typer.Option(
            "--max-user-batch-size",
            metavar="N",
            min=1,
            envvar=["RETIREMENT_MAX_USER_BATCH_SIZE", "MAX_USER_BATCH_SIZE"],
            help="Most runs of due learners that one sweep starts.",
        ),
    ] = 200,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            callback=_read_prefix,
            help="Begins the names of the variables that secrets are read from: another one for each site.",
        ),
    ] = "OPENEDX",
    operators: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            callback=_read_addresses,
            help="Who is mailed about what is held or ERRORED; may be given several times. Learners never are.",
            show_default=False,
        ),
    ] = None,
    mail_from: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            callback=_read_address,
            help="Who writes it. Default: the first operator.",
            show_default=False,
        ),
    ] = None,
    keep_dead: Annotated[
        bool,
        typer.Option(
            "--keep-dead", help="Take rows of methods that Open edX has withdrawn, as far as they can be called."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    json: Json = False,
) -> int:
    """Turn the configuration of an Open edX site's driver scripts into a plan and a site's file. Calls nothing.

    Secrets are not taken over: a variable stands for each, and what has to be set is told, by name. Exits 1, and writes
    nothing, where the file can't be used; each problem comes with its line and how to mend it.
    """
    from openedx.importing import Options, import_site

    if not _NAME.fullmatch(out.stem):
        raise typer.BadParameter(f"--out: the file's name is the plan's; write {_NAME_FORM}, and .yaml.")
    read, problems = _read(file, prefix=prefix, keep_dead=keep_dead)
    if read is None:
        return _refuse(file, problems, as_json=json)
    options = Options(
        plan=out.stem,
        site=site,
        cool_off_days=cool_off_days,
        guard=threshold,
        batch=batch,
        prefix=prefix,
        operators=tuple(operators or ()),
        mail_from=mail_from,
    )
    made = import_site(read, options=options)
    beside = site_out if site_out is not None else out.with_name(f"{out.stem}.site.yaml")
    _write({out: made.plan, beside: made.site}, force=force)
    _tell(file, (*problems, *made.problems), made=made, plan=out, site=beside, as_json=json)
    return ExitCode.OK


def _read(file: Path, *, prefix: str, keep_dead: bool) -> "tuple[DriverFile | None, tuple[Problem, ...]]":
    from openedx.driver_file import read_driver_file
    from plans.yaml_reading import Problem

    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return None, (Problem(line=0, where="", what="there is no such file; check the path", check="file"),)
    except OSError as error:
        what = f"can't be read ({error.strerror}); check that it is a file, and its permissions"
        return None, (Problem(line=0, where="", what=what, check="file"),)
    return read_driver_file(raw, prefix=prefix, keep_dead=keep_dead)


def _refuse(file: Path, problems: "Sequence[Problem]", *, as_json: bool) -> int:
    if as_json:
        facts = {"file": str(file), **count_of(problems), "problems": [facts_of(problem) for problem in problems]}
        Output(as_json=True).result(facts, [])
    else:
        tell_problems(str(file), problems)
        sys.stdout.flush()
        Output(as_json=False).note("Nothing was written.")
    return HAS_PROBLEMS


def _write(texts: dict[Path, str], *, force: bool) -> None:
    """All of them or none: what is there already and says something else is not written over without --force."""
    for path, text in texts.items():
        if path.exists() and not force and not (path.is_file() and path.read_bytes() == text.encode()):
            raise CommandError(
                f"{path} is there already, and says something else; nothing was written.",
                do="Compare, then name another file (--out, --site-out), or write over it with --force.",
                code=ExitCode.REFUSED,
            )
        if not path.parent.is_dir():
            raise CommandError(
                f"There is no folder {path.parent}; nothing was written.",
                do="Make it, or name another file (--out, --site-out).",
                code=ExitCode.USAGE,
            )
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"{path} can't be written ({error.strerror}).",
                do="See its permissions, or name another file (--out, --site-out); then import again.",
                code=ExitCode.USAGE,
            ) from None


def _tell(
    file: Path, problems: "Sequence[Problem]", *, made: "Imported", plan: Path, site: Path, as_json: bool
) -> None:
    if as_json:
        facts = {
            "file": str(file),
            **count_of(problems),
            "problems": [facts_of(problem) for problem in problems],
            "plan": str(plan),
            "site": str(site),
            "site_id": made.site_id,
            "variables": list(made.variables),
        }
        Output(as_json=True).result(facts, [])
        return
    if problems:
        tell_problems(str(file), problems)
    out = Output(as_json=False)
    out.result({}, [f"plan: {plan}", f"site: {site} (site id: {made.site_id})"])
    sys.stdout.flush()
    out.note(f"Set these for workers and commands: {', '.join(made.variables)}.")
    out.note(f"Next: `retire openedx check {plan} --site {site}` asks the LMS what it has of it, and moves nobody.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx import driver.yml --out plans/courses.yaml --site-out courses.site.yaml",
        codes=(ExitCode.REFUSED,),
        connected=False,
    )
    unexpected = ExitCode.UNEXPECTED.meaning
    end = end.replace(unexpected, f"the file can't be used; or {unexpected}")
    app.command("import", epilog=end, short_help="Turn the driver's configuration into a plan and a site's file.")(
        _import
    )

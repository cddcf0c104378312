"""`retire plan show`."""

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plans.model import Plan
    from starter.picture.layout import Line

#: Of text that goes to a file or a pipe, and the limits on a terminal: wider is hard to read, narrower to lay out.
_WIDTH, _NARROWEST, _WIDEST = 100, 60, 120
_STYLES = {"": "", "title": "bold", "point": "bold red"}


class Format(StrEnum):
    """How the plan is shown."""

    TEXT = "text"
    MERMAID = "mermaid"
    JSON = "json"


def _as_format(ctx: typer.Context, value: Format | None) -> Format | None:
    if value is not None and value is not Format.JSON and ctx.meta.get("retire.json"):
        raise typer.BadParameter("--json is short for --format json; give one of the two.")
    if value is Format.JSON:
        ctx.meta["retire.json"] = True
    return value


def _show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan, a YAML file.", show_default=False)],
    format: Annotated[
        Format | None,
        typer.Option(
            help="Text for people, a mermaid flowchart for a page, or JSON. Default: text.",
            callback=_as_format,
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Show what a plan does. Phase by phase, and who is asked what; nothing is called and no secret is read."""
    from starter.picture.facts import facts_of
    from starter.picture.mermaid import picture_of
    from starter.picture.text import lines_of

    facts = facts_of(_load(file))
    if json or format is Format.JSON:
        Output(as_json=True).result(facts, [])
    elif format is Format.MERMAID:
        sys.stdout.write(picture_of(facts))
    else:
        _print(lines_of(facts, width=_width()))
    return ExitCode.OK


def _load(file: Path) -> "Plan":
    """The plan; where it can't be used, what is wrong with it, a line each as `retire plan check` tells it."""
    from plans.loading import PlanError, load_plan

    try:
        return load_plan(file)
    except PlanError as error:
        problems = "\n".join(show(line) for line in str(error).splitlines())
        raise CommandError(problems, do="", code=ExitCode.NOT_SET_UP) from None


def _width() -> int:
    if not sys.stdout.isatty():
        return _WIDTH
    return max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST))


def _print(lines: "Sequence[Line]") -> None:
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{line.text}\n" for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    for line in lines:
        console.print(Text(line.text, style=_STYLES[line.stress]), soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire plan show our-plans/acme.yaml", codes=(ExitCode.NOT_SET_UP,), connected=False)
    app.command("show", epilog=end)(_show)

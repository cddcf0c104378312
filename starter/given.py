"""Personal values by which a source knows the person (`subject.given`): read from a file, never from the command line.

Arguments stand in shell histories and process lists, for everybody on the machine to read.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.errors import CommandError
from starter.exit_codes import ExitCode

if TYPE_CHECKING:
    from plans.model import Plan

#: Nobody has so much to give; the wrong file has.
_LARGEST = 100_000

GivenFile = Annotated[
    Path | None,
    typer.Option(
        "--given",
        metavar="FILE",
        help="The values that the plan names in `subject.given`, as a JSON object; `-` reads them from standard input. "
        "Default: none.",
        show_default=False,
    ),
]


def given_for(plan: "Plan", file: Path | None) -> dict[str, Any]:
    """The values that a plan needs beforehand.

    Raises:
        CommandError: it needs some, and no file says them.
        typer.BadParameter: the file can't be used, or says others.
    """
    names = plan.subject.given
    if file is None and names:
        example = ", ".join(f'"{name}": …' for name in names)
        raise CommandError(
            f"The plan {plan.plan} knows a person by {', '.join(names)}, and nothing was given.",
            do=f"Give it as a file, --given FILE, that holds {{{example}}}; `--given -` reads it from standard input.",
            code=ExitCode.USAGE,
        )
    if file is None:
        return {}
    if not names:
        raise typer.BadParameter(f"--given: the plan {plan.plan} names nothing in subject.given; leave it out.")
    return read_given(file, names=names)


def read_given(file: Path, *, names: Sequence[str] | None) -> dict[str, Any]:
    """The values of a file. `names` is what must be there and nothing else; None where that isn't known here.

    Raises:
        typer.BadParameter: it can't be used. No value is told, nor a name that the plan doesn't know: it may be a value.
    """
    try:
        values = json.loads(_text_of(file))
    except (ValueError, RecursionError):
        raise typer.BadParameter('--given: not JSON; write an object, as {"username": "…"}.') from None
    if not isinstance(values, dict) or not values:
        raise typer.BadParameter('--given: not an object with values in it; write one, as {"username": "…"}.')
    if names is not None:
        _need(values, names)
    unusable = sorted(name for name in names or () if not _is_usable(values[name]))
    if unusable or not all(map(_is_usable, values.values())):
        told = ", ".join(unusable) or "a value"
        raise typer.BadParameter(
            f"--given: {told} is neither a number nor a text that isn't empty; write one of these."
        )
    return values


def _need(values: Mapping[str, Any], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in values]
    if missing:
        raise typer.BadParameter(f"--given: {', '.join(missing)} is missing; the plan needs {', '.join(names)}.")
    if len(values) > len(names):
        raise typer.BadParameter(
            f"--given: there is more in it than {', '.join(names)}, which is all that the plan needs; remove the rest."
        )


def _is_usable(value: object) -> bool:
    match value:
        case bool():
            return False
        case int():
            return True
        case str():
            return bool(value.strip())
    return False


def _text_of(file: Path) -> str:
    """The file's text, or that of standard input."""
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(_LARGEST + 1)
    except OSError as error:
        raise typer.BadParameter(
            f"--given: {file} can't be read ({error.strerror}); check path and permissions."
        ) from None
    if len(raw) > _LARGEST:
        raise typer.BadParameter("--given: larger than 100 kB; is it the right file?")
    return raw.decode("utf-8")

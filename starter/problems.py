"""Problems of a file, as commands tell them: a line each, coloured on a terminal, and counted at the end."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starter.output import show

if TYPE_CHECKING:
    from plans.yaml_reading import Problem

#: As linters end, which is what pipelines look for.
HAS_PROBLEMS = 1
_STYLES = {"error": "red", "warning": "yellow"}


def tell_problems(file: str, problems: "Sequence[Problem]") -> None:
    """Print every problem, and how many there are; or that the file is fine."""
    for problem in problems:
        print_line(problem.told(file), style=_STYLES[problem.severity])
    told = [
        f"{count} {name.removesuffix('s') if count == 1 else name}"
        for name, count in count_of(problems).items()
        if count
    ]
    print_line(f"{', '.join(told)} in {file}" if told else f"{file}: fine", style="" if told else "green")


def count_of(problems: "Sequence[Problem]") -> dict[str, int]:
    """How many errors and warnings there are."""
    return {
        "errors": sum(problem.severity == "error" for problem in problems),
        "warnings": sum(problem.severity == "warning" for problem in problems),
    }


def facts_of(problem: "Problem") -> dict[str, Any]:
    """A problem for --json."""
    return {
        "line": problem.line or None,
        "where": problem.where,
        "severity": str(problem.severity),
        "check": str(problem.check),
        "what": problem.what,
    }


def print_line(line: str, *, style: str) -> None:
    """Print a line to stdout."""
    if not sys.stdout.isatty():
        sys.stdout.write(f"{show(line)}\n")
        return
    from rich.console import Console
    from rich.text import Text

    Console(file=sys.stdout, highlight=False).print(Text(show(line), style=style), soft_wrap=True)

"""A plan's file that a command is given: read, or told line by line what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output

if TYPE_CHECKING:
    from plans.model import Plan


def read_plan(file: Path, *, out: Output) -> "Plan":
    """The plan.

    Raises:
        CommandError: it can't be used; every problem has been told, each on a line of its own.
    """
    from plans.loading import PlanError, load_plan

    try:
        return load_plan(file)
    except PlanError as error:
        for problem in str(error).splitlines():
            out.note(problem)
        raise CommandError(
            f"{file} can't be used.",
            do=f"Mend what stands above; `retire plan check {file}` tells it, too.",
            code=ExitCode.USAGE,
        ) from None

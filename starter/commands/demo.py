"""`retire demo`."""

from enum import StrEnum
from typing import Annotated

import typer

from starter.exit_codes import help_end


class Shown(StrEnum):
    """The plans that there is a demo of."""

    SANDBOX = "sandbox"
    OPENEDX = "openedx"


def _demo(
    plan: Annotated[
        Shown,
        typer.Option(
            help="sandbox: people of a team and their documents; openedx: the learners of an Open edX site, whose driver's "
            "file is imported first."
        ),
    ] = Shown.SANDBOX,
) -> int:
    """Show it all in a sandbox. Several people are retired from real services; KEEP=1 keeps all running."""
    from sandbox.demo import main

    if plan is Shown.SANDBOX:
        return main()
    from sandbox.openedx_demo import HINT, run_openedx_demo

    return main(run_openedx_demo, hint=HINT)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="KEEP=1 retire demo\n  retire demo --plan openedx")
    app.command("demo", epilog=end)(_demo)

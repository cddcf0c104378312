"""`retire worker`."""

import typer

from starter.exit_codes import ExitCode, help_end


def _worker() -> int:
    """Run a worker. It carries out retirements until it is stopped; SIGTERM lets it finish what it is doing."""
    from worker.main import main

    # It has said already which setting can't be used.
    return ExitCode.OK if main() == 0 else ExitCode.NOT_SET_UP


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker", epilog=help_end(example="retire worker"))(_worker)

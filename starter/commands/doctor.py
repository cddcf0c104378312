"""`retire doctor`."""

import typer

from starter.access import run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns


def _doctor(json: Json = False) -> int:
    """Look whether everything is ready. One line for each check: ok, warning or problem, and what to do.

    Run it where a worker runs, with the same settings. Warnings alone end it with 0.
    """
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from starter.doctor.here import check_up

        found = await check_up(out=out)
        facts = {
            "checks": [
                {"name": check.name, "state": check.state, "told": check.told, "do": check.do} for check in found.checks
            ],
            "left_out": found.left_out,
        }
        rows = [(check.state, check.name, ". ".join(filter(None, (check.told, check.do)))) for check in found.checks]
        out.result(facts, columns(rows))
        if found.left_out:
            out.note(f"Not looked at for now: {', '.join(found.left_out)}.")
        return found.code

    return run(work())


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "doctor",
        epilog=help_end(example="retire doctor", codes=(ExitCode.PROBLEMS, ExitCode.INTERRUPTED), connected=False),
    )(_doctor)

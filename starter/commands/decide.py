"""`retire decide`."""

from enum import StrEnum
from typing import Annotated

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import By, Json, ReasonCode, Tenant, Who, read_code
from starter.output import Output
from starter.subjects import find_subject
from starter.wishes import deliver


class Decision(StrEnum):
    """What an operator may decide about a held step."""

    RETRY = "retry"
    SKIP = "skip"
    DONE = "done"
    CLOSE = "close"
    ADOPT = "adopt"


def _decide(
    who: Who,
    step: Annotated[str, typer.Option(metavar="STEP", help="The held step's id.", callback=read_code)],
    decision: Annotated[
        Decision,
        typer.Option(
            help="retry: try again now; skip: leave it out, recorded under your id; done: you did it by hand; "
            "close: give up (before the point of no return it goes back, after it ERRORED); adopt: take over where somebody "
            "else has left a source's row, as they don't come back."
        ),
    ],
    tenant: Tenant = None,
    by: By = None,
    reason_code: ReasonCode = None,
    json: Json = False,
) -> int:
    """Decide about a step that is held. It waits for a person, or for its cause to go away."""

    async def work() -> ExitCode:
        from workflows.names import DECIDE

        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
        wish = {"step": step, "decision": decision.value, "by": by, "reason_code": reason_code}
        return await deliver(subject, name=DECIDE, wish=wish, out=Output(as_json=json))

    return run(work())


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire decide u-4711 --step forum --decision retry --by ops-3",
        codes=(ExitCode.NOT_FOUND, ExitCode.REFUSED, ExitCode.NOT_YET_ANSWERED),
    )
    app.command("decide", epilog=end)(_decide)

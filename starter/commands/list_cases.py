"""`retire list`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns, reason_of

if TYPE_CHECKING:
    from ledger.rows import Case


class Ending(StrEnum):
    """The outcomes to choose from."""

    COMPLETE = "COMPLETE"
    ABORTED = "ABORTED"
    ERRORED = "ERRORED"


def _list(
    live: Annotated[bool, typer.Option("--live", help="Only those that a run is at work on.")] = False,
    outcome: Annotated[
        Ending | None,
        typer.Option(case_sensitive=False, help="Only those that ended so. Default: all.", show_default=False),
    ] = None,
    plan: Annotated[
        str | None, typer.Option(metavar="PLAN", help="Only those of this plan. Default: all.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most so many, newest first.")] = 100,
    json: Json = False,
) -> int:
    """List retirements from the ledger, newest first."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from workflows.names import Outcome

        wanted = Outcome(outcome.value) if outcome is not None else None
        async with open_ledger(read_settings()) as ledger:
            cases = await ledger.cases(live_only=live, outcome=wanted, plan=plan, limit=limit)
        rows = [_facts_of(case) for case in cases]
        heading = ("retirement", "state", "outcome", "reason", "plan", "requested", "cool-off ends", "due", "closed")
        shown = [
            [value for name, value in (row | {"reason": reason_of(row)}).items() if name != "code"] for row in rows
        ]
        lines = columns(shown, heading=heading) if rows else ["No retirements."]
        out.result({"retirements": rows}, lines)
        if len(cases) == limit:
            out.note(f"There may be more than these {limit}; see --limit.")
        return ExitCode.OK

    return run(work())


def _facts_of(case: "Case") -> dict[str, Any]:
    return {
        "retirement_id": case.retirement_id,
        "state": case.state,
        "outcome": case.outcome,
        "reason": case.reason,
        "code": case.code,
        "plan": case.plan,
        "requested_at": case.requested_at,
        "cool_off_ends_at": case.cool_off_ends_at,
        "due_at": case.due_at,
        "closed_at": case.closed_at,
    }


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog=help_end(example="retire list --outcome ERRORED"))(_list)

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


_TITLES = {
    "retirement_id": "retirement",
    "state": "state",
    "outcome": "outcome",
    "reason": "reason",
    "plan": "plan",
    "requested_at": "requested",
    "cool_off_ends_at": "cool-off ends",
    "due_at": "due",
    "closed_at": "closed",
}
#: Nobody's mind may change, and no law sets a limit.
_NOT_OF_A_TRANSFER = ("cool_off_ends_at", "due_at")


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
    transfers: Annotated[bool, typer.Option("--transfers", help="List transfers that stand alone instead.")] = False,
    json: Json = False,
) -> int:
    """List retirements from the ledger, newest first."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from ledger.rows import CaseKind
        from workflows.names import Outcome

        kind = CaseKind.TRANSFER if transfers else CaseKind.RETIREMENT
        wanted = Outcome(outcome.value) if outcome is not None else None
        async with open_ledger(read_settings()) as ledger:
            cases = await ledger.cases(live_only=live, outcome=wanted, plan=plan, limit=limit, kind=kind)
        left_out = _NOT_OF_A_TRANSFER if transfers else ()
        rows = [{name: v for name, v in _facts_of(case).items() if name not in left_out} for case in cases]
        titles = {name: title for name, title in _TITLES.items() if name not in left_out}
        what = "transfers" if transfers else "retirements"
        shown = [[(row | {"reason": reason_of(row)})[name] for name in titles] for row in rows]
        heading = [what.removesuffix("s"), *list(titles.values())[1:]]
        lines = columns(shown, heading=heading) if rows else [f"No {what}."]
        out.result({what: rows}, lines)
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

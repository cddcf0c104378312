"""`retire work list`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns

if TYPE_CHECKING:
    from ledger.rows import Work

Open = Annotated[
    bool,
    typer.Option("--open", help="Only where something is left to do: what has not ended, and what a vendor gave up."),
]
#: What is told of each, and what people call it.
COLUMNS = {
    "step": "step",
    "kind": "kind",
    "state": "state",
    "opened_at": "opened",
    "next_look_at": "next look",
    "ended_at": "ended",
    "by": "by",
    "code": "code",
}


def list_work(
    open: Open = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="At most so many, oldest first.")] = 100,
    json: Json = False,
) -> int:
    """List what vendors and people have to do, oldest first. Vendors are asked by themselves, a person says when it is done."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_ledger(read_settings()) as ledger:
            rows = [facts_of(each) for each in await ledger.all_work(left_only=open, limit=limit)]
        nothing = "Nothing is left to do." if open else "No retirement has left anything to do."
        heading = ["retirement", *COLUMNS.values()]
        out.result(
            {"work": rows}, columns([list(row.values()) for row in rows], heading=heading) if rows else [nothing]
        )
        if len(rows) == limit:
            out.note(f"There may be more than these {limit}; see `retire work list --limit`.")
        return ExitCode.OK

    return run(work())


def facts_of(work: "Work") -> dict[str, Any]:
    """All that is known of it."""
    return {"retirement_id": work.retirement_id, **{name: getattr(work, name) for name in COLUMNS}}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog=help_end(example="retire work list --open"))(list_work)

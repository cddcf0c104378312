"""`retire work show`."""

from typing import TYPE_CHECKING, Any

import typer

from starter.access import open_ledger, read_settings, run
from starter.commands.work.list_work import COLUMNS, facts_of
from starter.exit_codes import ExitCode, help_end
from starter.leftover import Step, WhoseWork, find_work
from starter.options import Json, ShowValues, Tenant
from starter.output import Output, columns

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.rows import Work


def _show(
    who: WhoseWork, step: Step, tenant: Tenant = None, show_values: ShowValues = False, json: Json = False
) -> int:
    """Show what is to be done, and for whom. The person's values are shown only while it is left to do, and if asked for."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_ledger(read_settings()) as ledger:
            found, case = await find_work(who, step=step, tenant=tenant, ledger=ledger)
            stored = await ledger.stored_plan(case.plan_digest)
            values = await _values_of(found, ledger=ledger)
        written = stored.document["steps"].get(step, {}) if stored is not None else {}
        is_kept = values is not None
        shown = {name: (value if show_values else None) for name, value in (values or {}).items()}
        facts = {
            **facts_of(found),
            "service": written.get("service"),
            "to_do": written.get("manual"),
            "values": shown if is_kept else None,
        }
        out.result(facts, _lines(facts))
        if shown and not show_values:
            out.note("Add --show-values to see the values; they are the person's data.")
        return ExitCode.OK

    return run(work())


async def _values_of(work: "Work", *, ledger: "Ledger") -> dict[str, Any] | None:
    """What the vault holds for this work: what is known of the person, and what its step has saved. None where it is over."""
    values = await ledger.values(work.retirement_id) if work.is_left else None
    if values is None:
        return None
    saved = {f"saved.{name}": each for name, each in values["saved"].get(work.step, {}).items() if name[0] != "_"}
    return {**{f"subject.{name}": each for name, each in values["subject"].items()}, **saved}


def _lines(facts: dict[str, Any]) -> list[str]:
    told = {"retirement_id": "retirement", **COLUMNS, "service": "service", "to_do": "to do"}
    rows: list[tuple[str, object]] = [(title, facts[name]) for name, title in told.items() if facts[name] is not None]
    kept = facts["values"]
    if kept is None:
        return columns([*rows, ("values", "shredded, or nobody needs them any more")])
    return columns(rows + [(name, "(kept)" if value is None else value) for name, value in kept.items()])


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire work show r-abcdefghijklmnopqrstuvwxyz salesforce --show-values", codes=(ExitCode.NOT_FOUND,)
    )
    app.command("show", epilog=end)(_show)

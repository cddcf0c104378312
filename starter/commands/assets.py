"""`retire assets`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import CsvFile, Json, PlanName, ShowValues, Tenant, read_user_id
from starter.output import Output, columns, show
from starter.subjects import is_case_id

if TYPE_CHECKING:
    from plans.model import Plan


def _assets(
    who: Annotated[
        str,
        typer.Argument(
            metavar="WHO",
            help="A user id: the services are asked. The id of a retirement (r-…) or a transfer (t-…): "
            "what became of each asset, from the ledger, for as long as its values are kept.",
            callback=read_user_id,
        ),
    ],
    tenant: Tenant = None,
    plan: PlanName = None,
    show_values: ShowValues = False,
    csv: CsvFile = None,
    json: Json = False,
) -> int:
    """List what somebody owns. Changes nothing."""
    out = Output(as_json=json)
    if is_case_id(who):
        return run(_show_recorded(who, out=out, show_values=show_values, csv=csv))
    return run(_show_owned(who, out=out, tenant=tenant, plan=plan, show_values=show_values, csv=csv, as_json=json))


async def _show_owned(
    user: str,
    *,
    out: Output,
    tenant: str | None,
    plan: str | None,
    show_values: bool,
    csv: Path | None,
    as_json: bool,
) -> ExitCode:
    from starter.ownership.asking import Whom, asking, read_plan_by_name
    from starter.ownership.listing import Columns, Sums, csv_file, owned_by_step

    known = read_plan_by_name(plan)
    chosen = Columns(with_results=False, show_values=show_values)
    sums, kept = Sums(_steps_of(known)), list[tuple[str | None, ...]]()
    async with asking(known, Whom(user_id=user, tenant=tenant)) as asked:
        if not asked.is_known:
            out.note(
                f"Note: the lookup of {known.plan} does not know {show(user)}; the services are asked all the same."
            )
        with csv_file(csv, heading=chosen.names) as table:
            async for step, page in owned_by_step(asked):
                rows = [chosen.owned(step, asset) for asset in page]
                sums.add(step, (asset.type or "asset" for asset in page))
                if table is not None:
                    table.writerows(rows)
                elif as_json:
                    kept += rows
                elif rows:
                    out.result({}, columns(rows))
    facts: dict[str, Any] = {
        "plan": known.plan,
        "is_known": asked.is_known,
        "total": sums.total,
        "steps": sums.facts(),
        "assets": [dict(zip(chosen.names, row, strict=True)) for row in kept] if csv is None else None,
    }
    out.result(facts, columns([("owns at", *row) for row in sums.rows()]) or ["The plan names nothing that is owned."])
    return ExitCode.OK


async def _show_recorded(id: str, *, out: Output, show_values: bool, csv: Path | None) -> ExitCode:
    from ledger.errors import VaultMissing
    from starter.ownership.listing import Columns, csv_file
    from starter.ownership.outcomes import shredded
    from starter.subjects import find_subject, not_found

    async with open_ledger(read_settings()) as ledger:
        subject = await find_subject(id, tenant=None, ledger=ledger)
        if subject.case is None:
            raise not_found(subject)
        try:
            rows = await ledger.assets(id)
        except VaultMissing:
            raise shredded(id) from None
        if not rows and subject.case.shredded_at is not None:
            raise shredded(id)
    chosen = Columns(with_results=True, show_values=show_values)
    told = [chosen.recorded(row) for row in rows]
    with csv_file(csv, heading=chosen.names) as table:
        if table is not None:
            table.writerows(told)
    facts = {
        "retirement_id": id,
        "total": len(told),
        "assets": [dict(zip(chosen.names, row, strict=True)) for row in told] if csv is None else None,
    }
    lines = columns(told, heading=chosen.names) if told and csv is None else [f"{len(told):,} assets"]
    out.result(facts, lines)
    return ExitCode.OK


def _steps_of(plan: "Plan") -> list[str]:
    return [id for id, step in plan.steps.items() if step.assets is not None]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire assets u-4711\n  retire assets t-abcdefghijklmnopqrstuvwxyz --csv outcomes.csv",
        codes=(ExitCode.NOT_FOUND, ExitCode.PROBLEMS),
    )
    app.command("assets", epilog=end)(_assets)

"""`retire work done` and `retire work failed`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import open_ledger, read_settings, run
from starter.commands.work.list_work import facts_of
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.leftover import Step, WhoseWork, find_work
from starter.options import Json, ReasonCode, Tenant, read_code
from starter.output import Output, show

if TYPE_CHECKING:
    from ledger.rows import Work
    from workflows.names import WorkState

By = Annotated[
    str,
    typer.Option(
        metavar="ID",
        envvar="RETIREMENT_BY",
        help="Who says so: an opaque id, at most 64 characters, no spaces, no @.",
        callback=read_code,
    ),
]


def _done(
    who: WhoseWork, step: Step, by: By, tenant: Tenant = None, reason_code: ReasonCode = None, json: Json = False
) -> int:
    """Say that it is done: by hand, or that the vendor has finished. The record keeps who said so; a vendor is asked no more."""
    from workflows.names import WorkState

    return _end(WorkState.DONE, who, step=step, by=by, tenant=tenant, code=reason_code, json=json)


def _failed(
    who: WhoseWork, step: Step, by: By, tenant: Tenant = None, reason_code: ReasonCode = None, json: Json = False
) -> int:
    """Say that it can't be done. The record keeps who said so, and why; a vendor is asked no more."""
    from workflows.names import WorkState

    return _end(WorkState.FAILED, who, step=step, by=by, tenant=tenant, code=reason_code, json=json)


def _end(state: "WorkState", who: str, *, step: str, by: str, tenant: str | None, code: str | None, json: bool) -> int:
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_ledger(read_settings()) as ledger:
            found, _ = await find_work(who, step=step, tenant=tenant, ledger=ledger)
            id = found.retirement_id
            ended = await ledger.end_work(
                retirement_id=id, step=step, state=state, at=datetime.now(UTC), by=by, code=code
            )
            if not ended:
                now_known, _ = await find_work(who, step=step, tenant=tenant, ledger=ledger)
                raise _ended_already(now_known)
            known, _ = await find_work(id, step=step, tenant=None, ledger=ledger)
        out.result(facts_of(known), [f"{id} {step}: {state.value}, says {by}"])
        return ExitCode.OK

    return run(work())


def _ended_already(work: "Work") -> CommandError:
    whose = f"as {work.by} said" if work.by else "as the vendor said"
    return CommandError(
        f"{work.retirement_id} {work.step} is {work.state.value} since {show(work.ended_at)}, {whose}.",
        do="Nothing was changed.",
        code=ExitCode.REFUSED,
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    codes = (ExitCode.NOT_FOUND, ExitCode.REFUSED)
    id = "r-abcdefghijklmnopqrstuvwxyz"
    app.command("done", epilog=help_end(example=f"retire work done {id} salesforce --by ops-3", codes=codes))(_done)
    example = f"retire work failed {id} salesforce --by ops-3 --reason no_access"
    app.command("failed", epilog=help_end(example=example, codes=codes))(_failed)

"""`retire expedite`."""

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import By, Json, ReasonCode, Tenant, Who
from starter.output import Output
from starter.subjects import find_subject
from starter.wishes import deliver


def _expedite(
    who: Who, tenant: Tenant = None, by: By = None, reason_code: ReasonCode = None, json: Json = False
) -> int:
    """End the cool-off now, where the plan allows it."""

    async def work() -> ExitCode:
        from workflows.names import EXPEDITE

        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
        wish = {"by": by, "reason_code": reason_code}
        return await deliver(subject, name=EXPEDITE, wish=wish, out=Output(as_json=json))

    return run(work())


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire expedite u-4711 --by support-7 --reason asked_by_person",
        codes=(ExitCode.NOT_FOUND, ExitCode.REFUSED, ExitCode.NOT_YET_ANSWERED),
    )
    app.command("expedite", epilog=end)(_expedite)

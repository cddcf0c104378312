"""`retire status`."""

from typing import TYPE_CHECKING

import typer

from starter.access import connect, open_ledger, read_settings, run, with_sign_of_life
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json, Tenant, Who
from starter.output import Output, show
from starter.standing import look
from starter.subjects import Subject, find_subject, not_found

if TYPE_CHECKING:
    from temporalio.client import Client


def _status(who: Who, tenant: Tenant = None, json: Json = False) -> int:
    """Show where a retirement stands. Works without a worker, and after the history has expired."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
            client = await _connect_or_say(out) if subject.workflow_id is not None else None
            standing = await with_sign_of_life(
                look(subject, ledger=ledger, client=client), out=out, text="Waiting for a worker to answer …"
            )
        if not standing.is_known:
            raise not_found(subject) if client is not None else _not_in_ledger(subject)
        out.result(standing.facts(), standing.lines())
        return ExitCode.OK

    return run(work())


async def _connect_or_say(out: Output) -> "Client | None":
    from worker.connection import ConnectionFailed

    try:
        return await connect(out)
    except ConnectionFailed:
        out.note("Note: Temporal does not answer; this is what the ledger knows.")
        return None


def _not_in_ledger(subject: Subject) -> CommandError:
    """A run that no worker has taken up yet is known to Temporal alone."""
    return CommandError(
        f"The ledger knows no retirement of {show(subject.who)}, and Temporal could not be asked.",
        do="See that Temporal runs and that TEMPORAL_ADDRESS points to it.",
        code=ExitCode.UNREACHABLE,
    )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog=help_end(example="retire status u-4711", codes=(ExitCode.NOT_FOUND,)))(_status)

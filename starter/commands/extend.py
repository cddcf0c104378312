"""`retire extend`."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from starter.access import connect, open_ledger, read_settings, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import By, Json, ReasonCode, Tenant, Who, read_duration, read_instant
from starter.output import Output
from starter.standing import look_at_run
from starter.starting import ask_status
from starter.subjects import Subject, find_subject, not_found
from starter.wishes import deliver, no_run


def _extend(
    who: Who,
    until: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            parser=read_instant,
            help="The new end: a date (its end, UTC) or an instant such as 2026-03-31T12:00:00+01:00.",
            show_default=False,
        ),
    ] = None,
    by_duration: Annotated[
        timedelta | None,
        typer.Option(
            metavar="DURATION",
            parser=read_duration,
            help="How much later than the present end (ms, s, m, h, d, w), e.g. 7d.",
            show_default=False,
        ),
    ] = None,
    tenant: Tenant = None,
    by: By = None,
    reason_code: ReasonCode = None,
    json: Json = False,
) -> int:
    """Give the person a longer cool-off. Up to the plan's max, by one of --until and --by-duration."""
    if (until is None) == (by_duration is None):
        raise typer.BadParameter("give one of --until and --by-duration.")
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from workflows.names import EXTEND

        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
        end = until if until is not None else await _later(subject, by_duration=by_duration or timedelta(), out=out)
        # Always an instant: a duration that is applied twice (by the update and by the signal) would count twice.
        wish = {"until": end.isoformat(), "by": by, "reason_code": reason_code}
        return await deliver(subject, name=EXTEND, wish=wish, out=out)

    return run(work())


async def _later(subject: Subject, *, by_duration: timedelta, out: Output) -> datetime:
    """The present end of the cool-off, as the run knows it or else the ledger, and `by_duration` more."""
    if subject.workflow_id is None:
        raise no_run(subject)
    client = await connect(out)
    status = await ask_status(client.get_workflow_handle(subject.workflow_id))
    ends_at = status.cool_off_ends_at if status is not None else None
    if ends_at is None and subject.case is not None:
        ends_at = subject.case.cool_off_ends_at
    if ends_at is None and await look_at_run(client, workflow_id=subject.workflow_id) is None:
        raise not_found(subject)
    if ends_at is None:
        raise CommandError(
            "The end of its cool-off is not known yet: no worker has taken it up.",
            do="Give --until, or try again once a worker runs.",
            code=ExitCode.NOT_YET_ANSWERED,
        )
    try:
        return ends_at + by_duration
    except OverflowError:
        raise typer.BadParameter("that is beyond the calendar.") from None


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire extend u-4711 --by-duration 7d --by support-7",
        codes=(ExitCode.NOT_FOUND, ExitCode.REFUSED, ExitCode.NOT_YET_ANSWERED),
    )
    app.command("extend", epilog=end)(_extend)

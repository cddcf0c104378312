"""`retire start`."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import connect, open_ledger, read_settings, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.forecast import Forecast, answer_to, meaning_of
from starter.given import GivenFile, given_for, read_given
from starter.options import By, Json, ReasonCode, Successor, Tenant, Wait, read_duration
from starter.output import Output, columns
from starter.starting import start_run, tell_result, watch

if TYPE_CHECKING:
    from plans.model import Plan
    from worker.settings import Settings
    from workflows.messages import Start


def _start(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user id, 1 to 512 printable characters.")],
    tenant: Tenant = None,
    plan: Annotated[
        str | None,
        typer.Option(metavar="PLAN", help="The plan's name. Default: RETIREMENT_PLAN.", show_default=False),
    ] = None,
    cool_off: Annotated[
        timedelta | None,
        typer.Option(
            metavar="DURATION",
            parser=read_duration,
            help="Cool-off, counted from now (ms, s, m, h, d, w), e.g. 14d. Default: the plan's.",
            show_default=False,
        ),
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Makes repeating this command harmless: a request id is served once. Default: a new uuid.",
            show_default=False,
        ),
    ] = None,
    successor: Successor = None,
    given: GivenFile = None,
    by: By = None,
    reason_code: ReasonCode = None,
    again: Annotated[bool, typer.Option("--again", help="Also where an earlier retirement is complete.")] = False,
    wait: Wait = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, to whom, by when; write and call nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Start the retirement of one person."""
    fields: dict[str, object] = {
        "user_id": user,
        "tenant": tenant,
        "plan": plan,
        "request_id": request_id or str(uuid.uuid4()),
        "cool_off": cool_off,
        "requested_by": by,
        "reason_code": reason_code,
        "again": again,
        "successor": successor,
    }
    start = _read(fields)
    out = Output(as_json=json)
    if dry_run:
        return run(_show_forecast(start, given=given, out=out))
    return run(_start_and_tell(start, given=given, out=out, wait=wait))


def _read(fields: dict[str, object]) -> "Start":
    """Read the fields as the workflow would, so that what it can't use is told here."""
    from workflows.reading import BadField, read_start

    try:
        return read_start([fields])
    except BadField as error:
        raise typer.BadParameter(f"{error}.") from None


async def _start_and_tell(start: "Start", *, given: Path | None, out: Output, wait: bool) -> ExitCode:
    settings = read_settings()
    values = _values_of(given, plan=_plan_if_here(settings, start.plan))
    async with open_ledger(settings) as ledger:
        case = await ledger.find(user_id=start.user_id, tenant=start.tenant)
        answer = answer_to(start, case=case)
        if answer != "opens_a_case" and answer != "already_running":
            # The workflow decides, not we: the ledger may change meanwhile.
            out.note(f"Note: this start will be {meaning_of(answer, case=case)}.")
        client = await connect(out)
        if values and answer != "already_running":
            # Before the run, which looks for it at once; beside one that is going on nobody would come for it.
            await ledger.take_in(user_id=start.user_id, tenant=start.tenant, values=values, now=datetime.now(UTC))
    handle = await start_run(client, start)
    if wait:
        out.note(f"Started {handle.id}. Interrupting this command does not stop the retirement.")
        return tell_result(out, await watch(handle, client=client, out=out), workflow_id=handle.id)
    facts = {"workflow_id": handle.id, "run_id": handle.first_execution_run_id, "request_id": start.request_id}
    out.result(facts, columns([("started", facts["workflow_id"]), ("request id", facts["request_id"])]))
    return ExitCode.OK


def _plan_if_here(settings: "Settings", name: str | None) -> "Plan | None":
    """The plan, where it can be read here. Workers have it; whoever starts need not."""
    from plans.loading import PlanError, Plans

    try:
        return Plans(settings.plans_dir, settings.plan).get(name)
    except PlanError:
        return None


def _values_of(file: Path | None, *, plan: "Plan | None") -> dict[str, Any]:
    """What is handed over with the start. Of a plan that isn't here nobody can tell what it needs: its check does."""
    if plan is not None:
        return given_for(plan, file)
    return {} if file is None else read_given(file, names=None)


async def _show_forecast(start: "Start", *, given: Path | None, out: Output) -> ExitCode:
    from plans.loading import Plans
    from plans.outline import snapshot_of

    settings = read_settings()
    plan = Plans(settings.plans_dir, settings.plan).get(start.plan)
    if given is not None:
        given_for(plan, given)
    ready, case = True, None
    try:
        async with open_ledger(settings) as ledger:
            case = await ledger.find(user_id=start.user_id, tenant=start.tenant)
    except CommandError:
        ready = False
    forecast = Forecast(
        start=start,
        plan=plan,
        digest=snapshot_of(plan).digest,
        now=start.requested_at or datetime.now(UTC),
        case=case,
        ledger_ready=ready,
    )
    out.result(forecast.facts(), forecast.lines())
    return ExitCode.OK


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire start u-4711 --cool-off 14d --by support-7 --wait",
        codes=(ExitCode.ALREADY_RUNNING, ExitCode.ABORTED, ExitCode.ERRORED),
    )
    app.command("start", epilog=end)(_start)

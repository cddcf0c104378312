"""`retire resume`."""

import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, open_ledger, read_settings, run
from starter.erasure import gone_of
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import By, Json, Successor, Tenant, Wait, Who, read_codes
from starter.output import Output, columns, show
from starter.ownership.transferring import Telling, follow, start_transfer
from starter.starting import start_run, tell_result, watch
from starter.subjects import Subject, find_subject, not_found
from starter.wishes import standing_of

if TYPE_CHECKING:
    from workflows.messages import Skip, Start


class PlanChoice(StrEnum):
    """Which plan the resumed run executes."""

    STORED = "stored"
    CURRENT = "current"


def _resume(
    who: Who,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP",
            help="Leave this step out; recorded with --by and --reason. May be repeated.",
            callback=lambda values: read_codes(values or []),
            show_default=False,
        ),
    ] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            "--reason",
            "--reason-code",
            metavar="CODE",
            help="Why a step is skipped, as a code: one for each --skip in their order, or one for all.",
            callback=lambda values: read_codes(values or []),
            show_default=False,
        ),
    ] = None,
    plan: Annotated[
        PlanChoice,
        typer.Option(help="stored: the plan it was given; current: today's, with every finished step still in it."),
    ] = PlanChoice.STORED,
    abort: Annotated[
        bool, typer.Option("--abort", help="Go back instead and restore the account; only while nothing is gone.")
    ] = False,
    successor: Successor = None,
    tenant: Tenant = None,
    by: By = None,
    wait: Wait = False,
    json: Json = False,
) -> int:
    """Resume a retirement or a transfer that stopped before its end. It goes on in the direction it was going."""
    skips = _skips_of(skip or [], reasons=reason or [], by=by)
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
            gone = await gone_of(subject.case, ledger=ledger) if abort and subject.case else []
            start = _start_of(subject, skips=skips, plan=plan, abort=abort, gone=gone, successor=successor, by=by)
            client = await connect(out)
            if subject.is_transfer:
                handle = await start_transfer(client, start, joins=False)
                if wait:
                    return await follow(
                        handle, id=start.resume or "", client=client, ledger=ledger, out=out, telling=Telling()
                    )
            else:
                handle = await start_run(client, start)
        if wait:
            out.note(f"Resumed {start.resume}. Interrupting this command does not stop the retirement.")
            return tell_result(out, await watch(handle, client=client, out=out), workflow_id=handle.id)
        facts = {
            "workflow_id": handle.id,
            "run_id": handle.first_execution_run_id,
            "retirement_id": start.resume,
            "request_id": start.request_id,
        }
        out.result(facts, columns([("resumed", start.resume), ("workflow", handle.id)]))
        return ExitCode.OK

    return run(work())


def _skips_of(steps: list[str], *, reasons: list[str], by: str | None) -> "tuple[Skip, ...]":
    if not steps and not reasons:
        return ()
    if by is None:
        raise typer.BadParameter("a skipped step stays in the record under somebody's id: give --by ID.")
    if len(reasons) not in (1, len(steps)) or not steps:
        raise typer.BadParameter("give one --reason for each --skip, or one for all.")
    from workflows.messages import Skip

    codes = reasons if len(reasons) == len(steps) else reasons * len(steps)
    return tuple(Skip(step=step, by=by, reason_code=code) for step, code in zip(steps, codes, strict=True))


def _start_of(
    subject: Subject,
    *,
    skips: "tuple[Skip, ...]",
    plan: PlanChoice,
    abort: bool,
    gone: list[str],
    successor: str | None,
    by: str | None,
) -> "Start":
    """The start message of the resuming run.

    Raises:
        CommandError: there is nothing to resume, or not in this way.
    """
    from workflows.messages import Start

    case, user_id = subject.case, subject.user_id()
    if case is None:
        raise not_found(subject)
    # One that is live in the ledger may have lost its run (terminated, or gone with its server): Temporal says, at the start.
    if not (case.is_live or case.is_errored) or user_id is None:
        raise CommandError(
            f"{case.retirement_id} {standing_of(case)}; only one that stopped before its end can be resumed.",
            do=f"See `retire report {case.retirement_id}`.",
            code=ExitCode.REFUSED,
        )
    if gone:
        raise CommandError(
            f"{case.retirement_id} can't go back: {show(gone)} took effect, or may have.",
            do="Resume it without --abort.",
            code=ExitCode.REFUSED,
        )
    if subject.is_transfer and plan is PlanChoice.CURRENT:
        raise CommandError(
            f"{case.retirement_id} is a transfer, and runs by the plan that it was given.",
            do="Give it up (--skip STEP --reason CODE), then start another one with `retire transfer`.",
            code=ExitCode.USAGE,
        )
    return Start(
        user_id=user_id,
        tenant=case.tenant,
        resume=case.retirement_id,
        skip=skips,
        current_plan=plan is PlanChoice.CURRENT,
        go_back=abort,
        successor=successor,
        requested_by=by,
        request_id=str(uuid.uuid4()),
    )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire resume u-4711 --skip forum --reason vendor_closed --by ops-3 --wait\n"
        "  retire resume u-4711 --successor u-4712 --wait",
        codes=(
            ExitCode.NOT_FOUND,
            ExitCode.ALREADY_RUNNING,
            ExitCode.REFUSED,
            ExitCode.ABORTED,
            ExitCode.ERRORED,
            ExitCode.PROBLEMS,
        ),
    )
    app.command("resume", epilog=end)(_resume)

"""`retire rescind`."""

import uuid
from typing import Any

import typer

from starter.access import connect, open_ledger, read_settings, run
from starter.erasure import gone_of
from starter.exit_codes import ExitCode, help_end
from starter.options import By, Json, ReasonCode, Tenant, Who
from starter.output import Output, show
from starter.ownership.transferring import start_transfer
from starter.starting import start_run
from starter.subjects import Subject, find_subject
from starter.wishes import RunClosed, no_run, send, standing_of, tell


def _rescind(who: Who, tenant: Tenant = None, by: By = None, reason_code: ReasonCode = None, json: Json = False) -> int:
    """Take a retirement back and restore the account. Refused once it is past the point of no return."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from workflows.names import RESCIND

        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
            if subject.workflow_id is not None:
                client = await connect(out)
                wish = {"by": by, "reason_code": reason_code}
                try:
                    answer = await send(client, workflow_id=subject.workflow_id, name=RESCIND, wish=wish, out=out)
                    return tell(out, name=RESCIND, subject=subject, answer=answer)
                except RunClosed:
                    # It may have ended just now: what the ledger says since then counts.
                    subject = await find_subject(who, tenant=tenant, ledger=ledger)
            gone = await gone_of(subject.case, ledger=ledger) if subject.case else []
        return await _without_run(subject, gone=gone, by=by, reason_code=reason_code, out=out)

    return run(work())


async def _without_run(
    subject: Subject, *, gone: list[str], by: str | None, reason_code: str | None, out: Output
) -> ExitCode:
    """There is no run to ask: the ledger answers, or a run that goes back is started."""
    from ledger.rows import CaseState
    from workflows.messages import Start
    from workflows.names import Outcome

    case, user_id = subject.case, subject.user_id()
    if case is None:
        raise no_run(subject)
    facts: dict[str, Any] = {
        "message": "rescind",
        "workflow_id": subject.workflow_id,
        "retirement_id": case.retirement_id,
        "answered": True,
        "accepted": False,
        "code": "past_return",
        "gone": [],
        "cool_off_ends_at": None,
    }
    may_go_on = case.is_live or case.is_errored
    if may_go_on and case.state is not CaseState.PAST_RETURN and user_id is not None:
        start = Start(
            user_id=user_id,
            tenant=case.tenant,
            resume=case.retirement_id,
            go_back=True,
            request_id=str(uuid.uuid4()),
            requested_by=by,
            reason_code=reason_code,
        )
        client = await connect(out)
        resume = start_transfer(client, start, joins=False) if subject.is_transfer else start_run(client, start)
        handle = await resume
        line = "rescind: accepted (going_back). Its run had ended; a new one undoes what was frozen."
        out.result({**facts, "accepted": True, "code": "going_back", "workflow_id": handle.id}, [line])
        return ExitCode.OK
    if case.outcome is Outcome.ABORTED:
        code = f"already_{case.reason or 'aborted'}"
        line = f"rescind: nothing to do ({code}). {case.retirement_id} {standing_of(case)}; nothing was erased."
        out.result({**facts, "code": code}, [line])
        return ExitCode.OK
    lines = [f"rescind: refused (past_return). {case.retirement_id} {standing_of(case)}."]
    if gone:
        lines.append(f"gone already: {show(gone)}")
    elif case.is_errored:
        lines.append(f"Nothing is gone yet: `retire resume {case.retirement_id} --abort` goes back.")
    out.result({**facts, "gone": gone}, lines)
    return ExitCode.REFUSED


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire rescind u-4711 --by support-7 --reason changed_mind",
        codes=(ExitCode.NOT_FOUND, ExitCode.ALREADY_RUNNING, ExitCode.REFUSED, ExitCode.NOT_YET_ANSWERED),
    )
    app.command("rescind", epilog=end)(_rescind)

"""`retire report`."""

from typing import TYPE_CHECKING, Any

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json, Tenant, Who
from starter.output import Output, columns, reason_of
from starter.standing import WORK, cell, counts_of
from starter.subjects import find_subject, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.rows import Case, MailRow, Resume, StepRow, Work
    from workflows.messages import MessageRow
    from workflows.names import AssetResult

_HEAD = {
    "retirement_id": "retirement",
    "outcome": "outcome",
    "reason": "reason",
    "direction": "resumes",
    "state": "state",
    "plan": "plan",
    "plan_digest": "plan digest",
    "requested_at": "requested",
    "requested_by": "requested by",
    "reason_code": "requested because",
    "due_at": "due",
    "closed_at": "closed",
    "in_time": "in time",
    "shredded_at": "values shredded",
}
#: No law sets it a limit.
_NOT_OF_A_TRANSFER = ("due_at", "in_time")
_TABLES = {
    "steps": ("step", "result", "service", "assets", "code", "detail", "at", "until", "by"),
    "work": WORK,
    "undone": ("step", "result", "service", "code", "detail", "at"),
    "mails": ("mail", "result", "code", "at"),
    "resumes": ("at", "direction", "plan_digest", "by", "reason_code"),
    "messages": ("kind", "accepted", "code", "at", "by", "reason_code"),
}

_SUMMARY = ("erased", "absent", "scrubbed", "retained", "skipped", "unverified", "failed")

#: What the first column is called where it isn't the field's name.
_TITLES = {"work": "work", "undone": "undone", "resumes": "resumed", "messages": "message"}


def _report(who: Who, tenant: Tenant = None, json: Json = False) -> int:
    """Show the record of a retirement. Handed over, erased, kept until when, skipped by whom; no personal data."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_ledger(read_settings()) as ledger:
            subject = await find_subject(who, tenant=tenant, ledger=ledger)
            if subject.case is None:
                raise not_found(subject)
            id = subject.case.retirement_id
            facts = _facts_of(
                subject.case,
                rows=await ledger.steps(id),
                mails=await ledger.mails(id),
                messages=await ledger.messages(id),
                resumes=await ledger.resumes(id),
                counts=await ledger.asset_counts(id),
                work=await ledger.work(id),
            )
        out.result(facts, _lines_of(facts))
        return ExitCode.OK

    return run(work())


def _facts_of(
    case: "Case",
    *,
    rows: "Sequence[StepRow]",
    mails: "Sequence[MailRow]",
    messages: "Sequence[MessageRow]",
    resumes: "Sequence[Resume]",
    counts: "Mapping[str, Mapping[AssetResult | None, int]]",
    work: "Sequence[Work]",
) -> dict[str, Any]:
    from workflows.names import StepResult

    done = [row for row in rows if row.action == "do"]

    def named(*results: StepResult) -> list[str]:
        return [row.step for row in done if row.result in results]

    return {
        "kind": case.kind,
        **{name: getattr(case, name) for name in _HEAD if name != "in_time"},
        "code": case.code,
        "in_time": case.closed_at <= case.due_at if case.closed_at is not None else None,
        "transferred": named(StepResult.TRANSFERRED),
        "erased": named(StepResult.ERASED),
        "absent": named(StepResult.ABSENT),
        "scrubbed": named(StepResult.SCRUBBED),
        "retained": named(StepResult.RETAINED),
        "skipped": named(StepResult.SKIPPED),
        "unverified": named(StepResult.UNVERIFIED),
        "failed": named(StepResult.FAILED),
        "steps": [_step(row, counts=counts.get(row.step, {})) for row in done],
        "work": [{name: getattr(each, name) for name in WORK} for each in work],
        "undone": [_step(row, counts={}) for row in rows if row.action == "undo"],
        "mails": [{"mail": row.mail, "result": row.result, "code": row.code, "at": row.at} for row in mails],
        "messages": [row.model_dump() for row in messages],
        "resumes": [{name: getattr(resume, name) for name in _TABLES["resumes"]} for resume in resumes],
    }


def _step(row: "StepRow", *, counts: "Mapping[AssetResult | None, int]") -> dict[str, Any]:
    return {
        "step": row.step,
        "result": row.result or "begun",
        "service": row.service,
        "assets": counts_of(counts),
        "code": row.code or row.last_code,
        "detail": row.detail,
        "at": row.at,
        "until": row.until,
        "by": row.by,
    }


def _lines_of(facts: dict[str, Any]) -> list[str]:
    shown = facts | {"reason": reason_of(facts)}
    is_transfer = facts["kind"] == "transfer"
    titles = {name: title for name, title in _HEAD.items() if not is_transfer or name not in _NOT_OF_A_TRANSFER}
    head = [("transfer" if is_transfer and name == "retirement_id" else t, shown[name]) for name, t in titles.items()]
    transferred = ("transferred",) if facts["transferred"] or is_transfer else ()
    others = ("absent", "skipped", "failed") if is_transfer else _SUMMARY
    lines = columns(head + [(name, facts[name]) for name in (*transferred, *others)])
    for table, told in _TABLES.items():
        if facts[table]:
            counts = any(row.get("assets") for row in facts[table])
            names = tuple(name for name in told if name != "assets" or counts)
            rows = [[cell(row[name]) for name in names] for row in facts[table]]
            heading = [_TITLES.get(table, names[0]), *(name.replace("_", " ") for name in names[1:])]
            lines += ["", *columns(rows, heading=heading)]
    return lines


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire report r-abcdefghijklmnopqrstuvwxyz", codes=(ExitCode.NOT_FOUND,))
    app.command("report", epilog=end)(_report)

"""`retire openedx status`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import connect, open_ledger, run, with_sign_of_life
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns
from starter.site import OpenSite, SiteFile, open_site
from starter.standing import Standing, look
from starter.subjects import find_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.rows import Work
    from openedx.row import Row

#: The code of a hold: the LMS has no call that takes a request back.
_CANCEL_BY_HAND = "cancel_by_hand"


def _status(
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="The original username; letter case counts.")],
    site: SiteFile,
    json: Json = False,
) -> int:
    """Show where a learner's retirement stands, in the LMS and here. It changes nothing."""
    out = Output(as_json=json)

    async def show() -> ExitCode:
        from openedx.starts import user_id_of

        async with open_site(site) as it:
            row = await with_sign_of_life(it.lms.status(username), out=out, text="Waiting for the LMS …")
            if row is None or row.username != username:
                raise CommandError(
                    "The LMS has no retirement request of a learner of this name.",
                    do="See the letter case. Where the row is gone already, `retire status "
                    f"{it.site.site}-<id of the row>` shows what is known here.",
                    code=ExitCode.NOT_FOUND,
                )
            user_id = user_id_of(it.site, row)
            async with open_ledger(it.settings) as ledger:
                subject = await find_subject(user_id, tenant=None, ledger=ledger)
                client = await connect(out)
                standing = await with_sign_of_life(
                    look(subject, ledger=ledger, client=client), out=out, text="Waiting for a worker to answer …"
                )
                case = standing.subject.case
                work = await ledger.work(case.retirement_id) if case is not None else []
        facts = _facts(row, user_id=user_id, it=it, standing=standing, work=work)
        out.result(facts, _lines(facts))
        return ExitCode.OK

    return run(show())


def _facts(row: "Row", *, user_id: str, it: OpenSite, standing: Standing, work: "Sequence[Work]") -> dict[str, Any]:
    from openedx.standing import Retry, phase_of

    case, status, known = standing.subject.case, standing.status, standing.facts()
    failing = {row.step: row.first_failed_at for row in standing.rows}
    pending = standing.run.pending if standing.run is not None else ()
    retries = [
        Retry(since=failing.get(call.call.partition(":")[0]), next_try_at=call.next_try_at)
        for call in pending
        if call.next_try_at is not None
    ]
    cool_off = timedelta(days=it.site.cool_off_days)
    phase = phase_of(
        row,
        chain=it.chain,
        case=case,
        status=status,
        retries=retries,
        failed=next((step["code"] for step in known["steps"] if step["state"] == "failed"), None),
        cool_off=cool_off,
        now=datetime.now(UTC),
    )
    may_rescind = bool(status.may_rescind) if status is not None else None
    places = {step: place for place, step in enumerate(it.plan.steps)}
    stopped = row.state == it.chain.mirror.errored or (case is not None and case.is_errored)
    return {
        "user_id": user_id,
        "phase": phase,
        "lms_state": row.state,
        "lms_last_state": row.last_state,
        "lms_modified": row.modified,
        "requested_at": row.created,
        "cool_off_ends_at": known["cool_off_ends_at"] or row.created + cool_off,
        "retirement_id": known["retirement_id"],
        "workflow_id": known["workflow_id"],
        "outcome": known["outcome"],
        "reason": known["reason"],
        "held": known["held"],
        "steps": sorted(known["steps"], key=lambda step: places.get(step["step"], len(places))),
        "work": [
            {
                "work": item.step,
                "kind": item.kind,
                "state": item.state,
                "since": item.opened_at,
                "next_look_at": item.next_look_at,
                "code": item.code,
            }
            for item in work
        ],
        "may_rescind": may_rescind,
        "rescind": f"retire rescind {user_id}" if may_rescind else None,
        "decide": [_way_out(hold, user_id=user_id) for hold in known["held"]],
        "by_hand": next((_by_hand(it) for hold in known["held"] if hold["code"] == _CANCEL_BY_HAND), None),
        "resume": "retire openedx resume USERNAME" if stopped else None,
    }


def _way_out(hold: dict[str, Any], *, user_id: str) -> str:
    """What an operator may say to a hold. It is left by itself, too, when its cause is gone."""
    decisions = "adopt|retry|close" if hold["cause"] == "conflict" else "retry|close"
    return f"retire decide {user_id} --step {hold['step']} --decision {decisions}"


def _by_hand(it: OpenSite) -> str | None:
    """How a request is taken back where the LMS has no call for it."""
    return it.plan.mirror.cancel_by_hand if it.plan.mirror is not None else None


def _lines(facts: dict[str, Any]) -> list[str]:
    head = [
        ("learner", facts["user_id"]),
        ("phase", facts["phase"]),
        ("state in the LMS", facts["lms_state"]),
        ("since", facts["lms_modified"]),
        ("requested", facts["requested_at"]),
        ("cool-off ends", facts["cool_off_ends_at"]),
        ("retirement", facts["retirement_id"]),
        ("outcome", facts["outcome"]),
        *([("take back by", facts["rescind"])] if facts["rescind"] else []),
        *([("resume by", facts["resume"])] if facts["resume"] else []),
        *(("decide by", decide) for decide in facts["decide"]),
        *([("do by hand", facts["by_hand"])] if facts["by_hand"] else []),
    ]
    lines = columns(head)
    tables = {
        "steps": ("step", "state", "since", "code", "failures", "next_try_at"),
        # What a vendor or a person has still to do, or has done, besides the steps.
        "work": ("work", "kind", "state", "since", "next_look_at", "code"),
    }
    for table, names in tables.items():
        if facts[table]:
            heading = [name.replace("_", " ") for name in names]
            lines += ["", *columns([[item[name] for name in names] for item in facts[table]], heading=heading)]
    return lines


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire openedx status ann --site site.yaml", codes=(ExitCode.NOT_FOUND, ExitCode.PROBLEMS))
    app.command("status", epilog=end)(_status)

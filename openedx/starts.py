"""How a learner is handed to the product: the user id, what is given sealed, and the message that starts or resumes a run."""

from datetime import timedelta
from typing import Any

from ledger.rows import Case
from openedx.row import Row
from openedx.site import Site
from workflows.messages import Skip, Start
from workflows.names import Outcome


def user_id_of(site: Site, row: Row) -> str:
    """What a learner is called in workflow ids: opaque, and another one for each request of retirement.

    By the row and not by the username: `Ann` and `ann` are two learners.
    """
    return f"{site.site}-{row.id}"


def given_of(row: Row) -> dict[str, Any]:
    """What the plan's `subject.given` names; it goes into the vault, never into a workflow."""
    return {"username": row.username, "row_id": row.id}


def start_of(
    site: Site,
    row: Row,
    *,
    case: Case | None,
    skip: tuple[Skip, ...] = (),
    by: str | None = None,
    reason_code: str | None = None,
) -> Start:
    """The message that starts a learner's run, or resumes the one that stopped. `case`: their latest in the ledger.

    Whoever asks twice for the same sends the same request id, and is served once: sweeps may overlap. The row is in it as it
    was seen, as a row that was moved again is a wish of its own.
    """
    user_id = user_id_of(site, row)
    if case is not None and (case.is_live or case.is_errored):
        return Start(
            user_id=user_id,
            tenant=case.tenant,
            resume=case.retirement_id,
            skip=skip,
            request_id=f"row-{row.id}-{row.modified.isoformat()}-{case.since.isoformat()}",
            requested_by=by,
            reason_code=reason_code,
        )
    behind = "" if case is None else f"-{case.retirement_id}"
    return Start(
        user_id=user_id,
        plan=site.plan,
        requested_at=row.created,
        cool_off=timedelta(days=site.cool_off_days),
        skip=skip,
        again=case is not None and case.outcome is Outcome.COMPLETE,
        request_id=f"row-{row.id}-{row.created.isoformat()}{behind}",
        requested_by=by,
        reason_code=reason_code,
    )

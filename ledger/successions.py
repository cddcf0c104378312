"""Who takes over from whom, so that nobody takes over who is going, too. All inside the caller's transaction.

A row is also the lock between the two: whoever passes the point of no return looks at it first, the one who hands over as
well as the one who takes over.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from ledger import schema
from ledger.rows import CaseKind, CaseState
from workflows.names import Outcome

_TABLE = schema.successions
_CASES = schema.cases


def choose(connection: Connection, *, retirement_id: str, chosen: Mapping[str, str], at: datetime) -> None:
    """Note who takes over, by policy, as the ledger calls them. Whoever was chosen before is not any more."""
    connection.execute(delete(_TABLE).where(_TABLE.c.retirement_id == retirement_id))
    rows = [
        {"retirement_id": retirement_id, "policy": policy, "subject_key": key, "chosen_at": at}
        for policy, key in chosen.items()
    ]
    if rows:
        connection.execute(insert(_TABLE), rows)


def is_retiring(connection: Connection, *, subject_key: str) -> bool:
    """Is a retirement of this person under way?"""
    is_theirs = (_CASES.c.subject_key == subject_key) & (_CASES.c.kind == CaseKind.RETIREMENT.value)
    unclosed = select(_CASES.c.retirement_id).where(is_theirs, _CASES.c.state != CaseState.CLOSED.value).limit(1)
    return connection.execute(unclosed).one_or_none() is not None


def is_one_lost(connection: Connection, *, retirement_id: str) -> bool:
    """Is somebody who takes over being retired themselves, or were they since they were chosen? Locks who takes over."""
    rows = connection.execute(
        select(_TABLE).where(_TABLE.c.retirement_id == retirement_id).order_by(_TABLE.c.subject_key).with_for_update()
    ).mappings()
    for row in rows.all():
        if is_retiring(connection, subject_key=row["subject_key"]):
            return True
        was_theirs = (_CASES.c.subject_key == row["subject_key"]) & (_CASES.c.kind == CaseKind.RETIREMENT.value)
        retired = was_theirs & (_CASES.c.outcome == Outcome.COMPLETE.value) & (_CASES.c.closed_at >= row["chosen_at"])
        if connection.execute(select(_CASES.c.retirement_id).where(retired).limit(1)).one_or_none() is not None:
            return True
    return False


def is_awaited(connection: Connection, *, subject_key: str) -> bool:
    """Is somebody past the point of no return about to hand over to this person? Locks who hands over to them."""
    rows = connection.execute(
        select(_TABLE.c.retirement_id).where(_TABLE.c.subject_key == subject_key).with_for_update()
    )
    handing_over = list(rows.scalars())
    is_past = _CASES.c.state == CaseState.PAST_RETURN.value
    past = select(_CASES.c.retirement_id).where(_CASES.c.retirement_id.in_(handing_over), is_past).limit(1)
    return bool(handing_over) and connection.execute(past).one_or_none() is not None


def end(connection: Connection, *, retirement_id: str) -> None:
    """Everything is handed over, or nothing will be: whoever takes over may go."""
    connection.execute(delete(_TABLE).where(_TABLE.c.retirement_id == retirement_id))

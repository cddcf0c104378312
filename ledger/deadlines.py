"""Which retirements come near their legal limit without an end, and whom nobody was told of. Inside the caller's transaction."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, literal, select

from ledger import schema
from ledger.rows import CaseKind, CaseState
from workflows.names import Mail

_CASES = schema.cases
#: Written out, not bound: only so is the small index of unclosed cases known to do.
_CLOSED = literal(CaseState.CLOSED.value, literal_execute=True)
_UNCLOSED = (_CASES.c.state != _CLOSED) & (_CASES.c.kind == CaseKind.RETIREMENT.value)
_TOLD = exists().where(
    schema.mails.c.retirement_id == _CASES.c.retirement_id, schema.mails.c.mail == Mail.DEADLINE.value
)
_PLANS = select(_CASES.c.plan_digest).where(_UNCLOSED).distinct().order_by(_CASES.c.plan_digest)
_DUE = (
    select(_CASES.c.retirement_id)
    .where(_UNCLOSED, _CASES.c.plan_digest == bindparam("digest"), _CASES.c.due_at <= bindparam("by"), ~_TOLD)
    .order_by(_CASES.c.due_at, _CASES.c.retirement_id)
)


def plans_at_work(connection: Connection) -> list[str]:
    """The digests of the plans of all retirements that are not closed."""
    return list(connection.execute(_PLANS).scalars())


def due_untold(connection: Connection, *, plan_digest: str, by: datetime) -> list[str]:
    """A plan's retirements that are due by an instant, without an end, and without a record of a mail about it."""
    return list(connection.execute(_DUE, {"digest": plan_digest, "by": by}).scalars())

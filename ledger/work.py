"""Work that goes on when its step has ended: a vendor's, who is asked about it, or a person's. Inside the caller's transaction.

A row holds no value of the person; what is needed to ask, or to do it, stays in the vault, which open work holds.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, Executable, RowMapping, literal, select, update

from ledger import schema
from ledger.database import insert_into
from ledger.rows import NewWork, Work, WorkKind
from ledger.vault import Vault
from workflows.names import WorkState

_TABLE = schema.work
_OPEN = _TABLE.c.state == WorkState.OPEN.value
#: As `Work.is_left` says; written so that the small index of it is known to do.
_LEFT = (_TABLE.c.state != literal(WorkState.DONE.value, literal_execute=True)) & _TABLE.c.ended_by.is_(None)
#: For so long the vault keeps what somebody has to know who sees to what a vendor has given up.
KEPT_AFTER_FAILURE = timedelta(days=30)


def holder_of(step: str) -> str:
    """Under which name open work holds the vault."""
    return f"work:{step}"


def begin(connection: Connection, vault: Vault, *, retirement_id: str, step: str, new: NewWork, at: datetime) -> None:
    """Open the work of a step. A step that was done again begins it anew."""
    row = {
        "retirement_id": retirement_id,
        "step": step,
        "kind": new.kind.value,
        "state": WorkState.OPEN.value,
        "opened_at": at,
        "next_look_at": new.next_look_at,
        "ended_at": None,
        "ended_by": None,
        "code": None,
    }
    connection.execute(_replace(connection.dialect.name), row)
    vault.hold(connection, retirement_id=retirement_id, holder=holder_of(step), until=new.held_until)


def note_look(
    connection: Connection, *, retirement_id: str, step: str, next_look_at: datetime, code: str | None
) -> None:
    """When open work is looked at next, and how the last look ended."""
    of_step = (_TABLE.c.retirement_id == retirement_id) & (_TABLE.c.step == step)
    connection.execute(update(_TABLE).where(of_step, _OPEN).values(next_look_at=next_look_at, code=code))


def end(
    connection: Connection,
    vault: Vault,
    *,
    retirement_id: str,
    step: str,
    state: WorkState,
    at: datetime,
    by: str | None,
    code: str | None,
) -> bool:
    """End open work, which lets go of the vault. False where it is not open: whoever said so first is right.

    What a vendor has given up (nobody is named in `by`) is for somebody to see to: the vault is held for a while longer, and
    somebody may still say that it is done.
    """
    of_step = (_TABLE.c.retirement_id == retirement_id) & (_TABLE.c.step == step)
    changes = {"state": state.value, "ended_at": at, "ended_by": by, "code": code, "next_look_at": None}
    may_end = _OPEN if by is None else _LEFT
    if connection.execute(update(_TABLE).where(of_step, may_end).values(changes)).rowcount == 0:
        return False
    if by is None and state is WorkState.FAILED:
        vault.hold(connection, retirement_id=retirement_id, holder=holder_of(step), until=at + KEPT_AFTER_FAILURE)
        return True
    vault.release(connection, retirement_id=retirement_id, holder=holder_of(step), now=at)
    return True


def read(connection: Connection, *, retirement_id: str) -> list[Work]:
    """A case's, oldest first."""
    statement = select(_TABLE).where(_TABLE.c.retirement_id == retirement_id)
    return _works(connection.execute(statement.order_by(_TABLE.c.opened_at, _TABLE.c.step)).mappings())


def read_all(connection: Connection, *, left_only: bool, limit: int) -> list[Work]:
    """Everybody's, oldest first. `left_only`: where there is something left to do."""
    statement = select(_TABLE).order_by(_TABLE.c.opened_at, _TABLE.c.retirement_id, _TABLE.c.step).limit(limit)
    return _works(connection.execute(statement.where(_LEFT) if left_only else statement).mappings())


@cache
def _replace(dialect: str) -> Executable:
    statement = insert_into(_TABLE, dialect=dialect)
    key = ("retirement_id", "step")
    new = {column.name: statement.excluded[column.name] for column in _TABLE.c if column.name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=new)


def _works(rows: Iterable[RowMapping]) -> list[Work]:
    return [
        Work(
            retirement_id=row["retirement_id"],
            step=row["step"],
            kind=WorkKind(row["kind"]),
            state=WorkState(row["state"]),
            opened_at=row["opened_at"],
            next_look_at=row["next_look_at"],
            ended_at=row["ended_at"],
            by=row["ended_by"],
            code=row["code"],
        )
        for row in rows
    ]

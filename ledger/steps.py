"""Step rows and the record of outcomes. Every function works inside the caller's transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Executable,
    Integer,
    RowMapping,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from ledger import schema
from ledger.database import insert_into
from ledger.rows import StepAction, StepRow
from workflows.messages import StepOutcome
from workflows.names import StepResult

_TABLE = schema.steps
_ONE = select(_TABLE).where(
    _TABLE.c.retirement_id == bindparam("retirement_id"),
    _TABLE.c.step == bindparam("step"),
    _TABLE.c.action == bindparam("action"),
)
_ALL = (
    select(_TABLE)
    .where(_TABLE.c.retirement_id == bindparam("retirement_id"), _TABLE.c.action != StepAction.MAIL.value)
    .order_by(_TABLE.c.step, _TABLE.c.action)
)
_APPEND = insert(schema.outcomes)
_KEY = ("retirement_id", "step", "action")
_OUTCOME = ("result", "code", "detail", "until", "decided_by", "ended_at")


def read_step(connection: Connection, *, retirement_id: str, step: str, action: str) -> StepRow | None:
    """One row."""
    key = {"retirement_id": retirement_id, "step": step, "action": StepAction(action).value}
    row = connection.execute(_ONE, key).mappings().one_or_none()
    return None if row is None else _step_row(row)


def read_steps(connection: Connection, *, retirement_id: str) -> list[StepRow]:
    """The rows of a case's steps and undos, by step id."""
    return [_step_row(row) for row in connection.execute(_ALL, {"retirement_id": retirement_id}).mappings()]


def record(
    connection: Connection,
    *,
    retirement_id: str,
    action: str,
    outcomes: Sequence[StepOutcome],
    service: str | None = None,
) -> None:
    """Record how steps ended, on their rows and in the append-only record."""
    if not outcomes:
        return
    ended = [
        {
            "retirement_id": retirement_id,
            "step": outcome.step,
            "action": StepAction(action).value,
            "result": outcome.result.value,
            "code": outcome.code,
            "detail": outcome.detail,
            "until": outcome.until,
            "decided_by": outcome.by,
            "ended_at": outcome.at,
        }
        for outcome in outcomes
    ]
    connection.execute(_APPEND, ended)
    untried = {"service": service, "failures": 0, "touched": False, "lies": 0, "timeouts": 0}
    for values in ended:
        failed = values["result"] == StepResult.FAILED.value
        connection.execute(_end_step(connection.dialect.name, failed=failed), values | untried)


def record_attempt(
    connection: Connection,
    *,
    retirement_id: str,
    step: str,
    action: str,
    at: datetime,
    code: str,
    attempt: int,
    touched: bool,
    lied: bool,
    timed_out: bool,
    service: str | None,
) -> StepRow:
    """Record a failed attempt. An attempt that left no trace (its worker was killed) may have taken effect: touched."""
    row = connection.execute(
        _fail_attempt(connection.dialect.name),
        {
            "retirement_id": retirement_id,
            "step": step,
            "action": StepAction(action).value,
            "service": service,
            "first_failed_at": at,
            "failures": 1,
            "last_code": code,
            "touched": touched or attempt > 1,
            "lies": int(lied),
            "timeouts": int(timed_out),
            "may_have_touched": touched,
            "attempts_before": attempt - 1,
        },
    ).mappings()
    return _step_row(row.one())


@cache
def _end_step(dialect: str, *, failed: bool) -> Executable:
    statement = insert_into(_TABLE, dialect=dialect)
    new = statement.excluded
    changes: dict[str, Any] = {name: new[name] for name in _OUTCOME}
    changes["service"] = func.coalesce(new.service, _TABLE.c.service)
    if not failed:
        # A success ends the row of failures: what fails later, at the verification, has its own patience.
        changes |= {"first_failed_at": None, "failures": 0, "timeouts": 0}
    return statement.on_conflict_do_update(index_elements=_KEY, set_=changes)


@cache
def _fail_attempt(dialect: str) -> Executable:
    statement = insert_into(_TABLE, dialect=dialect)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "service": func.coalesce(new.service, _TABLE.c.service),
            "first_failed_at": func.coalesce(_TABLE.c.first_failed_at, new.first_failed_at),
            "failures": _TABLE.c.failures + 1,
            "last_code": new.last_code,
            "touched": or_(
                _TABLE.c.touched,
                bindparam("may_have_touched", type_=Boolean),
                bindparam("attempts_before", type_=Integer) > _TABLE.c.failures,
            ),
            "lies": _TABLE.c.lies + new.lies,
            "timeouts": _TABLE.c.timeouts + new.timeouts,
        },
    ).returning(_TABLE)


def begin_again(connection: Connection, *, retirement_id: str) -> None:
    """A resume gives every step fresh patience, and failed ones another run. What happened stays in the record."""
    of_case = _TABLE.c.retirement_id == retirement_id
    connection.execute(update(_TABLE).where(of_case).values(first_failed_at=None, failures=0, timeouts=0))
    connection.execute(
        update(_TABLE).where(of_case, _TABLE.c.result == StepResult.FAILED.value).values(dict.fromkeys(_OUTCOME))
    )


def read_outcomes(connection: Connection, *, retirement_id: str) -> list[tuple[StepAction, StepOutcome]]:
    """The append-only record of outcomes, oldest first."""
    table = schema.outcomes
    rows: Iterable[RowMapping] = connection.execute(
        select(table).where(table.c.retirement_id == retirement_id).order_by(table.c.id)
    ).mappings()
    return [
        (
            StepAction(row["action"]),
            StepOutcome(
                step=row["step"],
                result=StepResult(row["result"]),
                code=row["code"],
                detail=row["detail"],
                until=row["until"],
                by=row["decided_by"],
                at=row["ended_at"],
            ),
        )
        for row in rows
    ]


def _step_row(row: RowMapping) -> StepRow:
    return StepRow(
        step=row["step"],
        action=StepAction(row["action"]),
        service=row["service"],
        result=None if row["result"] is None else StepResult(row["result"]),
        code=row["code"],
        detail=row["detail"],
        until=row["until"],
        by=row["decided_by"],
        at=row["ended_at"],
        first_failed_at=row["first_failed_at"],
        failures=row["failures"],
        last_code=row["last_code"],
        touched=row["touched"],
        lies=row["lies"],
        timeouts=row["timeouts"],
    )

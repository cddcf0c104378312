"""Cases: opened, moved past the point of no return or back, closed. All of it inside the caller's transaction."""

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from ledger import claims, schema, successions
from ledger.correspondence import append_messages
from ledger.errors import LedgerConflict, UnknownCase
from ledger.opening import nothing_is_gone
from ledger.rows import Case, CaseKind, CaseState, StoredPlan
from ledger.steps import read_steps
from ledger.vault import RUN, Vault
from workflows.messages import MessageRow, Moved
from workflows.names import Direction, Outcome, Reason

#: After the close nobody holds the vault for longer than this, whatever became of them.
LONGEST_HOLD = timedelta(days=30)

_MOVES = frozenset(
    {
        (CaseState.OPEN, CaseState.PAST_RETURN),
        (CaseState.OPEN, CaseState.GOING_BACK),
        (CaseState.PAST_RETURN, CaseState.GOING_BACK),
    }
)
_CLOSES = {
    Outcome.COMPLETE: frozenset({CaseState.PAST_RETURN}),
    Outcome.ABORTED: frozenset({CaseState.OPEN, CaseState.GOING_BACK}),
}

_TABLE = schema.cases
_ONE = select(_TABLE).where(_TABLE.c.retirement_id == bindparam("retirement_id"))
_LOCKED_ONE = _ONE.with_for_update()
_OF_SUBJECT = (
    select(_TABLE)
    .where(_TABLE.c.subject_key == bindparam("subject_key"), _TABLE.c.kind == bindparam("kind"))
    .order_by(_TABLE.c.opened_at.desc(), _TABLE.c.state.desc())
)
_PLAN = select(schema.plans).where(schema.plans.c.digest == bindparam("digest"))
_PLAN_KNOWN = select(schema.plans.c.digest).where(schema.plans.c.digest == bindparam("digest"))


def new_retirement_id() -> str:
    """An opaque id: 128 random bits."""
    return f"r-{_random()}"


def new_transfer_id() -> str:
    """The same, told from a retirement's at a glance."""
    return f"t-{_random()}"


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=").lower()


def read_case(connection: Connection, *, retirement_id: str, lock: bool = False) -> Case | None:
    """One case; locked against other writers where something is decided from it."""
    statement = _LOCKED_ONE if lock else _ONE
    row = connection.execute(statement, {"retirement_id": retirement_id}).mappings().one_or_none()
    return None if row is None else case_of(row)


def existing_case(connection: Connection, *, retirement_id: str, lock: bool = False) -> Case:
    """One case that has to be there.

    Raises:
        UnknownCase: it is not.
    """
    case = read_case(connection, retirement_id=retirement_id, lock=lock)
    if case is None:
        raise UnknownCase("the ledger has no case of this retirement id")
    return case


def cases_of_subject(
    connection: Connection, *, subject_key: str, kind: CaseKind = CaseKind.RETIREMENT, lock: bool = False
) -> list[Case]:
    """All cases of a subject, newest first."""
    statement = _OF_SUBJECT.with_for_update() if lock else _OF_SUBJECT
    key = {"subject_key": subject_key, "kind": kind.value}
    return [case_of(row) for row in connection.execute(statement, key).mappings()]


def select_cases(
    connection: Connection, *, live_only: bool, outcome: Outcome | None, plan: str | None, limit: int, kind: CaseKind
) -> list[Case]:
    """Cases, newest first."""
    statement = (
        select(_TABLE)
        .where(_TABLE.c.kind == kind.value)
        .order_by(_TABLE.c.opened_at.desc(), _TABLE.c.retirement_id)
        .limit(limit)
    )
    if live_only:
        statement = statement.where(_TABLE.c.state != CaseState.CLOSED.value, _TABLE.c.outcome.is_(None))
    if outcome is not None:
        statement = statement.where(_TABLE.c.outcome == outcome.value)
    if plan is not None:
        statement = statement.where(_TABLE.c.plan == plan)
    return [case_of(row) for row in connection.execute(statement).mappings()]


def read_plan(connection: Connection, *, digest: str) -> StoredPlan | None:
    """A plan by its digest."""
    row = connection.execute(_PLAN, {"digest": digest}).mappings().one_or_none()
    if row is None:
        return None
    return StoredPlan(digest=row["digest"], name=row["name"], format=row["format"], document=row["document"])


def store_plan(connection: Connection, *, plan: StoredPlan, now: datetime) -> None:
    """Store a plan, unless it is there already."""
    if connection.execute(_PLAN_KNOWN, {"digest": plan.digest}).one_or_none() is None:
        values = {"digest": plan.digest, "name": plan.name, "format": plan.format, "document": plan.document}
        connection.execute(insert(schema.plans), {**values, "stored_at": now})


def change_case(connection: Connection, *, retirement_id: str, changes: dict[str, Any]) -> None:
    """Set columns of a case."""
    connection.execute(update(_TABLE).where(_TABLE.c.retirement_id == retirement_id).values(**changes))


def move_case(
    connection: Connection,
    *,
    retirement_id: str,
    from_state: str,
    to_state: str,
    now: datetime,
    messages: Iterable[MessageRow],
    reason: Reason | None,
    code: str | None,
) -> Moved:
    """Move a case by compare-and-set. A move made before (a repeated activity) counts as made."""
    move = (CaseState(from_state), CaseState(to_state))
    if move not in _MOVES:
        raise ValueError(f"a case never moves from {from_state} to {to_state}")
    case = existing_case(connection, retirement_id=retirement_id, lock=True)
    if case.state is move[1]:
        append_messages(connection, retirement_id=retirement_id, messages=messages)
        return Moved(moved=True, state=case.state.value)
    if case.state is not move[0] or (move[0] is CaseState.PAST_RETURN and not _may_turn_back(connection, case)):
        return Moved(moved=False, state=case.state.value)
    if move[1] is CaseState.PAST_RETURN:
        if successions.is_one_lost(connection, retirement_id=retirement_id):
            return Moved(moved=False, state=case.state.value, successor_lost=True)
        # Whoever only hands over what they own now may be given more later.
        goes = case.kind is CaseKind.RETIREMENT
        if goes and successions.is_awaited(connection, subject_key=case.subject_key):
            return Moved(moved=False, state=case.state.value, awaited=True)
        if case.claims and not claims.take(connection, retirement_id=retirement_id, claims=case.claims):
            return Moved(moved=False, state=case.state.value, claim_lost=True)
    changes: dict[str, Any] = {"state": move[1].value, "since": now}
    if reason is not None:
        changes |= {"reason": reason.value, "code": code}
    change_case(connection, retirement_id=retirement_id, changes=changes)
    append_messages(connection, retirement_id=retirement_id, messages=messages)
    return Moved(moved=True, state=move[1].value)


def _may_turn_back(connection: Connection, case: Case) -> bool:
    plan = read_plan(connection, digest=case.plan_digest)
    steps = read_steps(connection, retirement_id=case.retirement_id)
    return plan is not None and nothing_is_gone(steps=steps, plan=plan)


def close_case(
    connection: Connection,
    vault: Vault,
    *,
    retirement_id: str,
    outcome: Outcome,
    reason: Reason | None,
    direction: Direction | None,
    now: datetime,
    messages: Iterable[MessageRow],
    no_longer_held_by: Iterable[str] = (),
) -> Case:
    """Record how a run ended. COMPLETE and ABORTED close the case; ERRORED leaves it to a resume, with its vault entry.

    `no_longer_held_by`: holders of the vault whose mail will not be sent, after all.

    Raises:
        LedgerConflict: a case that never passed the point can't be COMPLETE, one that did can't be ABORTED.
    """
    case = existing_case(connection, retirement_id=retirement_id, lock=True)
    append_messages(connection, retirement_id=retirement_id, messages=messages)
    if case.state is CaseState.CLOSED:
        return case
    changes: dict[str, Any] = {"outcome": outcome.value, "since": now}
    if reason is not None:
        changes["reason"] = reason.value
    if outcome is Outcome.ERRORED:
        changes["direction"] = None if direction is None else direction.value
    elif case.state not in _CLOSES[outcome]:
        raise LedgerConflict(f"a case that is {case.state.value} can't end {outcome.value}")
    else:
        changes |= {"state": CaseState.CLOSED.value, "workflow_id": None, "direction": None, "closed_at": now}
    change_case(connection, retirement_id=retirement_id, changes=changes)
    if outcome is not Outcome.ERRORED:
        if case.claims:
            claims.give_back(connection, retirement_id=retirement_id)
        successions.end(connection, retirement_id=retirement_id)
        vault.limit_holds(connection, retirement_id=retirement_id, until=now + LONGEST_HOLD)
        for holder in (*no_longer_held_by, RUN):
            vault.release(connection, retirement_id=retirement_id, holder=holder, now=now)
    return existing_case(connection, retirement_id=retirement_id)


def case_of(row: RowMapping) -> Case:
    """A case from its row."""
    present = row["present"]
    return Case(
        retirement_id=row["retirement_id"],
        kind=CaseKind(row["kind"]),
        subject_key=row["subject_key"],
        workflow_id=row["workflow_id"],
        state=CaseState(row["state"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        code=row["code"],
        direction=None if row["direction"] is None else Direction(row["direction"]),
        plan=row["plan"],
        plan_digest=row["plan_digest"],
        run_key=row["run_key"],
        resumed_run_key=row["resumed_run_key"],
        request_id=row["request_id"],
        requested_by=row["requested_by"],
        reason_code=row["reason_code"],
        tenant=row["tenant"],
        locale=row["locale"],
        requested_at=row["requested_at"],
        opened_at=row["opened_at"],
        cool_off_ends_at=row["cool_off_ends_at"],
        due_at=row["due_at"],
        since=row["since"],
        closed_at=row["closed_at"],
        hosts=row["hosts"],
        present=None if present is None else tuple(present),
        claims=row["claims"],
        shredded_at=row["shredded_at"],
    )

"""Carries out what `opening` decides about a start, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from ledger import schema
from ledger.assets import ask_again
from ledger.cases import cases_of_subject, change_case, existing_case, new_retirement_id, read_plan, store_plan
from ledger.opening import Decision, Opening, decide
from ledger.rows import Case, CaseKind, CaseOpening, CaseState, Resume, StepAction, StepRow, StoredPlan
from ledger.steps import begin_again, read_steps, record
from ledger.vault import Vault
from workflows.messages import Start, StepOutcome
from workflows.names import Direction, StepResult


@dataclass(frozen=True, kw_only=True)
class Request:
    """A start, with all that the caller worked out for it."""

    start: Start = field(repr=False)
    subject_key: str
    workflow_id: str = field(repr=False)
    run_key: str
    now: datetime
    plan: StoredPlan
    hosts: Mapping[str, str]
    cool_off_ends_at: datetime
    due_at: datetime
    holders: tuple[str, ...]
    kind: CaseKind = CaseKind.RETIREMENT


def open_case(connection: Connection, vault: Vault, *, request: Request) -> CaseOpening:
    """Decide about a start, and do it."""
    cases = cases_of_subject(connection, subject_key=request.subject_key, kind=request.kind, lock=True)
    unclosed = next((case for case in cases if case.state is not CaseState.CLOSED), None)
    steps = () if unclosed is None else tuple(read_steps(connection, retirement_id=unclosed.retirement_id))
    plan = request.plan if unclosed is None else _plan_to_run(connection, request=request, case=unclosed)
    decision = decide(
        start=request.start,
        run_key=request.run_key,
        cases=cases,
        request_seen=_is_seen(connection, request=request),
        steps=steps,
        plan=plan,
    )
    match decision:
        case Decision(opening=Opening.REFUSED):
            vault.take_out_intake(connection, subject_key=request.subject_key)  # nobody else comes for it
            return CaseOpening(case=decision.case, refused=decision.reason, resumed=False, steps=())
        case Decision(opening=Opening.CONTINUES, case=Case() as case):
            resumed = case.resumed_run_key == request.run_key
            return CaseOpening(case=case, refused=None, resumed=resumed, steps=steps)
        case Decision(opening=Opening.RESUMES, case=Case() as case, direction=Direction() as direction):
            return _resume(connection, vault, request=request, case=case, direction=direction, plan=plan, steps=steps)
    return _open(connection, vault, request=request)


def read_resumes(connection: Connection, *, retirement_id: str) -> list[Resume]:
    """A case's resumes, oldest first."""
    table = schema.resumes
    rows = connection.execute(
        select(table).where(table.c.retirement_id == retirement_id).order_by(table.c.id)
    ).mappings()
    return [
        Resume(
            at=row["at"],
            run_key=row["run_key"],
            direction=Direction(row["direction"]),
            plan_digest=row["plan_digest"],
            by=row["requested_by"],
            reason_code=row["reason_code"],
        )
        for row in rows
    ]


def _plan_to_run(connection: Connection, *, request: Request, case: Case) -> StoredPlan:
    if request.start.current_plan or request.plan.digest == case.plan_digest:
        return request.plan
    return read_plan(connection, digest=case.plan_digest) or request.plan


def _is_seen(connection: Connection, *, request: Request) -> bool:
    if request.start.request_id is None:
        return False
    table = schema.requests
    key = (table.c.subject_key == request.subject_key) & (table.c.request_id == request.start.request_id)
    return connection.execute(select(table.c.retirement_id).where(key)).one_or_none() is not None


def _remember(connection: Connection, *, request: Request, retirement_id: str) -> None:
    if request.start.request_id is not None:
        connection.execute(
            insert(schema.requests),
            {
                "subject_key": request.subject_key,
                "request_id": request.start.request_id,
                "retirement_id": retirement_id,
            },
        )


def _open(connection: Connection, vault: Vault, *, request: Request) -> CaseOpening:
    start, retirement_id = request.start, new_retirement_id()
    store_plan(connection, plan=request.plan, now=request.now)
    connection.execute(
        insert(schema.cases),
        {
            "retirement_id": retirement_id,
            "subject_key": request.subject_key,
            "workflow_id": request.workflow_id,
            "state": CaseState.OPEN.value,
            "plan": request.plan.name,
            "plan_digest": request.plan.digest,
            "run_key": request.run_key,
            "request_id": start.request_id,
            "requested_by": start.requested_by,
            "reason_code": start.reason_code,
            "tenant": start.tenant,
            "locale": start.locale,
            "requested_at": start.requested_at or request.now,
            "opened_at": request.now,
            "cool_off_ends_at": request.cool_off_ends_at,
            "due_at": request.due_at,
            "since": request.now,
            "hosts": dict(request.hosts),
        },
    )
    _remember(connection, request=request, retirement_id=retirement_id)
    vault.make(connection, retirement_id=retirement_id, holders=request.holders)
    _take_over_intake(connection, vault, request=request, retirement_id=retirement_id)
    _name_successor(connection, vault, request=request, retirement_id=retirement_id)
    case = existing_case(connection, retirement_id=retirement_id)
    return CaseOpening(case=case, refused=None, resumed=False, steps=())


def _take_over_intake(connection: Connection, vault: Vault, *, request: Request, retirement_id: str) -> None:
    """What whoever started this knows of the person goes into the vault of the case."""
    given = vault.take_out_intake(connection, subject_key=request.subject_key)
    if given is not None:
        vault.keep_subject(connection, retirement_id=retirement_id, values=given)


def _name_successor(connection: Connection, vault: Vault, *, request: Request, retirement_id: str) -> None:
    """Keep whom the request names. They take the place of whoever was chosen before."""
    if request.start.successor is not None:
        vault.keep_people(connection, retirement_id=retirement_id, people={"named": request.start.successor})
        vault.keep_successors(connection, retirement_id=retirement_id, values={})


def _resume(
    connection: Connection,
    vault: Vault,
    *,
    request: Request,
    case: Case,
    direction: Direction,
    plan: StoredPlan,
    steps: tuple[StepRow, ...],
) -> CaseOpening:
    start, retirement_id = request.start, case.retirement_id
    changes: dict[str, Any] = {
        "run_key": request.run_key,
        "resumed_run_key": request.run_key,
        "workflow_id": request.workflow_id,
        "outcome": None,
        "direction": direction.value,
        "since": request.now,
    }
    if start.current_plan:
        store_plan(connection, plan=plan, now=request.now)
        changes |= {"plan": plan.name, "plan_digest": plan.digest, "hosts": dict(request.hosts)}
    change_case(connection, retirement_id=retirement_id, changes=changes)
    begin_again(connection, retirement_id=retirement_id)
    ask_again(connection, retirement_id=retirement_id)
    _name_successor(connection, vault, request=request, retirement_id=retirement_id)
    _skip(connection, request=request, retirement_id=retirement_id, direction=direction, steps=steps)
    connection.execute(
        insert(schema.resumes),
        {
            "retirement_id": retirement_id,
            "at": request.now,
            "run_key": request.run_key,
            "direction": direction.value,
            "plan_digest": plan.digest,
            "requested_by": start.requested_by,
            "reason_code": start.reason_code,
        },
    )
    _remember(connection, request=request, retirement_id=retirement_id)
    return CaseOpening(
        case=existing_case(connection, retirement_id=retirement_id),
        refused=None,
        resumed=True,
        steps=tuple(read_steps(connection, retirement_id=retirement_id)),
    )


def _skip(
    connection: Connection,
    *,
    request: Request,
    retirement_id: str,
    direction: Direction,
    steps: tuple[StepRow, ...],
) -> None:
    """Apply the operator's skips to what this run would do. What has ended stays as it ended."""
    action = StepAction.UNDO if direction is Direction.BACK else StepAction.DO
    ended = {row.step for row in steps if row.action is action and row.has_ended}
    skipped = [
        StepOutcome(step=skip.step, result=StepResult.SKIPPED, code=skip.reason_code, by=skip.by, at=request.now)
        for skip in request.start.skip
        if skip.step not in ended
    ]
    record(connection, retirement_id=retirement_id, action=action, outcomes=skipped)

"""Whom a command means: a user id, a retirement's or a transfer's id, or a workflow id."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import show

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.rows import Case, CaseKind

_CASE_ID = re.compile(r"[rt]-[a-z2-7]{26}")
#: A workflow id doesn't say where its tenant ends; this many places are tried.
_MOST_DASHES = 16


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom a command means. `workflow_id` is None where the case is closed and no longer says whose it was."""

    who: str
    case: "Case | None"
    workflow_id: str | None

    def user_id(self) -> str | None:
        """The user id, out of the workflow id of the case."""
        from workflows.names import TRANSFER_WORKFLOW_ID_PREFIX, WORKFLOW_ID_PREFIX

        if self.case is None or self.workflow_id is None:
            return None
        prefix = TRANSFER_WORKFLOW_ID_PREFIX if self.is_transfer else WORKFLOW_ID_PREFIX
        return self.workflow_id.removeprefix(prefix + (f"{self.case.tenant}-" if self.case.tenant else ""))

    @property
    def is_transfer(self) -> bool:
        """Is it a hand-over that stands alone?"""
        from ledger.rows import CaseKind

        return self.case is not None and self.case.kind is CaseKind.TRANSFER


def is_case_id(who: str) -> bool:
    """Has this the form of a retirement's id, or a transfer's?"""
    return _CASE_ID.fullmatch(who) is not None


async def find_subject(who: str, *, tenant: str | None, ledger: "Ledger") -> Subject:
    """Find whom `who` means; the case is None where the ledger knows none."""
    from ledger.rows import CaseKind
    from workflows.names import TRANSFER_WORKFLOW_ID_PREFIX, WORKFLOW_ID_PREFIX, workflow_id

    if is_case_id(who):
        case = await ledger.case(who)
        if case is not None:
            return Subject(who=who, case=case, workflow_id=case.workflow_id)
    kinds = {WORKFLOW_ID_PREFIX: CaseKind.RETIREMENT, TRANSFER_WORKFLOW_ID_PREFIX: CaseKind.TRANSFER}
    for prefix, kind in kinds.items():
        if who.startswith(prefix) and tenant is None:
            case = await _case_of_workflow(who.removeprefix(prefix), kind=kind, ledger=ledger)
            return Subject(who=who, case=case, workflow_id=who)
    case = await ledger.find(user_id=who, tenant=tenant)
    return Subject(who=who, case=case, workflow_id=workflow_id(user_id=who, tenant=tenant))


async def _case_of_workflow(rest: str, *, kind: "CaseKind", ledger: "Ledger") -> "Case | None":
    """The newest case among all ways to read the rest of a workflow id as tenant and user id."""
    readings: list[tuple[str | None, str]] = [(None, rest)]
    readings += [(rest[: m.start()], rest[m.end() :]) for m in list(re.finditer("-", rest))[:_MOST_DASHES]]
    found = []
    for tenant, user_id in readings:
        is_one = user_id and tenant != ""
        case = await ledger.find(user_id=user_id, tenant=tenant, kind=kind) if is_one else None
        if case is not None:
            found.append(case)
    return max(found, key=lambda case: case.opened_at, default=None)


def not_found(subject: Subject) -> CommandError:
    """Neither the ledger nor Temporal knows them."""
    return CommandError(
        f"There is no retirement of {show(subject.who)}.",
        do="See the id and --tenant; `retire list` shows what there is.",
        code=ExitCode.NOT_FOUND,
    )

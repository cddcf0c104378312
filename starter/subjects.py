"""Whom a command means: a user id, a retirement id or a workflow id."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import show

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.rows import Case

_RETIREMENT_ID = re.compile(r"r-[a-z2-7]{26}")
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
        from workflows.names import WORKFLOW_ID_PREFIX

        if self.case is None or self.workflow_id is None:
            return None
        tenant = f"{self.case.tenant}-" if self.case.tenant else ""
        return self.workflow_id.removeprefix(WORKFLOW_ID_PREFIX + tenant)


async def find_subject(who: str, *, tenant: str | None, ledger: "Ledger") -> Subject:
    """Find whom `who` means; the case is None where the ledger knows none."""
    from workflows.names import WORKFLOW_ID_PREFIX, workflow_id

    if _RETIREMENT_ID.fullmatch(who):
        case = await ledger.case(who)
        if case is not None:
            return Subject(who=who, case=case, workflow_id=case.workflow_id)
    if who.startswith(WORKFLOW_ID_PREFIX) and tenant is None:
        return Subject(who=who, case=await _case_of_workflow(who, ledger=ledger), workflow_id=who)
    case = await ledger.find(user_id=who, tenant=tenant)
    return Subject(who=who, case=case, workflow_id=workflow_id(user_id=who, tenant=tenant))


async def _case_of_workflow(workflow_id: str, *, ledger: "Ledger") -> "Case | None":
    """The newest case among all ways to read a workflow id as tenant and user id."""
    from workflows.names import WORKFLOW_ID_PREFIX

    rest = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
    readings: list[tuple[str | None, str]] = [(None, rest)]
    readings += [(rest[: m.start()], rest[m.end() :]) for m in list(re.finditer("-", rest))[:_MOST_DASHES]]
    found = []
    for tenant, user_id in readings:
        case = await ledger.find(user_id=user_id, tenant=tenant) if user_id and tenant != "" else None
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

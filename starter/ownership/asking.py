"""Asking the services from this process, as a worker asks them: nothing is written, and nothing is changed."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import show

if TYPE_CHECKING:
    from activities.actions.action import Action
    from activities.opening import Begun
    from activities.ownership.choosing import Choosing
    from ledger.ledger import Ledger
    from plans.model import Plan

#: Stands for the id of a case that isn't there: told from a real one at a glance.
_NO_CASE = "t-looklooklooklooklooklookloo"
_STEP = "look"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The services of a plan, about one person."""

    action: "Action"
    begun: "Begun"
    #: Does the lookup know them?
    is_known: bool

    def choosing(self, ledger: "Ledger") -> "Choosing":
        """Who may take over from them."""
        from activities.ownership.choosing import Choosing

        return Choosing(action=self.action, ledger=ledger, begun=self.begun, step_id=_STEP)


@dataclass(frozen=True, kw_only=True)
class Whom:
    """Whom to ask about, with what is known of them in case that no lookup knows them."""

    user_id: str = field(repr=False)
    tenant: str | None
    told: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The user id of whoever is to take over.
    successor: str | None = field(default=None, repr=False)


def read_plan_by_name(name: str | None) -> "Plan":
    """The plan of that name, or the default one, as the settings say."""
    from plans.loading import Plans
    from starter.access import read_settings

    settings = read_settings()
    return Plans(settings.plans_dir, settings.plan).get(name)


@contextlib.asynccontextmanager
async def asking(plan: "Plan", whom: Whom) -> AsyncIterator[Asked]:
    """Look a person up, and keep the connections until the block ends.

    Raises:
        CommandError: a service can't be asked from here, or doesn't tell.
    """
    from starter.access import open_actions

    async with open_actions() as actions:
        with told_to_people():
            yield await _looked_up(_begun(plan, whom), action=actions, told=whom.told)


@contextlib.contextmanager
def told_to_people() -> Iterator[None]:
    """Tell what a service didn't tell, or couldn't be asked.

    Raises:
        CommandError: says what was asked and what came back, or what is missing here.
    """
    from activities.actions.wire import BadAddress
    from activities.paging import NotTold
    from plans.secrets import SecretMissing

    try:
        yield
    except NotTold as untold:
        raise CommandError(
            f"A service did not tell: {show(untold.detail)} ({untold.trouble.code}).",
            do="Nothing was changed; the runbook says what the code means. Mend it, then run this again.",
            code=ExitCode.PROBLEMS,
        ) from None
    except (SecretMissing, BadAddress) as missing:
        raise CommandError(
            f"A service of the plan can't be asked from here: {missing}.",
            do="Run this with the settings of a worker.",
            code=ExitCode.NOT_SET_UP,
        ) from None


async def _looked_up(begun: "Begun", *, action: "Action", told: Mapping[str, str]) -> Asked:
    from activities.first_contact import Worked
    from activities.looking_up import look_up
    from activities.paging import NotTold

    found = await look_up(action, begun=begun, worked=Worked(), step_id=_STEP)
    if found.trouble is not None:
        raise NotTold(found.trouble, detail=found.detail)
    values: dict[str, Any] = {**told, **(found.values or {})}
    return Asked(action=action, begun=begun.with_subject(values), is_known=found.values is not None)


def _begun(plan: "Plan", whom: Whom) -> "Begun":
    """What an activity would have begun with, had there been a case."""
    from activities.opening import Begun
    from ledger.rows import Case, CaseKind, CaseState, People, no_values
    from workflows.messages import CaseRef

    now = datetime.now(UTC)
    case = Case(
        retirement_id=_NO_CASE,
        kind=CaseKind.TRANSFER,
        workflow_id=None,
        state=CaseState.OPEN,
        outcome=None,
        reason=None,
        direction=None,
        plan=plan.plan,
        plan_digest="",
        run_key="",
        resumed_run_key=None,
        request_id=None,
        requested_by=None,
        reason_code=None,
        tenant=whom.tenant,
        locale=None,
        requested_at=now,
        opened_at=now,
        cool_off_ends_at=now,
        due_at=now,
        since=now,
        closed_at=None,
        hosts=_hosts_here(plan),
        present=None,
        claims=None,
        shredded_at=None,
    )
    ref = CaseRef(retirement_id=_NO_CASE, user_id=whom.user_id, tenant=whom.tenant, plan_digest="")
    values = {**no_values(), "people": People(named=whom.successor)}
    return Begun(ref=ref, case=case, row=None, plan=plan, values=values)  # type: ignore[arg-type]  # a TypedDict's copy


def _hosts_here(plan: "Plan") -> dict[str, str]:
    """Where this process sees the services; one that it can't see is told when it is asked."""
    from activities.actions.wire import BadAddress
    from activities.addresses import address_of
    from plans.secrets import SecretMissing

    hosts = {}
    for id, service in plan.services.items():
        with contextlib.suppress(SecretMissing, BadAddress):
            hosts[id] = address_of(service)
    return hosts

"""The look at what the person owns, before the point of no return: inventories, and who could take it all over."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from activities.actions.action import Action
from activities.attempts import Trouble, now
from activities.opening import Begun
from activities.ownership.choosing import Choosing, policies_needed
from activities.ownership.inventory import take_inventory
from activities.paging import NotTold
from ledger.ledger import Ledger
from plans.outline import lane_of
from workflows.messages import Lane


class NotSeen(Exception):
    """Somebody did not tell: why, what was asked for, of whom."""

    def __init__(self, trouble: Trouble, *, where: str, service: str, detail: str) -> None:
        super().__init__(trouble.code)
        self.trouble, self.where, self.service, self.detail = trouble, where, service, detail


@dataclass(frozen=True, kw_only=True)
class Look:
    """A look at one person's belongings. It writes to the ledger only."""

    action: Action
    ledger: Ledger
    begun: Begun
    step_id: str

    @property
    def is_wanted(self) -> bool:
        """Does the plan hand anything over?"""
        return any(step.assets is not None or step.successor is not None for step in self.begun.plan.steps.values())

    def may_choose_on(self, lane: Lane) -> bool:
        """Do all inventories lie on this lane, so that afterwards it is known who has to be chosen?"""
        plan = self.begun.plan
        return all(lane_of(plan, step.service) == lane for step in plan.steps.values() if step.assets is not None)

    async def take_inventories(self, *, lane: Lane) -> tuple[str, ...]:
        """Take those of a lane; gives the steps at whose services the person owns something.

        Raises:
            NotSeen: a service doesn't tell.
            VaultMissing: the vault entry is gone.
        """
        owning = []
        for id, step in self.begun.plan.steps.items():
            if step.assets is None or step.service is None or lane_of(self.begun.plan, step.service) != lane:
                continue
            try:
                taken = await take_inventory(
                    self.action,
                    ledger=self.ledger,
                    begun=self.begun,
                    step_id=id,
                    service=step.service,
                    assets=step.assets,
                )
            except NotTold as untold:
                raise NotSeen(untold.trouble, where=id, service=step.service, detail=untold.detail) from None
            if taken.listed:
                owning.append(id)
        return tuple(owning)

    async def owning(self) -> tuple[str, ...]:
        """The steps at whose services the person owns something, as the inventories on all lanes have found."""
        return tuple(await self.ledger.asset_counts(self.begun.ref.retirement_id))

    async def choose(self, *, owning: Iterable[str]) -> None:
        """Choose who takes over, and keep it.

        Raises:
            NobodySuitable: nobody can.
            NotSeen: a service doesn't tell who can.
            VaultMissing: the vault entry is gone.
        """
        plan, known = self.begun.plan, {} if self.begun.values is None else self.begun.values["successors"]
        choosing = Choosing(action=self.action, ledger=self.ledger, begun=self.begun, step_id=self.step_id)
        chosen: dict[str, dict[str, Any]] = {}
        for policy in policies_needed(plan, owning=owning):
            try:
                chosen[policy] = await choosing.choose(policy)
            except NotTold as untold:
                service = plan.successors[policy].suitable.service
                where = f"successors.{policy}"
                raise NotSeen(untold.trouble, where=where, service=service, detail=untold.detail) from None
        if chosen != known:
            await self.ledger.choose_successors(
                retirement_id=self.begun.ref.retirement_id, tenant=self.begun.ref.tenant, chosen=chosen, at=now()
            )

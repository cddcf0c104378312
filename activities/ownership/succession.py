"""Who takes over, at the moment of the write: asked once more, since the role may have gone since the check."""

from dataclasses import dataclass
from typing import Any

from activities.actions.action import Action
from activities.actions.answers import Permanent
from activities.attempts import now
from activities.opening import Begun
from activities.ownership.choosing import Choosing, NobodySuitable
from activities.paging import NotTold
from ledger.ledger import Ledger
from ledger.rows import StepAction
from plans.model import Step

#: Whoever was chosen may not take over any more: an operator names somebody else.
SUCCESSOR_LOST = "successor_lost"


@dataclass(frozen=True, kw_only=True)
class Succession:
    """Confirms and ends who takes over in one step."""

    action: Action
    ledger: Ledger
    begun: Begun
    step_id: str
    step: Step

    async def confirmed(self) -> dict[str, dict[str, Any]]:
        """What templates may name of who takes over: nothing, where the step hands nothing to anybody.

        Past the point of no return nobody is chosen in place of another: what was agreed upon is not changed in silence.
        Only where nobody was chosen yet (a resume names somebody else; nothing was owned before) it is done now.

        Raises:
            NotTold: the service that owns the role doesn't tell, or says no.
        """
        policy = self.step.successor
        if policy is None:
            return {}
        choosing = Choosing(action=self.action, ledger=self.ledger, begun=self.begun, step_id=self.step_id)
        chosen = self.begun.successor_of(policy)
        if chosen is None:
            chosen = await self._choose(choosing, policy)
        # In this order: whoever is not being retired either was retired before, and is not suitable then, or will wait for us at
        # their own point of no return, as it is on record who takes over.
        if await choosing.is_retiring(chosen["id"]):
            raise NotTold(Permanent(code=SUCCESSOR_LOST), detail=f"{policy}: is being retired")
        if await choosing.suitable(policy, id=chosen["id"]) is None:
            raise NotTold(Permanent(code=SUCCESSOR_LOST), detail=f"{policy}: not suitable any more")
        return {"successor": chosen}

    async def end(self) -> None:
        """Once nothing is left to be handed over, whoever took over may be retired themselves."""
        if self.step.successor is None:
            return
        rows = await self.ledger.steps(self.begun.ref.retirement_id)
        ended = {row.step for row in rows if row.action is StepAction.DO and row.has_ended} | {self.step_id}
        if all(id in ended for id, step in self.begun.plan.steps.items() if step.successor is not None):
            await self.ledger.end_successions(retirement_id=self.begun.ref.retirement_id)

    async def _choose(self, choosing: Choosing, policy: str) -> dict[str, Any]:
        try:
            chosen = await choosing.choose(policy)
        except NobodySuitable as nobody:
            raise NotTold(Permanent(code="no_successor"), detail=nobody.code) from None
        known = {} if self.begun.values is None else self.begun.values["successors"]
        await self.ledger.choose_successors(
            retirement_id=self.begun.ref.retirement_id,
            tenant=self.begun.ref.tenant,
            chosen={**known, policy: chosen},
            at=now(),
        )
        return chosen

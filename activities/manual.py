"""A step that a person does: nothing is called, and the record lists it as open until they say that it is done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from activities.actions.answers import Answer
from activities.attempts import Trying, now
from activities.opening import Begun
from ledger.ledger import Ledger
from ledger.rows import NewWork, StepAction, WorkKind
from plans.model import Step
from workflows.messages import StepOutcome
from workflows.names import StepResult

#: For so long the vault keeps what whoever does it has to know. Then it goes, done or not: it isn't kept for ever.
LONGEST_MANUAL = timedelta(days=90)


@dataclass(kw_only=True)
class ManualStep:
    """Stands where a step that calls a service would."""

    ledger: Ledger
    begun: Begun
    step_id: str
    step: Step
    saved: dict[str, Any] = field(default_factory=dict, repr=False)
    #: Nothing is asked, so nothing is refused or counted.
    on_refusal: Callable[[Answer], Awaitable[None]] | None = None
    counted: int | None = None
    trying: Trying = field(init=False)

    def __post_init__(self) -> None:
        self.trying = Trying(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            service=None,
            patience=self.step.patience,
        )

    async def attempt(self) -> StepOutcome:
        """Leave it to a person."""
        at = now()
        outcome = StepOutcome(step=self.step_id, result=StepResult.MANUAL, at=at)
        await self.ledger.record_outcome(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            outcome=outcome,
            service=None,
            saved=None,
            opens=NewWork(kind=WorkKind.MANUAL, held_until=at + LONGEST_MANUAL),
        )
        return outcome

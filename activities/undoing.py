"""One attempt at restoring what a freeze step found."""

from dataclasses import dataclass, field
from typing import NoReturn

from activities.actions.action import Action
from activities.actions.answers import Absent, Done, Permanent, Transient, Working, meaning_of
from activities.attempts import Attempts, Trouble, Trying, now
from activities.first_contact import Worked, settled
from activities.opening import Begun
from activities.probing import deed_rules
from activities.rendering import VALUE_MISSING, RenderingError, holds, names_in, names_in_expression
from activities.step_run import ROUTE_UNPROVEN
from ledger.ledger import Ledger
from ledger.rows import StepAction
from plans.model import Step, Undo
from workflows.messages import StepOutcome
from workflows.names import StepResult

NOTHING_TO_UNDO = "nothing_to_undo"
SAVED_VALUE_MISSING = "saved_value_missing"


@dataclass(kw_only=True)
class Undoing:
    """An undo at work."""

    action: Action
    ledger: Ledger
    attempts: Attempts
    worked: Worked
    begun: Begun
    step_id: str
    step: Step
    undo: Undo
    service: str
    trying: Trying = field(init=False)

    def __post_init__(self) -> None:
        self.trying = Trying(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.UNDO,
            service=self.service,
            patience=self.step.patience,
        )

    async def attempt(self) -> StepOutcome:
        """Try once.

        Raises:
            ApplicationError: TryAgain, StepFailed or StepHeld.
        """
        try:
            if self.undo.when is not None and not holds(self.undo.when, self.begun.context):
                return await self._end(code=NOTHING_TO_UNDO)
            return await self._call()
        except RenderingError as error:
            return await self._unsayable(error)

    async def _call(self) -> StepOutcome:
        call = self.begun.call(
            step=self.step_id,
            service=self.service,
            request=self.undo.request,
            key=f"{self.begun.ref.retirement_id}:{self.step_id}:undo",
        )
        answer = await self.action.call(call)
        detail = self.action.describe(call, answer)
        rules = deed_rules(call, step=self.step, worked=self.worked, absent=self.undo.absent)
        match meaning_of(answer, rules):
            case Done() | Working():
                return await self._end(detail=detail)
            case Absent(needs_proof=needs_proof, code=code):
                # A lock that is not there any more: a repeat after a crash, or the person is gone.
                unchecked = not needs_proof or self.step.absent_unchecked is not None
                known = True if unchecked else await self.action.is_route_known(call)
                if known is None:
                    await self._give_way(Transient(code="route_check_failed", touched=True), detail=detail)
                if not known:
                    await self._give_way(Permanent(code=ROUTE_UNPROVEN), detail=detail)
                return await self._end(code=code, detail=detail)
            case trouble:
                return await self._refused(trouble, detail=detail)

    async def _refused(self, trouble: Trouble, *, detail: str) -> StepOutcome:
        """The undo was not accepted. Where the freeze was refused as well, everything is as it was."""
        retirement_id = self.begun.ref.retirement_id
        trouble = await settled(self.ledger, trouble=trouble, retirement_id=retirement_id, service=self.service)
        if isinstance(trouble, Permanent) and await self._never_took_effect():
            return await self._end(code=NOTHING_TO_UNDO, detail=detail)
        await self.attempts.give_way(self.trying, trouble=trouble, detail=detail, row=self.begun.row)

    async def _unsayable(self, error: RenderingError) -> StepOutcome:
        """The request can't be made. Where the freeze step never took effect that is as it should be."""
        request = self.undo.request
        detail = request.title
        needs_saved = "saved" in names_in(request) | names_in_expression(self.undo.when)
        if error.code != VALUE_MISSING or not needs_saved:
            await self._give_way(Permanent(code=error.code), detail=detail)
        if await self._never_took_effect():
            return await self._end(code=NOTHING_TO_UNDO)
        await self._give_way(Permanent(code=SAVED_VALUE_MISSING), detail=detail)

    async def _never_took_effect(self) -> bool:
        rows = await self.ledger.steps(self.begun.ref.retirement_id)
        done = next((row for row in rows if row.step == self.step_id and row.action is StepAction.DO), None)
        if done is None:
            return False
        return done.result is StepResult.ABSENT or (done.result is StepResult.FAILED and not done.touched)

    async def _give_way(self, trouble: Trouble, *, detail: str) -> NoReturn:
        trouble = await settled(
            self.ledger, trouble=trouble, retirement_id=self.begun.ref.retirement_id, service=self.service
        )
        await self.attempts.give_way(self.trying, trouble=trouble, detail=detail, row=self.begun.row)

    async def _end(self, *, code: str | None = None, detail: str | None = None) -> StepOutcome:
        outcome = StepOutcome(step=self.step_id, result=StepResult.DONE, code=code, detail=detail, at=now())
        await self.ledger.record_outcome(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.UNDO,
            outcome=outcome,
            service=self.service,
            saved=None,
        )
        return outcome

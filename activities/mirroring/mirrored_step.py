"""One attempt at a mirrored step: the source is told that it begins, the step is done, the source is told that it ended.

All three in one attempt. What a crash in between has left is read from the source's row. A step that was deferred is done alone:
by then the row tells how far the steps after it are.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.actions.answers import Answer, Held, Transient
from activities.actions.bulkhead import BUSY
from activities.attempts import Attempts, Trying, now
from activities.errors import STEP_HELD, TRY_AGAIN, step_deferred
from activities.manual import ManualStep
from activities.mirroring import notes
from activities.mirroring.beginning import AT_SOURCE
from activities.mirroring.source import NotMoved, Source, moved_by_another
from activities.step_run import StepRun
from ledger.ledger import Ledger
from plans.mirror import MirroredStates
from workflows.messages import Failure, RunStep, StepOutcome
from workflows.names import HeldCause, StepResult

#: Refusals that pass, or are about our credentials. Every other one is for good, or (500) is also what a source says where
#: the row is not in the state of the step.
_NOT_ABOUT_THE_ROW = frozenset({401, 408, 409, 425, 429, *range(502, 600)}) - {505}
#: Under this name a step keeps what its service said when it refused: in the vault, as it may name the person.
SAID = "_said"


@dataclass(kw_only=True)
class MirroredStep:
    """A mirrored step at work. `attempt` is called until it gives an outcome."""

    source: Source
    step_run: StepRun | ManualStep
    ledger: Ledger
    attempts: Attempts
    run: RunStep
    states: MirroredStates
    _is_begun: bool = False

    def __post_init__(self) -> None:
        self.step_run.on_refusal = self._refused

    async def attempt(self) -> StepOutcome | timedelta:
        """Try once. A duration: look again after it, within this activity attempt.

        Raises:
            ApplicationError: TryAgain, StepDeferred, StepFailed or StepHeld.
        """
        if self.run.aside:
            return await self.step_run.attempt()
        try:
            if not self._is_begun:
                concluded = await self._begin()
                if concluded is not None:
                    return concluded
                self._is_begun = True
            outcome = self._recorded() or await self._done_or_deferred()
            if isinstance(outcome, StepOutcome):
                told = notes.ending(self.states.done, told=self._told(outcome))
                await self.source.move(self.states.done, note=told)
                return await self._completed(outcome)
            return outcome
        except NotMoved as unmoved:
            await self._give_way(unmoved.trouble, detail=unmoved.detail)

    async def _done_or_deferred(self) -> StepOutcome | timedelta:
        """Only what its own service does defers a step: where the source is away, nobody else gets on either."""
        try:
            return await self.step_run.attempt()
        except ApplicationError as error:
            after = _deferred_for(error) if self.run.defer else None
            if after is None:
                raise
            raise step_deferred(failure=error.details[0], after=after) from None

    async def _begin(self) -> StepOutcome | None:
        """See that the row says that this step is at work. The outcome, where it says that the step is done."""
        if self._is_first_try:
            if not self.run.working:
                await self._start()
            return None
        row = await self.source.row()
        if row is None:
            raise NotMoved(moved_by_another(), detail=self.source.mirror.update.title)
        if row.state == self.states.working:
            return None
        mirror = self.source.mirror
        if row.state == self.states.done:
            return await self._completed(self._recorded() or await self._done_at_source())
        if row.state == mirror.complete and self.run.completes:
            # An attempt that was lost had come so far.
            return (self._recorded() or await self._done_at_source()).model_copy(update={"completed": True})
        if self.source.chain.is_before(row.state, self.states.working):
            await self._start()
            return None
        if self.run.adopt and row.state in self.source.chain.states:
            return await self._done_at_source()
        raise NotMoved(moved_by_another(), detail=self.source.mirror.update.title)

    async def _completed(self, outcome: StepOutcome) -> StepOutcome:
        """Tell the source that all is done, where this is the last step. Where that fails, the run tells it by itself."""
        if not self.run.completes:
            return outcome
        mirror = self.source.mirror
        try:
            await self.source.move(mirror.complete, note=mirror.complete_note)
        except NotMoved:
            return outcome
        return outcome.model_copy(update={"completed": True})

    async def _start(self) -> None:
        await self.source.move(self.states.working, note=notes.starting(self.states.working))

    async def _done_at_source(self) -> StepOutcome:
        """Somebody did it, and the source says so; or we did, and only its record was lost."""
        outcome = StepOutcome(step=self.run.step, result=StepResult.DONE, code=AT_SOURCE, at=now())
        await self.ledger.record_outcome(
            retirement_id=self.run.retirement_id,
            step=self.run.step,
            action=self._trying.action,
            outcome=outcome,
            service=self._trying.service,
            saved=None,
        )
        return outcome

    async def _refused(self, answer: Answer) -> None:
        """The step's call was refused: was the row moved by somebody else? And what did the service say?"""
        if self._is_perhaps_moved(answer) and not self.run.aside:
            row = await self.source.row()
            if row is None or row.state != self.states.working:
                raise NotMoved(moved_by_another(), detail=self.source.mirror.update.title)
        if answer.said:
            said = {**self.step_run.saved, SAID: answer.said}
            if said != self.step_run.saved:
                self.step_run.saved = said
                await self.ledger.save_values(retirement_id=self.run.retirement_id, step=self.run.step, saved=said)

    def _is_perhaps_moved(self, answer: Answer) -> bool:
        """Once for each kind of refusal: before it is tried again, and above all before the source is told of an error."""
        status, known = answer.status, self.source.begun.row
        if status in _NOT_ABOUT_THE_ROW:
            return False
        return activity.info().attempt == 1 or known is None or known.last_code != f"http_{status}"

    def _recorded(self) -> StepOutcome | None:
        """An outcome that an earlier attempt of this very call has recorded; one of an earlier run says nothing."""
        row = self.source.begun.row
        outcome = row.outcome if row is not None and row.has_ended else None
        if outcome is None or outcome.result is StepResult.FAILED:
            return None
        is_ours = not self._is_first_try and outcome.at is not None and outcome.at >= self.run.now
        return outcome if is_ours else None

    @property
    def _is_first_try(self) -> bool:
        return activity.info().attempt == 1 and not self.run.again

    @property
    def _trying(self) -> Trying:
        return self.step_run.trying

    def _told(self, outcome: StepOutcome) -> str:
        """`HTTP 204`, as the source's log has it."""
        status = (outcome.detail or "").rpartition("→ ")[2].strip()
        told = f"HTTP {status}" if status.isdecimal() else (outcome.code or outcome.result.value)
        counted = self.step_run.counted
        if outcome.result is StepResult.ABSENT:
            return f"{told}, already absent"
        return told if counted is None else f"{told}, {counted} item{'' if counted == 1 else 's'}"

    async def _give_way(self, trouble: Transient | Held, *, detail: str) -> NoReturn:
        await self.attempts.give_way(self._trying, trouble=trouble, detail=detail, row=self.source.begun.row)


def _deferred_for(error: ApplicationError) -> timedelta | None:
    """How long a step waits beside the others when its service fails, or refuses our credentials; None where it doesn't."""
    failure = error.details[0]
    assert isinstance(failure, Failure)
    if error.type == TRY_AGAIN and failure.code != BUSY:
        return error.next_retry_delay or timedelta(0)
    if error.type == STEP_HELD and failure.held is HeldCause.CREDENTIALS:
        return timedelta(0)
    return None

"""Asking every probe once more, when all steps are through."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from activities.actions.action import Action
from activities.actions.answers import Held, Permanent, Transient
from activities.attempts import Attempts, Trying, now
from activities.errors import step_failed, try_again
from activities.first_contact import Worked, settled
from activities.opening import Begun, names_of_probe
from activities.probing import Gone, Seen, StillThere, ask
from activities.rendering import RenderingError
from activities.step_run import STILL_PRESENT
from ledger.ledger import Ledger
from ledger.rows import StepAction, StepRow
from plans.model import Probe
from workflows.messages import Failure, StepOutcome, VerifiedErasure
from workflows.names import StepResult

#: Outcomes that say the person is gone, or that nobody could tell: asked about again. So is an operator's word.
_IN_QUESTION = frozenset({StepResult.ERASED, StepResult.ABSENT, StepResult.UNVERIFIED, StepResult.DONE})


@dataclass(frozen=True, kw_only=True)
class _Probed:
    """Whom to ask about a step, and how."""

    service: str
    probe: Probe
    patience: timedelta


@dataclass(kw_only=True)
class Verification:
    """A verification at work."""

    action: Action
    ledger: Ledger
    attempts: Attempts
    worked: Worked
    begun: Begun
    steps: Sequence[str]
    present: Sequence[str]

    async def run(self) -> VerifiedErasure:
        """Verify once.

        Raises:
            ApplicationError: TryAgain while the person is still there, StepFailed when patience is over, StepHeld.
        """
        rows = {row.step: row for row in await self.ledger.steps(self._retirement_id) if row.action is StepAction.DO}
        asked = {id: probed for id in self.steps if (probed := self._to_ask(id, rows.get(id))) is not None}
        for probed in asked.values():
            self.begun.need_vault(step=next(iter(asked)), names=names_of_probe(probed.probe))
        seen = dict(
            zip(asked, await asyncio.gather(*(self._ask(id, probed) for id, probed in asked.items())), strict=True)
        )
        await self._settle(asked, seen, rows)

        outcomes, changed = [], []
        for id in self.steps:
            before = rows[id].outcome if id in rows else None
            after = before if id not in asked else self._outcome(id, before, seen[id])
            if after is not None:
                outcomes.append(after)
                if after != before:
                    changed.append(after)
        if changed:
            await self.ledger.record_outcomes(self._retirement_id, tuple(changed))
        return VerifiedErasure(outcomes=tuple(outcomes))

    @property
    def _retirement_id(self) -> str:
        return self.begun.ref.retirement_id

    def _to_ask(self, id: str, row: StepRow | None) -> _Probed | None:
        step = self.begun.plan.steps.get(id)
        if step is None or step.service is None:
            return None
        result = None if row is None else row.result
        if result is StepResult.SCRUBBED:
            # The account is still there, on purpose; what must not be seen any more is the person.
            probe = step.on_permanent.probe if step.on_permanent is not None else None
        else:
            probe = step.probe if result is None or result in _IN_QUESTION else None
        return None if probe is None else _Probed(service=step.service, probe=probe, patience=step.patience)

    async def _ask(self, id: str, probed: _Probed) -> Seen:
        try:
            call = self.begun.call(step=id, service=probed.service, request=probed.probe.request)
            return await ask(self.action, call=call, probe=probed.probe)
        except RenderingError as error:
            return Seen(verdict=Permanent(code=error.code), detail=probed.probe.request.title)

    async def _settle(self, asked: dict[str, _Probed], seen: dict[str, Seen], rows: dict[str, StepRow]) -> None:
        """Raise unless everybody asked says gone. Every step in trouble is recorded before."""
        failed: list[StepOutcome] = []
        again: list[tuple[timedelta, Failure]] = []
        held: Held | None = None
        for id, probed in asked.items():
            verdict, detail = seen[id].verdict, seen[id].detail
            if isinstance(verdict, Gone):
                continue
            if isinstance(verdict, StillThere):
                verdict = Transient(code=STILL_PRESENT, touched=True)
            trouble = await settled(
                self.ledger, trouble=verdict, retirement_id=self._retirement_id, service=probed.service
            )
            trying = self._trying(id, probed)
            match trouble:
                case Held():
                    held, held_trying, held_detail = trouble, trying, detail
                    continue
                case Transient(code=code, wait=wait):
                    after = await self.attempts.next_wait(trying, code=code, touched=True, wait=wait)
                case Permanent(code=code):
                    after = None
            if after is not None:
                again.append((after, Failure(code=code, step=id, detail=detail)))
                continue
            if code == STILL_PRESENT:
                # The resumed step asks under another key: the old one would replay the same word.
                await self.attempts.next_wait(trying, code=code, touched=True, lied=True)
            failed.append(StepOutcome(step=id, result=StepResult.FAILED, code=code, detail=detail, at=now()))
        if failed:
            await self.ledger.record_outcomes(self._retirement_id, tuple(failed))
            first = failed[0]
            steps = tuple(outcome.step for outcome in failed)
            raise step_failed(
                failure=Failure(code=first.code or STILL_PRESENT, step=first.step, detail=first.detail, steps=steps)
            )
        if held is not None:
            await self.attempts.give_way(held_trying, trouble=held, detail=held_detail, row=rows.get(held_trying.step))
        if again:
            after, failure = min(again, key=lambda each: each[0])
            raise try_again(failure=failure, after=after)

    def _outcome(self, id: str, before: StepOutcome | None, seen: Seen) -> StepOutcome:
        """Gone now. What was erased stays so; what nobody could tell before is told now."""
        if before is not None and before.result is not StepResult.UNVERIFIED:
            return before
        proven = not (isinstance(seen.verdict, Gone) and seen.verdict.needs_proof)
        if before is not None and id not in self.present and not proven:
            return before
        result = StepResult.ERASED if id in self.present else StepResult.ABSENT
        changed = before or StepOutcome(step=id, result=result, detail=seen.detail)
        return changed.model_copy(update={"result": result, "code": None, "at": now()})

    def _trying(self, id: str, probed: _Probed) -> Trying:
        return Trying(
            retirement_id=self._retirement_id,
            step=id,
            action=StepAction.DO,
            service=probed.service,
            patience=probed.patience,
        )

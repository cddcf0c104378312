"""Looking the person up, and asking once where they are to be found."""

import asyncio
from dataclasses import dataclass
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import (
    ROUTE_UNKNOWN,
    Answer,
    Held,
    Permanent,
    Rules,
    Transient,
    meaning_of,
)
from activities.actions.answers import (
    Absent as NotKnown,
)
from activities.attempts import Attempts, Trouble, Trying
from activities.errors import try_again
from activities.first_contact import Worked, settled
from activities.opening import Begun, names_of_probe
from activities.probing import Seen, StillThere, ask
from activities.rendering import RenderingError, evaluate, names_in
from activities.step_run import ROUTE_UNPROVEN
from ledger.ledger import Ledger
from ledger.rows import StepAction
from plans.model import Absent, Step
from workflows.messages import CheckedSubject, Failure
from workflows.names import Reason


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the lookup said. `values` is None where it does not know the person."""

    values: dict[str, Any] | None
    trouble: Trouble | None = None
    detail: str = ""


@dataclass(kw_only=True)
class Check:
    """A check at work. At the re-check only the lookup is asked and nothing is stored."""

    action: Action
    ledger: Ledger
    attempts: Attempts
    worked: Worked
    begun: Begun
    again: bool
    step_id: str

    async def run(self) -> CheckedSubject:
        """Check once.

        Raises:
            ApplicationError: TryAgain or StepHeld. Failing for good is an answer here: nothing has been done yet.
        """
        lookup = self.begun.plan.subject.lookup
        self.begun.need_vault(step=self.step_id, names=names_in(lookup.request))
        found = await self._look_up()
        if found.trouble is not None:
            return await self._give_way(found.trouble, step=None, service=lookup.service, detail=found.detail)
        if found.values is None and self.begun.plan.subject.absent is Absent.REFUSE:
            return CheckedSubject(refused=Reason.NO_SUCH_SUBJECT, present=self.begun.case.present or ())
        # What the first look found stands, also for a run that took the case up from a lost one: by now an account would be
        # found locked that was locked by nobody but us.
        if self.again or self.begun.case.present is not None:
            return CheckedSubject(present=self.begun.case.present or ())
        self.begun.need_vault(step=self.step_id)
        return await self._ask_all(found.values or {})

    async def _look_up(self) -> Found:
        lookup = self.begun.plan.subject.lookup
        detail = f"{lookup.request.method.value} {lookup.request.path}"
        try:
            call = self.begun.call(step=self.step_id, service=lookup.service, request=lookup.request)
            answer = await self.action.call(call)
        except RenderingError as error:
            return Found(values=None, trouble=Permanent(code=error.code), detail=detail)
        detail = self.action.describe(call, answer)
        absent = tuple(sorted(ROUTE_UNKNOWN))
        rules = Rules(method=lookup.request.method, absent=absent, succeeded_before=self.worked.has(call.service))
        match meaning_of(answer, rules):
            case NotKnown():
                return await self._unknown(call, detail=detail)
            case Transient() | Permanent() | Held() as trouble:
                return Found(values=None, trouble=trouble, detail=detail)
            case _:
                return self._fields(call, answer, detail=detail)

    async def _unknown(self, call: Call, *, detail: str) -> Found:
        """Nobody of that id, unless the address is wrong. At the re-check the lookup has answered before."""
        known = True if self.again else await self.action.is_route_known(call)
        if known is None:
            trouble: Trouble | None = Transient(code="route_check_failed", touched=False)
        else:
            trouble = None if known else Permanent(code=ROUTE_UNPROVEN)
        return Found(values=None, trouble=trouble, detail=detail)

    def _fields(self, call: Call, answer: Any, *, detail: str) -> Found:
        fields = self.begun.plan.subject.lookup.fields
        context = {**call.context, **(answer.values if isinstance(answer, Answer) else {})}
        try:
            values = {name: evaluate(expression, context) for name, expression in fields.items()}
        except RenderingError as error:
            return Found(values=None, trouble=Transient(code=error.code, touched=False), detail=detail)
        return Found(values=values)

    async def _ask_all(self, values: dict[str, Any]) -> CheckedSubject:
        asked = {
            id: step
            for id, step in self.begun.plan.steps.items()
            # What a freeze step will save is not known yet.
            if step.probe is not None and "saved" not in names_of_probe(step.probe)
        }
        seen = await asyncio.gather(*(self._ask(id, step, values) for id, step in asked.items()))
        for (id, step), found in zip(asked.items(), seen, strict=True):
            if isinstance(found.verdict, Transient | Permanent | Held):
                # A probe that can't answer now could not prove the erasure either.
                service = step.service or ""
                return await self._give_way(found.verdict, step=id, service=service, detail=found.detail)
        present = tuple(id for id, found in zip(asked, seen, strict=True) if isinstance(found.verdict, StillThere))
        await self.ledger.store_subject(retirement_id=self.begun.ref.retirement_id, values=values, present=present)
        return CheckedSubject(present=present)

    async def _ask(self, id: str, step: Step, values: dict[str, Any]) -> Seen:
        assert step.probe is not None and step.service is not None
        detail = f"{step.probe.request.method.value} {step.probe.request.path}"
        begun = self.begun.with_subject(values)
        try:
            call = begun.call(step=id, service=step.service, request=step.probe.request)
            return await ask(self.action, call=call, probe=step.probe)
        except RenderingError as error:
            return Seen(verdict=Permanent(code=error.code), detail=detail)

    async def _give_way(self, trouble: Trouble, *, step: str | None, service: str, detail: str) -> CheckedSubject:
        trouble = await settled(
            self.ledger, trouble=trouble, retirement_id=self.begun.ref.retirement_id, service=service
        )
        code = trouble.code if step is None else f"{step}:{trouble.code}"
        refused = CheckedSubject(refused=Reason.LOOKUP_FAILED, code=code, present=self.begun.case.present or ())
        if isinstance(trouble, Permanent):
            return refused
        trying = Trying(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            service=service,
            patience=self.begun.plan.subject.lookup.patience,
        )
        if isinstance(trouble, Transient):
            after = await self.attempts.next_wait(trying, code=trouble.code, touched=False, wait=trouble.wait)
            if after is None:
                return refused
            raise try_again(failure=Failure(code=trouble.code, step=step or self.step_id, detail=detail), after=after)
        await self.attempts.give_way(trying, trouble=trouble, detail=detail, row=self.begun.row)

"""Looking the person up, and asking once where they are to be found."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from activities.actions.action import Action, Call
from activities.actions.answers import (
    ROUTE_UNKNOWN,
    Answer,
    Held,
    Permanent,
    Transient,
    meaning_of,
)
from activities.actions.answers import (
    Absent as NotKnown,
)
from activities.attempts import Attempts, Trouble, Trying
from activities.eligibility import RuleBroken, claimed, refusals
from activities.errors import try_again
from activities.facts import Unknown, find_out
from activities.first_contact import Worked, settled
from activities.opening import Begun, names_of_probe
from activities.probing import Seen, StillThere, ask, reading_rules
from activities.rendering import RenderingError, evaluate, names_in
from activities.step_run import ROUTE_UNPROVEN
from ledger.ledger import Ledger
from ledger.rows import StepAction
from plans.model import Absent, Step
from plans.outline import lane_of
from workflows.messages import CheckedSubject, Failure, Lane
from workflows.names import Reason


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the lookup said. `values` is None where it does not know the person."""

    values: dict[str, Any] | None
    trouble: Trouble | None = None
    detail: str = ""


class _GivenUp(Exception):
    """Somebody could not be asked, for good. `answer` is what the check says then."""

    def __init__(self, answer: CheckedSubject) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rules say of a person. `claims` are what the case needs for itself at the point of no return."""

    refused: tuple[str, ...] = ()
    claims: Mapping[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class Check:
    """A check at work. At the re-check lookup and rules are asked, no probe, and what the lookup finds is not stored."""

    action: Action
    ledger: Ledger
    attempts: Attempts
    worked: Worked
    begun: Begun
    again: bool
    step_id: str
    #: What the lookup has found; None where it doesn't know the person, or was not asked yet.
    found: dict[str, Any] | None = field(default=None, repr=False)

    async def run(self) -> CheckedSubject:
        """Check once.

        Raises:
            ApplicationError: TryAgain or StepHeld. Failing for good is an answer here: nothing has been done yet.
        """
        try:
            answer = await self._check()
        except _GivenUp as given_up:
            answer = given_up.answer
        if answer.refused is not None:
            await self._keep_address()
        return answer

    async def ask_on(self, lane: Lane) -> CheckedSubject:
        """Ask only the probes that lie on a lane of their own.

        Raises:
            ApplicationError: TryAgain or StepHeld.
        """
        self.begun.need_vault(step=self.step_id)
        try:
            present = await self._ask_all(self.begun, lane=lane)
        except _GivenUp as given_up:
            return given_up.answer
        await self.ledger.add_present(retirement_id=self.begun.ref.retirement_id, present=present)
        return CheckedSubject(present=present)

    async def _check(self) -> CheckedSubject:
        lookup = self.begun.plan.subject.lookup
        self.begun.need_vault(step=self.step_id, names=names_in(lookup.request))
        found = await self._look_up()
        if found.trouble is not None:
            await self._give_way(found.trouble, where=None, service=lookup.service, detail=found.detail)
        self.found = found.values
        if found.values is None and self.begun.plan.subject.absent is Absent.REFUSE:
            return CheckedSubject(refused=Reason.NO_SUCH_SUBJECT, present=self.begun.case.present or ())
        # There are no rules for whoever is not there.
        judged = await self._judge(found.values) if found.values is not None else Judged()
        if judged.refused:
            present = self.begun.case.present or ()
            return CheckedSubject(refused=Reason.NOT_ELIGIBLE, code=", ".join(judged.refused), present=present)
        # What the first look found stands, also for a run that took the case up from a lost one: by now an account would be
        # found locked that was locked by nobody but us.
        if self.again or self.begun.case.present is not None:
            if self.begun.plan.claims:
                await self.ledger.store_claims(retirement_id=self.begun.ref.retirement_id, claims=judged.claims)
            return CheckedSubject(present=self.begun.case.present or ())
        self.begun.need_vault(step=self.step_id)
        values = found.values or {}
        present = await self._ask_all(self.begun.with_subject(values), lane=self._own_lane)
        await self.ledger.store_subject(
            retirement_id=self.begun.ref.retirement_id, values=values, present=present, claims=judged.claims
        )
        return CheckedSubject(present=present)

    async def _keep_address(self) -> None:
        """Whoever is refused at the first look is told so: the mail finds them in the vault, like every mail."""
        is_known = self.begun.case.present is not None
        if self.found is None or is_known or self.begun.values is None:
            return
        await self.ledger.store_subject(
            retirement_id=self.begun.ref.retirement_id, values=self.found, present=None, claims=None
        )

    @property
    def _own_lane(self) -> Lane:
        return lane_of(self.begun.plan, self.begun.plan.subject.lookup.service)

    async def _judge(self, values: dict[str, Any]) -> Judged:
        plan = self.begun.plan
        if not plan.eligibility and not plan.claims:
            return Judged()
        begun = self.begun.with_subject(values)
        try:
            wanted = claimed(plan.claims, begun.context)
            # Before the facts: whoever takes a claim from now on has changed what they say.
            tenant = self.begun.ref.tenant
            claims = await self.ledger.claim_versions(tenant=tenant, wanted=wanted) if wanted else {}
            facts: dict[str, Any] = {}
            for id, fact in plan.facts.items():
                call = begun.call(step=self.step_id, service=fact.service, request=fact.request)
                found = await find_out(self.action, call=call, fact=fact)
                if isinstance(found, Unknown):
                    where = f"facts.{id}"
                    await self._give_way(found.trouble, where=where, service=fact.service, detail=found.detail)
                facts[id] = found.value
            return Judged(refused=refusals(plan.eligibility, {**begun.context, "facts": facts}), claims=claims)
        except RuleBroken as broken:
            service = plan.subject.lookup.service
            await self._give_way(Permanent(code=broken.code), where=None, service=service, detail=broken.code)

    async def _look_up(self) -> Found:
        lookup = self.begun.plan.subject.lookup
        detail = lookup.request.title
        try:
            call = self.begun.call(step=self.step_id, service=lookup.service, request=lookup.request)
            answer = await self.action.call(call)
        except RenderingError as error:
            return Found(values=None, trouble=Permanent(code=error.code), detail=detail)
        detail = self.action.describe(call, answer)
        absent = tuple(sorted(ROUTE_UNKNOWN))
        rules = reading_rules(call, absent=absent, succeeded_before=self.worked.has(call.service))
        match meaning_of(answer, rules):
            case NotKnown():
                return await self._unknown(call, detail=detail)
            case Transient() | Permanent() | Held() as trouble:
                return Found(values=None, trouble=trouble, detail=detail)
            case _:
                return self._fields(call, answer, detail=detail)

    async def _unknown(self, call: Call, *, detail: str) -> Found:
        """Nobody of that id, unless the address is wrong. At the re-check the lookup has answered before."""
        is_trusted = self.again or self.begun.plan.subject.lookup.absent_unchecked is not None
        known = True if is_trusted else await self.action.is_route_known(call)
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

    async def _ask_all(self, begun: Begun, *, lane: Lane) -> tuple[str, ...]:
        """The steps of a lane whose probe saw the person."""
        asked = {
            id: step
            for id, step in begun.plan.steps.items()
            # What a freeze step will save is not known yet.
            if step.probe is not None
            and "saved" not in names_of_probe(step.probe)
            and lane_of(begun.plan, step.service) == lane
        }
        seen = await asyncio.gather(*(self._ask(begun, id, step) for id, step in asked.items()))
        for (id, step), found in zip(asked.items(), seen, strict=True):
            if isinstance(found.verdict, Transient | Permanent | Held):
                # A probe that can't answer now could not prove the erasure either.
                await self._give_way(found.verdict, where=id, service=step.service or "", detail=found.detail)
        return tuple(id for id, found in zip(asked, seen, strict=True) if isinstance(found.verdict, StillThere))

    async def _ask(self, begun: Begun, id: str, step: Step) -> Seen:
        assert step.probe is not None and step.service is not None
        try:
            call = begun.call(step=id, service=step.service, request=step.probe.request)
            return await ask(self.action, call=call, probe=step.probe)
        except RenderingError as error:
            return Seen(verdict=Permanent(code=error.code), detail=step.probe.request.title)

    async def _give_way(self, trouble: Trouble, *, where: str | None, service: str, detail: str) -> NoReturn:
        """Not now, held, or refused. `where` is what was asked, if it wasn't the lookup."""
        trouble = await settled(
            self.ledger, trouble=trouble, retirement_id=self.begun.ref.retirement_id, service=service
        )
        code = trouble.code if where is None else f"{where}:{trouble.code}"
        refused = CheckedSubject(refused=Reason.LOOKUP_FAILED, code=code, present=self.begun.case.present or ())
        if isinstance(trouble, Permanent):
            raise _GivenUp(refused)
        trying = Trying(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            service=service,
            patience=self._patience_with(where),
        )
        if isinstance(trouble, Transient):
            after = await self.attempts.next_wait(trying, code=trouble.code, touched=False, wait=trouble.wait)
            if after is None:
                raise _GivenUp(refused)
            raise try_again(failure=Failure(code=trouble.code, step=where or self.step_id, detail=detail), after=after)
        await self.attempts.give_way(trying, trouble=trouble, detail=detail, row=self.begun.row)

    def _patience_with(self, where: str | None) -> timedelta:
        plan = self.begun.plan
        # A step may be called like a fact; only a fact is asked under this prefix.
        fact = plan.facts.get(where.removeprefix("facts.")) if where and where.startswith("facts.") else None
        return plan.subject.lookup.patience if fact is None else fact.patience

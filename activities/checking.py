"""Looking the person up, and asking once where they are to be found."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from activities.actions.action import Action
from activities.actions.answers import Absent as AnswerAbsent
from activities.actions.answers import Answer, Done, Permanent, Transient, meaning_of
from activities.actions.answers import Held as AnswerHeld
from activities.attempts import Attempts, Trouble, Trying, now
from activities.eligibility import RuleBroken, addresses, claimed, refusals
from activities.errors import try_again
from activities.facts import Unknown, find_out
from activities.first_contact import Worked, settled
from activities.looking_up import Found, look_up
from activities.mirroring.beginning import Hold, Refuse, Seen, where_to_begin
from activities.mirroring.chain import chain_of
from activities.mirroring.row import take_row, unlimited, unreadable
from activities.opening import Begun, names_of_probe
from activities.ownership.choosing import NobodySuitable
from activities.ownership.looking import Look, NotSeen
from activities.patience import FOR_EVER
from activities.probing import Seen as ProbeSeen
from activities.probing import StillThere, ask, reading_rules
from activities.rendering import RenderingError, evaluate, names_in
from ledger.ledger import Ledger
from ledger.rows import CaseState, People, StepAction, no_values
from plans.model import Absent, AlsoAsked, Step
from plans.outline import lane_of
from workflows.messages import Begin, CheckedSubject, Failure, Lane
from workflows.names import Reason

#: Whoever started this did not hand over by what the source knows the person.
NOT_GIVEN = "not_given"


class GivenUp(Exception):
    """Somebody could not be asked, for good, or what they said refuses it. `answer` is what the check says then."""

    def __init__(self, answer: CheckedSubject) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rules say of a person. `claims` are what the case needs for itself at the point of no return."""

    refused: tuple[str, ...] = ()
    claims: Mapping[str, int] = field(default_factory=dict)
    #: Who else is concerned.
    people: People = field(default_factory=lambda: People(), repr=False)


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
    #: An operator says that whoever has left the source's row at work doesn't come back.
    adopt: bool = False
    #: What the lookup has found; None where it doesn't know the person, or was not asked yet.
    found: dict[str, Any] | None = field(default=None, repr=False)

    async def run(self) -> CheckedSubject:
        """Check once.

        Raises:
            ApplicationError: TryAgain or StepHeld. Failing for good is an answer here: nothing has been done yet.
        """
        try:
            answer = await self._check()
        except GivenUp as given_up:
            answer = given_up.answer
        if answer.refused is not None:
            await self._keep_address()
        return answer

    async def ask_on(self, lane: Lane) -> CheckedSubject:
        """Ask only the probes and inventories that lie on a lane of their own; at the re-check no probe.

        Raises:
            ApplicationError: TryAgain or StepHeld.
        """
        self.begun.need_vault(step=self.step_id)
        try:
            await self._take_inventories(self.begun, lane=lane)
            present = () if self.again else await self._ask_all(self.begun, lane=lane)
        except GivenUp as given_up:
            return given_up.answer
        if not self.again:
            await self.ledger.add_present(retirement_id=self.begun.ref.retirement_id, present=present)
        return CheckedSubject(present=present)

    async def choose(self) -> CheckedSubject:
        """Choose who takes over, once the inventories of all lanes are taken.

        Raises:
            ApplicationError: TryAgain or StepHeld.
        """
        self.begun.need_vault(step=self.step_id)
        try:
            await self._choose(self.begun, owning=await self._look(self.begun).owning())
        except GivenUp as given_up:
            return given_up.answer
        return CheckedSubject(present=self.begun.case.present or (), chosen=True)

    async def _check(self) -> CheckedSubject:
        lookup = self.begun.plan.subject.lookup
        if len(self._given) < len(self.begun.plan.subject.given) and self.begun.values is not None:
            return CheckedSubject(refused=Reason.LOOKUP_FAILED, code=NOT_GIVEN)
        self.begun.need_vault(step=self.step_id, names=names_in(lookup.request))
        found = await look_up(self.action, begun=self.begun, worked=self.worked, step_id=self.step_id, again=self.again)
        if found.trouble is not None:
            await self._wait_for_source(found)
            await self.give_way(found.trouble, where=None, service=lookup.service, detail=found.detail)
        self.found = found.values
        begin = await self._where_to_begin(found)
        if begin is not None and (begin.ended is not None or self.begun.case.state is CaseState.PAST_RETURN):
            return CheckedSubject(begin=begin, present=self.begun.case.present or ())
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
            present = self.begun.case.present or ()
            begun = self.begun
            await self._keep_judged(judged)
        else:
            self.begun.need_vault(step=self.step_id)
            values = await self._with_what_else(found.values or {})
            begun = self.begun.with_subject(values)
            present = await self._ask_all(begun, lane=self._own_lane)
            await self.ledger.store_subject(
                retirement_id=self.begun.ref.retirement_id,
                values=values,
                present=present,
                claims=judged.claims,
                people=judged.people,
            )
        return CheckedSubject(present=present, chosen=await self._look_at_belongings(begun), begin=begin)

    async def _where_to_begin(self, found: Found) -> Begin | None:
        """Where the source's row says that the run begins. None where the plan has no source."""
        mirror = self.begun.plan.mirror
        if mirror is None:
            return None
        row = None if found.values is None else take_row(found.values)
        if row is None and found.values is not None:
            await self._give_way_to_source(unreadable(), detail=found.detail)
        begins = where_to_begin(
            chain_of(self.begun.plan, mirror), row=row, seen=self._seen, now=now(), adopt=self.adopt
        )
        match begins:
            case Begin():
                return begins
            case Refuse(reason=reason, code=code):
                raise GivenUp(CheckedSubject(refused=reason, code=code, present=self.begun.case.present or ()))
            case Hold(code=code, cause=cause):
                await self._give_way_to_source(AnswerHeld(code=code, cause=cause), detail=found.detail)

    @property
    def _seen(self) -> Seen:
        if self.begun.case.state is CaseState.PAST_RETURN:
            return Seen.BEGUN
        return Seen.NEVER if self.begun.case.present is None else Seen.WAITING

    async def _wait_for_source(self, found: Found) -> None:
        """An outage of a source is nobody's error: it is asked until it answers."""
        if self.begun.plan.mirror is not None and found.trouble is not None:
            await self._give_way_to_source(unlimited(found.trouble), detail=found.detail)

    async def _give_way_to_source(self, trouble: Transient | AnswerHeld, *, detail: str) -> NoReturn:
        trying = Trying(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            service=self.begun.plan.subject.lookup.service,
            patience=FOR_EVER,
        )
        await self.attempts.give_way(trying, trouble=trouble, detail=detail, row=self.begun.row)

    async def _with_what_else(self, found: dict[str, Any]) -> dict[str, Any]:
        """What was given beforehand, what the lookup found, and what others tell of the person."""
        values = {**self._given, **found}
        for id, asked in self.begun.plan.subject.also.items():
            values[id] = await self._ask_also(id, asked, begun=self.begun.with_subject(values))
        return values

    @property
    def _given(self) -> dict[str, Any]:
        known = (self.begun.values or no_values())["subject"]
        return {name: known[name] for name in self.begun.plan.subject.given if name in known}

    async def _ask_also(self, id: str, asked: AlsoAsked, *, begun: Begun) -> Any:
        where = f"also.{id}"
        try:
            call = begun.call(step=self.step_id, service=asked.service, request=asked.request)
            answer = await self.action.call(call)
            meaning = meaning_of(answer, reading_rules(call, absent=asked.absent))
            if isinstance(meaning, AnswerAbsent):
                return None
            if isinstance(meaning, Done) and isinstance(answer, Answer):
                return evaluate(asked.value, {**call.context, **answer.values})
            trouble = (
                meaning if isinstance(meaning, Transient | Permanent | AnswerHeld) else Permanent(code="unexpected")
            )
        except RenderingError as error:
            trouble = Transient(code=error.code, touched=False)
        try:
            await self.give_way(trouble, where=where, service=asked.service, detail=asked.request.title)
        except GivenUp:
            if not asked.otherwise_null:
                raise
            return None

    async def _keep_judged(self, judged: Judged) -> None:
        """What the rules say now takes the place of what they said at the first look."""
        retirement_id = self.begun.ref.retirement_id
        if self.begun.plan.claims:
            await self.ledger.store_claims(retirement_id=retirement_id, claims=judged.claims)
        if judged.people:
            await self.ledger.keep_people(retirement_id=retirement_id, people=judged.people)

    async def _look_at_belongings(self, begun: Begun) -> bool:
        """What does the person own, and who takes it over? False where others have to be asked before that can be chosen."""
        look = self._look(begun)
        if not look.is_wanted:
            return False
        begun.need_vault(step=self.step_id)
        owning = await self._take_inventories(begun, lane=self._own_lane)
        if not look.may_choose_on(self._own_lane):
            return False
        await self._choose(begun, owning=owning)
        return True

    async def _take_inventories(self, begun: Begun, *, lane: Lane) -> tuple[str, ...]:
        try:
            return await self._look(begun).take_inventories(lane=lane)
        except NotSeen as unseen:
            await self.give_way(unseen.trouble, where=unseen.where, service=unseen.service, detail=unseen.detail)

    async def _choose(self, begun: Begun, *, owning: tuple[str, ...]) -> None:
        try:
            await self._look(begun).choose(owning=owning)
        except NobodySuitable as nobody:
            present = self.begun.case.present or ()
            raise GivenUp(CheckedSubject(refused=Reason.NO_SUCCESSOR, code=nobody.code, present=present)) from None
        except NotSeen as unseen:
            await self.give_way(unseen.trouble, where=unseen.where, service=unseen.service, detail=unseen.detail)

    def _look(self, begun: Begun) -> Look:
        return Look(action=self.action, ledger=self.ledger, begun=begun, step_id=self.step_id)

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
        admins = plan.mail.admins if plan.mail is not None else ()
        if not plan.eligibility and not plan.claims and not admins:
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
                    await self.give_way(found.trouble, where=where, service=fact.service, detail=found.detail)
                facts[id] = found.value
            context = {**begun.context, "facts": facts}
            return Judged(
                refused=refusals(plan.eligibility, context),
                claims=claims,
                people={"admins": addresses(admins, context)} if admins else {},
            )
        except RuleBroken as broken:
            service = plan.subject.lookup.service
            await self.give_way(Permanent(code=broken.code), where=None, service=service, detail=broken.code)

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
            if isinstance(found.verdict, Transient | Permanent | AnswerHeld):
                # A probe that can't answer now could not prove the erasure either.
                await self.give_way(found.verdict, where=id, service=step.service or "", detail=found.detail)
        return tuple(id for id, found in zip(asked, seen, strict=True) if isinstance(found.verdict, StillThere))

    async def _ask(self, begun: Begun, id: str, step: Step) -> ProbeSeen:
        assert step.probe is not None and step.service is not None
        try:
            call = begun.call(step=id, service=step.service, request=step.probe.request)
            return await ask(self.action, call=call, probe=step.probe)
        except RenderingError as error:
            return ProbeSeen(verdict=Permanent(code=error.code), detail=step.probe.request.title)

    async def give_way(self, trouble: Trouble, *, where: str | None, service: str, detail: str) -> NoReturn:
        """Not now, held, or refused. `where` is what was asked, if it wasn't the lookup.

        Raises:
            ApplicationError: TryAgain or StepHeld.
            GivenUp: refused, or out of patience.
        """
        trouble = await settled(
            self.ledger, trouble=trouble, retirement_id=self.begun.ref.retirement_id, service=service
        )
        code = trouble.code if where is None else f"{where}:{trouble.code}"
        refused = CheckedSubject(refused=Reason.LOOKUP_FAILED, code=code, present=self.begun.case.present or ())
        if isinstance(trouble, Permanent):
            raise GivenUp(refused)
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
                raise GivenUp(refused)
            raise try_again(failure=Failure(code=trouble.code, step=where or self.step_id, detail=detail), after=after)
        await self.attempts.give_way(trying, trouble=trouble, detail=detail, row=self.begun.row)

    def _patience_with(self, where: str | None) -> timedelta:
        plan = self.begun.plan
        # A step may be called like a fact; only a fact is asked under this prefix.
        kind, _, id = (where or "").partition(".")
        if kind == "facts" and id in plan.facts:
            return plan.facts[id].patience
        if kind == "also" and id in plan.subject.also:
            return plan.subject.also[id].patience
        if kind == "successors" and id in plan.successors:
            return plan.successors[id].patience
        return plan.subject.lookup.patience

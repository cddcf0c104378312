"""The check of a transfer that stands alone: may whoever is named take over? Who owned it all may be gone already."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from activities.attempts import now
from activities.checking import Check, GivenUp
from activities.eligibility import RuleBroken, addresses
from activities.facts import Unknown, find_out
from activities.looking_up import look_up
from activities.opening import Begun
from activities.ownership.choosing import Choosing, NobodySuitable
from activities.paging import NotTold
from ledger.rows import People
from plans.model import Plan
from plans.requests import Request
from plans.template_names import names_of
from workflows.messages import CheckedSubject
from workflows.names import Reason

#: What a refusal begins with, where the plan's rule needs something of an owner whom no lookup knows.
NEEDS = "needs_subject"


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What is asked before anything is handed over: the lookup, whoever says who may take over, and who the admins are."""

    check: Check

    async def ask(self, policies: Iterable[str]) -> CheckedSubject:
        """Choose whoever is named by every one of these policies, and keep it; or say by which they may not.

        Raises:
            ApplicationError: TryAgain or StepHeld. Failing for good is an answer here: nothing has been done yet.
        """
        check = self.check
        check.begun.need_vault(step=check.step_id)
        try:
            return await self._ask(policies)
        except GivenUp as given_up:
            return given_up.answer
        except NobodySuitable as nobody:
            return CheckedSubject(refused=Reason.NO_SUCCESSOR, code=nobody.code)

    async def _ask(self, policies: Iterable[str]) -> CheckedSubject:
        ref, ledger = self.check.begun.ref, self.check.ledger
        told = {} if self.check.begun.values is None else self.check.begun.values["subject"]
        found = await self._look_up()
        values = {**told, **(found or {})}
        begun = self.check.begun.with_subject(values)
        chosen = {policy: await self._choose(begun, policy, is_known=found is not None) for policy in policies}
        people = await self._people(begun, is_known=found is not None)
        await ledger.store_subject(retirement_id=ref.retirement_id, values=values, present=None, people=people)
        await ledger.choose_successors(retirement_id=ref.retirement_id, tenant=ref.tenant, chosen=chosen, at=now())
        return CheckedSubject(chosen=True)

    async def _look_up(self) -> dict[str, Any] | None:
        """What the lookup still tells of the owner; None where they are gone."""
        lookup = self.check.begun.plan.subject.lookup
        check = self.check
        found = await look_up(check.action, begun=check.begun, worked=check.worked, step_id=check.step_id)
        if found.trouble is not None:
            await check.give_way(found.trouble, where=None, service=lookup.service, detail=found.detail)
        return found.values

    async def _choose(self, begun: Begun, policy: str, *, is_known: bool) -> dict[str, Any]:
        check = self.check
        try:
            choosing = Choosing(action=check.action, ledger=check.ledger, begun=begun, step_id=check.step_id)
            return await choosing.choose(policy)
        except NotTold as untold:
            missing = () if is_known else missing_of(begun, policy)
            if missing:
                code = ",".join(f"{NEEDS}.{name}" for name in missing)
                raise GivenUp(CheckedSubject(refused=Reason.NO_SUCH_SUBJECT, code=code)) from None
            service = begun.plan.successors[policy].suitable.service
            where = f"successors.{policy}"
            await check.give_way(untold.trouble, where=where, service=service, detail=untold.detail)

    async def _people(self, begun: Begun, *, is_known: bool) -> People:
        """Who hears of it: nobody, where that can't be worked out any more. A mail holds nothing up."""
        check, plan = self.check, begun.plan
        admins = plan.mail.admins if plan.mail is not None else ()
        if not admins:
            return People()
        facts: dict[str, Any] = {}
        for id in _facts_named(plan, admins):
            fact = plan.facts[id]
            call = begun.call(step=check.step_id, service=fact.service, request=fact.request)
            found = await find_out(check.action, call=call, fact=fact)
            if isinstance(found, Unknown):
                if not is_known:
                    return People(admins=[])
                await check.give_way(found.trouble, where=f"facts.{id}", service=fact.service, detail=found.detail)
            facts[id] = found.value
        try:
            return People(admins=addresses(admins, {**begun.context, "facts": facts}))
        except RuleBroken:
            return People(admins=[])


def missing_of(begun: Begun, policy: str) -> tuple[str, ...]:
    """What the rule of a policy names of the owner, and nobody knows."""
    suitable = begun.plan.successors[policy].suitable
    texts = [(suitable.when, True), *((text, True) for text in suitable.fields.values())]
    texts += [(text, False) for text in _texts_of(suitable.request)]
    named = {name for text, is_expression in texts for name in names_of(text, is_expression=is_expression)}
    known = {} if begun.values is None else begun.values["subject"]
    return tuple(sorted(name[1] for name in named if name[0] == "subject" and len(name) > 1 and name[1] not in known))


def _texts_of(request: Request) -> list[str]:
    return [text for _, text in request.templates()]


def _facts_named(plan: Plan, expressions: Iterable[str]) -> tuple[str, ...]:
    """The facts by which admins are found, in the plan's order."""
    named = {name for text in expressions for name in names_of(text, is_expression=True)}
    return tuple(id for id in plan.facts if ("facts",) in named or any(name[:2] == ("facts", id) for name in named))

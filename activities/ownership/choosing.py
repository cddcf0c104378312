"""Choosing who takes over: whom the request names, or the first candidate whom the service that owns the role calls suitable."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from activities.actions.action import Action
from activities.actions.answers import Permanent, Transient
from activities.opening import Begun
from activities.paging import NotTold, pages, read
from activities.rendering import RenderingError, evaluate, holds
from ledger.ledger import Ledger
from plans.model import Candidates, Naming, Plan

#: Nobody has to know of more people who can't take over.
_MOST_ASKED = 200
#: What a service says of somebody it doesn't know.
_NOBODY = (404, 410)


class NobodySuitable(Exception):
    """Nobody can take over. `code` names the policy and why, and nobody."""

    def __init__(self, policy: str, why: str) -> None:
        super().__init__(why)
        self.policy, self.why = policy, why
        self.code = f"{policy}:{why}"


NOT_NAMED = "not_named"
NAMED_SELF = "named_self"
NAMED_RETIRING = "named_retiring"
NAMED_UNSUITABLE = "named_unsuitable"
NOBODY = "nobody_suitable"


@dataclass(frozen=True, kw_only=True)
class Choosing:
    """Chooses for one case. Only reads."""

    action: Action
    ledger: Ledger
    begun: Begun
    step_id: str

    async def choose(self, policy: str) -> dict[str, Any]:
        """Who takes over: their `id`, and the fields that the plan reads. Whoever was chosen before stays, if suitable.

        Raises:
            NobodySuitable: nobody can.
            NotTold: a service doesn't tell who can.
        """
        rule = self.begun.plan.successors[policy]
        named = self._named
        if named is not None and rule.named is not Naming.REFUSED:
            return await self._take_named(policy, id=named)
        if rule.named is Naming.REQUIRED:
            raise NobodySuitable(policy, NOT_NAMED)
        async for values in self.candidates(policy):
            return values
        raise NobodySuitable(policy, NOBODY)

    async def candidates(self, policy: str) -> AsyncIterator[dict[str, Any]]:
        """All who may take over, in the order in which they are preferred: their `id`, and the fields that the plan reads.

        Raises:
            NotTold: a service doesn't tell who can.
        """
        async for id in self._listed_by(policy):
            if id != self.begun.ref.user_id and not await self.is_retiring(id):
                values = await self.suitable(policy, id=id)
                if values is not None:
                    yield values

    async def suitable(self, policy: str, *, id: str) -> dict[str, Any] | None:
        """What the service that owns the role tells of somebody who may take over; None if they may not.

        Raises:
            NotTold: it doesn't tell.
        """
        asked = self.begun.plan.successors[policy].suitable
        about = {"successor": {"id": id}}
        call = self.begun.call(step=self.step_id, service=asked.service, request=asked.request, more=about)
        answer, detail = await read(self.action, call=call, absent=_NOBODY)
        if answer is None:
            return None
        context = {**call.context, **answer.values}
        try:
            if not holds(asked.when, context):
                return None
            read_fields = {name: evaluate(expression, context) for name, expression in asked.fields.items()}
        except RenderingError as error:
            # An answer without the value may be an error page with a 200: it may pass.
            raise NotTold(Transient(code=error.code, touched=False), detail=detail) from None
        return {**read_fields, "id": id}

    async def is_retiring(self, id: str) -> bool:
        """Is this person being retired, too?"""
        return await self.ledger.is_retiring(user_id=id, tenant=self.begun.ref.tenant)

    async def _take_named(self, policy: str, *, id: str) -> dict[str, Any]:
        """Whoever names somebody means them: nobody else takes their place."""
        if id == self.begun.ref.user_id:
            raise NobodySuitable(policy, NAMED_SELF)
        if await self.is_retiring(id):
            raise NobodySuitable(policy, NAMED_RETIRING)
        values = await self.suitable(policy, id=id)
        if values is None:
            raise NobodySuitable(policy, NAMED_UNSUITABLE)
        return values

    @property
    def _named(self) -> str | None:
        return self.begun.values["people"].get("named") if self.begun.values is not None else None

    async def _listed_by(self, policy: str) -> AsyncIterator[str]:
        """Everybody who may be asked, each once: who was chosen before, then the lists in the plan's order."""
        seen: set[str] = set()
        chosen = self.begun.successor_of(policy)
        if chosen is not None:
            seen.add(chosen["id"])
            yield chosen["id"]
        for listed in self.begun.plan.successors[policy].candidates:
            async for id in self._listed(listed):
                if len(seen) >= _MOST_ASKED:
                    return
                if id not in seen:
                    seen.add(id)
                    yield id

    async def _listed(self, candidates: Candidates) -> AsyncIterator[str]:
        call = self.begun.call(step=self.step_id, service=candidates.service, request=candidates.request)
        async for page in pages(
            self.action,
            call=call,
            items=candidates.items,
            next_page=candidates.next_page,
            absent=candidates.absent,
        ):
            for item in page:
                yield _id_of(item, candidates=candidates, context=call.context, detail=call.request.title)


def _id_of(item: Any, *, candidates: Candidates, context: Mapping[str, Any], detail: str) -> str:
    try:
        id = evaluate(candidates.id, {**context, "item": item})
    except RenderingError as error:
        raise NotTold(Permanent(code=error.code), detail=detail) from None
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        raise NotTold(Permanent(code="candidate_without_id"), detail=detail)
    return str(id)


def policies_needed(plan: Plan, *, owning: Iterable[str]) -> tuple[str, ...]:
    """The policies by which somebody has to be chosen: of steps that move something, and of all that move no assets.

    `owning`: the steps at whose services the person owns something.
    """
    owning = frozenset(owning)
    needed = (
        step.successor
        for id, step in plan.steps.items()
        if step.successor is not None and (step.assets is None or id in owning)
    )
    return tuple(dict.fromkeys(needed))

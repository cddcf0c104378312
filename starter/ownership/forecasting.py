"""What a transfer would do, asked of the services that it would ask; nothing is written, and nothing is changed."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starter.output import columns, show
from starter.ownership.outcomes import left_out_lines
from starter.ownership.refusals import meaning_of, told_obstacle

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.transfers import TransferOpening, TransferWish
    from plans.handing_over import HandingOver
    from plans.model import Owner, Step
    from starter.ownership.asking import Asked

_AT_A_TIME = 8
WOULD_MOVE = "would_move"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Whether whoever is named may take over by a policy; `why` they may not, as a code."""

    policy: str
    why: str | None


@dataclass(kw_only=True)
class TransferForecast:
    """A wish, and what would become of it."""

    wish: "TransferWish"
    opening: "TransferOpening"
    hands_over: "HandingOver"
    is_known: bool
    policies: list[Policy] = field(default_factory=list)
    #: How many assets would be moved at each step.
    moves: dict[str, int] = field(default_factory=dict)
    #: What would become of each named asset, by its id.
    named: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_refused(self) -> bool:
        """Would nothing be handed over at all?"""
        return self.opening.obstacle is not None or any(each.why is not None for each in self.policies)

    @property
    def has_problems(self) -> bool:
        """Would a named asset stay where it is?"""
        return any(result in ("refused", "not_found") for result in self.named.values())

    def facts(self) -> dict[str, Any]:
        """For --json."""
        return {
            "dry_run": True,
            "plan": self.wish.plan.name,
            "obstacle": self.opening.obstacle,
            "known_case": self.opening.case.retirement_id if self.opening.case else None,
            "is_known": self.is_known,
            "policies": [vars(each) for each in self.policies],
            "would_move": self.moves,
            "left_out": dict(self.hands_over.left_out),
            "counts": dict(Counter(self.named.values())) if self.wish.assets is not None else None,
            "assets": [{"asset": id, "forecast": result} for id, result in self.named.items()]
            if self.wish.assets is not None
            else None,
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"Plan {self.wish.plan.name}, from {show(self.wish.user_id)} to {show(self.wish.successor)}."]
        if not self.is_known:
            lines.append(f"The lookup does not know {show(self.wish.user_id)} any more.")
        if self.opening.obstacle is not None:
            lines.append(f"refused: {told_obstacle(self.opening)}")
        lines += [f"refused by {each.policy}: {meaning_of(each.why)}" for each in self.policies if each.why is not None]
        moved = "would have been moved" if self.is_refused else "would be moved"
        lines += columns([(f"at {step}", f"{number:,} {moved}") for step, number in self.moves.items()])
        stay = [(id, result) for id, result in self.named.items() if result != WOULD_MOVE]
        if stay:
            lines += ["", *columns(stay, heading=("asset", "would be"))]
        return [*lines, *left_out_lines(self.hands_over.left_out), "", "Nothing was written or changed."]


async def forecast(
    wish: "TransferWish", *, hands_over: "HandingOver", asked: "Asked", ledger: "Ledger"
) -> TransferForecast:
    """Ask for everything that a transfer would ask for, but move nothing.

    Raises:
        NotTold: a service doesn't tell.
    """
    opening = await ledger.look_at_transfer(wish)
    seen = TransferForecast(wish=wish, opening=opening, hands_over=hands_over, is_known=asked.is_known)
    for policy in hands_over.policies:
        seen.policies.append(Policy(policy=policy, why=await _why_not(policy, asked=asked, ledger=ledger)))
    for id, step in hands_over.steps.items():
        listed = await _listed(id, step, asked=asked, only=wish.assets)
        seen.moves[id] = len(listed)
        seen.named |= dict.fromkeys(listed if wish.assets is not None else (), WOULD_MOVE)
    for id, step in hands_over.steps.items():
        await _find(seen, id, step, asked=asked)
    if wish.assets is not None:
        seen.named = {id: seen.named.get(id, "not_found") for id in wish.assets}
    return seen


async def _why_not(policy: str, *, asked: "Asked", ledger: "Ledger") -> str | None:
    from activities.ownership.choosing import NobodySuitable
    from activities.ownership.permitting import NEEDS, missing_of
    from activities.paging import NotTold

    try:
        await asked.choosing(ledger).choose(policy)
    except NobodySuitable as nobody:
        return nobody.code
    except NotTold:
        missing = () if asked.is_known else missing_of(asked.begun, policy)
        if not missing:
            raise
        return ",".join(f"{NEEDS}.{name}" for name in missing)
    return None


async def _listed(id: str, step: "Step", *, asked: "Asked", only: Sequence[str] | None) -> list[str]:
    """The ids of what would be moved at a step."""
    from activities.ownership.inventory import owned

    assert step.assets is not None and step.service is not None
    wanted = None if only is None else frozenset(only)
    call = asked.begun.call(step=id, service=step.service, request=step.assets.request)
    found: list[str] = []
    async for page in owned(asked.action, call=call, assets=step.assets):
        found += [asset.id for asset in page if wanted is None or asset.id in wanted]
    return found


async def _find(seen: TransferForecast, id: str, step: "Step", *, asked: "Asked") -> None:
    """Ask whose the named assets are that nobody has found so far."""
    assert step.assets is not None and step.service is not None
    owner = step.assets.owner
    if owner is None or seen.wish.assets is None:
        return
    limits = asked.begun.plan.services[step.service].limits
    limit = asyncio.Semaphore(1 if limits.rate is not None else min(_AT_A_TIME, limits.concurrent))

    async def ask(asset: str) -> str | None:
        async with limit:
            if limits.rate is not None:
                await asyncio.sleep(1 / limits.rate.per_second)
            return await _owner_of(asset, id, step.service or "", owner, asked=asked)

    left = [asset for asset in seen.wish.assets if seen.named.get(asset) in (None, "refused")]
    for asset, whose in zip(left, await asyncio.gather(*(ask(asset) for asset in left)), strict=True):
        if whose is not None:
            seen.named[asset] = _meaning(whose, wish=seen.wish)


def _meaning(owner: str, *, wish: "TransferWish") -> str:
    if owner == wish.successor:
        return "already_owned"
    # A list may lag behind: whose it is counts.
    return WOULD_MOVE if owner == wish.user_id else "refused"


async def _owner_of(asset: str, step: str, service: str, owner: "Owner", *, asked: "Asked") -> str | None:
    from activities.actions.answers import Transient
    from activities.paging import NotTold, read
    from activities.rendering import RenderingError, evaluate

    more = {"asset": {"id": asset, "type": None, "title": None}}
    call = asked.begun.call(step=step, service=service, request=owner.request, more=more)
    answer, detail = await read(asked.action, call=call, absent=owner.absent)
    if answer is None:
        return None
    try:
        return str(evaluate(owner.value, {**call.context, **answer.values}))
    except RenderingError as error:
        raise NotTold(Transient(code=error.code, touched=False), detail=detail) from None

"""Who could take over from somebody: the first of a policy's candidates whom the service that owns the role calls suitable."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from plans.model import SuccessorPolicy
    from starter.ownership.asking import Asked

#: Nobody chooses among more.
MOST_SUGGESTED = 5


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The candidates of one policy, the preferred first."""

    policy: str
    rule: "SuccessorPolicy" = field(repr=False)
    candidates: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def is_by_name_only(self) -> bool:
        """Does the plan list nobody, so that whoever takes over has to be named?"""
        return not self.rule.candidates

    def facts(self, *, show_values: bool) -> dict[str, Any]:
        """For --json. Names and addresses only to who asks for them."""
        return {
            "policy": self.policy,
            "may_be_named": self.rule.named.value != "refused",
            "is_by_name_only": self.is_by_name_only,
            "candidates": [self._told(each, show_values=show_values) for each in self.candidates],
        }

    def rows(self, *, show_values: bool) -> list[tuple[object, ...]]:
        """For people."""
        return [
            (self.policy, each["id"], *([", ".join(str(each[name]) for name in self._fields)] if show_values else []))
            for each in self.candidates
        ]

    @property
    def _fields(self) -> tuple[str, ...]:
        return tuple(name for name in self.rule.suitable.fields if name != "id")

    def _told(self, candidate: dict[str, Any], *, show_values: bool) -> dict[str, Any]:
        values = {"values": {name: candidate[name] for name in self._fields}} if show_values else {}
        return {"user_id": candidate["id"], **values}


async def suggest(asked: "Asked", *, policy: str, ledger: "Ledger") -> Suggestion:
    """Ask who could take over, up to a few. Whoever is being retired is left out.

    Raises:
        NotTold: a service doesn't tell.
    """
    found = []
    async for candidate in asked.choosing(ledger).candidates(policy):
        found.append(candidate)
        if len(found) == MOST_SUGGESTED:
            break
    return Suggestion(policy=policy, rule=asked.begun.plan.successors[policy], candidates=tuple(found))

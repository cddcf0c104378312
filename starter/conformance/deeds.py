"""Whom the step is done to, and what became of it."""

from dataclasses import dataclass, field, replace
from typing import Any

from activities.actions.answers import Absent, Done, Held, Meaning, Permanent, Transient, Working
from ledger.cases import new_retirement_id
from starter.conformance.leaves import Leaves
from starter.exchanges import Exchange


@dataclass(kw_only=True)
class Person:
    """A test user. `number` is their place among those given, by which they are told of."""

    number: int
    user_id: str = field(repr=False)
    retirement_id: str = field(default_factory=new_retirement_id)
    #: What the lookup found before anything was done; None where it wasn't asked or found nobody.
    subject: dict[str, Any] | None = field(default=None, repr=False)
    saved: dict[str, Any] = field(default_factory=dict, repr=False)
    is_there: bool = False
    #: What the probe answered of them before anything was done; None where two answers differed by themselves.
    answer_before: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """How results name them."""
        return f"test user {self.number}"

    def in_another_retirement(self) -> "Person":
        """The same person under other keys: nothing is saved of it yet."""
        return replace(self, retirement_id=new_retirement_id(), saved={})


@dataclass(frozen=True, kw_only=True)
class LastDeed:
    """What was done in place of a request that is refused for good."""

    person: Person
    #: Of the request that was refused.
    key: str
    said: str
    #: Why a retirement could not take it for done, or should not; None where it may.
    wrong: str | None


@dataclass(frozen=True, kw_only=True)
class Did:
    """The step's request, and what its answer means to a retirement."""

    exchange: Exchange
    meaning: Meaning
    #: For 202 with a place to ask: how that ended (`done`), or what went wrong.
    ended: str | None = None
    #: Has the service given the accepted work up?
    is_lost: bool = False
    #: Where it was refused for good and the plan names a last resort.
    last: LastDeed | None = None

    @property
    def is_refused(self) -> bool:
        """Is this where a retirement turns to the last resort?"""
        return isinstance(self.meaning, Permanent) or self.is_lost

    @property
    def is_success(self) -> bool:
        """Would a retirement take it for done, or for nothing to do?"""
        if self.last is not None:
            return self.last.wrong is None
        return isinstance(self.meaning, Done | Absent) or (isinstance(self.meaning, Working) and self.ended == "done")

    @property
    def said(self) -> str:
        """What came back, for people: `204`, `202, then done`."""
        said = self.exchange.said if self.ended is None else f"{self.exchange.said}, then {self.ended}"
        return said if self.last is None else f"{said} ({self.last.said})"


@dataclass(kw_only=True)
class FirstDeed:
    """The step, done to the first test user: what was seen before and after."""

    person: Person
    did: Did
    state_before: dict[str, Any] = field(repr=False)
    state_after: dict[str, Any] = field(repr=False)
    #: What the service itself answers of the person (a freeze); empty where nothing of it can be read.
    answer_before: Leaves = field(repr=False)


def consequence(meaning: Meaning) -> str:
    """What a retirement makes of an answer."""
    match meaning:
        case Done() | Working():
            return "done"
        case Absent():
            return "nothing to do"
        case Transient():
            return "tried again until patience is over"
        case Permanent():
            return "a refusal for good"
        case Held():
            return "held until somebody mends our credentials"

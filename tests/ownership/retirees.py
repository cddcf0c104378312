"""What is known of somebody who asks to be retired: how their runs ended, and when what was the case.

All times are the machine's, which the services' logs have, too.
"""

from dataclasses import dataclass, field

from tests.ownership.graphs import Request
from workflows.names import Outcome, Reason

TRANSFER, ERASE = "documents", "profile"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended."""

    retirement_id: str
    outcome: Outcome
    reason: Reason | None = None
    code: str | None = None
    #: The step that failed.
    failed: str | None = None
    at: float = 0.0

    def told(self) -> str:
        """For people to read, and for counting."""
        return " ".join(filter(None, (self.outcome, self.reason, self.failed, self.code)))


@dataclass(kw_only=True)
class Span:
    """For how long somebody was being retired by one case."""

    retirement_id: str
    opened: float
    closed: float | None = None

    def is_open_at(self, instant: float) -> bool:
        """Was it still so then?"""
        return self.closed is None or self.closed > instant


@dataclass(kw_only=True)
class Passage:
    """Somebody passed the point of no return, to hand over to these. Until `until` nothing may befall them."""

    retirement_id: str
    successors: frozenset[str]
    began: float
    ended: float
    until: float | None = None


@dataclass(kw_only=True)
class Retiree:
    """Somebody who asks to be retired, run after run."""

    user_id: str
    requests: tuple[Request, ...]
    ends: list[Ended] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    #: When each attempt at the hand-over began.
    handing_over: list[float] = field(default_factory=list)

"""How a check ends, and how a check function says so."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended. What is left out or does not apply is told, and never counted as passed."""

    PASSED = "passed"
    FAILED = "failed"
    LEFT_OUT = "left out"
    DOES_NOT_APPLY = "does not apply"


class Ending(Exception):
    """A check ends here, otherwise than by passing. `seen` says what was seen, or why it could not be."""

    outcome: Outcome

    def __init__(self, seen: str) -> None:
        super().__init__(seen)
        self.seen = seen


class Failed(Ending):
    """The promise is not kept."""

    outcome = Outcome.FAILED


class LeftOut(Ending):
    """It could not be looked at: for want of test users, or because something before it went wrong."""

    outcome = Outcome.LEFT_OUT


class SaveUnread(LeftOut):
    """The request was done, and its answer lacks what the plan wants to keep of it."""


class DoesNotApply(Ending):
    """The promise makes no sense for this step or this kind of service."""

    outcome = Outcome.DOES_NOT_APPLY


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one check."""

    check: str
    promise: str
    outcome: Outcome
    seen: str
    mend: str
    took: timedelta

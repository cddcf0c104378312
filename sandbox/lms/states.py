"""The table of retirement states of a site, and the rules by which a learner's row moves through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PENDING = "PENDING"
ERRORED = "ERRORED"
ABORTED = "ABORTED"
COMPLETE = "COMPLETE"
#: Every site has these; the last three end the table, in this order.
REQUIRED = (PENDING, ERRORED, ABORTED, COMPLETE)
_LONGEST_NAME = 30


def _pairs(*names: str) -> tuple[str, ...]:
    return tuple(state for name in names for state in (f"RETIRING_{name}", f"{name}_COMPLETE"))


#: What `populate_retirement_states` of the LMS makes.
DEFAULT_STATES = (
    PENDING,
    "LOCKING_ACCOUNT",
    "LOCKING_COMPLETE",
    *_pairs("FORUMS", "EMAIL_LISTS", "ENROLLMENTS", "NOTES", "LMS"),
    *REQUIRED[1:],
)

#: The same with what sites commonly add, in an order in which pipelines use them: the LMS itself comes last.
COMMON_STATES = (
    PENDING,
    "LOCKING_ACCOUNT",
    "LOCKING_COMPLETE",
    *_pairs("CREDENTIALS", "ECOM", "DEMOGRAPHICS", "LICENSE_MANAGER"),
    *_pairs("FORUMS", "EMAIL_LISTS", "ENROLLMENTS", "NOTES", "PROCTORING", "PARTNERS", "SEGMENT"),
    *_pairs("BRAZE", "AMPLITUDE", "HUBSPOT", "EXTRA", "CERTIFICATES"),
    *_pairs("LMS_MISC", "LMS"),
    *REQUIRED[1:],
)


@dataclass(frozen=True, kw_only=True)
class States:
    """The states of one site, in order.

    Raises:
        ValueError: the list is none that the LMS would hold; the message says why.
    """

    names: Sequence[str] = COMMON_STATES

    def __post_init__(self) -> None:
        names = list(self.names)
        if names[:1] != [PENDING] or tuple(names[-3:]) != REQUIRED[1:]:
            raise ValueError(f"the states begin with {PENDING} and end with {', '.join(REQUIRED[1:])}")
        if len(set(names)) != len(names) or any(len(name) > _LONGEST_NAME for name in names):
            raise ValueError(f"each state is named once, in at most {_LONGEST_NAME} characters")

    def knows(self, name: object) -> bool:
        """Is there such a state?"""
        return name in self.names

    def as_object(self, name: str) -> dict[str, Any]:
        """A state as status objects have it. One that a change of the table has removed stands at 0."""
        index = self.names.index(name) if name in self.names else -1
        return {"id": index + 1, "state_name": name, "state_execution_order": index * 10 + 1 if index >= 0 else 0}

    def refusal(self, *, current: str, new: object, force: bool) -> str | None:
        """Why the LMS refuses a move, or None where it makes it."""
        known = new in self.names
        later = known and (current not in self.names or self.names.index(str(new)) > self.names.index(current))
        if known and (force or later):
            return None
        return f"{new} does not exist or is an earlier state than current state {current}"


def allows_steps(state: str) -> bool:
    """Do the calls that erase work while a row is in this state? Only between the beginning and the end of a step."""
    return state not in REQUIRED and not state.endswith("_COMPLETE")

"""How `retire openedx retire-one` ends: as the driver's scripts do, so that jobs made for those go on working."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.messages import Hold, Result


class DriverCode(IntEnum):
    """An exit code of the driver and, in `meaning`, what the help says about it. Never changed."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> "DriverCode":
        """Make a member of a number and its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    COMPLETE = 0, "complete"
    CONFIGURATION = 249, "a setting, the site's file or its plan is missing or can't be read"
    STATE_NOT_IN_PLAN = 250, "the learner is in a state that is not in the plan"
    NO_ROW = 251, "the LMS has no retirement request of this learner"
    STEP_FAILED = 252, "a step failed; `retire openedx resume` goes on"
    ANOTHER_DRIVER = 253, "held, as somebody else is at work on the learner; it goes on by itself"
    ENDED_BEFORE = 254, "the learner was ERRORED, ABORTED or COMPLETE already"
    SET_UP = 255, "credentials or set-up: something does not answer or refuses us"


#: Codes of holds for which somebody else is the cause.
_BY_OTHERS = frozenset({"another_driver", "moved_by_another"})


def code_of_hold(hold: "Hold") -> DriverCode:
    """What a run that waits is for a job that can't wait."""
    return DriverCode.ANOTHER_DRIVER if hold.code in _BY_OTHERS else DriverCode.SET_UP


def code_of_result(result: "Result") -> DriverCode:
    """How a run has ended."""
    match result.outcome, result.code:
        case "COMPLETE", _:
            return DriverCode.COMPLETE
        case "ERRORED", _:
            return DriverCode.STEP_FAILED
        case _, "no_row":
            return DriverCode.NO_ROW
        case _, "state_not_in_plan":
            return DriverCode.STATE_NOT_IN_PLAN
    return DriverCode.ENDED_BEFORE


def help_end(*, example: str) -> str:
    """The end of the command's help: an example to paste and the exit codes."""
    others = "    2  an argument or option can't be used\n  130  interrupted; what was started goes on"
    listed = "\n".join(f"  {code.value:>3}  {code.meaning}" for code in DriverCode)
    return f"\b\nExample:\n  {example}\n\n\b\nExit codes, those of the driver's own script:\n{listed}\n{others}"

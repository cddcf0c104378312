"""How `retire` ends. Scripts branch on these numbers, so they are only added to."""

from enum import IntEnum


class ExitCode(IntEnum):
    """An exit code and, in `meaning`, what every help text says about it."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> "ExitCode":
        """Make a member of a number and its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "done as asked"
    UNEXPECTED = 1, "an unexpected error; RETIREMENT_DEBUG=1 shows its traceback"
    USAGE = 2, "an argument or option can't be used"
    NOT_FOUND = 3, "no such retirement or transfer"
    ALREADY_RUNNING = 4, "one of this person is running already"
    REFUSED = 5, "refused; the answer says why"
    NOT_YET_ANSWERED = 6, "recorded, not yet answered: no worker has taken it so far"
    ABORTED = 7, "it ended ABORTED"
    ERRORED = 8, "it ended ERRORED; it can be resumed"
    UNREACHABLE = 9, "Temporal or the ledger's database does not answer"
    NOT_SET_UP = 10, "a setting, the keys file, the plan or the set-up is missing or wrong"
    PROBLEMS = 11, "problems were found; each says how to mend it"
    INTERRUPTED = 130, "interrupted; what was started goes on"


#: What any command can end with.
_ALWAYS = (ExitCode.OK, ExitCode.UNEXPECTED, ExitCode.USAGE)
#: What any command that needs the ledger or Temporal can end with.
_CONNECTED = (ExitCode.UNREACHABLE, ExitCode.NOT_SET_UP, ExitCode.INTERRUPTED)


def help_end(*, example: str, codes: tuple[ExitCode, ...] = (), connected: bool = True) -> str:
    """The end of a command's help: an example to paste and the exit codes it can end with."""
    listed = sorted({*_ALWAYS, *codes, *(_CONNECTED if connected else ())})
    lines = [f"  {code.value:>3}  {code.meaning}" for code in listed]
    return "\n".join(["\b", "Example:", f"  {example}", "", "\b", "Exit codes:", *lines])

"""What goes wrong, told in one line: what, where, what to do. Never a traceback, never another library's text.

The text of an exception from elsewhere may hold a value of a person, so only its type and place are told.
"""

import traceback
from pathlib import Path

from starter.exit_codes import ExitCode

_ROOT = Path(__file__).resolve().parent.parent


class CommandError(Exception):
    """An expected end of a command that isn't a result. `what` says what is the matter, `do` what to do about it."""

    def __init__(self, what: str, *, do: str, code: ExitCode) -> None:
        super().__init__(what)
        self.what = what
        self.do = do
        self.code = code

    @property
    def line(self) -> str:
        """Both sentences on one line."""
        return f"{self.what} {self.do}".strip()


def _one_line(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _place_of(error: Exception) -> str:
    """The innermost of our own frames."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and "site-packages" not in path.parts:
            return f"{path.relative_to(_ROOT)}:{frame.lineno}"
    return "an unknown place"


def _rpc_error(error: Exception) -> CommandError | None:
    from temporalio.service import RPCError, RPCStatusCode

    if not isinstance(error, RPCError):
        return None
    if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        return CommandError(
            "Temporal did not answer in time.",
            do="See that it runs and that TEMPORAL_ADDRESS points to it; then run this again, it is safe to repeat.",
            code=ExitCode.UNREACHABLE,
        )
    if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return CommandError(
            "Temporal refused our credentials.",
            do="See TEMPORAL_API_KEY or the TLS settings of your Temporal profile.",
            code=ExitCode.NOT_SET_UP,
        )
    if error.status is RPCStatusCode.NOT_FOUND and "namespace" in str(error).lower():
        return CommandError(
            "Temporal has no such namespace.",
            do="Run `retire setup`, or set TEMPORAL_NAMESPACE.",
            code=ExitCode.NOT_SET_UP,
        )
    return CommandError(
        f"Temporal answered {error.status.name}, in {_place_of(error)}.",
        do="RETIREMENT_DEBUG=1 shows more.",
        code=ExitCode.UNEXPECTED,
    )


def explain(error: Exception) -> CommandError:
    """Turn any exception into what a person can act on. Imports late: only a failing command pays for them."""
    if isinstance(error, CommandError):
        return error
    from sqlalchemy.exc import DBAPIError

    from ledger.errors import KeysError, LedgerNotReady, LedgerUnavailable
    from plans.loading import PlanError
    from worker.connection import ConnectionFailed
    from worker.settings import SettingsError

    if isinstance(error, ConnectionFailed):
        return CommandError(_one_line(error), do="", code=ExitCode.UNREACHABLE)
    if isinstance(error, SettingsError | LedgerNotReady | KeysError | PlanError):
        return CommandError(_one_line(error), do="", code=ExitCode.NOT_SET_UP)
    if isinstance(error, DBAPIError | LedgerUnavailable):
        return CommandError(
            f"The ledger's database does not answer as it should ({type(error).__name__}).",
            do="See that it runs and that RETIREMENT_DATABASE_URL points to it; `retire setup` makes what is missing.",
            code=ExitCode.UNREACHABLE,
        )
    return _rpc_error(error) or CommandError(
        f"Unexpected {type(error).__name__} in {_place_of(error)}.",
        do="Run it again with RETIREMENT_DEBUG=1 for the traceback, and report it.",
        code=ExitCode.UNEXPECTED,
    )

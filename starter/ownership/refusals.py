"""Why a transfer is not done, in words, with what to do about it."""

from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode

if TYPE_CHECKING:
    from ledger.transfers import TransferOpening

_NEEDS = "needs_subject."
_CODES = {
    "not_named": "the plan wants a name",
    "named_self": "nobody takes over from themselves",
    "named_retiring": "they are being retired, too; `retire suggest` names others",
    "named_unsuitable": "the service that owns the role says that they may not; `retire suggest` names who may",
    "nobody_suitable": "nobody suitable was found",
    "successor_retiring": "they are being retired since a moment ago; `retire suggest` names others",
    "successor_lost": "they may not take over any more; `retire resume … --successor ID` names somebody else",
}


def meaning_of(code: str | None) -> str:
    """A code of a refusal in words, with the code itself."""
    if code is None:
        return "-"
    if code.startswith(_NEEDS):
        names = [part.removeprefix(_NEEDS) for part in code.split(",")]
        options = " ".join(f"--subject {name}=…" for name in names)
        return f"the owner is gone, and the plan needs to know of them: {', '.join(names)}; say it ({options})"
    return f"{_CODES.get(code.rpartition(':')[2], 'see the runbook')} ({code})"


def told_obstacle(opening: "TransferOpening") -> str:
    """What stands in the way, in words, with what to do."""
    from ledger.transfers import Obstacle

    id = opening.case.retirement_id if opening.case is not None else ""
    match opening.obstacle:
        case Obstacle.NAMES_ITSELF:
            return "--from and --to name the same person."
        case Obstacle.UNDER_WAY:
            return f"another transfer from this person is under way: {id}. See `retire status {id}`."
        case Obstacle.ERRORED_BEFORE:
            return (
                f"an earlier transfer from this person has stopped: {id}. Go on with `retire resume {id}`, "
                f"or give it up with `retire resume {id} --skip STEP --reason CODE`."
            )
        case Obstacle.PAST_RETURN:
            return (
                f"they are being retired, past the point of no return: {id} hands over what they own itself. "
                f"Where it lacks a successor: `retire resume {id} --successor ID`."
            )
        case Obstacle.RETIRING:
            return "whoever is to take over is being retired. Name somebody else; `retire suggest` says who may."
    return "nothing."


def refused(opening: "TransferOpening") -> CommandError:
    """The end of a command whose wish is not granted."""
    from ledger.transfers import Obstacle

    codes = {Obstacle.NAMES_ITSELF: ExitCode.USAGE, Obstacle.UNDER_WAY: ExitCode.ALREADY_RUNNING}
    assert opening.obstacle is not None
    code = codes.get(opening.obstacle, ExitCode.REFUSED)
    return CommandError(f"Refused ({opening.obstacle}): {told_obstacle(opening)}", do="", code=code)

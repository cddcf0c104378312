"""Where a run of a mirrored retirement begins, decided from the source's row alone. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from activities.mirroring.chain import Chain
from activities.mirroring.row import Row
from workflows.messages import Begin
from workflows.names import ANOTHER_DRIVER, HeldCause, Outcome, Reason

#: The code of a retirement that was taken back at the source, not here.
AT_SOURCE = "at_source"
NO_ROW = "no_row"
STATE_NOT_IN_PLAN = "state_not_in_plan"
WRONG_PERSON = "wrong_person"
ROW_GONE = "row_gone"


class Seen(Enum):
    """How far the row was when it was seen last."""

    NEVER = auto()
    WAITING = auto()
    #: Past the point of no return.
    BEGUN = auto()


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Nothing is to be done, and nothing was changed by us."""

    reason: Reason
    code: str


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A person has to look, or the row has to rest for long enough."""

    code: str
    cause: HeldCause = HeldCause.CONFLICT


def where_to_begin(
    chain: Chain, *, row: Row | None, seen: Seen, now: datetime, adopt: bool = False
) -> Begin | Refuse | Hold:
    """Decide. `adopt`: an operator says that whoever left the row at work doesn't come back."""
    mirror = chain.mirror
    if row is None:
        match seen:
            case Seen.NEVER:
                return Refuse(reason=Reason.NO_SUCH_SUBJECT, code=NO_ROW)
            case Seen.WAITING:
                return Refuse(reason=Reason.RESCINDED, code=AT_SOURCE)
        return Hold(code=ROW_GONE)
    if not row.is_same:
        return Hold(code=WRONG_PERSON)
    match row.state:
        case mirror.errored:
            return Begin(ended=Outcome.ERRORED)
        case mirror.aborted:
            return Refuse(reason=Reason.RESCINDED, code=AT_SOURCE)
        case mirror.complete:
            return Begin(ended=Outcome.COMPLETE)
    at_work = chain.working_on(row.state)
    if at_work is not None:
        if adopt or now - row.moved_at > mirror.adopt_after:
            return Begin(step=at_work, working=True)
        return Hold(code=ANOTHER_DRIVER)
    if row.state == mirror.waiting or chain.is_done(row.state):
        return Begin(step=chain.first_after(row.state), waiting=row.state == mirror.waiting)
    return Refuse(reason=Reason.NOT_ELIGIBLE, code=STATE_NOT_IN_PLAN)

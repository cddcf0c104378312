"""Puts stopped learners back to where work goes on, one by one or many at once. Decided purely, then done.

A move by force may go to any state, so what must not happen (a move into a state of work, under a run that is going on) is
refused here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from activities.mirroring.chain import Chain
from activities.mirroring.notes import masked
from openedx.collecting import Known
from openedx.lms import Lms
from openedx.rewinding import NoTarget, target_before, target_behind, target_of
from openedx.row import Row


class NotMoved(Exception):
    """A learner stays where they are. `code` is constant; `told` says why and what to do; `is_error`: somebody has to."""

    def __init__(self, code: str, told: str, *, is_error: bool = True) -> None:
        super().__init__(code)
        self.code = code
        self.told = told
        self.is_error = is_error


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where an operator says to go on: at a step, or behind one that is left out. Neither: by the row."""

    at: str | None = None
    behind: str | None = None

    def target(self, chain: Chain) -> str | None:
        """The state that is named by it."""
        if self.at is not None:
            return target_before(chain, step=self.at)
        return target_behind(chain, step=self.behind) if self.behind is not None else None


def resumption_of(row: Row, *, known: Known, chain: Chain, where: Where) -> str | None:
    """The state to which a stopped learner's row is moved; None where it stays, and only the run is started anew.

    Raises:
        NotMoved: nothing is to be resumed, or not in this way.
    """
    mirror = chain.mirror
    if known.is_running:
        raise NotMoved("running", "a run is going on; `retire decide` tries a held step again")
    named = where.target(chain)
    if row.state == mirror.errored:
        return named or _target_of(chain, row=row)
    if row.state in (mirror.complete, mirror.aborted):
        raise NotMoved("ended", f"the LMS has it as {row.state}; nothing is left to resume")
    if row.state not in chain.states:
        raise NotMoved("state_not_in_plan", f"its state {row.state} is not in this plan; see the plan's `mirrored`")
    if known.case is None or not (known.case.is_errored or known.case.is_live):
        raise NotMoved("not_stopped", "it has not stopped here; `retire openedx collect` or `retire-one` begins it")
    return named if named != row.state else None


@dataclass(frozen=True, kw_only=True)
class BulkMove:
    """Moves all learners of a state and of dates: to `new_state`, or back (None)."""

    initial_state: str
    start: date
    end: date
    new_state: str | None

    def refusal(self, chain: Chain, *, today: date, allow_working: bool) -> str | None:
        """Why it is not to be done at all; None where it may be."""
        mirror = chain.mirror
        known = list(dict.fromkeys((*chain.states, *sorted(mirror.ends))))
        if self.start > self.end:
            return "--start-date is after --end-date; swap them"
        if self.end > today:
            return "--end-date is in the future; write today or a day before it (UTC)"
        # Where they are may be a state that only an earlier pipeline had: this is the way out of it, and the LMS knows its own.
        if self.new_state is not None and self.new_state not in known:
            return f"--new-state is none of the plan's states; write one of {', '.join(known)}"
        if self.new_state is not None and chain.working_on(self.new_state) is not None and not allow_working:
            return "--new-state is a state of work, where nobody would be at work; add --allow-working if you mean it"
        return None

    def target(self, row: Row, *, known: Known, chain: Chain) -> str:
        """Where one learner is moved.

        Raises:
            NotMoved: a run of theirs is going on, they are there already, or the row doesn't tell where to go back to.
        """
        if known.is_running:
            raise NotMoved("running", "a run is going on", is_error=False)
        target = self.new_state or _target_of(chain, row=row)
        if target == row.state:
            raise NotMoved("there_already", f"it is in {target} already", is_error=False)
        return target


async def force(lms: Lms, row: Row, *, state: str, note: str, chain: Chain) -> None:
    """Move a row by force. `note` goes into the LMS's record; what it holds of the learner is masked."""
    await lms.update(
        username=row.username,
        state=state,
        note=masked(note, values=_values_of(row), mask=chain.mirror.mask),
        force=True,
        was=row.state,
    )


def _target_of(chain: Chain, *, row: Row) -> str:
    try:
        return target_of(chain, last_state=row.last_state)
    except NoTarget as error:
        raise NotMoved("no_target", str(error)) from None


def _values_of(row: Row) -> Mapping[str, object]:
    return {
        "username": row.username,
        "user_id": row.user_id,
        "email": row.original_email,
        "name": row.original_name,
        "retired_username": row.retired_username,
        "retired_email": row.retired_email,
    }

"""Intake: which learners the LMS has for us, which of them a sweep starts, and when it starts nobody. Decided purely, then done.

Sweeps may overlap and may be cut off anywhere: a run's id holds the site and the row's id, and a repeated wish is served once.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from activities.mirroring.chain import Chain
from ledger.rows import Case
from openedx.in_turn import each
from openedx.lms import Lms
from openedx.row import Row
from openedx.site import Site
from openedx.starts import start_of, user_id_of
from workflows.messages import Start
from workflows.names import Outcome, Reason

#: Starts under way at a time: Temporal and the ledger serve others, too.
_AT_A_TIME = 8
#: Whoever was given up by a person's word is collected no more. Every other ABORTED changed nothing at the LMS, and a learner
#: whose row asks for it again (a hold that expired, a state that the plan knows by now) must not be forgotten.
_FOR_GOOD = frozenset({Reason.RESCINDED, Reason.ABANDONED})


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the product knows of a learner: their latest case, and whether a run of theirs is going on."""

    case: Case | None = None
    is_running: bool = False


class Verdict(Enum):
    """What a sweep does about a learner that the LMS lists."""

    #: Nobody has worked on them here.
    NEW = "new"
    #: They are complete here, and were put back in the LMS since: everything is run again.
    AGAIN = "again"
    #: Their run stopped and the row was moved since, or it was lost with its server.
    RESUMES = "resumes"
    RUNNING = "running"
    #: Their run stopped; a person must look and order `resume`.
    WAITS = "waits"
    #: Taken back or given up.
    GIVEN_UP = "given_up"
    #: Complete here; the LMS's list is older than that.
    COMPLETE = "complete"

    @property
    def starts(self) -> bool:
        """Is a run started?"""
        return self in (Verdict.NEW, Verdict.AGAIN, Verdict.RESUMES)


def verdict_on(row: Row, *, known: Known) -> Verdict:
    """Decide about one learner."""
    case = known.case
    if known.is_running:
        return Verdict.RUNNING
    if case is None:
        return Verdict.NEW
    if case.is_live:
        return Verdict.RESUMES
    if case.is_errored:
        return Verdict.RESUMES if row.modified > case.since else Verdict.WAITS
    if case.outcome is Outcome.COMPLETE:
        moved_since = case.closed_at is None or row.modified > case.closed_at
        return Verdict.AGAIN if moved_since else Verdict.COMPLETE
    return Verdict.GIVEN_UP if case.reason in _FOR_GOOD else Verdict.NEW


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What the LMS lists, each learner once. `cooling`: not due yet; `stranded`: at work, perhaps by nobody."""

    cooling: tuple[Row, ...] = field(default=(), repr=False)
    due: tuple[Row, ...] = field(default=(), repr=False)
    stranded: tuple[Row, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A run to be started. `hands_over`: what the plan's `subject.given` names has to be taken in first."""

    row: Row
    start: Start
    verdict: Verdict

    @property
    def hands_over(self) -> bool:
        """A case that is resumed has it in its vault."""
        return self.start.resume is None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one sweep does."""

    cooling: tuple[Beginning, ...] = ()
    due: tuple[Beginning, ...] = ()
    adopted: tuple[Beginning, ...] = ()
    #: New learners, in cool-off and due together, before any limit.
    new: int = 0
    #: Due learners left for the next sweep.
    left: int = 0
    #: There are more new ones than the guard lets in: nobody is started.
    guarded: bool = False
    running: int = 0
    given_up: int = 0
    #: User ids of those that wait for a person.
    waiting: tuple[str, ...] = ()

    @property
    def beginnings(self) -> tuple[Beginning, ...]:
        """All runs to be started: due ones first, they have waited longest."""
        return (*self.due, *self.adopted, *self.cooling)


def sweep_of(listed: Listed, *, known: Mapping[int, Known], site: Site, accept: int | None = None) -> Sweep:
    """Decide what a sweep does. `known` by the row's id; `accept`: the number that an operator has confirmed."""
    verdicts = {
        row.id: verdict_on(row, known=known.get(row.id, Known()))
        for row in (*listed.cooling, *listed.due, *listed.stranded)
    }

    def beginnings(rows: Iterable[Row]) -> tuple[Beginning, ...]:
        return tuple(
            Beginning(
                row=row,
                start=start_of(site, row, case=known.get(row.id, Known()).case),
                verdict=verdicts[row.id],
            )
            for row in sorted(rows, key=lambda row: (row.created, row.id))
            if verdicts[row.id].starts
        )

    asked_for = (*listed.cooling, *listed.due)
    new = sum(verdicts[row.id] in (Verdict.NEW, Verdict.AGAIN) for row in asked_for)
    guarded = new > site.collect.guard and new != accept
    due = beginnings(listed.due)
    taken = due[: site.collect.batch]
    return Sweep(
        cooling=() if guarded else beginnings(listed.cooling),
        due=() if guarded else taken,
        adopted=() if guarded else beginnings(listed.stranded),
        new=new,
        left=0 if guarded else len(due) - len(taken),
        guarded=guarded,
        running=sum(verdict is Verdict.RUNNING for verdict in verdicts.values()),
        given_up=sum(verdict is Verdict.GIVEN_UP for verdict in verdicts.values()),
        waiting=tuple(
            user_id_of(site, row)
            for row in sorted((*asked_for, *listed.stranded), key=lambda row: row.id)
            if verdicts[row.id] is Verdict.WAITS
        ),
    )


def sorted_out(
    *, pending: Sequence[Row], due: Sequence[Row], stranded: Sequence[Row], cool_off: timedelta, now: datetime
) -> Listed:
    """Each learner once: by their newest row, among those in cool-off only while it is not over."""
    newest: dict[int, Row] = {}
    for row in (*pending, *due, *stranded):
        if row.id not in newest or row.modified >= newest[row.id].modified:
            newest[row.id] = row
    are_stranded = {row.id for row in stranded}
    are_due = {row.id for row in due} | {row.id for row in pending if row.created + cool_off <= now}
    return Listed(
        cooling=tuple(row for row in newest.values() if row.id not in are_due | are_stranded),
        due=tuple(row for row in newest.values() if row.id in are_due - are_stranded),
        stranded=tuple(row for row in newest.values() if row.id in are_stranded),
    )


#: Tells what is known of learners, by the row's id.
LookUp = Callable[[Sequence[Row]], Awaitable[Mapping[int, Known]]]


async def look(
    lms: Lms, *, site: Site, chain: Chain, look_up: LookUp, now: datetime, due_only: bool, accept: int | None
) -> Sweep:
    """Ask the LMS for its lists, and decide.

    Raises:
        LmsNotLetIn, LmsRefused, LmsUnreachable: it can't be asked; nobody was started.
    """
    cool_off = timedelta(days=site.cool_off_days)
    between = [chain.mirror.waiting, *(states.done for _, states in chain.steps)]
    pending: list[Row] = []
    if not due_only:
        # From a day before the cool-off of today's due ones began: whoever asked earlier is due, and in the list of those.
        # This needs no record of the last sweep, which two sweeps at once or a restored database could get wrong.
        begin = (now - cool_off - timedelta(days=1)).date()
        pending = await lms.by_status_and_date(state=chain.mirror.waiting, start=begin, end=now.date())
    limit = site.collect.guard + 1
    due = await lms.queue(cool_off_days=site.cool_off_days, states=between, limit=limit)
    is_full = len(due) >= limit
    known: dict[int, Known] = {}

    async def decided(stranded: Sequence[Row] = ()) -> Sweep:
        listed = sorted_out(pending=pending, due=due, stranded=stranded, cool_off=cool_off, now=now)
        rows = (*listed.cooling, *listed.due, *listed.stranded)
        known.update(await look_up([row for row in rows if row.id not in known]))
        return sweep_of(listed, known=known, site=site, accept=accept)

    sweep = await decided()
    if is_full and (sweep.guarded or accept is not None or not sweep.due):
        # Behind a full answer there may be more: others than those that wait, or the number that an operator has to know.
        due = await lms.queue(cool_off_days=site.cool_off_days, states=between)
        sweep = await decided()
    if due_only or sweep.guarded:
        return sweep
    working = [states.working for _, states in chain.steps]
    return await decided(await lms.queue(cool_off_days=0, states=working) if working else ())


async def carry_out(
    sweep: Sweep, *, begin: Callable[[Beginning], Awaitable[bool]], progress: Callable[[int, int], None]
) -> tuple[Beginning, ...]:
    """Start the runs; gives those that were started. `begin` gives False where somebody else was faster to start.

    An error of `begin` is Temporal's or the ledger's, the same for all: the sweep ends with it, and the next one goes on.
    """
    began = await each(sweep.beginnings, begin, at_a_time=_AT_A_TIME, progress=progress)
    return tuple(beginning for beginning, is_ours in zip(sweep.beginnings, began, strict=True) if is_ours)

"""Where a learner's retirement stands, in one line: the LMS's row, the ledger's case and the run's own answer, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from activities.mirroring.chain import Chain
from ledger.rows import Case
from openedx.row import Row
from workflows.messages import Status
from workflows.names import Outcome, Phase, StepResult


@dataclass(frozen=True, kw_only=True)
class Retry:
    """A call that failed and will be tried again."""

    since: datetime | None
    next_try_at: datetime | None


def phase_of(
    row: Row,
    *,
    chain: Chain,
    case: Case | None,
    status: Status | None,
    retries: Sequence[Retry] = (),
    failed: str | None = None,
    cool_off: timedelta,
    now: datetime,
) -> str:
    """What it is doing, or how it ended. `status`: the run's own answer, where one is going on and answers.

    `failed` is the code of a step that failed for good.
    """
    if status is not None and status.outcome is None:
        return _of_run(row, chain=chain, status=status, retries=retries)
    if case is not None and case.is_live:
        return "a run is going on; no worker answers just now" if status is None else "ending"
    if case is not None and case.is_errored:
        return _errored(row, chain=chain, reason=case.code or (case.reason.value if case.reason else failed))
    if case is not None and _says_how_it_ended(case, row=row):
        if case.outcome is Outcome.COMPLETE:
            return "complete"
        return f"aborted ({case.reason.value})" if case.reason else "aborted"
    return _of_row(row, chain=chain, cool_off=cool_off, now=now)


def _says_how_it_ended(case: Case, *, row: Row) -> bool:
    """A row that was moved after the case was closed has begun something new."""
    return case.closed_at is None or row.modified <= case.closed_at


def _of_run(row: Row, *, chain: Chain, status: Status, retries: Sequence[Retry]) -> str:
    """A step that failed for good ends the run once the LMS shows it: until then, why it doesn't is told besides."""
    doing = _doing(row, chain=chain, status=status, retries=retries)
    if row.state == chain.mirror.errored or not any(step.state == StepResult.FAILED for step in status.steps):
        return doing
    waits = f"; {doing}" if status.held or retries else ""
    return f"errored (not yet mirrored){waits}"


def _doing(row: Row, *, chain: Chain, status: Status, retries: Sequence[Retry]) -> str:
    if status.held:
        hold = status.held[0]
        return f"held: {hold.code} (step {hold.step}), until {_told(hold.expires_at)} at the latest"
    if retries:
        since = next((retry.since for retry in retries if retry.since is not None), None)
        until = next((retry.next_try_at for retry in retries if retry.next_try_at is not None), None)
        return f"retrying{f' since {_told(since)}' if since else ''}{f', next try at {_told(until)}' if until else ''}"
    match status.phase:
        case Phase.OPEN | Phase.CHECK | Phase.FREEZE | Phase.RECHECK:
            return "reading the row"
        case Phase.COOL_OFF:
            return "cooling-off"
        case Phase.ERASE:
            return f"retiring {_step(row.state, chain=chain)}"
        case Phase.GOING_BACK:
            return "taking it back"
    return "finishing"


def _step(state: str, *, chain: Chain) -> str:
    """Which step a row is at, or comes to next; the last one behind all of them."""
    steps = [step for step, _ in chain.steps]
    step = chain.working_on(state)
    if step is None and (state == chain.mirror.waiting or chain.is_done(state)):
        step = chain.first_after(state)
    return f"step {steps.index(step) + 1 if step is not None else len(steps)} of {len(steps)}"


def _errored(row: Row, *, chain: Chain, reason: str | None) -> str:
    why = f": {reason}" if reason else ""
    if row.state == chain.mirror.errored:
        return f"errored at {_step(row.last_state, chain=chain)}{why}"
    return f"errored here, not in the LMS{why}"


def _of_row(row: Row, *, chain: Chain, cool_off: timedelta, now: datetime) -> str:
    """Nobody here is at work on it: the row tells alone."""
    mirror = chain.mirror
    match row.state:
        case mirror.waiting:
            is_over = row.created + cool_off <= now
            return "due, not collected yet" if is_over else "cooling-off, not collected yet"
        case mirror.errored:
            return _errored(row, chain=chain, reason="by other scripts")
        case mirror.complete:
            return "complete"
        case mirror.aborted:
            return "aborted"
    step = chain.working_on(row.state)
    if step is not None:
        return f"at {_step(row.state, chain=chain)} since {_told(row.modified)}, not by us"
    if chain.is_done(row.state):
        return "left between steps, not collected yet"
    return f"in a state that is not in this plan: {row.state}"


def _told(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

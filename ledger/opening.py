"""What a start means, decided from the subject's cases alone. Pure: no database, no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ledger.rows import Case, CaseState, StepAction, StepRow, StoredPlan
from workflows.messages import Start
from workflows.names import Direction, Outcome, Reason, StepResult

_GONE = frozenset(
    {
        StepResult.ERASED,
        StepResult.ABSENT,
        StepResult.DONE,
        StepResult.SCRUBBED,
        StepResult.UNVERIFIED,
        StepResult.TRANSFERRED,
        # Nobody knows how far whoever does it has come.
        StepResult.MANUAL,
    }
)
#: The code of a transfer step that found nothing to hand over.
NOTHING_OWNED = "nothing_owned"
#: Phases whose effects nobody can take back.
_FOR_GOOD = frozenset({"transfer", "erase"})


class Opening(Enum):
    """What a start does."""

    OPENS = auto()
    #: The same run asks again: it is given its case as it is.
    CONTINUES = auto()
    RESUMES = auto()
    REFUSED = auto()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a start does, and to which case."""

    opening: Opening
    case: Case | None = None
    reason: Reason | None = None
    direction: Direction | None = None


def decide(
    *,
    start: Start,
    run_key: str,
    cases: Sequence[Case],
    request_seen: bool,
    steps: Iterable[StepRow],
    plan: StoredPlan,
) -> Decision:
    """Decide about a start.

    Args:
        start: What is asked for.
        run_key: First run id of the run that asks.
        cases: All cases of the subject, newest first.
        request_seen: Has the start's request id opened or resumed a case of the subject before?
        steps: Step rows of the case that is not closed, if there is one.
        plan: The plan the case would run by.
    """
    unclosed = next((case for case in cases if case.state is not CaseState.CLOSED), None)
    if unclosed is not None and unclosed.is_live and unclosed.run_key == run_key:
        return Decision(opening=Opening.CONTINUES, case=unclosed)
    latest = unclosed or (cases[0] if cases else None)
    if start.resume is not None:
        return _decide_resume(
            start=start, case=unclosed, latest=latest, request_seen=request_seen, steps=steps, plan=plan
        )

    def refused(reason: Reason, case: Case | None = latest) -> Decision:
        return Decision(opening=Opening.REFUSED, reason=reason, case=case)

    if unclosed is not None:
        return refused(Reason.ALREADY_RUNNING if unclosed.is_live else Reason.ERRORED_BEFORE)
    own = next((case for case in cases if case.run_key == run_key), None)
    if own is not None:  # a reset of a run that has ended: its case is over, whatever the start says
        complete = own.outcome is Outcome.COMPLETE
        return refused(Reason.ALREADY_COMPLETE if complete else Reason.DUPLICATE_REQUEST, own)
    if latest is not None and latest.outcome is Outcome.COMPLETE and not start.again:
        return refused(Reason.ALREADY_COMPLETE)
    if request_seen:
        return refused(Reason.DUPLICATE_REQUEST)
    return Decision(opening=Opening.OPENS)


def _decide_resume(
    *,
    start: Start,
    case: Case | None,
    latest: Case | None,
    request_seen: bool,
    steps: Iterable[StepRow],
    plan: StoredPlan,
) -> Decision:
    def refused(reason: Reason) -> Decision:
        return Decision(opening=Opening.REFUSED, reason=reason, case=latest)

    # A case that is live in another run may be resumed, too: Temporal runs one of a workflow id at a time, so that run is gone
    # (terminated, or lost with its server).
    if case is None or case.retirement_id != start.resume:
        return refused(Reason.NOT_RESUMABLE)
    if request_seen:
        return refused(Reason.DUPLICATE_REQUEST)
    steps = tuple(steps)
    may_turn = case.state is not CaseState.PAST_RETURN or nothing_is_gone(steps=steps, plan=plan)
    ended_steps_exist = all(row.step in plan.phases for row in steps if row.has_ended)
    skipped_steps_exist = all(skip.step in plan.phases for skip in start.skip)
    if (start.go_back and not may_turn) or not ended_steps_exist or not skipped_steps_exist:
        return refused(Reason.NOT_RESUMABLE)
    back = start.go_back or case.state is CaseState.GOING_BACK
    return Decision(opening=Opening.RESUMES, case=case, direction=Direction.BACK if back else Direction.FORWARD)


def nothing_is_gone(*, steps: Iterable[StepRow], plan: StoredPlan) -> bool:
    """Is the way back still open, as nothing was handed over or erased?"""
    return not gone(steps=steps, plan=plan)


def gone(*, steps: Iterable[StepRow], plan: StoredPlan) -> list[str]:
    """The steps after which something is handed over or erased for good, or may be: one begun with an unknown outcome counts.

    A step the plan no longer names counts as erasing.
    """
    return [
        row.step
        for row in steps
        if row.action is StepAction.DO
        and plan.phases.get(row.step, "erase") in _FOR_GOOD
        and (row.result in _GONE or row.touched)
        and not _owned_nothing(row)
    ]


def _owned_nothing(row: StepRow) -> bool:
    """There was nothing to hand over, and so nothing was."""
    return row.result is StepResult.ABSENT and row.code == NOTHING_OWNED

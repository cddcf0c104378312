"""What a start means, as a table: the decision is a pure function of the subject's cases."""

from typing import Any

import pytest

from ledger import Case, CaseState, StepAction, StepRow
from ledger.opening import Opening, decide
from tests.support.ledgers import NOW, a_stored_plan
from workflows.messages import Skip, Start
from workflows.names import Direction, Outcome, Reason, StepResult


def case_in_the_ledger(**overrides: Any) -> Case:
    values: dict[str, Any] = {
        "retirement_id": "r-1",
        "workflow_id": "retire-user-u-1",
        "state": CaseState.OPEN,
        "outcome": None,
        "reason": None,
        "direction": None,
        "plan": "acme",
        "plan_digest": "digest-1",
        "run_key": "run-1",
        "resumed_run_key": None,
        "request_id": None,
        "requested_by": None,
        "reason_code": None,
        "tenant": None,
        "locale": None,
        "requested_at": NOW,
        "opened_at": NOW,
        "cool_off_ends_at": NOW,
        "due_at": NOW,
        "since": NOW,
        "closed_at": None,
        "hosts": {},
        "present": None,
        "claims": None,
        "shredded_at": None,
    }
    return Case(**values | overrides)


LIVE = case_in_the_ledger()
ERRORED = case_in_the_ledger(state=CaseState.PAST_RETURN, outcome=Outcome.ERRORED, direction=Direction.FORWARD)
ERRORED_EARLY = case_in_the_ledger(outcome=Outcome.ERRORED, direction=Direction.FORWARD)
ERRORED_BACK = case_in_the_ledger(state=CaseState.GOING_BACK, outcome=Outcome.ERRORED, direction=Direction.BACK)
COMPLETE = case_in_the_ledger(state=CaseState.CLOSED, outcome=Outcome.COMPLETE)
ABORTED = case_in_the_ledger(state=CaseState.CLOSED, outcome=Outcome.ABORTED, reason=Reason.RESCINDED)
OLDER = case_in_the_ledger(retirement_id="r-0", state=CaseState.CLOSED, outcome=Outcome.COMPLETE, run_key="run-0")

ERASED = StepRow(step="forum", action=StepAction.DO, result=StepResult.ERASED)
TOUCHED = StepRow(step="forum", action=StepAction.DO, touched=True, failures=1)
FAILED = StepRow(step="forum", action=StepAction.DO, result=StepResult.FAILED)
FROZEN = StepRow(step="lock", action=StepAction.DO, result=StepResult.DONE, touched=True)
REMOVED = StepRow(step="removed", action=StepAction.DO, result=StepResult.ERASED)
REMOVED_UNENDED = StepRow(step="removed", action=StepAction.DO, result=StepResult.FAILED)
SKIP = Skip(step="forum", by="op-1", reason_code="gone_by_hand")
SKIP_UNKNOWN = Skip(step="forun", by="op-1", reason_code="gone_by_hand")


def start(**fields: Any) -> Start:
    return Start(user_id="u-1", **fields)


@pytest.mark.parametrize(
    ("cases", "asked", "run_key", "seen", "expected"),
    [
        ([], start(), "run-2", False, Opening.OPENS),
        ([], start(again=True), "run-2", False, Opening.OPENS),
        ([], start(resume="r-1"), "run-2", False, Reason.NOT_RESUMABLE),
        # The same run asks again: an activity repeated, or a run reset.
        ([LIVE], start(), "run-1", False, Opening.CONTINUES),
        ([LIVE], start(request_id="q"), "run-1", True, Opening.CONTINUES),
        ([LIVE], start(resume="r-1"), "run-1", False, Opening.CONTINUES),
        ([LIVE, OLDER], start(), "run-1", False, Opening.CONTINUES),
        ([COMPLETE], start(), "run-1", False, Reason.ALREADY_COMPLETE),
        ([COMPLETE], start(again=True), "run-1", False, Reason.ALREADY_COMPLETE),
        ([ABORTED], start(), "run-1", False, Reason.DUPLICATE_REQUEST),
        ([ABORTED], start(again=True), "run-1", False, Reason.DUPLICATE_REQUEST),
        ([ABORTED, OLDER], start(again=True), "run-0", False, Reason.ALREADY_COMPLETE),
        ([ERRORED], start(), "run-1", False, Reason.ERRORED_BEFORE),
        # Another run.
        ([LIVE], start(), "run-2", False, Reason.ALREADY_RUNNING),
        ([LIVE], start(again=True), "run-2", False, Reason.ALREADY_RUNNING),
        ([LIVE, OLDER], start(again=True), "run-0", False, Reason.ALREADY_RUNNING),
        # Temporal runs one of a workflow id at a time, so the run it was live in is gone.
        ([LIVE], start(resume="r-1"), "run-2", False, Opening.RESUMES),
        ([ERRORED], start(), "run-2", False, Reason.ERRORED_BEFORE),
        ([ERRORED], start(request_id="q"), "run-2", True, Reason.ERRORED_BEFORE),
        ([ERRORED], start(again=True), "run-2", False, Reason.ERRORED_BEFORE),
        ([COMPLETE], start(), "run-2", False, Reason.ALREADY_COMPLETE),
        ([COMPLETE], start(request_id="q"), "run-2", True, Reason.ALREADY_COMPLETE),
        ([COMPLETE], start(again=True), "run-2", False, Opening.OPENS),
        ([COMPLETE], start(again=True, request_id="q"), "run-2", True, Reason.DUPLICATE_REQUEST),
        ([COMPLETE], start(resume="r-1"), "run-2", False, Reason.NOT_RESUMABLE),
        ([ABORTED], start(), "run-2", False, Opening.OPENS),
        ([ABORTED], start(request_id="q2"), "run-2", False, Opening.OPENS),
        ([ABORTED], start(request_id="q"), "run-2", True, Reason.DUPLICATE_REQUEST),
        ([ABORTED, OLDER], start(), "run-2", False, Opening.OPENS),
        ([ABORTED], start(resume="r-1"), "run-2", False, Reason.NOT_RESUMABLE),
        # A resume.
        ([ERRORED], start(resume="r-1"), "run-2", False, Opening.RESUMES),
        ([ERRORED], start(resume="r-1"), "run-1", False, Opening.RESUMES),
        ([ERRORED], start(resume="r-9"), "run-2", False, Reason.NOT_RESUMABLE),
        ([ERRORED], start(resume="r-1", request_id="q"), "run-2", True, Reason.DUPLICATE_REQUEST),
        ([ERRORED, OLDER], start(resume="r-0"), "run-2", False, Reason.NOT_RESUMABLE),
        ([ERRORED_BACK], start(resume="r-1"), "run-2", False, Opening.RESUMES),
    ],
)
def test_a_start_is_decided_from_the_cases_of_the_subject(
    cases: list[Case], asked: Start, run_key: str, seen: bool, expected: Opening | Reason
) -> None:
    plan = a_stored_plan()
    decision = decide(start=asked, run_key=run_key, cases=cases, request_seen=seen, steps=(), plan=plan)
    if isinstance(expected, Reason):
        assert (decision.opening, decision.reason) == (Opening.REFUSED, expected)
    else:
        assert (decision.opening, decision.reason) == (expected, None)


@pytest.mark.parametrize(
    ("case", "asked", "steps", "expected"),
    [
        (ERRORED, start(resume="r-1"), [ERASED], Direction.FORWARD),
        (ERRORED, start(resume="r-1", skip=(SKIP,)), [FAILED], Direction.FORWARD),
        (ERRORED, start(resume="r-1", skip=(SKIP_UNKNOWN,)), [FAILED], None),
        (ERRORED_BACK, start(resume="r-1"), [FROZEN], Direction.BACK),
        (ERRORED_BACK, start(resume="r-1", go_back=True), [FROZEN], Direction.BACK),
        (ERRORED_EARLY, start(resume="r-1"), [FROZEN], Direction.FORWARD),
        (ERRORED_EARLY, start(resume="r-1", go_back=True), [FROZEN], Direction.BACK),
        # The way back, after the point: only while nothing can be gone.
        (ERRORED, start(resume="r-1", go_back=True), [], Direction.BACK),
        (ERRORED, start(resume="r-1", go_back=True), [FROZEN, FAILED], Direction.BACK),
        (ERRORED, start(resume="r-1", go_back=True), [ERASED], None),
        (ERRORED, start(resume="r-1", go_back=True), [TOUCHED], None),
        (ERRORED, start(resume="r-1", go_back=True), [REMOVED], None),
        # Today's plan has to know what has ended.
        (ERRORED, start(resume="r-1", current_plan=True), [ERASED], Direction.FORWARD),
        (ERRORED, start(resume="r-1", current_plan=True), [REMOVED], None),
        (ERRORED, start(resume="r-1", current_plan=True), [REMOVED_UNENDED], Direction.FORWARD),
    ],
)
def test_a_resume_keeps_its_direction_and_turns_only_while_nothing_is_gone(
    case: Case, asked: Start, steps: list[StepRow], expected: Direction | None
) -> None:
    decision = decide(start=asked, run_key="run-2", cases=[case], request_seen=False, steps=steps, plan=a_stored_plan())
    assert decision.direction is expected
    assert decision.reason is (Reason.NOT_RESUMABLE if expected is None else None)

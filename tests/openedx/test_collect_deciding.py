"""Whom a sweep starts, decided: by what the LMS lists and what is known here, before anything is done."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.rows import Case, CaseState
from openedx.collecting import Known, Listed, Sweep, Verdict, sorted_out, sweep_of, verdict_on
from openedx.row import Row
from openedx.site import Site
from openedx.starts import start_of
from tests.openedx.sites import a_row, a_site
from workflows.names import Outcome, Reason
from workflows.reading import read_start

_NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
_MOVED = datetime(2026, 3, 10, tzinfo=UTC)


def a_case(**changes: Any) -> Case:
    """A case, closed long before the row was moved unless said otherwise."""
    early = _MOVED - timedelta(days=1)
    fields: dict[str, Any] = {
        "retirement_id": "r-1", "workflow_id": None, "state": CaseState.CLOSED, "outcome": Outcome.COMPLETE, "reason": None,
        "direction": None, "plan": "openedx", "plan_digest": "d", "run_key": "run", "resumed_run_key": None,
        "request_id": None, "requested_by": None, "reason_code": None, "tenant": None, "locale": None,
        "requested_at": early, "opened_at": early, "cool_off_ends_at": early, "due_at": early, "since": early,
        "closed_at": early, "hosts": {}, "present": None, "claims": None, "shredded_at": None,
    }  # fmt: skip
    return Case(**{**fields, **changes})


_LIVE = a_case(state=CaseState.OPEN, outcome=None, closed_at=None)
_ERRORED = a_case(state=CaseState.PAST_RETURN, outcome=Outcome.ERRORED, closed_at=None)
_LATER = _MOVED + timedelta(hours=1)


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (Known(), Verdict.NEW),
        (Known(is_running=True), Verdict.RUNNING),
        (Known(case=_LIVE, is_running=True), Verdict.RUNNING),
        (Known(case=_LIVE), Verdict.RESUMES),
        (Known(case=_ERRORED), Verdict.RESUMES),
        (Known(case=a_case(state=CaseState.OPEN, outcome=Outcome.ERRORED, since=_LATER)), Verdict.WAITS),
        (Known(case=a_case()), Verdict.AGAIN),
        (Known(case=a_case(closed_at=_LATER)), Verdict.COMPLETE),
        (Known(case=a_case(outcome=Outcome.ABORTED, reason=Reason.RESCINDED)), Verdict.GIVEN_UP),
        (Known(case=a_case(outcome=Outcome.ABORTED, reason=Reason.ABANDONED)), Verdict.GIVEN_UP),
        (Known(case=a_case(outcome=Outcome.ABORTED, reason=Reason.HOLD_EXPIRED)), Verdict.NEW),
        (Known(case=a_case(outcome=Outcome.ABORTED, reason=Reason.NOT_ELIGIBLE)), Verdict.NEW),
    ],
)
def test_one_learner_is_judged_by_what_is_known(known: Known, verdict: Verdict) -> None:
    assert verdict_on(a_row(modified=_MOVED.isoformat()), known=known) is verdict


def test_a_start_says_all_that_a_run_needs_and_nothing_personal() -> None:
    row = a_row(46, username="Ann Archer")
    start = start_of(a_site(cool_off_days=30), row, case=None)
    assert start.user_id == "courses-46"
    assert (start.plan, start.requested_at, start.cool_off) == ("openedx", row.created, timedelta(days=30))
    assert start.request_id == "row-46-2026-03-01T10:00:00.250000+00:00"
    assert not start.again and start.resume is None
    sent = start.model_dump_json(exclude_defaults=True)
    assert not any(value in sent for value in ("Ann", "Archer", "5000046", "retired__"))
    # The workflow reads it as it is meant.
    assert read_start([start.model_dump(mode="json", exclude_defaults=True)]) == start


def test_a_learner_who_was_put_back_is_run_again_under_another_request() -> None:
    first, again = start_of(a_site(), a_row(), case=None), start_of(a_site(), a_row(), case=a_case())
    assert again.again and again.resume is None
    assert again.request_id == f"{first.request_id}-r-1"


def test_a_stopped_case_is_resumed_and_a_second_resume_is_another_request() -> None:
    start = start_of(a_site(), a_row(), case=_ERRORED)
    assert (start.resume, start.again, start.plan, start.cool_off) == ("r-1", False, None, None)
    later = start_of(a_site(), a_row(modified="2026-03-11T00:00:00Z"), case=_ERRORED)
    assert later.request_id != start.request_id
    assert read_start([later.model_dump(mode="json", exclude_defaults=True)]) == later


def test_36_two_usernames_that_differ_in_case_are_two_retirements() -> None:
    rows = (a_row(1, username="Ann"), a_row(2, username="ann"))
    sweep = _decide(due=rows)
    assert [beginning.start.user_id for beginning in sweep.due] == ["courses-1", "courses-2"]


def _decide(
    *,
    cooling: Sequence[Row] = (),
    due: Sequence[Row] = (),
    stranded: Sequence[Row] = (),
    known: Mapping[int, Known] | None = None,
    accept: int | None = None,
    site: Site | None = None,
) -> Sweep:
    listed = Listed(cooling=tuple(cooling), due=tuple(due), stranded=tuple(stranded))
    return sweep_of(listed, known=known or {}, site=site or a_site(), accept=accept)


def _rows(first: int, count: int, **changes: Any) -> list[Row]:
    return [a_row(number, **changes) for number in range(first, first + count)]


def test_36_301_new_learners_start_nobody() -> None:
    sweep = _decide(cooling=_rows(1, 150), due=_rows(1000, 151), stranded=_rows(5000, 3))
    assert (sweep.new, sweep.guarded, sweep.beginnings) == (301, True, ())


def test_36_300_are_let_in_and_200_of_the_due_ones_are_started() -> None:
    sweep = _decide(cooling=_rows(1, 50), due=_rows(1000, 250))
    assert (sweep.new, sweep.guarded) == (300, False)
    assert (len(sweep.cooling), len(sweep.due), sweep.left) == (50, 200, 50)


def test_the_guard_counts_before_the_batch_limit() -> None:
    """A batch limit that cuts first would let in any number, a batch a sweep."""
    sweep = _decide(due=_rows(1, 301), site=a_site(batch=10))
    assert sweep.guarded


def test_who_is_known_is_not_counted_as_new() -> None:
    due = _rows(1, 400)
    known = {row.id: Known(is_running=True) for row in due[:150]}
    sweep = _decide(due=due, known=known)
    assert (sweep.new, sweep.guarded, sweep.running) == (250, False, 150)


def test_who_is_run_again_is_counted_as_new_and_who_is_resumed_is_not() -> None:
    due = _rows(1, 400, modified=_MOVED.isoformat())
    complete = {row.id: Known(case=a_case(retirement_id=f"r-{row.id}")) for row in due}
    assert _decide(due=due, known=complete).new == 400
    stopped = {row.id: Known(case=_ERRORED) for row in due}
    sweep = _decide(due=due, known=stopped)
    assert (sweep.new, sweep.guarded, len(sweep.due), sweep.left) == (0, False, 200, 200)


@pytest.mark.parametrize(("accept", "guarded"), [(400, True), (401, False), (402, True), (None, True)])
def test_an_operator_accepts_exactly_the_number_that_there_is(accept: int | None, guarded: bool) -> None:
    assert _decide(due=_rows(1, 401), accept=accept).guarded is guarded


def test_a_wrong_number_does_not_stop_what_the_guard_lets_in() -> None:
    assert len(_decide(due=_rows(1, 5), accept=7).due) == 5


def test_those_who_waited_longest_come_first() -> None:
    due = [a_row(1, created="2026-03-03T00:00:00Z"), a_row(2, created="2026-03-02T00:00:00Z")]
    sweep = _decide(due=due, site=a_site(batch=1))
    assert [beginning.row.id for beginning in sweep.due] == [2]


def test_who_waits_for_a_person_is_named_and_not_started() -> None:
    errored = a_case(state=CaseState.OPEN, outcome=Outcome.ERRORED, since=_LATER)
    sweep = _decide(due=[a_row(7, modified=_MOVED.isoformat())], known={7: Known(case=errored)})
    assert (sweep.beginnings, sweep.waiting) == ((), ("courses-7",))


def test_stranded_learners_are_adopted_but_those_at_work_here_are_not() -> None:
    stranded = [a_row(1, state="RETIRING_LMS"), a_row(2, state="RETIRING_LMS")]
    sweep = _decide(stranded=stranded, known={2: Known(case=_LIVE, is_running=True)})
    assert [beginning.start.user_id for beginning in sweep.adopted] == ["courses-1"]


def test_each_learner_is_in_one_list_by_the_newest_row() -> None:
    waiting = a_row(1, created="2026-03-19T00:00:00Z")
    over = a_row(2, created="2026-03-13T00:00:00Z")
    before = a_row(3, created="2026-03-12T00:00:00Z")
    at_work = a_row(3, created="2026-03-12T00:00:00Z", modified="2026-03-20T11:59:00Z", state="RETIRING_LMS")
    listed = sorted_out(
        pending=[waiting, over, before], due=[over, before], stranded=[at_work], cool_off=timedelta(days=7), now=_NOW
    )
    assert [row.id for row in listed.cooling] == [1]
    assert [row.id for row in listed.due] == [2]
    assert listed.stranded == (at_work,)


def test_who_is_due_is_due_even_where_only_the_list_of_dates_names_them() -> None:
    over = a_row(2, created="2026-03-13T00:00:00Z")
    listed = sorted_out(pending=[over], due=[], stranded=[], cool_off=timedelta(days=7), now=_NOW)
    assert (listed.cooling, listed.due) == ((), (over,))


def test_what_a_sweep_knows_of_learners_is_in_no_repr() -> None:
    sweep = _decide(due=[a_row(1, username="ann-secret")])
    listed = Listed(due=(a_row(1, username="ann-secret"),))
    assert "ann-secret" not in f"{sweep!r} {listed!r}"

"""Attempts and outcomes of steps, and how many transactions they cost."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger import Ledger, LedgerUnavailable, StepRow, Transactions
from tests.support.ledgers import NOW, a_case
from workflows.messages import StepOutcome
from workflows.names import StepResult


async def attempt(ledger: Ledger, rid: str, *, number: int, at: datetime = NOW, **overrides: Any) -> StepRow:
    values: dict[str, Any] = {
        "retirement_id": rid,
        "step": "forum",
        "action": "do",
        "at": at,
        "code": "http_503",
        "attempt": number,
        "touched": False,
        "service": "forum",
    }
    return await ledger.record_attempt(**values | overrides)


async def end(ledger: Ledger, rid: str, result: StepResult, **overrides: Any) -> None:
    outcome = StepOutcome(step="forum", result=result, at=NOW, **overrides)
    await ledger.record_outcome(
        retirement_id=rid, step="forum", action="do", outcome=outcome, service="forum", saved=None
    )


async def test_failed_attempts_are_counted_from_the_first(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    first = await attempt(ledger, rid, number=1)
    assert (first.failures, first.first_failed_at, first.last_code, first.touched) == (1, NOW, "http_503", False)
    second = await attempt(ledger, rid, number=2, at=NOW + timedelta(minutes=1), code="timeout", service=None)
    assert (second.failures, second.first_failed_at, second.last_code) == (2, NOW, "timeout")
    assert (second.touched, second.service) == (False, "forum")
    start = await ledger.begin_step(retirement_id=rid, step="forum", action="do")
    assert start.row == second


async def test_an_attempt_that_left_no_trace_may_have_taken_effect(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    assert (await attempt(ledger, rid, number=2)).touched, "the first was lost"
    assert not (await attempt(ledger, rid, number=1, step="profile")).touched
    assert not (await attempt(ledger, rid, number=2, step="profile")).touched
    assert (await attempt(ledger, rid, number=4, step="profile")).touched, "the third was lost"
    assert (await attempt(ledger, rid, number=5, step="profile")).touched, "once touched, always touched"


async def test_what_a_step_has_touched_and_lied_is_remembered(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    assert (await attempt(ledger, rid, number=1, touched=True, lied=True)).lies == 1
    row = await attempt(ledger, rid, number=2)
    assert (row.lies, row.touched) == (1, True)
    assert (await attempt(ledger, rid, number=3, lied=True)).lies == 2


async def test_requests_that_timed_out_are_counted_until_a_success(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    assert (await attempt(ledger, rid, number=1, code="timeout", timed_out=True)).timeouts == 1
    assert (await attempt(ledger, rid, number=2, code="timeout")).timeouts == 1, "of its probe, say"
    assert (await attempt(ledger, rid, number=3, code="timeout", timed_out=True)).timeouts == 2
    await end(ledger, rid, StepResult.FAILED, code="timeout")
    assert [row.timeouts for row in await ledger.steps(rid)] == [2]
    await end(ledger, rid, StepResult.ERASED)
    assert [row.timeouts for row in await ledger.steps(rid)] == [0]


async def test_a_success_ends_the_failures_but_not_what_is_known(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await attempt(ledger, rid, number=1, lied=True)
    await end(ledger, rid, StepResult.ERASED)
    (row,) = await ledger.steps(rid)
    assert (row.failures, row.first_failed_at, row.lies, row.last_code) == (0, None, 1, "http_503")
    assert row.has_ended and row.outcome == StepOutcome(step="forum", result=StepResult.ERASED, at=NOW)
    later = NOW + timedelta(days=1)
    assert (await attempt(ledger, rid, number=1, at=later)).first_failed_at == later


async def test_a_failure_keeps_its_count(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await attempt(ledger, rid, number=1)
    await end(ledger, rid, StepResult.FAILED, code="http_503", detail="DELETE /authors/{{ user_id }} 503")
    (row,) = await ledger.steps(rid)
    assert (row.failures, row.first_failed_at, row.has_ended) == (1, NOW, False)
    assert (row.code, row.detail) == ("http_503", "DELETE /authors/{{ user_id }} 503")


async def test_a_later_outcome_replaces_the_row_and_the_record_keeps_both(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await end(ledger, rid, StepResult.DONE, code="accepted")
    until = NOW + timedelta(days=3650)
    final = [
        StepOutcome(step="forum", result=StepResult.ERASED, at=NOW),
        StepOutcome(step="invoices", result=StepResult.RETAINED, code="tax law", until=until, at=NOW),
    ]
    await ledger.record_outcomes(rid, final)
    await ledger.record_outcomes(rid, [])
    rows = await ledger.steps(rid)
    assert [row.outcome for row in rows] == final
    assert [row.service for row in rows] == ["forum", None]
    assert [(outcome.step, outcome.result) for _, outcome in await ledger.outcomes(rid)] == [
        ("forum", "done"),
        ("forum", "erased"),
        ("invoices", "retained"),
    ]


async def test_an_undo_has_a_row_of_its_own_and_a_mail_is_no_step(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await end(ledger, rid, StepResult.DONE)
    await attempt(ledger, rid, number=1, action="undo")
    await attempt(ledger, rid, number=1, action="mail", step="mail-received", service=None)
    assert (await attempt(ledger, rid, number=2, action="mail", step="mail-received", service=None)).failures == 2
    assert [(row.step, row.action, row.result) for row in await ledger.steps(rid)] == [
        ("forum", "do", "done"),
        ("forum", "undo", None),
    ]


async def test_a_step_begins_and_ends_in_one_transaction_each(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id

    async def cost(work: Any) -> Transactions:
        before = ledger.transactions
        await work
        after = ledger.transactions
        return Transactions(reads=after.reads - before.reads, writes=after.writes - before.writes)

    assert await cost(ledger.begin_step(retirement_id=rid, step="forum", action="do")) == (1, 0)
    outcome = StepOutcome(step="forum", result=StepResult.ERASED, at=NOW)
    written = ledger.record_outcome(
        retirement_id=rid, step="forum", action="do", outcome=outcome, service="forum", saved={"number": 7}
    )
    assert await cost(written) == (0, 1)
    assert await cost(attempt(ledger, rid, number=1)) == (0, 1)
    assert await cost(ledger.record_outcomes(rid, [outcome, outcome.model_copy(update={"step": "x"})])) == (0, 1)
    assert await cost(a_case(ledger, user_id="u-2", run_key="run-2", request_id="q")) == (0, 1)
    assert await cost(ledger.store_subject(retirement_id=rid, values={"a": 1}, present=())) == (0, 1)
    assert await cost(ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=NOW)) == (0, 1)


async def test_an_outcome_of_another_step_is_refused(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    outcome = StepOutcome(step="profile", result=StepResult.ERASED, at=NOW)
    with pytest.raises(ValueError, match="another step"):
        await ledger.record_outcome(
            retirement_id=rid, step="forum", action="do", outcome=outcome, service=None, saved=None
        )


async def test_an_error_of_the_database_shows_no_value(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable) as raised:
        await attempt(ledger, "r-unknown", number=1, code="canary-value")
    told = repr(raised.value)
    assert "IntegrityError" in told and "canary" not in told and "r-unknown" not in told
    assert raised.value.__cause__ is None and raised.value.__suppress_context__

"""A case's life in the ledger: moves by compare-and-set, endings, messages."""

import asyncio
from datetime import timedelta

import pytest

from ledger import Case, Ledger, LedgerConflict, UnknownCase
from tests.support.ledgers import NOW, a_case, a_stored_plan
from workflows.messages import MessageRow, StepOutcome
from workflows.names import Direction, Outcome, Reason, StepResult


def a_message(**overrides: object) -> MessageRow:
    values = {"kind": "rescind", "accepted": True, "code": "accepted", "at": NOW, "by": "support-7"} | overrides
    return MessageRow.model_validate(values)


async def state_of(ledger: Ledger, case: Case) -> str:
    found = await ledger.case(case.retirement_id)
    assert found is not None
    return found.state


async def test_either_the_point_is_passed_or_the_case_turns_back(ledger: Ledger) -> None:
    for n in range(10):
        rid = (await a_case(ledger, user_id=f"u-{n}", run_key=f"run-{n}")).retirement_id
        passed, turned = await asyncio.gather(
            ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=NOW),
            ledger.move(retirement_id=rid, from_state="open", to_state="going_back", now=NOW, reason=Reason.RESCINDED),
        )
        assert passed.moved is not turned.moved
        assert passed.state == turned.state == ("past_return" if passed.moved else "going_back")


async def test_a_repeated_move_counts_as_made_and_repeats_no_message(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    later = NOW + timedelta(hours=1)
    for _ in range(2):
        moved = await ledger.move(
            retirement_id=rid,
            from_state="open",
            to_state="going_back",
            now=later,
            messages=[a_message()],
            reason=Reason.RESCINDED,
        )
        assert (moved.moved, moved.state) == (True, "going_back")
    assert await ledger.messages(rid) == [a_message()]
    case = await ledger.case(rid)
    assert case is not None and (case.reason, case.since) == (Reason.RESCINDED, later)


async def test_a_refused_move_leaves_all_as_it_was(ledger: Ledger) -> None:
    case = await a_case(ledger)
    rid = case.retirement_id
    await ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=NOW)
    before = await ledger.case(rid)
    refused = await ledger.move(
        retirement_id=rid,
        from_state="open",
        to_state="going_back",
        now=NOW + timedelta(hours=1),
        messages=[a_message()],
        reason=Reason.RESCINDED,
    )
    assert (refused.moved, refused.state) == (False, "past_return")
    assert await ledger.case(rid) == before and await ledger.messages(rid) == []


@pytest.mark.parametrize(
    ("result", "touched", "moves"),
    [
        (None, False, True),
        (StepResult.FAILED, False, True),
        (StepResult.RETAINED, False, True),
        (StepResult.SKIPPED, False, True),
        (None, True, False),
        (StepResult.FAILED, True, False),
        (StepResult.ERASED, False, False),
        (StepResult.ABSENT, False, False),
        (StepResult.DONE, False, False),
        (StepResult.UNVERIFIED, False, False),
    ],
)
async def test_after_the_point_the_way_back_is_open_only_while_nothing_is_gone(
    ledger: Ledger, result: StepResult | None, touched: bool, moves: bool
) -> None:
    rid = (await a_case(ledger)).retirement_id
    await ledger.record_outcomes(rid, [StepOutcome(step="lock", result=StepResult.DONE, at=NOW)])
    await ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=NOW)
    await ledger.record_attempt(
        retirement_id=rid, step="forum", action="do", at=NOW, code="x", attempt=1, touched=touched, service="forum"
    )
    if result is not None:
        await ledger.record_outcomes(rid, [StepOutcome(step="forum", result=result, at=NOW)])
    moved = await ledger.move(retirement_id=rid, from_state="past_return", to_state="going_back", now=NOW)
    assert moved.moved is moves
    assert moved.state == ("going_back" if moves else "past_return")


async def test_no_other_move_exists(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    for states in (("going_back", "open"), ("past_return", "open"), ("open", "closed"), ("going_back", "past_return")):
        with pytest.raises(ValueError, match="never moves"):
            await ledger.move(retirement_id=rid, from_state=states[0], to_state=states[1], now=NOW)


async def test_a_case_nobody_opened_is_told(ledger: Ledger) -> None:
    with pytest.raises(UnknownCase):
        await ledger.move(retirement_id="r-x", from_state="open", to_state="past_return", now=NOW)
    with pytest.raises(UnknownCase):
        await ledger.begin_step(retirement_id="r-x", step="lock", action="do")
    with pytest.raises(UnknownCase):
        await ledger.record_messages(retirement_id="r-x", messages=[a_message()])


async def test_a_closed_case_names_nobody_and_holds_no_vault(ledger: Ledger) -> None:
    case = await a_case(ledger)
    assert case.workflow_id == "retire-user-u-1"
    await ledger.move(retirement_id=case.retirement_id, from_state="open", to_state="past_return", now=NOW)
    later = NOW + timedelta(days=14)
    for _ in range(2):
        closed = await ledger.close_case(
            retirement_id=case.retirement_id,
            outcome=Outcome.COMPLETE,
            reason=None,
            direction=None,
            now=later,
            messages=[a_message()],
        )
        assert (closed.state, closed.outcome, closed.workflow_id) == ("closed", Outcome.COMPLETE, None)
        assert (closed.closed_at, closed.shredded_at) == (later, later)
    assert await ledger.messages(case.retirement_id) == [a_message()]


async def test_an_errored_case_stays_open_with_its_vault(ledger: Ledger) -> None:
    case = await a_case(ledger)
    rid = case.retirement_id
    await ledger.store_subject(retirement_id=rid, values={"email": "ada@example.org"}, present=("forum",))
    errored = await ledger.close_case(
        retirement_id=rid, outcome=Outcome.ERRORED, reason=None, direction=Direction.BACK, now=NOW, messages=()
    )
    assert (errored.state, errored.outcome, errored.direction) == ("open", Outcome.ERRORED, Direction.BACK)
    assert errored.is_errored and not errored.is_live and errored.closed_at is None
    assert errored.workflow_id == case.workflow_id and errored.present == ("forum",)
    start = await ledger.begin_step(retirement_id=rid, step="lock", action="undo")
    assert start.values is not None and start.values["subject"] == {"email": "ada@example.org"}


async def test_a_closed_case_does_not_become_errored_again(ledger: Ledger) -> None:
    case = await a_case(ledger)
    aborted = await ledger.close_case(
        retirement_id=case.retirement_id,
        outcome=Outcome.ABORTED,
        reason=Reason.NO_SUCH_SUBJECT,
        direction=None,
        now=NOW,
        messages=(),
    )
    assert (aborted.outcome, aborted.reason) == (Outcome.ABORTED, Reason.NO_SUCH_SUBJECT)
    again = await ledger.close_case(
        retirement_id=case.retirement_id,
        outcome=Outcome.ERRORED,
        reason=None,
        direction=Direction.FORWARD,
        now=NOW,
        messages=(),
    )
    assert again == aborted


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(None, Outcome.COMPLETE), ("going_back", Outcome.COMPLETE), ("past_return", Outcome.ABORTED)],
)
async def test_two_runs_that_disagree_about_the_point_do_not_close_the_case(
    ledger: Ledger, state: str | None, outcome: Outcome
) -> None:
    case = await a_case(ledger)
    rid = case.retirement_id
    if state is not None:
        await ledger.move(retirement_id=rid, from_state="open", to_state=state, now=NOW)
    before = await ledger.case(rid)
    with pytest.raises(LedgerConflict, match=outcome):
        await ledger.close_case(
            retirement_id=rid, outcome=outcome, reason=None, direction=None, now=NOW, messages=[a_message()]
        )
    assert await ledger.case(rid) == before and await ledger.messages(rid) == []


async def test_messages_are_only_added_each_once(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    refused = a_message(accepted=False, code="past_return", by=None, reason_code="changed_mind")
    for _ in range(2):
        await ledger.record_messages(retirement_id=rid, messages=[a_message(), refused])
    until = NOW + timedelta(days=20)
    extend = a_message(kind="extend", at=NOW + timedelta(days=1))
    await ledger.record_messages(retirement_id=rid, messages=[refused, extend], cool_off_ends_at=until)
    assert await ledger.messages(rid) == [a_message(), refused, extend]
    case = await ledger.case(rid)
    assert case is not None and case.cool_off_ends_at == until


async def test_two_equal_messages_of_one_moment_are_both_kept(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    for _ in range(2):
        await ledger.record_messages(retirement_id=rid, messages=[a_message(), a_message()])
    assert await ledger.messages(rid) == [a_message(), a_message()]


async def test_cases_are_listed_newest_first_and_by_what_matters(ledger: Ledger) -> None:
    ids = []
    for n in range(4):
        now = NOW + timedelta(days=n)
        plan = a_stored_plan(digest=f"digest-{n}")
        case = await a_case(ledger, user_id=f"u-{n}", run_key=f"run-{n}", now=now, plan=plan)
        ids.append(case.retirement_id)
    for rid, outcome in ((ids[0], Outcome.ABORTED), (ids[1], Outcome.ERRORED)):
        await ledger.close_case(retirement_id=rid, outcome=outcome, reason=None, direction=None, now=NOW, messages=())

    async def listed(**by: object) -> list[str]:
        return [case.retirement_id for case in await ledger.cases(**by)]  # type: ignore[arg-type]  # passed through

    assert await listed() == ids[::-1]
    assert await listed(limit=2) == [ids[3], ids[2]]
    assert await listed(live_only=True) == [ids[3], ids[2]]
    assert await listed(outcome=Outcome.ERRORED) == [ids[1]]
    assert await listed(plan="acme", limit=1) == [ids[3]]
    assert await listed(plan="other") == []


async def test_a_date_without_a_zone_is_refused(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    with pytest.raises(Exception, match="failed: StatementError") as raised:
        await ledger.record_messages(retirement_id=rid, messages=(), cool_off_ends_at=NOW.replace(tzinfo=None))
    assert "2026" not in str(raised.value)

"""Work that goes on when its step has ended: open once, ended once, and holding the vault in between."""

from datetime import timedelta

import pytest

from ledger import Ledger, VaultMissing
from ledger.rows import NewWork, Work, WorkKind
from tests.support.ledgers import NOW, a_case
from workflows.messages import StepOutcome
from workflows.names import Direction, Outcome, StepResult, WorkState

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
VENDOR = NewWork(kind=WorkKind.VENDOR, next_look_at=NOW + HOUR, held_until=NOW + 67 * DAY)
MANUAL = NewWork(kind=WorkKind.MANUAL, held_until=NOW + 90 * DAY)


async def begin(
    ledger: Ledger, rid: str, new: NewWork, *, step: str = "forum", result: StepResult = StepResult.UNVERIFIED
) -> None:
    """A step ends, and work begins with it."""
    outcome = StepOutcome(step=step, result=result, at=NOW)
    await ledger.record_outcome(
        retirement_id=rid, step=step, action="do", outcome=outcome, service=None, saved={"job": "j-1"}, opens=new
    )


async def complete(ledger: Ledger, rid: str) -> None:
    """The retirement is over."""
    await ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=NOW)
    await ledger.close_case(
        retirement_id=rid, outcome=Outcome.COMPLETE, reason=None, direction=Direction.FORWARD, now=NOW, messages=()
    )


async def the_work(ledger: Ledger, rid: str) -> Work:
    """The only work of a case."""
    [work] = await ledger.work(rid)
    return work


async def test_work_begins_with_the_outcome_of_its_step_and_outlives_the_case(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await begin(ledger, rid, VENDOR)
    await complete(ledger, rid)
    assert await the_work(ledger, rid) == Work(
        retirement_id=rid,
        step="forum",
        kind=WorkKind.VENDOR,
        state=WorkState.OPEN,
        opened_at=NOW,
        next_look_at=NOW + HOUR,
    )
    values = await ledger.values(rid)
    assert values is not None and values["saved"]["forum"] == {"job": "j-1"}
    # Thirty days after the close every other hold has come to its end.
    assert await ledger.expire_holders(now=NOW + 66 * DAY) == 0
    assert await ledger.values(rid) is not None
    assert await ledger.expire_holders(now=NOW + 67 * DAY) == 1
    assert await ledger.values(rid) is None
    assert (await the_work(ledger, rid)).state is WorkState.OPEN


async def test_whoever_ends_it_first_is_right_and_the_last_one_lets_go_of_the_vault(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await begin(ledger, rid, VENDOR)
    await begin(ledger, rid, MANUAL, step="profile", result=StepResult.MANUAL)
    await complete(ledger, rid)
    assert await ledger.end_work(retirement_id=rid, step="forum", state=WorkState.DONE, at=NOW + DAY)
    late = {"retirement_id": rid, "step": "forum", "by": "ops-3", "code": "too_late"}
    assert not await ledger.end_work(state=WorkState.FAILED, at=NOW + 2 * DAY, **late)
    await ledger.note_look(retirement_id=rid, step="forum", next_look_at=NOW + 3 * DAY, code="http_503")
    first, second = sorted(await ledger.work(rid), key=lambda work: work.step)
    assert (first.state, first.ended_at, first.by, first.code) == (WorkState.DONE, NOW + DAY, None, None)
    assert first.next_look_at is None and second.state is WorkState.OPEN
    assert await ledger.values(rid) is not None
    assert await ledger.end_work(
        retirement_id=rid, step="profile", state=WorkState.FAILED, at=NOW + DAY, by="ops-3", code="no_access"
    )
    assert await ledger.values(rid) is None
    case = await ledger.case(rid)
    assert case is not None and case.shredded_at == NOW + DAY


async def test_what_a_vendor_gave_up_is_left_to_somebody_who_needs_its_values(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await begin(ledger, rid, VENDOR)
    await complete(ledger, rid)
    given_up = {"retirement_id": rid, "step": "forum", "state": WorkState.FAILED, "code": "given_up"}
    assert await ledger.end_work(**given_up, at=NOW + DAY)  # type: ignore[arg-type]
    assert not await ledger.end_work(retirement_id=rid, step="forum", state=WorkState.DONE, at=NOW + DAY)
    assert (await the_work(ledger, rid)).is_left
    assert [work.step for work in await ledger.all_work(left_only=True, limit=10)] == ["forum"]
    assert await ledger.expire_holders(now=NOW + 30 * DAY) == 0 and await ledger.values(rid) is not None
    assert await ledger.end_work(retirement_id=rid, step="forum", state=WorkState.DONE, at=NOW + 2 * DAY, by="ops-3")
    assert await ledger.all_work(left_only=True, limit=10) == []
    assert await ledger.values(rid) is None


async def test_a_vendor_s_failure_keeps_the_values_for_a_month_at_most(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await begin(ledger, rid, VENDOR)
    await complete(ledger, rid)
    await ledger.end_work(retirement_id=rid, step="forum", state=WorkState.FAILED, at=NOW + DAY, code="given_up")
    assert await ledger.expire_holders(now=NOW + 31 * DAY) == 1
    assert await ledger.values(rid) is None and (await the_work(ledger, rid)).is_left


async def test_a_step_that_is_done_again_begins_its_work_anew(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await begin(ledger, rid, VENDOR)
    await ledger.end_work(retirement_id=rid, step="forum", state=WorkState.FAILED, at=NOW, code="given_up")
    await begin(ledger, rid, VENDOR)
    work = await the_work(ledger, rid)
    assert (work.state, work.ended_at, work.code, work.next_look_at) == (WorkState.OPEN, None, None, NOW + HOUR)


async def test_work_whose_values_are_lost_is_on_record_all_the_same(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await complete(ledger, rid)
    outcome = StepOutcome(step="forum", result=StepResult.MANUAL, at=NOW)
    await ledger.record_outcome(
        retirement_id=rid, step="forum", action="do", outcome=outcome, service=None, saved=None, opens=MANUAL
    )
    assert (await the_work(ledger, rid)).state is WorkState.OPEN
    assert await ledger.values(rid) is None
    with pytest.raises(VaultMissing):
        await ledger.save_values(retirement_id=rid, step="forum", saved={"job": "j-1"})


async def test_everybody_s_work_is_listed_oldest_first(ledger: Ledger) -> None:
    assert await ledger.all_work(left_only=False, limit=10) == []
    ids = [(await a_case(ledger, user_id=f"u-{number}")).retirement_id for number in range(3)]
    for number, rid in enumerate(ids):
        outcome = StepOutcome(step="forum", result=StepResult.MANUAL, at=NOW - number * DAY)
        await ledger.record_outcome(
            retirement_id=rid, step="forum", action="do", outcome=outcome, service=None, saved=None, opens=MANUAL
        )
    await ledger.end_work(retirement_id=ids[1], step="forum", state=WorkState.DONE, at=NOW, by="ops-3")
    assert [work.retirement_id for work in await ledger.all_work(left_only=False, limit=10)] == ids[::-1]
    assert [work.retirement_id for work in await ledger.all_work(left_only=True, limit=10)] == [ids[2], ids[0]]
    assert [work.retirement_id for work in await ledger.all_work(left_only=True, limit=1)] == [ids[2]]

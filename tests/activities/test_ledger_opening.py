"""What a start does to the ledger: opens, goes on, resumes, or leaves no trace."""

import asyncio
from datetime import timedelta
from pathlib import Path

from ledger import Case, Keys, Ledger
from tests.support.ledgers import KEYS, NOW, Kind, a_case, a_stored_plan, an_empty_database, open_case
from workflows.messages import Skip, StepOutcome
from workflows.names import Direction, Outcome, Reason, StepResult

SKIP = Skip(step="forum", by="op-1", reason_code="gone_by_hand")


async def test_a_new_case_holds_what_was_asked_for(ledger: Ledger) -> None:
    opening = await open_case(
        ledger, tenant="t", request_id="q-1", requested_by="svc-1", locale="de", reason_code="asked"
    )
    case = opening.case
    assert case is not None and not opening.resumed and opening.steps == ()
    assert case.retirement_id.startswith("r-") and len(case.retirement_id) == 28
    assert case.is_live and case.state == "open" and case.run_key == "run-1"
    assert (case.tenant, case.request_id, case.requested_by, case.locale) == ("t", "q-1", "svc-1", "de")
    assert (case.requested_at, case.opened_at, case.due_at) == (NOW, NOW, NOW + timedelta(days=31))
    assert case.hosts == {"accounts": "https://accounts.example"} and case.present is None
    assert await ledger.case(case.retirement_id) == case
    assert await ledger.find(user_id="u-1", tenant="t") == case
    assert await ledger.find(user_id="u-1", tenant=None) is None
    assert await ledger.case("r-unknown") is None
    assert await ledger.stored_plan(case.plan_digest) == a_stored_plan()
    assert await ledger.stored_plan("unknown") is None


async def test_the_same_run_is_given_the_same_case_again(ledger: Ledger) -> None:
    case = await a_case(ledger, request_id="q-1")
    again = await open_case(ledger, request_id="q-1")
    assert (again.case, again.refused, again.resumed) == (case, None, False)


async def test_an_aborted_request_is_not_repeated_but_a_new_one_is_heard(ledger: Ledger) -> None:
    first = await a_case(ledger, request_id="q-1")
    await end(ledger, first, Outcome.ABORTED)
    later = NOW + timedelta(days=1)
    redelivered = await open_case(ledger, run_key="run-2", request_id="q-1", now=later)
    assert redelivered.refused is Reason.DUPLICATE_REQUEST
    assert redelivered.case is not None and redelivered.case.retirement_id == first.retirement_id
    second = await a_case(ledger, run_key="run-3", request_id="q-2", now=later)
    assert second.retirement_id != first.retirement_id
    assert await ledger.find(user_id="u-1", tenant=None) == second


async def test_a_refused_start_leaves_no_trace(ledger: Ledger) -> None:
    case = await a_case(ledger, request_id="q-1")
    refused = await open_case(ledger, run_key="run-2", request_id="q-2")
    assert (refused.refused, refused.case) == (Reason.ALREADY_RUNNING, case)
    await end(ledger, case, Outcome.ABORTED)
    assert (await open_case(ledger, run_key="run-3", request_id="q-2")).refused is None


async def test_who_is_complete_is_retired_again_only_when_asked_to(ledger: Ledger) -> None:
    await end(ledger, await a_case(ledger), Outcome.COMPLETE)
    later = NOW + timedelta(days=1)
    assert (await open_case(ledger, run_key="run-2", now=later)).refused is Reason.ALREADY_COMPLETE
    assert (await open_case(ledger, run_key="run-3", now=later, again=True)).refused is None


async def test_an_errored_case_is_resumed_with_fresh_patience_and_its_skips(ledger: Ledger) -> None:
    case = await an_errored_case(ledger)
    rid = case.retirement_id
    assert (await open_case(ledger, run_key="run-2")).refused is Reason.ERRORED_BEFORE
    skips = (SKIP, Skip(step="profile", by="op-1", reason_code="too_late"))
    later = NOW + timedelta(days=1)
    resumed = await open_case(
        ledger, run_key="run-2", resume=rid, skip=skips, now=later, request_id="q-2", requested_by="op-1"
    )
    assert resumed.resumed and resumed.case is not None and resumed.case.is_live
    assert (resumed.case.run_key, resumed.case.direction) == ("run-2", Direction.FORWARD)
    assert resumed.case.state == "past_return" and resumed.case.opened_at == NOW
    steps = {row.step: row for row in resumed.steps}
    assert (steps["forum"].result, steps["forum"].by, steps["forum"].code) == ("skipped", "op-1", "gone_by_hand")
    assert (steps["forum"].failures, steps["forum"].first_failed_at, steps["forum"].touched) == (0, None, True)
    assert steps["profile"].result == "erased", "what has ended stays as it ended"
    recorded = [(outcome.step, outcome.result, outcome.by) for _, outcome in await ledger.outcomes(rid)]
    assert recorded == [("profile", "erased", None), ("forum", "failed", None), ("forum", "skipped", "op-1")]
    (noted,) = await ledger.resumes(rid)
    assert (noted.run_key, noted.by, noted.plan_digest, noted.at) == ("run-2", "op-1", "digest-1", later)
    again = await open_case(ledger, run_key="run-2", resume=rid, skip=skips, now=later, request_id="q-2")
    assert again.resumed and again.case == resumed.case and again.steps == resumed.steps
    assert len(await ledger.outcomes(rid)) == 3 and len(await ledger.resumes(rid)) == 1


async def test_a_failed_step_runs_again_after_a_resume(ledger: Ledger) -> None:
    case = await an_errored_case(ledger)
    resumed = await open_case(ledger, run_key="run-2", resume=case.retirement_id)
    forum = next(row for row in resumed.steps if row.step == "forum")
    assert forum.outcome is None and forum.touched
    assert forum.timeouts == 0, "its first request is given the usual time again"


async def test_a_resume_may_take_todays_plan(ledger: Ledger) -> None:
    case = await an_errored_case(ledger)
    rid, hosts = case.retirement_id, {"accounts": "https://new.example"}
    without = a_stored_plan(digest="digest-2", forum="erase")
    refused = await open_case(ledger, run_key="run-2", resume=rid, current_plan=True, plan=without)
    assert refused.refused is Reason.NOT_RESUMABLE
    assert await ledger.stored_plan("digest-2") is None
    mended = a_stored_plan(digest="digest-3", profile="erase", forum="erase")
    kept = await open_case(ledger, run_key="run-2", resume=rid, plan=mended, hosts=hosts)
    assert kept.case is not None and (kept.case.plan_digest, kept.case.hosts) == ("digest-1", case.hosts)
    await error(ledger, kept.case)
    taken = await open_case(ledger, run_key="run-3", resume=rid, plan=mended, hosts=hosts, current_plan=True)
    assert taken.case is not None and (taken.case.plan_digest, taken.case.hosts) == ("digest-3", hosts)
    assert [resume.plan_digest for resume in await ledger.resumes(rid)] == ["digest-1", "digest-3"]


async def test_an_undo_is_skipped_on_the_way_back(ledger: Ledger) -> None:
    case = await a_case(ledger)
    rid = case.retirement_id
    frozen = StepOutcome(step="lock", result=StepResult.DONE, at=NOW)
    await ledger.record_outcome(
        retirement_id=rid, step="lock", action="do", outcome=frozen, service="accounts", saved=None
    )
    await ledger.move(retirement_id=rid, from_state="open", to_state="going_back", now=NOW)
    await error(ledger, case, direction=Direction.BACK)
    skip = Skip(step="lock", by="op-1", reason_code="by_hand")
    resumed = await open_case(ledger, run_key="run-2", resume=rid, skip=(skip,))
    assert resumed.case is not None and resumed.case.direction is Direction.BACK
    assert [(row.action, row.result) for row in resumed.steps] == [("do", "done"), ("undo", "skipped")]


async def test_of_many_starts_at_once_one_opens_a_case(tmp_path: Path, kind: Kind) -> None:
    async with an_empty_database(kind, folder=tmp_path) as url:
        ledgers = [Ledger(url=url, keys=KEYS) for _ in range(3)]
        await ledgers[0].set_up()
        openings = await asyncio.gather(
            *(open_case(ledgers[n % 3], run_key=f"run-{n}", request_id=f"q-{n}") for n in range(24))
        )
        assert [opening.refused for opening in openings].count(None) == 1
        assert {opening.refused for opening in openings} == {None, Reason.ALREADY_RUNNING}
        assert len({opening.case.retirement_id for opening in openings if opening.case}) == 1
        for ledger in ledgers:
            ledger.close()


async def test_with_another_subject_key_nobody_is_found(tmp_path: Path) -> None:
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        ledger = Ledger(url=url, keys=KEYS)
        await ledger.set_up()
        await a_case(ledger)
        ledger.close()
        other = Ledger(url=url, keys=Keys(subject=b"x" * 32, vault=KEYS.vault, current="1"))
        assert await other.find(user_id="u-1", tenant=None) is None
        other.close()


async def an_errored_case(ledger: Ledger) -> Case:
    """Past the point: the profile is erased, the forum failed after an attempt that may have had its effect."""
    case = await a_case(ledger)
    rid = case.retirement_id
    await ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=NOW)
    erased = StepOutcome(step="profile", result=StepResult.ERASED, at=NOW)
    await ledger.record_outcomes(rid, [erased])
    await ledger.record_attempt(
        retirement_id=rid,
        step="forum",
        action="do",
        at=NOW,
        code="timeout",
        attempt=1,
        touched=True,
        timed_out=True,
        service="forum",
    )
    failed = StepOutcome(step="forum", result=StepResult.FAILED, code="timeout", at=NOW)
    await ledger.record_outcome(
        retirement_id=rid, step="forum", action="do", outcome=failed, service="forum", saved=None
    )
    return await error(ledger, case)


async def error(ledger: Ledger, case: Case, *, direction: Direction = Direction.FORWARD) -> Case:
    return await ledger.close_case(
        retirement_id=case.retirement_id,
        outcome=Outcome.ERRORED,
        reason=None,
        direction=direction,
        now=NOW,
        messages=(),
    )


async def end(ledger: Ledger, case: Case, outcome: Outcome) -> None:
    if outcome is Outcome.COMPLETE:
        await ledger.move(retirement_id=case.retirement_id, from_state="open", to_state="past_return", now=NOW)
    await ledger.close_case(
        retirement_id=case.retirement_id, outcome=outcome, reason=None, direction=None, now=NOW, messages=()
    )

"""Jobs of operators: sealed until they are finished, gone then."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from ledger import Ledger, LedgerConflict, StoredPlan
from ledger.errors import LedgerNotReady
from ledger.jobs import JobKind
from ledger.keys import Keys
from tests.support.ledgers import KEYS, NOW, a_case
from workflows.messages import StepOutcome
from workflows.names import StepResult

KIND = JobKind.PARTNER_REPORT
ANN = {"original_username": "ann", "name": "Zoë"}


async def open_job(ledger: Ledger, *, key: str = "1", **changes: Any) -> str:
    """Open a job about Ann; gives its id."""
    given: dict[str, Any] = {"site": "courses", "kind": KIND, "key": key, "values": ANN, "now": NOW, **changes}
    return (await ledger.open_job(**given)).id


async def test_a_job_keeps_what_it_is_told_until_it_ends(ledger: Ledger) -> None:
    id = await open_job(ledger)
    [job] = await ledger.jobs(site="courses", kind=KIND)
    assert (job.id, job.key, job.created_at, job.values) == (id, "1", NOW, ANN)
    assert "ann" not in repr(job)
    await ledger.keep_job(id=id, values={"done": [1]})
    [job] = await ledger.jobs(site="courses", kind=KIND)
    assert job.values == {"done": [1]}
    await ledger.end_job(id=id, now=NOW)
    await ledger.end_job(id=id, now=NOW + timedelta(days=1))
    assert await ledger.jobs(site="courses", kind=KIND) == []
    with pytest.raises(LedgerConflict, match="finished already"):
        await ledger.keep_job(id=id, values={})


async def test_jobs_are_told_apart_by_site_and_kind_and_come_oldest_first(ledger: Ledger) -> None:
    for key in ("10", "9", "2"):
        await open_job(ledger, key=key)
    await open_job(ledger, site="campus")
    await open_job(ledger, kind=JobKind.ARCHIVE)
    assert [job.key for job in await ledger.jobs(site="courses", kind=KIND)] == ["10", "9", "2"]


async def test_work_that_is_begun_is_not_begun_again_and_then_none_of_it_is(ledger: Ledger) -> None:
    id = await open_job(ledger, key="2")
    with pytest.raises(LedgerConflict, match="somebody else is at the same work"):
        await ledger.open_jobs(site="courses", kind=KIND, values={"1": {}, "2": {}}, now=NOW)
    assert [job.key for job in await ledger.jobs(site="courses", kind=KIND)] == ["2"]
    await ledger.end_job(id=id, now=NOW)
    opened = await ledger.open_jobs(site="courses", kind=KIND, values={"1": {}, "2": {}}, now=NOW)
    assert [job.key for job in opened] == ["1", "2"]


async def test_the_table_holds_nothing_readable_and_nothing_sealed_of_what_ended(ledger: Ledger) -> None:
    def rows() -> list[dict[str, Any]]:
        with ledger._database.engine.begin() as connection:
            return [dict(row) for row in connection.execute(text("SELECT * FROM jobs")).mappings()]

    id = await open_job(ledger)
    [row] = rows()
    assert b"ann" not in row["sealed"] and row["wrapped_key"]
    await ledger.end_job(id=id, now=NOW)
    [row] = rows()
    assert row["ended_at"] is not None
    assert [row[name] for name in ("key_id", "wrapped_key", "sealed")] == [None, None, None]


async def test_one_that_came_to_nothing_was_never_begun(ledger: Ledger) -> None:
    assert await ledger.last_job_begun(site="courses", kind=KIND) is None
    await ledger.end_job(id=await open_job(ledger), now=NOW)
    later = await open_job(ledger, now=NOW + timedelta(days=1))
    assert await ledger.last_job_begun(site="courses", kind=KIND) == NOW + timedelta(days=1)
    await ledger.drop_job(id=later)
    assert await ledger.last_job_begun(site="courses", kind=KIND) == NOW
    assert await ledger.last_job_begun(site="campus", kind=KIND) is None


async def test_a_key_that_an_open_job_needs_is_missed_when_it_is_gone(ledger: Ledger) -> None:
    await open_job(ledger)
    other = Ledger(
        url=ledger._database.engine.url.render_as_string(hide_password=False),
        keys=Keys(subject=KEYS.subject, vault={"2": b"w" * 32}, current="2"),
    )
    try:
        with pytest.raises(LedgerNotReady, match="not in the key file: 1"):
            await other.check()
    finally:
        other.close()


async def test_whose_step_was_done_since_then_and_who_was_not_seen(ledger: Ledger) -> None:
    plan = StoredPlan(digest="d", name="courses", format=1, document={"plan": "courses", "steps": {}})
    ids = {}
    for number, (result, at, of) in enumerate(
        (
            (StepResult.UNVERIFIED, NOW, plan),
            (StepResult.UNVERIFIED, NOW, plan),
            (StepResult.UNVERIFIED, NOW - timedelta(days=2), plan),
            (StepResult.FAILED, NOW, plan),
            (StepResult.UNVERIFIED, NOW, StoredPlan(digest="e", name="campus", format=1, document=plan.document)),
        ),
        start=1,
    ):
        case = await a_case(ledger, user_id=f"courses-{number}", run_key=f"run-{number}", plan=of)
        ids[number] = case.retirement_id
        await ledger.record_outcome(
            retirement_id=case.retirement_id,
            step="partners",
            action="do",
            outcome=StepOutcome(step="partners", result=result, at=at),
            service="lms",
            saved=None,
        )
    asked: dict[str, Any] = {"plan": "courses", "step": "partners", "since": NOW - timedelta(days=1)}
    assert await ledger.unseen_since(**asked, seen=["courses-1"]) == [ids[2]]
    assert await ledger.unseen_since(**asked, seen=[]) == [ids[1], ids[2]]
    assert await ledger.unseen_since(**asked | {"since": None}, seen=[]) == [ids[1], ids[2], ids[3]]
    assert await ledger.unseen_since(**asked | {"step": "forum"}, seen=[]) == []

"""Retirements of learners whose site keeps a row of each: what `record.py` plays beside those of people."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from sandbox.lms.faults import FaultKind
from tests.openedx.pipelines import FOUR, SITE, DriverRow
from tests.openedx.retiring import Campus
from tests.support.stage import LONGEST_WAIT, Retirement
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Phase

Handle = WorkflowHandle[Any, Any]
LearnerScenario = Callable[[Campus], Awaitable[Handle]]

LEARNERS: dict[str, LearnerScenario] = {}
_SEGMENT: DriverRow = ("RETIRING_SEGMENT", "SEGMENT_COMPLETE", "SEGMENT", "delete_and_suppress_learner")
_YESTERDAY = timedelta(days=1)
_ADA = "ada"


def scenario(play: LearnerScenario) -> LearnerScenario:
    """What is recorded under the function's name, at a site that knows nobody yet."""
    LEARNERS[play.__name__] = play
    return play


# --- ended ---------------------------------------------------------------------------------------------------------------


@scenario
async def learner_complete(campus: Campus) -> Handle:
    return await _ended(await _started(campus))


@scenario
async def learner_complete_after_cool_off(campus: Campus) -> Handle:
    run = await _cooling_off(campus)
    await run.ask(names.EXPEDITE, by="support-7")
    return await _ended(run)


@scenario
async def learner_complete_after_lost_answers(campus: Campus) -> Handle:
    campus.lms.misbehave(FaultKind.LOST_ANSWER, route="update", new_state="ENROLLMENTS_COMPLETE")
    campus.lms.misbehave(FaultKind.LOST_ANSWER, route="update", new_state="COMPLETE")
    campus.lms.misbehave(FaultKind.STATUS, route="retire_misc", status=503, times=2)
    return await _ended(await _started(campus))


@scenario
async def learner_complete_before(campus: Campus) -> Handle:
    return await _ended(await _started(campus, state="COMPLETE", last_state="LMS_COMPLETE"))


@scenario
async def learner_begun_by_another(campus: Campus) -> Handle:
    """Two steps are done, whoever did them."""
    return await _ended(await _started(campus, state="ENROLLMENTS_COMPLETE", last_state="RETIRING_ENROLLMENTS"))


@scenario
async def learner_held_then_adopted(campus: Campus) -> Handle:
    run = await _at_work_elsewhere(campus)
    await run.skip(timedelta(minutes=70))
    return await _ended(run)


@scenario
async def learner_adopted_by_an_operator(campus: Campus) -> Handle:
    run = await _at_work_elsewhere(campus)
    await run.ask(names.DECIDE, step="check", decision="adopt", by="ops-3")
    return await _ended(run)


@scenario
async def learner_rescinded(campus: Campus) -> Handle:
    """Cancelled at the LMS, too."""
    run = await _cooling_off(campus)
    await run.ask(names.RESCIND, by="support-7")
    return await _ended(run)


@scenario
async def learner_rescinded_by_hand(campus: Campus) -> Handle:
    """The LMS can't, so that support does."""
    campus.lms.set(missing_routes=["cancel"])
    run = await _cooling_off(campus)
    await run.ask(names.RESCIND, by="support-7")
    await run.holds("mirror")
    campus.lms.cancel_row(_ADA)
    await run.skip(timedelta(minutes=6))
    return await _ended(run)


@scenario
async def learner_cancelled_at_the_lms(campus: Campus) -> Handle:
    run = await _cooling_off(campus)
    campus.lms.cancel_row(_ADA)
    await run.skip()
    return await _ended(run)


@scenario
async def learner_without_a_row(campus: Campus) -> Handle:
    row = campus.learner(_ADA)
    campus.lms.delete_row(_ADA)
    return await _ended(await campus.start(row, plan=campus.plan("four")))


@scenario
async def learner_errored(campus: Campus) -> Handle:
    return await _ended(await _errored(campus))


@scenario
async def learner_errored_before(campus: Campus) -> Handle:
    return await _ended(await _started(campus, state="ERRORED", last_state="RETIRING_ENROLLMENTS"))


@scenario
async def learner_resumed(campus: Campus) -> Handle:
    """After the row was moved back to the end of the step before."""
    errored = await _errored(campus)
    campus.lms.behave()
    campus.lms.change_row(_ADA, state="EMAIL_LISTS_COMPLETE", last_state="ERRORED")
    return await _ended(await _resumed(campus, errored))


@scenario
async def learner_whose_hold_expired(campus: Campus) -> Handle:
    """Somebody else has moved the row; nothing is written over it."""
    run = await _moved_by_another(campus)
    await run.skip(timedelta(minutes=30))
    return await _ended(run)


@scenario
async def learner_deferred(campus: Campus) -> Handle:
    """A vendor fails while the steps after it run."""

    def change(plan: dict[str, Any]) -> None:
        del plan["steps"]["segment"]["follow_up"]
        plan["steps"]["segment"]["deferrable"] = True

    campus.lms.misbehave(FaultKind.STATUS, route="segment", status=503, times=2)
    return await _ended(await _with_segment(campus, change))


@scenario
async def learner_followed_up(campus: Campus) -> Handle:
    """A vendor has accepted, and will be asked about it for as long as it takes."""
    return await _ended(await _with_segment(campus))


@scenario
async def follow_up_done(campus: Campus) -> Handle:
    """The run that asks the vendor."""
    run = await _with_segment(campus)
    result = await run.result()
    id = names.follow_up_workflow_id(retirement_id=result.retirement_id or "", step="segment")
    campus.lms.finish_segment()
    asking = Retirement(stage=campus.stage, handle=campus.stage.client.get_workflow_handle(id))
    await asking.skip()
    return await _ended(asking)


# --- still open ----------------------------------------------------------------------------------------------------------


@scenario
async def open_learner_in_cool_off(campus: Campus) -> Handle:
    return (await _cooling_off(campus)).handle


@scenario
async def open_learner_at_work_elsewhere(campus: Campus) -> Handle:
    return (await _at_work_elsewhere(campus)).handle


@scenario
async def open_learner_moved_by_another(campus: Campus) -> Handle:
    return (await _moved_by_another(campus)).handle


@scenario
async def open_learner_in_a_step(campus: Campus) -> Handle:
    campus.lms.misbehave(FaultKind.STATUS, route="unenroll", status=503, times=None)
    run = await _started(campus, running_clock=True)

    async def tried() -> None:
        assert campus.lms.requests(_ADA, route="unenroll")

    await eventually(tried, within=LONGEST_WAIT)
    return run.handle


# --- on the way there ----------------------------------------------------------------------------------------------------


async def _started(campus: Campus, *, running_clock: bool = False, **learner: Any) -> Retirement:
    return await campus.start(campus.learner(_ADA, **learner), plan=campus.plan("four"), running_clock=running_clock)


async def _ended(run: Retirement) -> Handle:
    with contextlib.suppress(Exception):  # an end as Failed is one, too
        async with asyncio.timeout(LONGEST_WAIT):
            await run.handle.result()
    assert not await run.is_running()
    return run.handle


async def _cooling_off(campus: Campus) -> Retirement:
    run = await _started(campus, running_clock=True, ago=_YESTERDAY)
    await run.reaches(Phase.COOL_OFF)
    return run


async def _at_work_elsewhere(campus: Campus) -> Retirement:
    now = datetime.now(UTC)
    at_work = {"state": "RETIRING_ENROLLMENTS", "last_state": "EMAIL_LISTS_COMPLETE", "modified": now}
    run = await _started(campus, running_clock=True, **at_work)
    await run.holds("check")
    return run


async def _moved_by_another(campus: Campus) -> Retirement:
    campus.lms.misbehave(FaultKind.MOVED_BEFORE, route="unenroll", state="LMS_COMPLETE")
    plan = campus.plan("brief_holds", change=lambda plan: plan.update(hold_for="20m"))
    run = await campus.start(campus.learner(_ADA), plan=plan, running_clock=True)
    await run.holds("enrollments")
    return run


async def _errored(campus: Campus) -> Retirement:
    campus.lms.misbehave(FaultKind.STATUS, route="unenroll", status=400, times=None)
    run = await _started(campus)
    await run.errored()
    return run


async def _resumed(campus: Campus, errored: Retirement) -> Retirement:
    progress = await errored.errored()
    row = campus.lms.row(_ADA)
    assert row is not None
    return await campus.stage.start(f"{SITE}-{row['id']}", resume=progress.retirement_id)


async def _with_segment(campus: Campus, change: Callable[[dict[str, Any]], None] | None = None) -> Retirement:
    plan = campus.plan(
        "segment" if change is None else "segment_changed",
        (_SEGMENT, *FOUR[2:]),
        change=change,
        base_urls={"lms": campus.lms.url, "segment": f"{campus.lms.url}/segment"},
        segment_auth_token="in-the-environment",
        segment_workspace_slug=campus.lms.settings().segment_slug,
    )
    run = await campus.start(campus.learner(_ADA), plan=plan)
    await run.result()
    return run

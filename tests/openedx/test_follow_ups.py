"""A vendor accepts, and works for weeks: it is asked after an hour, then daily, for 60 days; the retirement doesn't wait."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.actions.answers import Answer, Rules
from activities.following import heard_in, next_look, work_of
from ledger.rows import Work, WorkKind
from plans.loading import load_plan
from plans.model import FollowUp
from sandbox.lms.faults import FaultKind
from tests.openedx.pipelines import FOUR, DriverRow
from tests.openedx.retiring import Campus
from tests.support.stage import LONGEST_WAIT, Retirement
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import FollowedUp, StepOutcome
from workflows.names import Outcome, StepResult, WorkState

SEGMENT: DriverRow = ("RETIRING_SEGMENT", "SEGMENT_COMPLETE", "SEGMENT", "delete_and_suppress_learner")
OPERATORS = "ops@courses.example"
OPENED = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def plan(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> str:
    """The imported pipeline of Segment and two steps of the LMS, with operators who are written to."""

    def change(document: dict[str, Any]) -> None:
        document["mail"] = {"from": "accounts@courses.example", "operators": [OPERATORS]}

    settings = campus.lms.settings()
    monkeypatch.setenv("OPENEDX_SEGMENT_AUTH_TOKEN", settings.segment_token)
    return campus.plan(
        "followed",
        (SEGMENT, *FOUR[2:]),
        change=change,
        base_urls={"lms": campus.lms.url, "segment": f"{campus.lms.url}/segment"},
        segment_auth_token="in-the-environment",
        segment_workspace_slug=settings.segment_slug,
    )


async def followed(campus: Campus, run: Retirement) -> Retirement:
    """The workflow that asks, after its retirement is complete."""
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE and result.retirement_id is not None
    id = names.follow_up_workflow_id(retirement_id=result.retirement_id, step="segment")
    return Retirement(stage=campus.stage, handle=campus.stage.client.get_workflow_handle(id))


async def work_left(campus: Campus, run: Retirement) -> Work:
    """What the record says of Segment."""
    result = await run.result()
    assert result.retirement_id is not None
    [work] = await campus.stage.ledger.work(result.retirement_id)
    return work


async def ended(asking: Retirement) -> FollowedUp:
    """What the workflow that asks returns."""
    return FollowedUp.model_validate(await asking.handle.result())


def polls(campus: Campus) -> int:
    """How often Segment was asked."""
    return len(campus.lms.requests(route="segment_status"))


async def test_nothing_waits_for_a_vendor_and_the_record_says_when_it_has_finished(campus: Campus, plan: str) -> None:
    # A name that no random id holds by chance.
    ada = campus.learner("ada-of-the-histories", name="Ada Lovelace")
    run = await campus.start(ada, plan=plan, running_clock=True)
    asking = await followed(campus, run)
    assert campus.lms.state("ada-of-the-histories") == "COMPLETE" and polls(campus) == 0
    work = await work_left(campus, run)
    assert (work.kind, work.state, work.code) == (WorkKind.VENDOR, WorkState.OPEN, None)
    assert work.next_look_at == work.opened_at + HOUR
    assert campus.stage.vault_rows(work.retirement_id) > 0

    await asking.skip(HOUR)

    async def waits_for_tomorrow() -> None:
        known = await work_left(campus, run)
        assert known.next_look_at == work.opened_at + HOUR + DAY, known
        assert (known.state, known.code) == (WorkState.OPEN, "not_finished")

    await eventually(waits_for_tomorrow, within=LONGEST_WAIT)
    assert polls(campus) == 1
    campus.lms.finish_segment("FINISHED")
    await asking.skip(DAY)
    assert (await ended(asking)).state is WorkState.DONE
    work = await work_left(campus, run)
    assert (work.state, work.code, work.by, work.next_look_at) == (WorkState.DONE, None, None, None)
    assert work.ended_at is not None and work.ended_at - work.opened_at >= HOUR + DAY
    assert polls(campus) == 2
    assert campus.stage.vault_rows(work.retirement_id) == 0
    await _tells_nothing(campus, run, asking, ada)


async def _tells_nothing(campus: Campus, run: Retirement, asking: Retirement, row: dict[str, Any]) -> None:
    """The vendor's id, and whom it is about, stay out of both histories."""
    [regulation] = campus.lms.regulations()
    secret = (regulation["id"], row["original_username"], row["original_email"], row["original_name"])
    for each in (run, asking):
        events = [event.SerializeToString() async for event in each.handle.fetch_history_events()]
        assert len(events) > 10
        text = b"".join(events)
        assert b"segment" in text
        assert [value for value in secret if value.encode() in text] == []
    [asked, *_] = campus.lms.requests(route="segment_status")
    assert asked.path.endswith(regulation["id"]) and asked.headers["authorization"].startswith("Bearer ")


async def test_what_a_vendor_gives_up_alarms(campus: Campus, plan: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="retirement.follow_ups")
    run = await campus.start(campus.learner("ada"), plan=plan, running_clock=True)
    asking = await followed(campus, run)
    campus.lms.finish_segment("PARTIAL_SUCCESS")
    await asking.skip(HOUR)
    assert await ended(asking) == FollowedUp(state=WorkState.FAILED, code="given_up", alarms=True)
    work = await work_left(campus, run)
    assert (work.state, work.code) == (WorkState.FAILED, "given_up")
    case = await campus.stage.ledger.case(work.retirement_id)
    assert case is not None and case.outcome is Outcome.COMPLETE
    [record] = [record for record in caplog.records if record.name == "retirement.follow_ups"]
    assert (record.retirement_id, record.step) == (work.retirement_id, "segment")  # type: ignore[attr-defined]
    mails = campus.stage.sandbox.mailbox.mails(OPERATORS)
    [mail] = [mail for mail in mails if work.retirement_id in mail["subject"]]
    assert mail["subject"].startswith("[retirement] not finished by a service")
    # Somebody sees to it, who has to know whom it is about.
    assert work.is_left and await campus.stage.ledger.values(work.retirement_id) is not None


async def test_what_can_t_be_told_is_asked_again_until_the_time_is_over(campus: Campus, plan: str) -> None:
    """Stale answers, credentials, a service that is down. Twice a month, as each day of sixty takes a second here."""
    path = campus.stage.settings.plans_dir / "seldom.yaml"
    path.write_text(
        (path.parent / f"{plan}.yaml")
        .read_text()
        .replace(f"plan: {plan}\n", "plan: seldom\n")
        .replace("every: 1d", "every: 15d")
    )
    campus.lms.misbehave(FaultKind.OTHER_ANSWER, route="segment_status", nth=1, status=200, body="<html>")
    campus.lms.misbehave(FaultKind.STATUS, route="segment_status", nth=2, status=401)
    campus.lms.misbehave(FaultKind.STATUS, route="segment_status", nth=3, status=503)
    campus.lms.misbehave(FaultKind.DROP, route="segment_status", nth=4)
    run = await campus.start(campus.learner("ada"), plan="seldom")
    asking = await followed(campus, run)
    assert (await ended(asking)).state is WorkState.FAILED
    work = await work_left(campus, run)
    assert (work.state, work.code) == (WorkState.FAILED, "not_finished")
    assert work.ended_at is not None
    assert timedelta(days=60) <= work.ended_at - work.opened_at < timedelta(days=60, minutes=5)
    assert [request.status for request in campus.lms.requests(route="segment_status")] == [200, 401, 503, None, 200]


async def test_an_operator_may_say_how_it_ended(campus: Campus, plan: str) -> None:
    run = await campus.start(campus.learner("ada"), plan=plan, running_clock=True)
    asking = await followed(campus, run)
    work = await work_left(campus, run)
    id, now = work.retirement_id, datetime.now(UTC)
    assert await campus.stage.ledger.end_work(
        retirement_id=id, step="segment", state=WorkState.FAILED, at=now, by="ops-3"
    )
    assert campus.stage.vault_rows(work.retirement_id) == 0
    await asking.skip(HOUR)
    assert await ended(asking) == FollowedUp(state=WorkState.FAILED)
    assert polls(campus) == 0


async def test_whoever_was_not_there_is_not_asked_about(campus: Campus, plan: str) -> None:
    """Only what was accepted is followed: a step that failed is tried again by a resume, and followed then."""
    campus.lms.misbehave(FaultKind.STATUS, route="segment", status=400)
    run = await campus.start(campus.learner("ada"), plan=plan)
    failed = await run.errored()
    assert failed.failed == ("segment",) and failed.retirement_id is not None
    assert await campus.stage.ledger.work(failed.retirement_id) == []


FOLLOW_UP = FollowUp.model_validate(
    {"request": {"method": "GET", "path": "/{{ user_id }}"}, "done": "body", "first": "1h", "every": "1d", "for": "60d"}
)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (timedelta(0), HOUR),
        (HOUR, HOUR + DAY),
        (HOUR + timedelta(minutes=5), HOUR + DAY),
        # A worker that was away for days: the missed looks are not made up for.
        (5 * DAY, 5 * DAY + HOUR),
        (59 * DAY + HOUR, 60 * DAY),
        (60 * DAY, None),
        (90 * DAY, None),
    ],
)
def test_when_it_is_asked_next(now: timedelta, expected: timedelta | None) -> None:
    at = next_look(FOLLOW_UP, opened_at=OPENED, now=OPENED + now)
    assert at == (None if expected is None else OPENED + expected)


def test_it_is_asked_after_an_hour_then_daily_for_sixty_days(campus: Campus, plan: str) -> None:
    imported = load_plan(campus.stage.settings.plans_dir / f"{plan}.yaml").steps["segment"].follow_up
    assert imported is not None
    looks = [imported.first]
    while (at := next_look(imported, opened_at=OPENED, now=OPENED + looks[-1])) is not None:
        looks.append(at - OPENED)
    assert looks == [HOUR + number * DAY for number in range(60)] + [60 * DAY]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("FINISHED", WorkState.DONE),
        ("FAILED", WorkState.FAILED),
        ("INVALID", WorkState.FAILED),
        ("PARTIAL_SUCCESS", WorkState.FAILED),
        ("RUNNING", WorkState.OPEN),
        ("INITIALIZED", WorkState.OPEN),
    ],
)
def test_what_segment_s_words_mean(campus: Campus, plan: str, status: str, state: WorkState) -> None:
    imported = load_plan(campus.stage.settings.plans_dir / f"{plan}.yaml").steps["segment"].follow_up
    assert imported is not None
    answer = Answer(status=200, body={"overall_status": status})
    assert heard_in(answer, Rules(method="GET"), context={}, follow_up=imported).state is state


@pytest.mark.parametrize("result", StepResult)
def test_only_what_was_accepted_is_followed_and_holds_the_vault_for_long_enough(result: StepResult) -> None:
    outcome = StepOutcome(step="segment", result=result, at=OPENED)
    work = work_of(FOLLOW_UP, outcome=outcome, accepted_at=OPENED)
    assert (work is not None) is (result in (StepResult.UNVERIFIED, StepResult.ERASED, StepResult.DONE))
    assert work_of(None, outcome=outcome, accepted_at=OPENED) is None
    if work is not None:
        assert work.next_look_at == OPENED + HOUR
        assert work.held_until > OPENED + timedelta(days=60)

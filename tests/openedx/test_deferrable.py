"""A vendor that fails holds nobody up: the steps after it go on, its states are skipped, and `COMPLETE` waits for it."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox.lms.faults import FaultKind
from tests.openedx.pipelines import FOUR
from tests.openedx.retiring import Campus
from tests.openedx.test_follow_ups import SEGMENT
from tests.support.stage import LONGEST_WAIT, Retirement
from tests.support.waiting import eventually
from workflows.names import HeldCause, Outcome, StepResult

MISC, RETIRE = FOUR[2:]
#: What the LMS sees of the two steps behind Segment.
OTHERS = ["RETIRING_LMS_MISC", "retire_misc", "LMS_MISC_COMPLETE", "RETIRING_LMS", "retire", "LMS_COMPLETE"]


@pytest.fixture
def plan(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> str:
    """Segment, deferrable and not asked about later, before two steps of the LMS; it gives up soon."""

    def change(document: dict[str, Any]) -> None:
        segment = document["steps"]["segment"]
        del segment["follow_up"]
        segment |= {"deferrable": True, "patience": "2s"}

    settings = campus.lms.settings()
    monkeypatch.setenv("OPENEDX_SEGMENT_AUTH_TOKEN", settings.segment_token)
    return campus.plan(
        "deferrable",
        (SEGMENT, MISC, RETIRE),
        change=change,
        base_urls={"lms": campus.lms.url, "segment": f"{campus.lms.url}/segment"},
        segment_auth_token="in-the-environment",
        segment_workspace_slug=settings.segment_slug,
    )


def tries(campus: Campus) -> list[int | None]:
    """How Segment answered."""
    return [request.status for request in campus.lms.requests(route="segment")]


def at_lms(campus: Campus) -> list[str]:
    """What the LMS was asked and told."""
    return [call for call in campus.calls("ada") if call != "segment"]


async def goes_on_without_it(campus: Campus, run: Retirement) -> None:
    """Everybody else is done, and only Segment is still tried."""

    async def look() -> None:
        assert campus.lms.state("ada") == "LMS_COMPLETE"
        states = {step.step: step.state for step in (await run.status()).steps}
        assert states["segment"] in ("deferred", "held") and states["lms"] == "unverified"

    await eventually(look, within=LONGEST_WAIT)


async def test_without_trouble_it_is_a_step_like_any_other(campus: Campus, plan: str) -> None:
    run = await campus.start(campus.learner("ada"), plan=plan)
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert at_lms(campus)[1:3] == ["RETIRING_SEGMENT", "SEGMENT_COMPLETE"]
    assert tries(campus) == [200]


async def test_while_its_service_fails_the_following_steps_run(campus: Campus, plan: str) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.STATUS, route="segment", status=503, times=None)
    run = await campus.start(ada, plan=plan, running_clock=True)
    await goes_on_without_it(campus, run)
    assert await run.is_running()
    campus.lms.behave()
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE and result.failed == ()
    # Its first state was reached before it failed; the second is skipped.
    assert at_lms(campus) == ["status", "RETIRING_SEGMENT", *OTHERS, "COMPLETE"]
    assert len(tries(campus)) > 1 and tries(campus).count(200) == 1
    assert campus.lms.effects_on(ada) == ["misc", "retire", "segment"]
    [*_, done, complete] = [r for r in campus.lms.requests() if r.route == "segment" or r.new_state == "COMPLETE"]
    assert (done.route, done.status, complete.route) == ("segment", 200, "update")
    assert len({request.headers.get("idempotency-key") for request in campus.lms.requests(route="segment")}) == 1


async def test_credentials_that_are_refused_are_its_own_trouble_too(campus: Campus, plan: str) -> None:
    campus.lms.misbehave(FaultKind.STATUS, route="segment", status=401, times=None)
    run = await campus.start(campus.learner("ada"), plan=plan, running_clock=True)
    assert (await run.holds("segment")).cause is HeldCause.CREDENTIALS
    await goes_on_without_it(campus, run)
    campus.lms.behave()
    await run.skip(timedelta(minutes=6))
    assert (await run.result()).outcome is Outcome.COMPLETE


async def test_one_that_fails_for_good_stops_the_retirement_and_a_resume_does_it_alone(
    campus: Campus, plan: str
) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.STATUS, route="segment", status=503, times=None)
    errored = await (await campus.start(ada, plan=plan)).errored()
    assert errored.failed == ("segment",)
    assert at_lms(campus) == ["status", "RETIRING_SEGMENT", *OTHERS, "ERRORED"]
    [note] = [request.json["response"] for request in campus.asked("ada") if request.new_state == "ERRORED"]
    assert note.startswith("Error in RETIRING_SEGMENT: http_503\nHTTP 503 POST /v1beta/workspaces/")

    campus.lms.behave()
    campus.lms.change_row("ada", state="LMS_COMPLETE")
    campus.lms.forget_requests()
    run = await campus.start(ada, plan=plan, resume=errored.retirement_id)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps}["segment"] is StepResult.UNVERIFIED
    assert at_lms(campus) == ["status", "COMPLETE"]
    assert tries(campus) == [200]


async def test_where_the_source_is_away_nothing_goes_on(campus: Campus, plan: str) -> None:
    """The source's own trouble is no reason to defer: the same update is tried again."""
    campus.lms.misbehave(FaultKind.STATUS, route="update", new_state="RETIRING_SEGMENT", status=503, times=2)
    run = await campus.start(campus.learner("ada"), plan=plan)
    assert (await run.result()).outcome is Outcome.COMPLETE
    updates = [request.new_state for request in campus.asked("ada") if request.new_state]
    assert updates[-6:] == [state for state in ("SEGMENT_COMPLETE", *OTHERS, "COMPLETE") if state.isupper()]
    assert tries(campus) == [200]

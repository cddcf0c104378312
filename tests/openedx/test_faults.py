"""What goes wrong on the wire: nothing is lost, nothing is done twice that must not be, and nobody is written off too early."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sandbox.lms.faults import FaultKind
from tests.openedx.pipelines import FOUR
from tests.openedx.retiring import Campus
from tests.support.waiting import eventually
from workflows.names import HELD_ATTRIBUTE, HeldCause, Outcome, Phase

FORUM = ("RETIRING_FORUMS", "FORUMS_COMPLETE", "LMS", "retirement_retire_forum")


def patience(duration: str) -> Callable[[dict[str, Any]], None]:
    """Every step gives up after this."""

    def change(plan: dict[str, Any]) -> None:
        for step in plan["steps"].values():
            step["patience"] = duration

    return change


def said(campus: Campus, username: str) -> str:
    """What the update to ERRORED has noted."""
    [update] = [request for request in campus.asked(username) if request.new_state == "ERRORED"]
    return str(update.json["response"])


@pytest.mark.parametrize("as_date", [False, True])
async def test_07_a_wish_to_wait_is_honoured(campus: Campus, as_date: bool) -> None:
    ada = campus.learner("ada")
    wait = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True) if as_date else "2"
    campus.lms.misbehave(FaultKind.STATUS, route="unenroll", status=429, headers={"Retry-After": wait})
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    assert (await run.result()).outcome is Outcome.COMPLETE
    first, second = [request for request in campus.asked("ada") if request.route == "unenroll"]
    assert second.at - first.at >= (1.0 if as_date else 1.95)
    assert campus.lms.effects_on(ada) == ["mailings", "unenroll", "misc", "retire"]


async def test_07_a_wish_to_wait_with_an_update_is_honoured(campus: Campus) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(
        FaultKind.STATUS, route="update", new_state="RETIRING_ENROLLMENTS", status=429, headers={"Retry-After": "2"}
    )
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    assert (await run.result()).outcome is Outcome.COMPLETE
    first, second = [request for request in campus.asked("ada") if request.new_state == "RETIRING_ENROLLMENTS"]
    assert second.at - first.at >= 1.95


async def test_07_a_conflict_passes(campus: Campus) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.STATUS, route="retire_misc", status=409)
    assert (await (await campus.start(ada, plan=campus.plan("four"))).result()).outcome is Outcome.COMPLETE


async def test_08_what_passes_is_waited_out(campus: Campus) -> None:
    ada = campus.learner("ada", orgs=())
    campus.lms.misbehave(FaultKind.STATUS, route="retire_mailings", status=500, times=2)
    campus.lms.misbehave(FaultKind.DROP, route="unenroll", times=2)
    campus.lms.misbehave(FaultKind.OTHER_ANSWER, route="retire_misc", status=200, body="")
    result = await (await campus.start(ada, plan=campus.plan("four"))).result()
    assert result.outcome is Outcome.COMPLETE
    assert [request.status for request in campus.asked("ada") if request.route == "unenroll"][-1] == 204
    assert campus.lms.effects_on(ada) == ["mailings", "unenroll", "misc", "retire"]


async def test_09_one_who_fails_for_ever_holds_up_nobody(campus: Campus) -> None:
    plan = campus.plan("impatient", change=patience("5s"))
    rows = [campus.learner(f"learner-{number}") for number in range(20)]
    body = "Traceback: no such mailbox: LEARNER-7 <learner-7@learner.example> Learner learner-7"
    campus.lms.misbehave(FaultKind.STATUS, route="retire_misc", username="learner-7", status=500, body=body, times=None)
    runs = [await campus.start(row, plan=plan, running_clock=True) for row in rows]
    unlucky = runs.pop(7)
    results = await asyncio.gather(*(run.result() for run in runs))
    assert {result.outcome for result in results} == {Outcome.COMPLETE}
    others_done_at = max(request.at for request in campus.lms.requests() if request.new_state == "COMPLETE")
    errored = await unlucky.errored()
    assert errored.failed == ("lms_misc",)
    assert campus.lms.state("learner-7") == "ERRORED"
    note = said(campus, "learner-7")
    assert note.startswith("Error in RETIRING_LMS_MISC: http_500\nHTTP 500 POST /api/user/v1/accounts/retire_misc/\n")
    assert "no such mailbox: [learner] <[learner]> [learner]" in note
    assert "learner-7" not in note.lower()
    failures = [request for request in campus.asked("learner-7") if request.route == "retire_misc"]
    assert len(failures) >= 5 and others_done_at < failures[-1].at


async def test_10_a_step_that_does_not_answer_holds_up_nobody(campus: Campus) -> None:
    plan = campus.plan("four")
    rows = [campus.learner(f"learner-{number}") for number in range(5)]
    held = campus.lms.hold(route="unenroll", username="learner-0")
    runs = [await campus.start(row, plan=plan, running_clock=True) for row in rows]
    silent = runs.pop(0)
    results = await asyncio.gather(*(run.result() for run in runs))
    assert {result.outcome for result in results} == {Outcome.COMPLETE}
    assert campus.lms.holding(held) == 1 and campus.lms.state("learner-0") == "RETIRING_ENROLLMENTS"
    campus.lms.release(held)
    assert (await silent.result()).outcome is Outcome.COMPLETE


async def test_11_a_token_that_expires_in_mid_run_is_renewed(campus: Campus) -> None:
    campus.lms.set(token_lifetime=2)
    campus.lms.revoke_tokens()
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.HOLD, route="retire_mailings", seconds=3)
    campus.lms.misbehave(FaultKind.REFUSE_TOKEN, route="retire_mailings")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert campus.lms.counts()["token"] >= 2
    assert campus.lms.effects_on(ada) == ["mailings", "unenroll", "misc", "retire"]


async def test_11_a_secret_that_is_refused_holds_and_goes_on_by_itself(
    campus: Campus,
) -> None:
    ada = campus.learner("ada")
    held = campus.lms.hold(route="unenroll")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)

    async def waits() -> None:
        assert campus.lms.holding(held) == 1

    await eventually(waits)
    right = campus.lms.settings().client_secret
    campus.lms.set(client_secret="another-secret")
    campus.lms.revoke_tokens()
    campus.lms.release(held)
    hold = await run.holds("enrollments")
    assert hold.cause is HeldCause.CREDENTIALS
    assert campus.lms.state("ada") == "RETIRING_ENROLLMENTS"
    assert await run.attribute(HELD_ATTRIBUTE) == "credentials"
    campus.lms.set(client_secret=right)
    await run.skip(timedelta(minutes=6))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert campus.lms.effects_on(ada) == ["mailings", "unenroll", "misc", "retire"]
    updates = [request.new_state for request in campus.asked("ada") if request.route == "update"]
    assert len(updates) == len(set(updates))


@pytest.mark.parametrize("hiccup", [{"kind": "status", "status": 500}, {"kind": "hold", "seconds": 8}])
async def test_12_a_hiccup_of_the_token_endpoint_is_waited_out(campus: Campus, hiccup: dict[str, Any]) -> None:
    campus.lms.revoke_tokens()
    campus.lms.misbehave(route="token", **hiccup)
    ada = campus.learner("ada")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    assert (await run.result()).outcome is Outcome.COMPLETE


async def test_12_a_wrong_secret_moves_nobody(campus: Campus) -> None:
    campus.lms.set(client_secret="another-secret")
    campus.lms.revoke_tokens()
    ada = campus.learner("ada")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    hold = await run.holds("check")
    assert (hold.cause, hold.code) == (HeldCause.CREDENTIALS, "token_http_401")
    assert campus.lms.state("ada") == "PENDING"
    assert not [request for request in campus.lms.requests() if request.route == "update"]
    await run.ask("rescind")


@pytest.mark.parametrize("state", ["RETIRING_ENROLLMENTS", "ENROLLMENTS_COMPLETE", "COMPLETE"])
async def test_13_an_update_whose_answer_was_lost_was_done(campus: Campus, state: str) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.LOST_ANSWER, route="update", new_state=state)
    assert (await (await campus.start(ada, plan=campus.plan("four"))).result()).outcome is Outcome.COMPLETE
    calls = campus.calls("ada")
    assert calls.count(state) == 1 and "ERRORED" not in calls
    assert calls[calls.index(state) + 1] == "status"
    assert campus.lms.effects_on(ada) == ["mailings", "unenroll", "misc", "retire"]


async def test_13_a_failure_whose_record_was_lost_was_recorded(campus: Campus) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.STATUS, route="unenroll", status=400, times=None)
    campus.lms.misbehave(FaultKind.LOST_ANSWER, route="update", new_state="ERRORED")
    await (await campus.start(ada, plan=campus.plan("four"))).errored()
    assert campus.lms.state("ada") == "ERRORED"
    assert campus.calls("ada").count("ERRORED") == 1


async def test_14_a_step_whose_answer_was_lost_is_called_twice_at_most(campus: Campus) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(FaultKind.LOST_ANSWER, route="retire_misc")
    assert (await (await campus.start(ada, plan=campus.plan("four"))).result()).outcome is Outcome.COMPLETE
    calls = [request for request in campus.asked("ada") if request.route == "retire_misc"]
    assert len(calls) == 2
    assert len({request.headers["idempotency-key"] for request in calls}) == 1


async def test_16_not_found_counts_where_the_route_exists(campus: Campus) -> None:
    plan = campus.plan("forum", (FORUM, *FOUR))
    ada = campus.learner("ada", unknown_to=("retire_forum",))
    assert (await (await campus.start(ada, plan=plan)).result()).outcome is Outcome.COMPLETE
    asked = campus.asked("ada")
    [update] = [request for request in asked if request.new_state == "FORUMS_COMPLETE"]
    assert update.json["response"] == "Ending: FORUMS_COMPLETE with response:\nHTTP 404, already absent"
    strangers = [
        request for request in campus.lms.requests(route="retire_forum") if "authorization" not in request.headers
    ]
    assert [(request.status, request.body) for request in strangers] == [(401, "")]


async def test_16_not_found_is_a_failure_where_the_route_is_missing(campus: Campus) -> None:
    campus.lms.set(missing_routes=["retire_forum"], prefix="/missing")
    plan = campus.plan("no_forum", (FORUM, *FOUR), base_url=f"{campus.lms.url}/missing")
    ada = campus.learner("ada")
    errored = await (await campus.start(ada, plan=plan)).errored()
    assert [step.code for step in errored.steps if step.step == "forums"] == ["route_unproven"]
    assert campus.lms.state("ada") == "ERRORED"
    assert said(campus, "ada").startswith("Error in RETIRING_FORUMS: route missing\n")


async def test_16_not_found_is_a_failure_where_it_is_no_answer(campus: Campus) -> None:
    ada = campus.learner("ada", unknown_to=("unenroll",))
    await (await campus.start(ada, plan=campus.plan("four"))).errored()
    assert campus.lms.state("ada") == "ERRORED"
    assert campus.calls("ada").count("unenroll") == 1


@pytest.mark.parametrize(
    "fault", [{"kind": FaultKind.STATUS, "status": 400, "body": "bad"}, {"kind": FaultKind.REDIRECT}]
)
async def test_17_a_refusal_is_one_call(campus: Campus, fault: dict[str, Any]) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(route="unenroll", times=None, **fault)
    errored = await (await campus.start(ada, plan=campus.plan("four"))).errored()
    assert errored.failed == ("enrollments",)
    calls = campus.calls("ada")
    # Before anything is written, the row tells whether somebody else has moved it.
    assert calls[calls.index("unenroll") :] == ["unenroll", "status", "ERRORED"]
    assert not [request for request in campus.lms.requests() if request.path.startswith("/elsewhere")]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": FaultKind.MOVED_BEFORE, "route": "unenroll", "state": "LMS_COMPLETE"},
        {"kind": FaultKind.MOVED_AFTER, "route": "unenroll", "state": "ERRORED"},
        {"kind": FaultKind.MOVED_BEFORE, "route": "update", "new_state": "RETIRING_LMS_MISC", "state": "LMS_COMPLETE"},
    ],
)
async def test_18_what_another_driver_moved_is_left_alone(campus: Campus, fault: dict[str, Any]) -> None:
    ada = campus.learner("ada")
    campus.lms.misbehave(**fault)
    plan = campus.plan("brief_holds", change=lambda plan: plan.update(hold_for="2m"))
    run = await campus.start(ada, plan=plan, running_clock=True)

    async def is_held() -> None:
        held = (await run.status()).held
        assert [hold.code for hold in held] == ["moved_by_another"]

    await eventually(is_held)
    moved_to = campus.lms.state("ada")
    assert moved_to == fault["state"]
    before = [request for request in campus.asked("ada") if request.route == "update"]
    await run.skip(timedelta(minutes=3))
    errored = await run.errored()
    assert errored.outcome is Outcome.ERRORED
    assert campus.lms.state("ada") == moved_to
    assert [request for request in campus.asked("ada") if request.route == "update"] == before


async def test_19_two_starts_at_once_are_one(campus: Campus) -> None:
    ada = campus.learner("ada")
    plan = campus.plan("four")

    async def begin() -> Any:
        try:
            return await campus.start(ada, plan=plan, request_id="row-1")
        except Exception as error:
            return error

    first, second = await asyncio.gather(begin(), begin())
    runs = [each for each in (first, second) if not isinstance(each, Exception)]
    for run in runs:
        await run.result()
    assert runs and len(campus.calls("ada")) == 14


async def test_28_a_plan_that_names_a_state_the_lms_lacks_holds_and_errs_nobody(campus: Campus) -> None:
    campus.lms.set(states=[state for state in campus.lms.settings().states if "LMS_MISC" not in state])
    ada = campus.learner("ada")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    hold = await run.holds("lms_misc")
    assert (hold.cause, hold.code) == (HeldCause.CONFIGURATION, "mirror_disagrees")
    assert campus.lms.state("ada") == "ENROLLMENTS_COMPLETE"
    await run.reaches(Phase.ERASE)
    await run.ask("decide", step="lms_misc", decision="close")
    await run.errored()
    assert campus.lms.state("ada") == "ENROLLMENTS_COMPLETE"

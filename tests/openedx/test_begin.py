"""Where a run begins, by the row in the LMS, and how it is taken back."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.lms.faults import FaultKind
from tests.openedx.pipelines import SITE
from tests.openedx.retiring import Campus
from tests.support.waiting import eventually
from workflows.messages import Hold
from workflows.names import HeldCause, Outcome, Phase, Reason, StepResult

_HOURS_AGO = timedelta(hours=2)
_STEPS = ["retire_mailings", "unenroll", "retire_misc", "retire"]


async def test_20_behind_a_step_that_is_done_it_goes_on_with_the_next(campus: Campus) -> None:
    ada = campus.learner("ada", state="ENROLLMENTS_COMPLETE", last_state="RETIRING_ENROLLMENTS")
    result = await (await campus.start(ada, plan=campus.plan("four"))).result()
    assert result.outcome is Outcome.COMPLETE
    assert campus.calls("ada") == [
        "status",
        *("RETIRING_LMS_MISC", "retire_misc", "LMS_MISC_COMPLETE"),
        *("RETIRING_LMS", "retire", "LMS_COMPLETE"),
        "COMPLETE",
    ]
    assert [(step.step, step.code) for step in result.steps][:2] == [
        ("email_lists", "at_source"),
        ("enrollments", "at_source"),
    ]


async def test_20_behind_the_last_step_only_complete_is_missing(campus: Campus) -> None:
    ada = campus.learner("ada", state="LMS_COMPLETE", last_state="RETIRING_LMS")
    assert (await (await campus.start(ada, plan=campus.plan("four"))).result()).outcome is Outcome.COMPLETE
    assert campus.calls("ada") == ["status", "COMPLETE"]


async def test_20_who_is_cooling_off_waits(campus: Campus) -> None:
    ada = campus.learner("ada", ago=timedelta(days=1))
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    status = await run.reaches(Phase.COOL_OFF)
    assert status.may_rescind and status.cool_off_ends_at is not None
    created = datetime.fromisoformat(ada["created"])
    assert status.cool_off_ends_at == created + timedelta(days=7)
    assert campus.calls("ada") == ["status"]
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert campus.calls("ada")[:2] == ["status", "status"] and len(campus.calls("ada")) == 15


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("ABORTED", Reason.RESCINDED, "at_source"),
        ("LOCKING_ACCOUNT", Reason.NOT_ELIGIBLE, "state_not_in_plan"),
        (None, Reason.NO_SUCH_SUBJECT, "no_row"),
    ],
)
async def test_20_some_rows_are_left_alone(campus: Campus, state: str | None, reason: Reason, code: str) -> None:
    ada = campus.learner("ada", state=state or "PENDING")
    if state is None:
        campus.lms.delete_row("ada")
    result = await (await campus.start(ada, plan=campus.plan("four"))).result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, reason, code)
    asked = [request for request in campus.lms.requests() if request.route != "token" and request.status != 401]
    assert [request.route for request in asked] == ["status"]


async def test_20_a_row_that_is_errored_is_left_alone(campus: Campus) -> None:
    ada = campus.learner("ada", state="ERRORED", last_state="RETIRING_ENROLLMENTS")
    error = await (await campus.start(ada, plan=campus.plan("four"))).error()
    assert error.type == "RetirementErrored" and "errored_at_source" in error.message
    assert campus.calls("ada") == ["status"]


async def test_20_a_row_that_is_complete_is_left_alone(campus: Campus) -> None:
    ada = campus.learner("ada", state="COMPLETE", last_state="LMS_COMPLETE")
    result = await (await campus.start(ada, plan=campus.plan("four"))).result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.code for step in result.steps} == {"at_source"}
    assert campus.calls("ada") == ["status"]


async def test_20_somebody_of_another_spelling_is_not_touched(campus: Campus) -> None:
    campus.lms.set(lookup_ignores_case=True)
    ada = campus.learner("Ada")
    mistaken = {**ada, "original_username": "ada"}
    run = await campus.start(mistaken, plan=campus.plan("four"), running_clock=True)
    hold = await run.holds("check")
    assert (hold.cause, hold.code) == (HeldCause.CONFLICT, "wrong_person")
    await run.ask("decide", step="check", decision="close")
    await run.errored()
    assert campus.lms.state("Ada") == "PENDING"


async def test_21_a_row_left_at_work_long_ago_is_adopted(campus: Campus) -> None:
    ada = campus.learner(
        "ada",
        state="RETIRING_ENROLLMENTS",
        last_state="EMAIL_LISTS_COMPLETE",
        modified=datetime.now(UTC) - _HOURS_AGO,
    )
    assert (await (await campus.start(ada, plan=campus.plan("four"))).result()).outcome is Outcome.COMPLETE
    assert campus.calls("ada")[:3] == ["status", "unenroll", "ENROLLMENTS_COMPLETE"]
    assert "RETIRING_ENROLLMENTS" not in campus.calls("ada")


@pytest.mark.parametrize("by_operator", [False, True])
async def test_21_a_row_at_work_just_now_is_held_and_then_adopted(campus: Campus, by_operator: bool) -> None:
    ada = campus.learner(
        "ada", state="RETIRING_ENROLLMENTS", last_state="EMAIL_LISTS_COMPLETE", modified=datetime.now(UTC)
    )
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    hold: Hold = await run.holds("check")
    assert (hold.cause, hold.code) == (HeldCause.CONFLICT, "another_driver")
    assert campus.calls("ada") == ["status"]
    answer = await run.ask("rescind", by="support-7")
    assert (answer.accepted, answer.code) == (False, "begun_at_source")
    assert not (await run.status()).may_rescind
    if by_operator:
        assert (await run.ask("decide", step="check", decision="adopt")).accepted
    else:
        await run.skip(timedelta(minutes=70))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert "RETIRING_ENROLLMENTS" not in campus.calls("ada")
    assert campus.lms.effects_on(ada) == ["unenroll", "misc", "retire"]


async def test_24_a_rescind_in_cool_off_cancels_at_the_lms(campus: Campus) -> None:
    ada = campus.learner("ada", ago=timedelta(days=1))
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    assert (await run.ask("rescind", by="support-7")).accepted
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    assert campus.lms.row("ada") is None
    asked = [request for request in campus.lms.requests() if request.route != "token" and request.status != 401]
    assert [(request.route, request.json) for request in asked] == [
        ("status", None),
        ("cancel", {"retirement_id": ada["id"]}),
        ("status", None),
    ]


async def test_24_a_rescind_just_as_the_row_is_read_is_not_left_waiting(campus: Campus) -> None:
    ada = campus.learner("ada", ago=timedelta(days=1))
    held = campus.lms.hold(route="status", answer=True)
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)

    async def waits() -> None:
        assert campus.lms.holding(held) == 1

    await eventually(waits)
    assert (await run.ask("rescind")).accepted
    campus.lms.release(held)  # the answer is there before the worker hears that nobody wants it
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    assert campus.lms.row("ada") is None


async def test_24_a_cancel_whose_answer_was_lost_was_done(campus: Campus) -> None:
    ada = campus.learner("ada", ago=timedelta(days=1))
    campus.lms.misbehave(FaultKind.LOST_ANSWER, route="cancel")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask("rescind")
    assert (await run.result()).reason is Reason.RESCINDED
    assert campus.lms.row("ada") is None


async def test_24_an_lms_that_cannot_cancel_waits_for_support(campus: Campus) -> None:
    campus.lms.set(missing_routes=["cancel"])
    ada = campus.learner("ada", ago=timedelta(days=1))
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask("rescind")
    hold = await run.holds("mirror")
    assert hold.code == "cancel_by_hand"
    campus.lms.cancel_row("ada")
    await run.skip(timedelta(minutes=6))
    assert (await run.result()).reason is Reason.RESCINDED


async def test_24_a_rescind_after_the_first_update_is_refused(campus: Campus) -> None:
    ada = campus.learner("ada")
    held = campus.lms.hold(route="retire_mailings")
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)

    async def waits() -> None:
        assert campus.lms.holding(held) == 1

    await eventually(waits)
    answer = await run.ask("rescind")
    assert not answer.accepted and answer.code == "past_return"
    campus.lms.release(held)
    assert (await run.result()).outcome is Outcome.COMPLETE


async def test_24_a_rescind_and_the_end_of_the_cool_off_at_once_have_two_outcomes_only(campus: Campus) -> None:
    plan = campus.plan("four")
    rows = [campus.learner(f"learner-{number}", ago=timedelta(days=6, hours=23)) for number in range(40)]
    runs = [await campus.start(row, plan=plan, running_clock=True) for row in rows]
    for run in runs:
        await run.reaches(Phase.COOL_OFF)

    async def race(number: int) -> tuple[Outcome, str | None]:
        run = runs[number]
        both = (run.skip(), run.handle.signal("rescind"))
        await asyncio.gather(*(both if number % 2 else reversed(both)))
        result = await run.result()
        return result.outcome, campus.lms.state(f"learner-{number}")

    ends = await asyncio.gather(*(race(number) for number in range(len(runs))))
    assert set(ends) <= {(Outcome.COMPLETE, "COMPLETE"), (Outcome.ABORTED, None)}
    for number, (outcome, _) in enumerate(ends):
        done = campus.lms.effects_on(rows[number])
        assert done == (["mailings", "unenroll", "misc", "retire"] if outcome is Outcome.COMPLETE else ["cancel"])


async def test_25_a_row_cancelled_at_the_lms_meanwhile_ends_aborted(campus: Campus) -> None:
    ada = campus.learner("ada", ago=timedelta(days=1))
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    campus.lms.cancel_row("ada")
    await run.skip()
    result = await run.result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.RESCINDED, "at_source")
    asked = [request for request in campus.lms.requests() if request.route != "token" and request.status != 401]
    assert [request.route for request in asked] == ["status", "status"]


async def test_a_learner_who_asks_again_is_another_retirement(campus: Campus) -> None:
    ada = campus.learner("ada", ago=timedelta(days=1))
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    campus.lms.cancel_row("ada")
    again = campus.lms.ask_for_retirement("ada")
    assert again["id"] != ada["id"]
    await run.skip()
    assert (await run.result()).code == "at_source"
    assert campus.lms.state("ada") == "PENDING"


async def test_who_was_not_taken_in_is_not_retired(campus: Campus) -> None:
    campus.learner("ada")
    run = await campus.stage.start(f"{SITE}-999999", plan=campus.plan("four"))
    result = await run.result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.LOOKUP_FAILED, "not_given")
    assert not campus.lms.requests()


async def test_every_step_ends_as_unverified_as_nothing_proves_it(campus: Campus) -> None:
    ada = campus.learner("ada")
    result = await (await campus.start(ada, plan=campus.plan("four"))).result()
    assert [step.result for step in result.steps] == [StepResult.UNVERIFIED] * len(_STEPS)


async def test_what_is_left_of_a_learner_is_seen_at_the_end_and_again_at_a_resume(campus: Campus) -> None:
    def verify(plan: dict[str, Any]) -> None:
        plan["mirror"]["verified_when"] = "body.user.username == body.retired_username"

    plan = campus.plan("verified", change=verify)
    ada = campus.learner("ada")
    result = await (await campus.start(ada, plan=plan)).result()
    assert result.outcome is Outcome.COMPLETE
    assert campus.calls("ada")[-2:] == ["COMPLETE", "status"]

    bob = campus.learner("bob")
    campus.lms.misbehave(FaultKind.STATUS, route="retire", status=204)  # says so, and does nothing
    run = await campus.start(bob, plan=plan)
    error = await run.error()
    assert "not_verified" in error.message
    case = await campus.stage.case_of(f"{SITE}-{bob['id']}")
    again = await campus.start(bob, plan=plan, resume=case.retirement_id, request_id="again")
    assert "not_verified" in (await again.error()).message
    assert campus.calls("bob").count("COMPLETE") == 1

"""After the point of no return: services that are down, late, forgetful or lying, and the patience with them."""

from datetime import UTC, datetime, timedelta

from ledger.rows import StepRow
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk, with_patience
from tests.support.stage import Stage
from tests.support.waiting import eventually
from workflows.messages import Status
from workflows.names import Outcome, Phase, StepResult


async def step_row(stage: Stage, person: Person, step: str) -> StepRow:
    """What the ledger says of a step."""
    [row] = [
        row
        for row in await stage.ledger.steps((await stage.case_of(person)).retirement_id)
        if (row.step, row.action) == (step, "do")
    ]
    return row


def deletions(stage: Stage, service: str, person: Person) -> list[str | None]:
    """The idempotency keys of the requests that ask a service to delete the person, in order."""
    return [
        request.idempotency_key
        for request in stage.sandbox.services[service].requests(person)
        if request.method == "DELETE" and "/mutes/" not in request.path
    ]


async def test_a_dead_service_delays_only_what_depends_on_it(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="3s", running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await stage.sandbox.take_down("forum")
    try:

        async def others_are_done() -> Status:
            status = await run.status()
            assert status.gone == ("newsletter",)
            return status

        status = await eventually(others_are_done)
        assert {step.step: step.state for step in status.steps if step.phase == "erase"} == {
            "forum": "running",
            "newsletter": "erased",
            "invoices": "retained",
            "profile": "waiting",
        }
        assert stage.sandbox.newsletter.kept(ada) is None
        assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
    finally:
        await stage.sandbox.bring_back("forum")
    await run.skip(timedelta(minutes=10))
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps}["forum"] is StepResult.ERASED
    [forum] = [effect for effect in stage.sandbox.forum.effects(ada) if effect.effect == "erase"]
    [profile] = [effect for effect in stage.sandbox.accounts.effects(ada) if effect.effect == "erase"]
    assert forum.monotonic < profile.monotonic


async def test_a_service_down_for_hours_within_patience_completes(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=6, retry_after="3600")
    run = await stage.start(ada, cool_off="0")
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert len(deletions(stage, "forum", ada)) == 7
    assert len(set(deletions(stage, "forum", ada))) == 1
    case = await stage.case_of(ada)
    assert case.closed_at is not None
    assert case.closed_at - case.requested_at > timedelta(hours=6)


async def test_workers_down_for_longer_than_the_patience_cost_nobody_their_retirement(stage: Stage) -> None:
    """Patience 5 s, workers down 30 s."""
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=3, retry_after="2")
    plan = stage.plan("patience-5s", all_of(brisk, with_patience("5s")))
    run = await stage.start(ada, plan=plan, cool_off="0", running_clock=True)

    def has_failed_once() -> None:
        assert [fault.hits for fault in stage.sandbox.forum.faults() if fault.user == ada.user_id] != [0]

    await eventually(has_failed_once)
    until = datetime.now(UTC) + timedelta(seconds=30)
    async with stage.crew.away():
        await eventually(lambda: _has_passed(until), within=40)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    asked = [r for r in stage.sandbox.forum.requests(ada) if r.method == "DELETE" and r.status in (503, 204)]
    assert [r.status for r in asked] == [503, 503, 503, 204]
    # Two failed though patience was over already: they came too late to be the service's failing.
    assert asked[1].monotonic - asked[0].monotonic > 29


def _has_passed(instant: datetime) -> None:
    assert datetime.now(UTC) > instant


async def test_a_lie_is_found_out_and_asked_again_under_another_key(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    # The accounts repeat their first answer to a repeated key: with the same key the lie would last for ever.
    stage.sandbox.accounts.misbehave(FaultKind.LIE, user=ada, method="DELETE")
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    id = result.retirement_id
    assert deletions(stage, "accounts", ada) == [f"{id}:profile", f"{id}:profile:1"]
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]
    assert (await step_row(stage, ada, "profile")).lies == 1


async def test_an_answer_lost_after_the_erasure_erases_once(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.LOST_ANSWER, user=ada, method="DELETE")
    stage.sandbox.accounts.misbehave(FaultKind.LOST_ANSWER, user=ada, method="DELETE")
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    outcomes = {step.step: step.result for step in result.steps}
    assert (outcomes["forum"], outcomes["profile"]) == (StepResult.ERASED, StepResult.ERASED)
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "erase"]
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]


async def test_a_token_that_expires_is_renewed(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.TOKEN_EXPIRY, user=ada, method="DELETE")
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]
    assert (await step_row(stage, ada, "profile")).failures == 0


async def test_a_vendor_that_takes_longer_is_asked_again_and_not_told_twice(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.newsletter.misbehave(FaultKind.JOB_LATE, user=ada, seconds=1.5)
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.newsletter.effects_on(ada) == ["accept_deletion", "erase"]


def _newsletter_last(document: PlanDocument) -> None:
    document["steps"]["newsletter"]["after"] = ["forum", "profile"]
    document["steps"]["profile"]["after"] = ["forum"]


async def test_whoever_is_written_back_for_a_moment_is_asked_about_until_they_are_gone(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.newsletter.misbehave(FaultKind.JOB_LATE, user=ada, seconds=1)
    plan = stage.plan("newsletter-last", all_of(brisk, _newsletter_last))
    run = await stage.start(ada, plan=plan, cool_off="0", running_clock=True)

    async def forum_and_profile_are_gone() -> None:
        assert set((await run.status()).gone) >= {"forum", "profile"}

    await eventually(forum_and_profile_are_gone)
    stage.sandbox.forum.add_people([ada])
    await run.reaches(Phase.VERIFY)

    async def is_found_there() -> None:
        assert (await step_row(stage, ada, "forum")).last_code == "still_present"

    await eventually(is_found_there)
    assert await run.is_running()
    token = stage.sandbox.environment["FORUM_TOKEN"]
    stage.sandbox.forum.http.delete(
        f"/authors/{ada.user_id}", headers={"authorization": f"Bearer {token}"}
    ).raise_for_status()
    await run.skip(timedelta(minutes=10))
    result = await run.result()
    assert (result.outcome, result.failed) == (Outcome.COMPLETE, ())
    assert stage.sandbox.forum.kept(ada) is None


async def test_what_is_kept_by_law_is_told_with_its_date(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    result = await run.result()
    case = await stage.case_of(ada)
    [invoices] = [step for step in result.steps if step.step == "invoices"]
    assert result.retained == ("invoices",)
    assert invoices.until == case.requested_at + timedelta(days=3650)
    assert stage.sandbox.invoices.effects_on(ada) == []
    assert "ten years" in stage.sandbox.mailbox.mails(ada)[-1]["text"]

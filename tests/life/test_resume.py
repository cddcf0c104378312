"""ERRORED is no end: what an operator can do about it, and what nobody can."""

import pytest
from temporalio.client import WorkflowExecutionStatus

from ledger.rows import CaseState
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk, with_patience, with_token
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import Direction, Outcome, Phase, Reason, StepResult

HASTY = all_of(brisk, with_patience("400ms"))


async def refused_by_the_forum(stage: Stage, person: Person) -> Result:
    """A retirement that has stopped as ERRORED: the forum refuses for good, the rest is gone."""
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, user=person, method="DELETE", times=None)
    run = await stage.start(person, plan=stage.plan("hasty", HASTY), cool_off="0", running_clock=True)
    return await run.errored()


async def resume(stage: Stage, person: Person, errored: Result, **fields: object) -> Retirement:
    """Start the run that goes on with a case."""
    return await stage.start(
        person, plan="hasty", resume=errored.retirement_id, requested_by="ops-3", running_clock=True, **fields
    )


def freezes(stage: Stage, person: Person) -> list[str]:
    """What was frozen, by the services' logs."""
    effects = stage.sandbox.accounts.effects_on(person) + stage.sandbox.forum.effects_on(person)
    return [effect for effect in effects if effect in ("lock", "mute")]


def subjects(stage: Stage, person: Person | str) -> list[str]:
    """The subjects of somebody's mails, without dates."""
    return [mail["subject"].split(" on ")[0] for mail in stage.sandbox.mailbox.mails(person)]


def _has_mail(stage: Stage, person: Person) -> None:
    assert subjects(stage, person)


async def test_a_lying_service_ends_errored_and_a_resume_completes_without_repeating(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.LIE, user=ada, method="DELETE", times=None)
    run = await stage.start(ada, plan=stage.plan("hasty", HASTY), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await eventually(lambda: _has_mail(stage, ada))
    await run.ask(names.EXPEDITE)
    errored = await run.errored()
    assert (errored.outcome, errored.direction, errored.failed) == (Outcome.ERRORED, Direction.FORWARD, ("profile",))
    assert {step.step: (step.result, step.code) for step in errored.steps if step.step != "invoices"} == {
        "lock": ("done", None),
        "mute": ("done", None),
        "forum": ("erased", None),
        "newsletter": ("erased", None),
        "profile": ("failed", "still_present"),
    }
    assert (await run.handle.describe()).status is WorkflowExecutionStatus.FAILED
    assert await run.attribute(names.OUTCOME_ATTRIBUTE) == "ERRORED"
    assert list(await run.attribute(names.FAILED_STEP_ATTRIBUTE)) == ["profile"]
    assert errored.retirement_id is not None
    case = await stage.case_of(ada)
    assert (case.state, case.outcome, case.direction) == (CaseState.PAST_RETURN, "ERRORED", "forward")
    assert stage.vault_rows(errored.retirement_id) > 0
    assert subjects(stage, ada) == ["Your account will be deleted"]

    stage.sandbox.accounts.behave()
    asked_before = {name: len(stage.sandbox.services[name].requests(ada)) for name in ("forum", "newsletter")}
    lies = [r.idempotency_key for r in stage.sandbox.accounts.requests(ada) if r.method == "DELETE"]
    again = await resume(stage, ada, errored)
    result = await again.result()
    assert (result.outcome, result.retirement_id) == (Outcome.COMPLETE, errored.retirement_id)
    assert {step.step: step.result for step in result.steps}["profile"] is StepResult.ERASED
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]
    assert stage.sandbox.newsletter.effects_on(ada) == ["accept_deletion", "erase"]
    for name, before in asked_before.items():  # only the last look of the verification
        assert [r.method for r in stage.sandbox.services[name].requests(ada)[before:]] == ["GET"]
    told = [r.idempotency_key for r in stage.sandbox.accounts.requests(ada) if r.method == "DELETE"][len(lies) :]
    assert len(told) == 1
    assert told[0] not in lies
    assert subjects(stage, ada) == ["Your account will be deleted", "Your account has been deleted"]
    case = await stage.case_of(ada)
    assert (case.state, case.outcome) == (CaseState.CLOSED, "COMPLETE")
    assert [(r.direction, r.by) for r in await stage.ledger.resumes(errored.retirement_id)] == [("forward", "ops-3")]
    assert stage.vault_rows(errored.retirement_id) == 0


async def test_the_operators_are_told_and_learn_nothing_about_the_person(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    [mail] = [
        mail
        for mail in stage.sandbox.mailbox.mails("operators@sandbox.example")
        if str(errored.retirement_id) in mail["text"]
    ]
    assert "forum" in mail["text"]
    for value in (ada.user_id, ada.name, ada.email, ada.username):
        assert value not in str(mail)


async def test_an_errored_case_is_rescinded_by_nobody_and_started_by_nobody(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    plain = await (await stage.start(ada, running_clock=True)).result()
    assert (plain.outcome, plain.reason, plain.retirement_id) == (
        Outcome.ABORTED,
        Reason.ERRORED_BEFORE,
        errored.retirement_id,
    )
    case = await stage.case_of(ada)
    assert (case.outcome, case.retirement_id) == ("ERRORED", errored.retirement_id)


async def test_a_resume_with_a_skip_completes_and_names_who_skipped(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    assert errored.failed == ("forum",)
    assert stage.sandbox.accounts.kept(ada) is not None  # it comes after the forum
    skip = [{"step": "forum", "by": "ops-3", "reason_code": "service_closed"}]
    result = await (await resume(stage, ada, errored, skip=skip)).result()
    assert (result.outcome, result.skipped) == (Outcome.COMPLETE, ("forum",))
    [forum] = [step for step in result.steps if step.step == "forum"]
    assert (forum.by, forum.code) == ("ops-3", "service_closed")
    assert stage.sandbox.forum.kept(ada) is not None
    assert stage.sandbox.accounts.kept(ada) is None


async def test_an_operators_word_is_asked_about_by_the_resumed_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.newsletter.misbehave(FaultKind.STATUS, status=400, user=ada, method="POST", times=1)
    name = stage.plan("word", all_of(HASTY, with_token("forum", "RESUMED_FORUM_TOKEN")))
    monkeypatch.setenv("RESUMED_FORUM_TOKEN", stage.sandbox.environment["FORUM_TOKEN"])
    run = await stage.start(ada, plan=name, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    monkeypatch.setenv("RESUMED_FORUM_TOKEN", "rotated")
    await run.ask(names.EXPEDITE)
    await run.holds("forum")
    await run.ask(names.DECIDE, step="forum", decision="done", by="ops-3")
    errored = await run.errored()
    assert errored.failed == ("newsletter",)
    monkeypatch.setenv("RESUMED_FORUM_TOKEN", stage.sandbox.environment["FORUM_TOKEN"])
    again = await (await stage.start(ada, plan=name, resume=errored.retirement_id, running_clock=True)).errored()
    [forum] = [step for step in again.steps if step.step == "forum"]
    assert (forum.result, forum.code) == (StepResult.FAILED, "still_present")
    result = await (await stage.start(ada, plan=name, resume=errored.retirement_id, running_clock=True)).result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.forum.kept(ada) is None


async def test_a_resume_that_meets_the_same_trouble_errs_again_and_can_be_resumed_again(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    again = await (await resume(stage, ada, errored)).errored()
    assert (again.retirement_id, again.failed) == (errored.retirement_id, ("forum",))
    stage.sandbox.forum.behave()
    assert (await (await resume(stage, ada, errored)).result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]


def _wrong_path(document: PlanDocument) -> None:
    document["steps"]["forum"]["request"]["path"] = "/writers/{{ user_id }}"


async def test_a_mended_plan_is_taken_where_the_resume_asks_for_it(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    name = stage.plan("mended", all_of(HASTY, _wrong_path))
    run = await stage.start(ada, plan=name, cool_off="0", running_clock=True)
    errored = await run.errored()
    # Nobody is called absent by a wrong address.
    assert errored.failed == ("forum",)
    assert stage.sandbox.forum.kept(ada) is not None
    before = (await stage.case_of(ada)).plan_digest

    stage.plan(name, HASTY)
    fields = {"plan": name, "resume": errored.retirement_id}
    unchanged = await (await stage.start(ada, running_clock=True, **fields)).errored()
    assert unchanged.failed == ("forum",)
    assert (await stage.case_of(ada)).plan_digest == before

    result = await (await stage.start(ada, running_clock=True, current_plan=True, **fields)).result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.forum.kept(ada) is None
    after = (await stage.case_of(ada)).plan_digest
    assert after != before
    assert [r.plan_digest for r in await stage.ledger.resumes(str(errored.retirement_id))] == [before, after]


def _without_newsletter(document: PlanDocument) -> None:
    del document["steps"]["newsletter"]
    document["steps"]["profile"]["after"] = ["forum"]


async def test_a_plan_that_lost_a_finished_step_is_not_resumable(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    lost = stage.plan("lost", all_of(HASTY, _without_newsletter))
    run = await stage.start(ada, plan=lost, resume=errored.retirement_id, current_plan=True, running_clock=True)
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NOT_RESUMABLE)
    assert (await stage.case_of(ada)).outcome == "ERRORED"


async def test_going_back_is_refused_where_something_is_gone(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    assert stage.sandbox.newsletter.kept(ada) is None
    result = await (await resume(stage, ada, errored, go_back=True)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NOT_RESUMABLE)
    case = await stage.case_of(ada)
    assert (case.state, case.outcome) == (CaseState.PAST_RETURN, "ERRORED")
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]


async def test_going_back_where_nothing_is_gone_gives_the_account_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, user=ada, method="DELETE", times=1)
    stage.sandbox.newsletter.misbehave(FaultKind.STATUS, status=400, user=ada, method="POST", times=None)
    run = await stage.start(ada, plan=stage.plan("hasty", HASTY), cool_off="0", running_clock=True)
    errored = await run.errored()
    assert set(errored.failed) == {"forum", "newsletter"}
    result = await (await resume(stage, ada, errored, go_back=True)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.ABANDONED)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert stage.sandbox.accounts.can_log_in(ada)
    assert subjects(stage, ada)[-1] == "Your account was not deleted"
    case = await stage.case_of(ada)
    assert (case.state, case.reason) == (CaseState.CLOSED, "abandoned")


async def stuck_on_the_way_back(stage: Stage, person: Person) -> Result:
    """Rescinded, but the unlock is refused: ERRORED, back only."""
    unlock = f"/users/{person.user_id}/unlock"
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=503, path_prefix=unlock, times=None)
    run = await stage.start(person, plan=stage.plan("hasty", HASTY), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await eventually(lambda: _has_mail(stage, person))
    assert (await run.ask(names.RESCIND, by="support-7")).accepted
    return await run.errored()


def nobody_was_erased(stage: Stage, person: Person) -> None:
    """Not one request was made that could have erased something."""
    for service in (stage.sandbox.accounts, stage.sandbox.forum, stage.sandbox.newsletter):
        for request in service.requests(person):
            assert request.method != "DELETE" or "/mutes/" in request.path
            assert request.path != "/deletions"


async def test_an_undo_that_fails_ends_errored_and_a_resume_only_undoes(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await stuck_on_the_way_back(stage, ada)
    assert (errored.direction, errored.failed) == (Direction.BACK, ("lock",))
    case = await stage.case_of(ada)
    assert (case.state, case.outcome, case.direction) == (CaseState.GOING_BACK, "ERRORED", "back")
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert stage.vault_rows(case.retirement_id) > 0
    plain = await (await stage.start(ada, cool_off="0", running_clock=True)).result()
    assert plain.reason is Reason.ERRORED_BEFORE

    stage.sandbox.accounts.behave()
    # Not even somebody who asks for today's plan and no cool-off can make it go forward.
    result = await (await resume(stage, ada, errored, cool_off="0", current_plan=True)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert freezes(stage, ada) == ["lock", "mute"]
    assert stage.sandbox.accounts.can_log_in(ada)
    nobody_was_erased(stage, ada)
    assert subjects(stage, ada) == ["Your account will be deleted", "Your account is back"]
    assert stage.vault_rows(case.retirement_id) == 0


async def test_an_undo_that_fails_again_errs_back_again_until_it_is_skipped(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await stuck_on_the_way_back(stage, ada)
    again = await (await resume(stage, ada, errored)).errored()
    assert (again.direction, again.failed) == (Direction.BACK, ("lock",))
    skip = [{"step": "lock", "by": "ops-3", "reason_code": "unlocked_by_hand"}]
    result = await (await resume(stage, ada, errored, skip=skip)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    nobody_was_erased(stage, ada)
    stage.sandbox.accounts.behave()


@pytest.mark.parametrize("fields", [{}, {"go_back": True}], ids=["forward", "back"])
async def test_a_case_that_is_closed_or_somebody_elses_is_not_resumable(stage: Stage, fields: dict[str, bool]) -> None:
    ada, eve = stage.sandbox.add_person(), stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    theirs = await (await resume(stage, eve, errored, **fields)).result()
    assert (theirs.outcome, theirs.reason) == (Outcome.ABORTED, Reason.NOT_RESUMABLE)
    assert theirs.retirement_id is None
    assert stage.sandbox.accounts.effects_on(eve) == []
    skip = [{"step": "forum", "by": "ops-3", "reason_code": "service_closed"}]
    await (await resume(stage, ada, errored, skip=skip)).result()
    closed = await (await resume(stage, ada, errored, **fields)).result()
    assert (closed.outcome, closed.reason) == (Outcome.ABORTED, Reason.NOT_RESUMABLE)
    assert (await stage.case_of(ada)).outcome == "COMPLETE"


async def test_a_resume_delivered_twice_resumes_once(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    errored = await refused_by_the_forum(stage, ada)
    await (await resume(stage, ada, errored, request_id="q-1")).errored()
    second = await (await resume(stage, ada, errored, request_id="q-1")).result()
    assert (second.outcome, second.reason) == (Outcome.ABORTED, Reason.DUPLICATE_REQUEST)
    assert len(await stage.ledger.resumes(str(errored.retirement_id))) == 1

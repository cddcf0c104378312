"""Every way a retirement can end before the point of no return, and the good end; seen by person, services and ledger."""

from datetime import timedelta

from ledger.rows import CaseState
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.elsewhere import delete_account
from tests.support.plans import PlanDocument, all_of, brisk, with_patience
from tests.support.stage import Stage
from workflows import names
from workflows.names import Outcome, Phase, Reason

_COOL_OFF = timedelta(days=14)


def destructive_requests(stage: Stage, person: Person) -> list[str]:
    """Every request that could have erased something of the person."""
    calls = [
        (service, request)
        for service in ("accounts", "forum", "newsletter")
        for request in stage.sandbox.services[service].requests(person)
    ]
    return [
        f"{service}: {request.method} {request.path}"
        for service, request in calls
        if (request.method == "DELETE" and "/mutes/" not in request.path)
        or (request.method == "POST" and request.path == "/deletions")
    ]


async def test_a_retirement_erases_everywhere_and_tells(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    session = stage.sandbox.accounts.log_in(ada)
    assert session is not None
    run = await stage.start(ada)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps} == {
        "lock": "done",
        "mute": "done",
        "forum": "erased",
        "newsletter": "erased",
        "invoices": "retained",
        "profile": "erased",
    }
    assert stage.sandbox.accounts.kept(ada) is None
    assert stage.sandbox.forum.kept(ada) is None
    assert stage.sandbox.newsletter.kept(ada) is None
    assert stage.sandbox.invoices.kept(ada) is not None
    assert not stage.sandbox.accounts.can_log_in(ada)
    assert not stage.sandbox.accounts.is_session(session)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]
    assert stage.sandbox.mailbox.mails(ada)[-1]["subject"] == "Your account has been deleted"

    case = await stage.case_of(ada)
    assert (case.retirement_id, case.state, case.outcome) == (result.retirement_id, CaseState.CLOSED, "COMPLETE")
    assert case.workflow_id is None
    status = await run.status()
    assert (status.phase, status.outcome, status.may_rescind) == (Phase.CLOSED, Outcome.COMPLETE, False)
    assert status.gone == ("lock", "mute", "forum", "newsletter", "profile")[2:]
    assert await run.attribute(names.OUTCOME_ATTRIBUTE) == "COMPLETE"
    assert await run.attribute(names.PHASE_ATTRIBUTE) == "closed"
    assert await run.attribute(names.DUE_AT_ATTRIBUTE) == case.due_at


async def test_whoever_is_not_known_to_a_service_is_absent_there_and_gone_everywhere(stage: Stage) -> None:
    ada = stage.sandbox.add_person(at=("accounts", "invoices"))
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps if step.step != "invoices"} == {
        "lock": "done",
        "mute": "absent",
        "forum": "absent",
        "newsletter": "absent",
        "profile": "erased",
    }
    assert stage.sandbox.forum.effects_on(ada) == []


async def test_whoever_nobody_knows_is_not_retired(stage: Stage) -> None:
    nobody = Person()
    run = await stage.start(nobody, running_clock=True)
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NO_SUCH_SUBJECT)
    assert {request.method for request in stage.sandbox.accounts.requests(nobody)} == {"GET"}
    case = await stage.case_of(nobody)
    assert (case.state, case.outcome, case.reason) == (CaseState.CLOSED, "ABORTED", "no_such_subject")
    assert await run.attribute(names.REASON_ATTRIBUTE) == "no_such_subject"


async def test_an_account_deleted_elsewhere_during_the_cool_off_is_found_at_the_recheck(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    delete_account(stage.sandbox, ada)
    await run.skip(_COOL_OFF)
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NO_SUCH_SUBJECT)
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert stage.sandbox.newsletter.kept(ada) is not None
    assert destructive_requests(stage, ada) == [f"accounts: DELETE /users/{ada.user_id}"]  # the one from elsewhere


async def test_a_lookup_refused_for_good_aborts_before_anything_is_touched(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=400, user=ada, method="GET", times=None)
    result = await (await stage.start(ada, running_clock=True)).result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.LOOKUP_FAILED, "http_400")
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert stage.sandbox.accounts.can_log_in(ada)
    assert (await stage.case_of(ada)).reason == "lookup_failed"


async def test_a_lookup_out_of_patience_aborts(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=503, user=ada, method="GET", times=None)
    run = await stage.start(ada, plan=stage.plan("hasty", all_of(brisk, with_patience("400ms"))), running_clock=True)
    result = await run.result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.LOOKUP_FAILED, "http_503")
    assert len(stage.sandbox.accounts.requests(ada)) >= 5
    assert stage.sandbox.accounts.effects_on(ada) == []


async def test_a_probe_that_cannot_answer_aborts_before_anything_is_touched(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, user=ada, method="GET", times=None)
    result = await (await stage.start(ada, running_clock=True)).result()
    assert (result.reason, result.code) == (Reason.LOOKUP_FAILED, "forum:http_400")
    assert stage.sandbox.accounts.effects_on(ada) == []


async def test_a_recheck_that_fails_after_weeks_gives_the_account_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=400, user=ada, method="GET", times=None)
    await run.skip(_COOL_OFF)
    result = await run.result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.LOOKUP_FAILED, "http_400")
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert destructive_requests(stage, ada) == []
    assert stage.sandbox.mailbox.mails(ada)[-1]["headers"]["date"].startswith((await run.now()).strftime("%a, %d %b"))


def _three_freezes(document: PlanDocument) -> None:
    """lock, then mute, then a third step at the forum."""
    steps = document["steps"]
    steps["mute"]["after"] = ["lock"]
    silence = {**steps["mute"], "after": ["mute"]}
    silence["request"] = {"method": "PUT", "path": "/authors/{{ user_id }}/mutes/silence"}
    silence["undo"] = {"request": {"method": "DELETE", "path": "/authors/{{ user_id }}/mutes/silence"}}
    document["steps"] = {"lock": steps["lock"], "mute": steps["mute"], "silence": silence, **steps}


async def test_a_freeze_that_fails_half_way_is_undone_in_reverse(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    silence = f"/authors/{ada.user_id}/mutes/silence"
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, method="PUT", path_prefix=silence, times=None)
    run = await stage.start(ada, plan=stage.plan("three-freezes", _three_freezes), running_clock=True)
    result = await run.result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.FREEZE_FAILED, "http_400")
    assert result.failed == ("silence",)
    asked = [
        request
        for service in (stage.sandbox.accounts, stage.sandbox.forum)
        for request in service.requests(ada)
        if request.method != "GET" and request.status is not None
    ]
    in_order = [request.path.removeprefix("/users/").removeprefix("/authors/") for request in sorted(
        asked, key=lambda request: request.monotonic
    )]  # fmt: skip
    lock, mute, third, unlock = (
        f"{ada.user_id}/{path}" for path in ("lock", "mutes/retirement", "mutes/silence", "unlock")
    )
    assert in_order == [lock, mute, third, third, mute, unlock]
    assert stage.sandbox.accounts.can_log_in(ada)
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    kept = stage.sandbox.forum.kept(ada)
    assert kept is not None and kept["mutes"] == []
    assert destructive_requests(stage, ada) == []
    assert {step.step: step.state for step in (await run.status()).steps if step.phase == "freeze"} == {
        "lock": "undone",
        "mute": "undone",
        "silence": "undone",
    }


async def test_a_failed_freeze_beside_a_finished_one_undoes_both(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(
        FaultKind.STATUS, status=400, method="POST", path_prefix=f"/users/{ada.user_id}/lock", times=None
    )
    result = await (await stage.start(ada, running_clock=True)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.FREEZE_FAILED)
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert "lock" not in stage.sandbox.accounts.effects_on(ada)
    assert stage.sandbox.accounts.can_log_in(ada)
    assert stage.sandbox.mailbox.mails(ada)[-1]["subject"] == "Your account was not deleted"


async def test_whoever_was_locked_before_stays_locked(stage: Stage) -> None:
    ada = stage.sandbox.add_person(locked=True)
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, method="PUT", user=ada, times=None)
    result = await (await stage.start(ada, running_clock=True)).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.FREEZE_FAILED)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
    kept = stage.sandbox.accounts.kept(ada)
    assert kept is not None and kept["locked"]


async def test_an_answer_lost_by_a_lock_still_unlocks(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.LOST_ANSWER, user=ada, path_prefix=f"/users/{ada.user_id}/lock")
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    assert (await run.result()).reason is Reason.RESCINDED
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.accounts.can_log_in(ada)

"""The release phase: identifiers are blocked or freed only after everything is erased and verified."""

from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk, with_patience
from tests.support.stage import Stage
from workflows.names import Outcome, Phase, StepResult


def with_release(document: PlanDocument) -> None:
    """A release step at the account service; ending sessions stands for freeing a name, and is seen in the effects."""
    document["steps"]["free_name"] = {
        "phase": "release",
        "service": "accounts",
        "request": {"method": "DELETE", "path": "/users/{{ user_id }}/sessions"},
        "absent": [404],
        "patience": "5s",
    }


async def test_names_are_released_after_all_is_erased(stage: Stage) -> None:
    plan = stage.plan("released", with_release)
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=plan, cool_off="0s")
    result = await run.result()
    assert {step.step: step.result for step in result.steps}["free_name"] is StepResult.DONE
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase", "end_sessions"]
    freed = stage.sandbox.accounts.effects(ada)[-1].monotonic
    probed = [request.monotonic for request in stage.sandbox.forum.requests(ada) if request.method == "GET"]
    assert max(probed) < freed
    assert [step.phase for step in (await run.status()).steps][-1] == Phase.RELEASE


async def test_nothing_is_released_of_somebody_who_is_half_deleted(stage: Stage) -> None:
    plan = stage.plan("release-waits", all_of(brisk, with_patience("2s"), with_release))
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.LIE, user=ada, times=None, method="DELETE")
    run = await stage.start(ada, plan=plan, cool_off="0s")
    assert (await run.errored()).failed == ("forum",)
    assert "end_sessions" not in stage.sandbox.accounts.effects_on(ada)


async def test_a_release_that_failed_is_all_that_a_resume_repeats(stage: Stage) -> None:
    plan = stage.plan("release-fails", with_release)
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(
        FaultKind.STATUS, status=400, user=ada, times=1, path_prefix=f"/users/{ada.user_id}/s"
    )
    run = await stage.start(ada, plan=plan, cool_off="0s")
    stopped = await run.errored()
    assert stopped.failed == ("free_name",)
    case = await stage.case_of(ada)
    resumed = await stage.start(ada, resume=case.retirement_id)
    assert (await resumed.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase", "end_sessions"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "erase"]

"""A plan may change while people are being retired by it; each retirement keeps the one it was given."""

from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk
from tests.support.stage import Stage
from workflows.names import RESCIND, Outcome, Phase, StepResult


def _at_a_wrong_path(document: PlanDocument) -> None:
    document["steps"]["forum"]["request"]["path"] = "/writers/{{ user_id }}"


async def test_a_retirement_in_cool_off_keeps_its_plan(stage: Stage) -> None:
    ada, bob = stage.sandbox.add_person(), stage.sandbox.add_person()
    name = stage.plan("changing", brisk)
    run = await stage.start(ada, plan=name, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    given = (await stage.case_of(ada)).plan_digest

    stage.plan(name, all_of(brisk, _at_a_wrong_path))
    other = await stage.start(bob, plan=name, running_clock=True)
    await other.reaches(Phase.COOL_OFF)
    assert (await stage.case_of(bob)).plan_digest != given, "whoever starts now is given today's plan"
    await other.ask(RESCIND)
    await other.result()

    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.forum.kept(ada) is None
    assert (await stage.case_of(ada)).plan_digest == given


def _ends_sessions(document: PlanDocument) -> None:
    document["steps"]["sessions"] = {
        "phase": "freeze",
        "after": ["lock"],
        "service": "accounts",
        "request": {"method": "DELETE", "path": "/users/{{ user_id }}/sessions"},
        "absent": [404],
        "no_undo": "whoever gets the account back logs in again",
    }


async def test_a_freeze_step_with_nothing_to_give_back_is_left_out_on_the_way_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=stage.plan("ends-sessions", _ends_sessions), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(RESCIND)
    assert (await run.result()).outcome is Outcome.ABORTED
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "end_sessions", "unlock"]


def _scrubs(document: PlanDocument) -> None:
    document["steps"]["forum"]["on_permanent"] = {
        "request": {"method": "PUT", "path": "/authors/{{ user_id }}/mutes/scrubbed"}
    }


async def test_a_last_resort_completes_the_retirement_and_is_told_as_such(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=409, user=ada, times=None, method="DELETE")
    run = await stage.start(ada, plan=stage.plan("scrubs", all_of(brisk, _scrubs)), cool_off="0s")
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps}["forum"] is StepResult.SCRUBBED
    assert "mute" in stage.sandbox.forum.effects_on(ada)

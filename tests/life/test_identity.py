"""One person, one case: what a second start means, and which starts are none."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from ledger.rows import CaseState
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import brisk
from tests.support.stage import LONGEST_WAIT, Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import HeldCause, Outcome, Phase, Reason, StepResult


@pytest.fixture
def plan(stage: Stage) -> str:
    """The sandbox's plan, quick."""
    return stage.plan("brisk", brisk)


async def completed(stage: Stage, person: Person, **fields: Any) -> tuple[Retirement, Result]:
    """A retirement without cool-off, and how it ended."""
    plan = stage.plan("brisk", brisk)
    run = await stage.start(person, **{"plan": plan, "cool_off": "0", "running_clock": True, **fields})
    return run, await run.result()


async def rescinded(stage: Stage, person: Person, **fields: Any) -> Result:
    """A retirement that was rescinded in its cool-off."""
    run = await stage.start(person, running_clock=True, **fields)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    return await run.result()


async def test_a_case_whose_run_is_gone_is_still_running_for_a_second_start(stage: Stage, plan: str) -> None:
    ada = stage.sandbox.add_person()
    first = await stage.start(ada, plan=plan, running_clock=True)
    await first.reaches(Phase.COOL_OFF)
    case = await stage.case_of(ada)
    await first.handle.terminate("by mistake")
    _, second = await completed(stage, ada)
    assert (second.outcome, second.reason, second.retirement_id) == (
        Outcome.ABORTED,
        Reason.ALREADY_RUNNING,
        case.retirement_id,
    )
    assert await stage.case_of(ada) == case
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]

    # A resume takes it up where it was; a rescind then undoes what the lost run froze.
    third = await stage.start(ada, plan=plan, resume=case.retirement_id, running_clock=True)
    await third.reaches(Phase.COOL_OFF)
    await third.ask(names.RESCIND)
    result = await third.result()
    assert (result.reason, result.retirement_id) == (Reason.RESCINDED, case.retirement_id)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]


async def test_a_run_lost_after_the_point_is_resumed_forward_without_repeating(stage: Stage, plan: str) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=None)
    first = await stage.start(ada, plan=plan, cool_off="0", running_clock=True)

    async def newsletter_is_gone() -> None:
        assert (await first.status()).gone == ("newsletter",)

    await eventually(newsletter_is_gone)
    await first.handle.terminate("by mistake")
    stage.sandbox.forum.behave()
    id = (await stage.case_of(ada)).retirement_id
    _, result = await completed(stage, ada, resume=id)
    assert (result.outcome, result.retirement_id) == (Outcome.COMPLETE, id)
    assert stage.sandbox.newsletter.effects_on(ada) == ["accept_deletion", "erase"]
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]


async def test_a_second_start_after_complete_touches_nothing(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    _, first = await completed(stage, ada)
    stage.sandbox.accounts.add_people([ada])  # they have come back
    _, second = await completed(stage, ada)
    assert (second.outcome, second.reason, second.retirement_id) == (
        Outcome.ABORTED,
        Reason.ALREADY_COMPLETE,
        first.retirement_id,
    )
    assert stage.sandbox.accounts.can_log_in(ada)
    assert len(await cases_of(stage, first)) == 1


async def cases_of(stage: Stage, *results: Result) -> set[str]:
    """The distinct cases that these runs were about, all of them in the ledger."""
    ids = {str(result.retirement_id) for result in results}
    for id in ids:
        assert await stage.ledger.case(id) is not None
    return ids


async def test_again_retires_whoever_has_come_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    _, first = await completed(stage, ada, request_id="q-1")
    stage.sandbox.add_people([ada])
    _, duplicate = await completed(stage, ada, request_id="q-1", again=True)
    assert duplicate.reason is Reason.DUPLICATE_REQUEST
    _, second = await completed(stage, ada, request_id="q-2", again=True)
    assert (second.outcome, len(await cases_of(stage, first, second))) == (Outcome.COMPLETE, 2)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase", "lock", "erase"]
    assert stage.sandbox.accounts.kept(ada) is None


async def test_a_request_delivered_twice_never_retires_whoever_rescinded(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    first = await rescinded(stage, ada, request_id="q-1")
    _, again = await completed(stage, ada, request_id="q-1")
    assert (again.outcome, again.reason, again.retirement_id) == (
        Outcome.ABORTED,
        Reason.DUPLICATE_REQUEST,
        first.retirement_id,
    )
    assert stage.sandbox.accounts.can_log_in(ada)


@pytest.mark.parametrize("second_id", ["q-2", None], ids=["another request id", "none"])
async def test_a_new_request_after_a_rescind_opens_a_new_case(stage: Stage, second_id: str | None) -> None:
    ada = stage.sandbox.add_person()
    first = await rescinded(stage, ada, request_id="q-1")
    _, second = await completed(stage, ada, request_id=second_id)
    assert second.outcome is Outcome.COMPLETE
    assert second.retirement_id != first.retirement_id
    keys = {effect.idempotency_key for effect in stage.sandbox.accounts.effects(ada) if effect.effect == "lock"}
    assert keys == {f"{first.retirement_id}:lock", f"{second.retirement_id}:lock"}


async def test_a_tenants_user_is_another_person(stage: Stage, plan: str) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, tenant="acme", plan=plan, running_clock=True)
    assert run.handle.id == f"retire-user-acme-{ada.user_id}"
    await run.reaches(Phase.COOL_OFF)
    assert await run.attribute(names.TENANT_ATTRIBUTE) == "acme"
    assert await stage.ledger.find(user_id=ada.user_id, tenant=None) is None
    await run.ask(names.RESCIND)
    result = await run.result()
    assert (await stage.case_of(ada, tenant="acme")).retirement_id == result.retirement_id


SECRET = "ada.lovelace@person.example"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cool_off": SECRET}, "cool_off"),
        ({"cool_off": "90d"}, "cool_off"),
        ({"requested_at": SECRET}, "requested_at"),
        ({"requested_at": "2999-01-01T00:00:00Z"}, "requested_at"),
        ({"plan": "no-such-plan"}, "plan"),
        ({"plan": "../../etc/passwd"}, "plan"),
        ({"reason_code": SECRET}, "reason_code"),
        ({"requested_by": SECRET}, "requested_by"),
        ({"request_id": SECRET}, "request_id"),
        ({"locale": SECRET}, "locale"),
        ({"again": SECRET}, "again"),
        ({"skip": SECRET}, "skip"),
        ({"skip": [{"step": "forum", "by": SECRET, "reason_code": "x"}]}, "skip"),
        ({"nickname": SECRET}, "nickname"),
        ({SECRET: "x"}, "a name not shown"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
async def test_a_bad_start_names_the_field_and_no_value(stage: Stage, fields: dict[str, Any], field: str) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True, **fields)
    error = await run.error()
    assert (error.type, error.non_retryable) == (names.BAD_REQUEST_ERROR, True)
    assert field in error.message
    for value in ("lovelace", "etc/passwd", ada.user_id):
        assert value not in f"{error.message} {error.details}"
    assert await stage.ledger.find(user_id=ada.user_id, tenant=None) is None
    assert stage.sandbox.accounts.requests(ada) == []


@pytest.fixture
async def raw_run(stage: Stage) -> AsyncIterator[Any]:
    """Start with whatever arguments and options, as any client may; the error it closes with."""

    async def error_of(id: str, *arguments: Any, **options: Any) -> ApplicationError:
        async with stage.clock(running=True):
            handle: WorkflowHandle[Any, Any] = await stage.client.start_workflow(
                names.WORKFLOW_TYPE, args=arguments, id=id, task_queue=names.QUEUE, **options
            )
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for(handle.result(), LONGEST_WAIT)
        assert isinstance(failure.value.cause, ApplicationError)
        return failure.value.cause

    yield error_of


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (None,),
        ("u-1",),
        (4711,),
        ([],),
        ({},),
        ({"user_id": ""},),
        ({"user_id": ["u-1"]},),
        ({"user_id": "u-1"}, 2),
    ],
    ids=[
        "no argument",
        "null",
        "a string",
        "a number",
        "a list",
        "no id",
        "an empty id",
        "a list of ids",
        "two arguments",
    ],
)
async def test_a_start_of_any_other_shape_is_a_bad_request(raw_run: Any, arguments: tuple[Any, ...]) -> None:
    error = await raw_run("retire-user-u-1", *arguments)
    assert error.type == names.BAD_REQUEST_ERROR
    assert "user_id" in error.message


async def test_another_workflow_id_is_refused(stage: Stage, raw_run: Any) -> None:
    ada, eve = stage.sandbox.add_person(), stage.sandbox.add_person()
    error = await raw_run(f"retire-user-{eve.user_id}", {"user_id": ada.user_id})
    assert error.type == names.BAD_REQUEST_ERROR
    assert "workflow id: must be retire-user-{user_id}" in error.message
    assert await stage.ledger.find(user_id=ada.user_id, tenant=None) is None


@pytest.mark.parametrize("option", ["execution_timeout", "run_timeout"])
async def test_a_run_that_could_be_cut_off_half_way_is_refused(stage: Stage, raw_run: Any, option: str) -> None:
    ada = stage.sandbox.add_person()
    id = names.workflow_id(user_id=ada.user_id)
    error = await raw_run(id, {"user_id": ada.user_id}, **{option: timedelta(days=30)})
    assert error.type == names.BAD_REQUEST_ERROR
    assert "timeout" in error.message
    assert await stage.ledger.find(user_id=ada.user_id, tenant=None) is None


async def test_an_integer_id_is_an_id(stage: Stage, plan: str) -> None:
    ada = stage.sandbox.add_person(user_id="4711")
    async with stage.clock(running=True):
        handle = await stage.client.start_workflow(
            names.WORKFLOW_TYPE,
            {"user_id": 4711, "plan": plan, "cool_off": 0},
            id="retire-user-4711",
            task_queue=names.QUEUE,
        )
    assert (await Retirement(stage=stage, handle=handle).result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.kept(ada) is None


async def reset(stage: Stage, run: Retirement, *, before: str | None) -> Retirement:
    """Reset a run to the decision that led to a step, or to its very first one. Signals are applied again."""
    decision = 0
    async for event in run.handle.fetch_history_events():
        if event.HasField("workflow_task_completed_event_attributes"):
            decision = event.event_id
            if before is None:
                break
        if event.activity_task_scheduled_event_attributes.activity_id == (before or "none"):
            break
    answer = await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.handle.id, run_id=run.handle.result_run_id or ""),
            reason="a test",
            request_id=f"reset-{run.handle.id}",
            workflow_task_finish_event_id=decision,
        )
    )
    return Retirement(stage=stage, handle=stage.client.get_workflow_handle(run.handle.id, run_id=answer.run_id))


async def completed_with_a_refused_rescind(stage: Stage, person: Person) -> tuple[Retirement, Result]:
    """A completed retirement whose history holds a rescind that came too late."""
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=person, method="DELETE", times=None)
    run = await stage.start(person, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    await run.reaches(Phase.ERASE)
    await run.handle.signal(names.RESCIND, {"by": "support-7"})

    async def is_refused() -> None:
        assert [message.accepted for message in (await run.status()).messages] == [False]

    await eventually(is_refused)
    stage.sandbox.forum.behave()
    await run.skip(timedelta(minutes=10))
    return run, await run.result()


async def test_a_reset_of_a_completed_run_to_its_start_calls_nobody(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run, first = await completed_with_a_refused_rescind(stage, ada)
    mails = len(stage.sandbox.mailbox.mails(ada))
    asked = len(stage.sandbox.accounts.requests(ada))
    result = await (await reset(stage, run, before=None)).result()
    assert (result.outcome, result.reason, result.retirement_id) == (
        Outcome.ABORTED,
        Reason.ALREADY_COMPLETE,
        first.retirement_id,
    )
    assert len(stage.sandbox.accounts.requests(ada)) == asked
    assert len(stage.sandbox.mailbox.mails(ada)) == mails


async def test_a_reset_of_a_completed_run_does_not_apply_a_refused_rescind(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run, first = await completed_with_a_refused_rescind(stage, ada)
    mails = len(stage.sandbox.mailbox.mails(ada))
    case = await stage.case_of(ada)
    again = await reset(stage, run, before="lock")
    hold = await again.holds("turn_back")
    assert (hold.cause, hold.code) == (HeldCause.CONFLICT, "case_closed")
    assert await again.attribute(names.HELD_ATTRIBUTE) == "conflict"
    await again.ask(names.DECIDE, step="turn_back", decision="close", by="ops-3")
    errored = await again.errored()
    assert (errored.code, errored.retirement_id) == ("conflict", first.retirement_id)
    # Nobody is told that the account is back, and the record stays as it was.
    assert len(stage.sandbox.mailbox.mails(ada)) == mails
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]
    after = await stage.case_of(ada)
    assert (after.state, after.outcome, after.closed_at) == (CaseState.CLOSED, "COMPLETE", case.closed_at)


async def test_a_reset_to_a_step_after_the_point_calls_nobody_and_changes_no_record(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run, first = await completed_with_a_refused_rescind(stage, ada)
    case = await stage.case_of(ada)
    mails = len(stage.sandbox.mailbox.mails(ada))
    asked = len(stage.sandbox.accounts.requests(ada))
    errored = await (await reset(stage, run, before="profile")).errored()
    assert (errored.retirement_id, errored.failed) == (first.retirement_id, ("profile",))
    assert [step.code for step in errored.steps if step.step == "profile"] == ["case_closed"]
    assert len(stage.sandbox.accounts.requests(ada)) == asked
    assert len(stage.sandbox.mailbox.mails(ada)) == mails
    assert await stage.case_of(ada) == case
    recorded = {row.step: row.result for row in await stage.ledger.steps(case.retirement_id) if row.action == "do"}
    assert recorded["profile"] is StepResult.ERASED

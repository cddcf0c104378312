"""Messages of every wrong shape, sent with the plain `temporal` command: none is lost, none blocks."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from sandbox.client import Person
from tests.support.plans import PlanDocument
from tests.support.stage import Retirement, Stage
from tests.support.temporal_command import WRONG_SHAPES, Shape, TemporalCommand
from workflows import names
from workflows.names import Outcome, Phase, Reason, workflow_id

CANARY = "ada.lovelace@person.example"


@pytest.fixture(scope="module")
def temporal(stage: Stage) -> TemporalCommand:
    """The command, pointed at the stage's server."""
    return TemporalCommand(stage.client)


def no_expedite(document: PlanDocument) -> None:
    document["cool_off"]["expedite"] = "refused"


async def no_task_failed(run: Retirement) -> None:
    """A workflow task that fails is retried for ever: the run is blocked."""
    events = [event.event_type async for event in run.handle.fetch_history_events()]
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in events
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in events


async def arrived(run: Retirement) -> Counter[str]:
    """How many messages of each name the history holds."""
    messages = Counter[str]()
    async for event in run.handle.fetch_history_events():
        if event.HasField("workflow_execution_signaled_event_attributes"):
            messages[event.workflow_execution_signaled_event_attributes.signal_name] += 1
        elif event.HasField("workflow_execution_update_accepted_event_attributes"):
            messages[event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name] += 1
    return messages


# --- rescind: of whatever shape, it is one ----------------------------------------------------------------------


@pytest.mark.parametrize("as_update", [False, True], ids=["signal", "update"])
async def test_a_rescind_of_any_shape_is_a_rescind(stage: Stage, temporal: TemporalCommand, as_update: bool) -> None:
    async def rescind(shape: Shape) -> tuple[Any, ...]:
        person = stage.sandbox.add_person()
        run = await stage.start(person, running_clock=True)
        await run.reaches(Phase.COOL_OFF)
        if as_update:
            answer = await temporal.update(run.handle.id, names.RESCIND, shape)
            assert (answer["accepted"], answer["code"]) == (True, "rescinded")
        else:
            await temporal.signal(run.handle.id, names.RESCIND, shape)
        result = await run.result()
        await no_task_failed(run)
        assert result.retirement_id is not None
        [message] = await stage.ledger.messages(result.retirement_id)
        return (
            (result.outcome, result.reason),
            stage.sandbox.accounts.effects_on(person),
            stage.sandbox.accounts.can_log_in(person),
            (message.kind, message.accepted, message.code),
            message.by == "unreadable",
        )

    ended = await asyncio.gather(*[rescind(shape) for shape in _rescinds().values()])
    assert dict(zip(_rescinds(), ended, strict=True)) == {
        name: (
            (Outcome.ABORTED, Reason.RESCINDED),
            ["lock", "unlock"],
            True,
            ("rescind", True, "rescinded"),
            shape.unreadable and name != "two arguments",  # the first of the two says by whom
        )
        for name, shape in _rescinds().items()
    }


def _rescinds() -> dict[str, Shape]:
    return {
        **WRONG_SHAPES,
        "an address": Shape(arguments=("--input", json.dumps({"by": CANARY, "reason_code": "so long, and thanks"}))),
        "an empty object": Shape(arguments=("--input", "{}"), unreadable=False),
    }


async def test_a_rescind_of_any_shape_sent_while_no_worker_runs_is_not_lost(
    stage: Stage, temporal: TemporalCommand
) -> None:
    people = {name: stage.sandbox.add_person() for name in WRONG_SHAPES}
    runs = {name: await stage.start(person, running_clock=True) for name, person in people.items()}
    for run in runs.values():
        await run.reaches(Phase.COOL_OFF)
    async with stage.crew.away():
        await asyncio.gather(
            *[temporal.signal(runs[name].handle.id, names.RESCIND, shape) for name, shape in WRONG_SHAPES.items()]
        )
    for name, run in runs.items():
        result = await run.result()
        assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED), name
        assert stage.sandbox.accounts.effects_on(people[name]) == ["lock", "unlock"], name
        await no_task_failed(run)


# --- the others -------------------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
async def test_wrong_messages_are_answered_and_shown_and_the_run_goes_on(
    stage: Stage, temporal: TemporalCommand
) -> None:
    person = stage.sandbox.add_person()
    run = await stage.start(person, running_clock=True, plan=stage.plan("no-expedite", no_expedite))
    before = await run.reaches(Phase.COOL_OFF)
    doors = (names.EXPEDITE, names.EXTEND, names.DECIDE)

    async def send(door: str, shape: Shape) -> str:
        await temporal.signal(run.handle.id, door, shape)
        answer = await temporal.update(run.handle.id, door, shape)
        assert not answer["accepted"]
        return str(answer["code"])

    sent = [(door, name) for door in doors for name in WRONG_SHAPES]
    answers = dict(
        zip(sent, await asyncio.gather(*[send(door, WRONG_SHAPES[name]) for door, name in sent]), strict=True)
    )
    assert answers == {
        **{(names.EXPEDITE, name): "refused_by_plan" for name in WRONG_SHAPES},
        **{
            (names.EXTEND, name): "bad_input" if shape.unreadable else "bad_until_or_by_duration"
            for name, shape in WRONG_SHAPES.items()
        },
        **{(names.DECIDE, name): "not_held" for name in WRONG_SHAPES},
    }
    status = await run.status()
    shown = Counter((message.kind, message.code) for message in status.messages if not message.accepted)
    # On a busy server an aborted update may be taken twice; none may be lost, and each that was taken is shown.
    assert shown >= Counter((door, code) for (door, _), code in answers.items() for _ in ("signal", "update"))
    assert Counter(message.kind for message in status.messages) == await arrived(run)
    assert (status.phase, status.cool_off_ends_at) == (Phase.COOL_OFF, before.cool_off_ends_at)

    asked = await asyncio.gather(*[temporal.status(run.handle.id, shape) for shape in WRONG_SHAPES.values()])
    assert [status["phase"] for status in asked] == ["cool_off"] * len(WRONG_SHAPES)

    extended = await temporal.update(
        run.handle.id, names.EXTEND, Shape(arguments=("--input", '{"by_duration": "3d", "by": "support-7"}'))
    )
    assert (extended["accepted"], extended["code"]) == (True, "extended")
    await run.skip()
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.effects_on(person) == ["lock", "erase"]
    assert result.retirement_id is not None
    recorded = await stage.ledger.messages(result.retirement_id)
    assert Counter((row.kind, row.code) for row in recorded if not row.accepted) == shown
    await no_task_failed(run)


@pytest.mark.parametrize("name", ["bytes", "no argument"])
async def test_an_expedite_of_any_shape_is_one_where_the_plan_allows_it(
    stage: Stage, temporal: TemporalCommand, name: str
) -> None:
    person = stage.sandbox.add_person()
    run = await stage.start(person, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await temporal.signal(run.handle.id, names.EXPEDITE, WRONG_SHAPES[name])
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.kept(person) is None
    await no_task_failed(run)


async def test_a_message_nobody_knows_is_ignored(stage: Stage, temporal: TemporalCommand) -> None:
    person = stage.sandbox.add_person()
    run = await stage.start(person, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    for shape in WRONG_SHAPES.values():
        await temporal.signal(run.handle.id, "no_such_message", shape)
    await temporal.signal(run.handle.id, names.RESCIND, WRONG_SHAPES["no argument"])
    assert (await run.result()).outcome is Outcome.ABORTED
    await no_task_failed(run)


# --- start ------------------------------------------------------------------------------------------------------


async def test_a_start_of_a_wrong_shape_fails_at_once_and_touches_nobody(
    stage: Stage, temporal: TemporalCommand
) -> None:
    async def start(shape: Shape) -> tuple[str | None, str]:
        person = stage.sandbox.add_person()
        run = await started(stage, temporal, person, shape)
        error = await run.error()
        await no_task_failed(run)
        assert stage.sandbox.accounts.requests(person) == []
        return error.type, str(error.message)

    ended = await asyncio.gather(*[start(shape) for shape in WRONG_SHAPES.values()])
    form = 'input: must be one JSON object, for example {"user_id": "u-4711", "request_id": "7f0c"}'
    assert dict(zip(WRONG_SHAPES, ended, strict=True)) == {name: ("BadRequest", form) for name in WRONG_SHAPES}


@pytest.mark.parametrize(
    ("fields", "more", "refusal"),
    [
        ({"user_id": CANARY + "\n"}, (), "user_id: must be 1 to 512 printable characters"),
        ({"user_id": None}, (), "user_id: must be 1 to 512 printable characters"),
        ({"cooloff": CANARY}, (), "unknown field cooloff: must be one of "),
        ({CANARY: 1}, (), "unknown field (a name not shown): must be one of "),
        ({"cool_off": CANARY}, (), "cool_off: must be a number and a unit "),
        ({"cool_off": "9999999d"}, (), "cool_off: must be at most 21d by plan sandbox"),
        ({"requested_at": CANARY}, (), "requested_at: must be a date and time "),
        ({"requested_at": "9999-12-31"}, (), "requested_at: must be not in the future"),
        ({"requested_by": CANARY}, (), "requested_by: must be an opaque id or code "),
        ({"again": "yes"}, (), "again: must be true or false"),
        ({"skip": [CANARY]}, (), "skip: must be a list of {step, by, reason_code}"),
        ({"plan": "no-such-plan"}, (), "plan: must be the name of a plan "),
        ({"tenant": "other"}, (), "workflow id: must be retire-user-{user_id}, or "),
        ({}, ("--run-timeout", "1h"), "execution and run timeout: must be left out: "),
        ({}, ("--execution-timeout", "1h"), "execution and run timeout: must be left out: "),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else None,
)
async def test_a_start_that_cannot_be_used_says_which_field_and_not_the_value(
    stage: Stage, temporal: TemporalCommand, fields: dict[str, Any], more: tuple[str, ...], refusal: str
) -> None:
    person = stage.sandbox.add_person()
    request = json.dumps({"user_id": person.user_id, **fields})
    run = await started(stage, temporal, person, Shape(arguments=("--input", request, *more)))
    error = await run.error()
    assert error.type == names.BAD_REQUEST_ERROR
    assert str(error.message).startswith(refusal)
    assert CANARY not in str(error.message)
    assert stage.sandbox.accounts.requests(person) == []
    await no_task_failed(run)


async def test_a_start_with_the_plain_command_needs_a_user_id_only(stage: Stage, temporal: TemporalCommand) -> None:
    person = stage.sandbox.add_person()
    request = json.dumps({"user_id": person.user_id, "cool_off": "0"})
    run = await started(stage, temporal, person, Shape(arguments=("--input", request)))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.kept(person) is None
    await no_task_failed(run)


async def started(stage: Stage, temporal: TemporalCommand, person: Person, shape: Shape) -> Retirement:
    """Start with the plain command, under the id of this person."""
    id = workflow_id(user_id=person.user_id)
    await temporal.start(id, shape)
    return Retirement(stage=stage, handle=stage.client.get_workflow_handle(id))

"""Rescinds sent around the moment at which a cool-off is really over, and what became of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError, RPCStatusCode

from sandbox.client import Person
from tests.support.plans import PlanDocument
from tests.support.stage import Retirement, Stage
from workflows import names
from workflows.messages import Answer, MessageRow, Result

#: Long enough to be frozen and cooling off before it ends, on a busy machine.
COOL_OFF = timedelta(seconds=15)
#: As late as can be: what the races just before have shown counts.
_AIM_BEFORE = timedelta(milliseconds=200)
_FIRST_ERASED = "forum"


def a_short_plan(document: PlanDocument) -> None:
    """Lock, forum, profile: the least that can go wrong, so that much can be run at once."""
    document["cool_off"] = {"duration": "1h"}
    del document["mail"]
    steps = document["steps"]
    document["steps"] = {"lock": steps["lock"], "forum": steps["forum"], "profile": steps["profile"]}
    steps["profile"]["after"] = ["forum"]


@dataclass(frozen=True, kw_only=True)
class Race:
    """One person's rescind against their deadline. `offset` is where it was aimed, `sent` where it really was sent."""

    person: Person
    as_update: bool
    offset: timedelta
    sent: timedelta
    in_cool_off: bool
    #: The run had ended before the rescind arrived, and the server said so.
    too_late: bool
    answer: Answer | None
    result: Result
    messages: tuple[MessageRow, ...]


class Edge:
    """Where a rescind starts to be refused: some way after the deadline, for the re-check comes first.

    Measured on runs nobody rescinds; then it follows the outcomes, as a machine's load changes.
    """

    _STEP = timedelta(milliseconds=15)

    def __init__(self) -> None:
        #: After the deadline.
        self.at = timedelta(0)

    async def measure(self, stage: Stage, *, plan: str, runs: int) -> None:
        """Aim at the middle of some retirements that nobody rescinds."""
        people = [Person() for _ in range(runs)]
        stage.sandbox.add_people(people, at=("accounts", "forum"))

        async def pass_in_peace(person: Person) -> timedelta:
            run, ends_at = await begin(stage, person, plan=plan)
            result = await run.result()
            assert result.outcome is names.Outcome.COMPLETE, result
            return await _passed_at(run) - ends_at

        passed = await asyncio.gather(*[pass_in_peace(person) for person in people])
        self.at = sorted(passed)[len(passed) // 2]

    def learn(self, race: Race) -> None:
        """Go later after a rescind that won, earlier after one that lost."""
        self.at += self._STEP if race.result.outcome is names.Outcome.ABORTED else -self._STEP


async def begin(stage: Stage, person: Person, *, plan: str) -> tuple[Retirement, datetime]:
    """Start a retirement and say when its cool-off ends."""
    now = datetime.now(UTC)
    run = await stage.start(
        person, plan=plan, requested_at=now.isoformat(), cool_off=f"{COOL_OFF // timedelta(milliseconds=1)}ms"
    )
    return run, now + COOL_OFF


async def hold(
    stage: Stage, people: Sequence[Person], *, plan: str, edge: Edge, offsets: Sequence[timedelta], apart: timedelta
) -> list[Race]:
    """One race a person, `apart` from each other: all at once would only measure how long the queue is.

    Every second rescind is an update, the others are signals.
    """
    begun = datetime.now(UTC)
    running = []
    async with asyncio.TaskGroup() as tasks:
        for number, (person, offset) in enumerate(zip(people, offsets, strict=True)):
            await _until(begun + number * apart)
            as_update = bool(number % 2)
            running.append(
                tasks.create_task(race(stage, person, plan=plan, edge=edge, offset=offset, as_update=as_update))
            )
    return [task.result() for task in running]


async def race(stage: Stage, person: Person, *, plan: str, edge: Edge, offset: timedelta, as_update: bool) -> Race:
    """Retire a person and rescind at `offset` from the edge, as it is known by then."""
    run, ends_at = await begin(stage, person, plan=plan)
    await _until(ends_at - _AIM_BEFORE)
    aimed_at = ends_at + edge.at
    await _until(aimed_at + offset)
    sent_at = datetime.now(UTC)
    answer, too_late = None, False
    try:
        answer = await _rescind(run, as_update=as_update)
    except RPCError as error:
        assert error.status is RPCStatusCode.NOT_FOUND, error
        too_late = True
    result = await run.result()
    assert result.retirement_id is not None
    raced = Race(
        person=person,
        as_update=as_update,
        offset=offset,
        sent=sent_at - aimed_at,
        in_cool_off=await _was_cooling_off(run, at=sent_at),
        too_late=too_late,
        answer=answer,
        result=result,
        messages=tuple(await stage.ledger.messages(result.retirement_id)),
    )
    edge.learn(raced)
    return raced


async def _rescind(run: Retirement, *, as_update: bool) -> Answer | None:
    if as_update:
        try:
            return await run.ask(names.RESCIND, by="support-7")
        except RPCError as error:
            # A run whose worker is stuck takes no update; the signal is what is left to a client then.
            if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                raise
    await run.handle.signal(names.RESCIND, {"by": "support-7"})
    return None


async def _was_cooling_off(run: Retirement, *, at: datetime) -> bool:
    """Had the cool-off begun? Read from the history afterwards: a question in time would disturb the race."""
    async for event in run.handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            return event.event_time.ToDatetime(tzinfo=UTC) < at
    return False


async def _passed_at(run: Retirement) -> datetime:
    """When the workflow, past the point of no return, began to erase."""
    async for event in run.handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            if event.activity_task_scheduled_event_attributes.activity_id == _FIRST_ERASED:
                return event.event_time.ToDatetime(tzinfo=UTC)
    raise AssertionError("the run never erased anything")


async def _until(instant: datetime) -> None:
    await asyncio.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()))

"""A rescind against the end of the cool-off, on a real clock: one of the two, never a mixture, as the services saw it."""

import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from sandbox.client import Person, SandboxService
from sandbox.launch import Sandbox
from tests.support.races import Edge, Race, a_short_plan, hold
from tests.support.stage import Stage, register_search_attributes, staged
from worker.converter import DATA_CONVERTER
from workflows.names import Outcome, Reason

#: Some to spare: on a busy machine a few people are not even locked by the time their cool-off ends.
RACES = 225
REAL_RACES = 200
SPREAD_MS = 50
APART = timedelta(milliseconds=180)
AT_LEAST = 20


@pytest.fixture(scope="module")
async def real_time_stage(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Temporal server whose clock nobody turns, with a worker."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=os.environ["TEMPORAL_CLI"],
        dev_server_extra_args=["--log-level", "error"],
        dev_server_startup_timeout=timedelta(seconds=60),
        data_converter=DATA_CONVERTER,
    ) as server:
        await register_search_attributes(server.client)
        folder: Path = tmp_path_factory.mktemp("races")
        async with staged(client=server.client, sandbox=sandbox, folder=folder) as stage:
            yield stage


@pytest.mark.timeout(240)
async def test_a_rescind_at_the_deadline_wins_or_is_refused_but_never_both(real_time_stage: Stage) -> None:
    stage, sandbox = real_time_stage, real_time_stage.sandbox
    plan = stage.plan("races", a_short_plan)
    edge = Edge()
    await edge.measure(stage, plan=plan, runs=5)
    chance = random.Random(7)
    offsets = [timedelta(milliseconds=chance.uniform(-SPREAD_MS, SPREAD_MS)) for _ in range(RACES)]
    people = [Person() for _ in offsets]
    sandbox.add_people(people, at=("accounts", "forum"))
    races = await hold(stage, people, plan=plan, edge=edge, offsets=offsets, apart=APART)

    accounts, forum = effects_by_person(sandbox.accounts), effects_by_person(sandbox.forum)
    for race in races:
        judge(race, accounts=accounts[race.person.user_id], forum=forum[race.person.user_id], sandbox=sandbox)
    real = [race for race in races if race.in_cool_off]
    won = [race for race in real if race.result.outcome is Outcome.ABORTED]
    counts = (
        f"{len(won)} of {len(real)} rescinds won; edge at {edge.at}; "
        f"updates among those that won: {sum(race.as_update for race in won)}; "
        f"sent within ±{SPREAD_MS} ms: {sum(abs(race.sent) <= timedelta(milliseconds=SPREAD_MS) for race in real)}; "
        f"begun before the cool-off: {len(races) - len(real)}; "
        f"after the run had ended: {sum(race.too_late for race in races)}"
    )
    print(counts)
    assert len(real) >= REAL_RACES, counts
    assert AT_LEAST <= len(won) <= len(real) - AT_LEAST, counts


def judge(race: Race, *, accounts: list[str], forum: list[str], sandbox: Sandbox) -> None:
    """By the services' own logs: nothing erased and the account back, or all erased and the rescind refused."""
    told = [(message.kind, message.accepted, message.code) for message in race.messages]
    if race.result.outcome is Outcome.ABORTED:
        assert race.result.reason is Reason.RESCINDED, race
        assert forum == [] and "erase" not in accounts, race
        # Before the cool-off the lock may never have been sent; it is undone all the same.
        assert accounts == ["lock", "unlock"] or (accounts in ([], ["unlock"]) and not race.in_cool_off), race
        assert sandbox.accounts.can_log_in(race.person), race
        assert told == [("rescind", True, "rescinded")], race
        assert race.answer is None or race.answer.accepted, race
    else:
        assert race.result.outcome is Outcome.COMPLETE, race
        assert (accounts, forum) == (["lock", "erase"], ["erase"]), race
        assert not sandbox.accounts.can_log_in(race.person), race
        assert told == ([] if race.too_late else [("rescind", False, "past_return")]), race
        assert race.answer is None or (race.answer.accepted, race.answer.code) == (False, "past_return"), race


def effects_by_person(service: SandboxService) -> dict[str, list[str]]:
    """What a service really changed, in order, for each person."""
    effects: dict[str, list[str]] = defaultdict(list)
    for effect in service.effects():
        effects[effect.user_id].append(effect.effect)
    return effects

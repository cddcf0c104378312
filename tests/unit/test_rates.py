"""Rates of services: what plans ask for becomes what the server is to hold, and what it holds is compared with that."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.model import Plan
from starter.rates.wanted import (
    AS_GOOD_AS_UNLIMITED,
    LEAST_WEIGHT,
    MOST_WEIGHT,
    Change,
    Held,
    Wanted,
    calls_of,
    change_for,
    differences,
    wanted_rates,
)
from workflows.names import CALLS_QUEUE, UNLIMITED_KEY

NOTHING = Held(default=None, weights={})
_READ = {"request": {"method": "GET", "path": "/users/{{ user_id }}"}}
_ERASE = {"phase": "erase", "service": "forum", "request": {"method": "DELETE", "path": "/users/{{ user_id }}"}}


def a_plan(name: str = "acme", *, steps: Mapping[str, Any] | None = None, **services: Mapping[str, Any]) -> Plan:
    """A plan whose lookup is at `accounts`, and whose one step is at `forum`; `services` say how much each bears."""
    known = {"accounts": {}, "forum": {}, **services}
    return Plan.model_validate(
        {
            "plan": name,
            "subject": {"lookup": {"service": "accounts", **_READ}},
            "services": {id: {"base_url": "http://127.0.0.1", **said} for id, said in known.items()},
            "steps": {"forum": _ERASE} if steps is None else steps,
        }
    )


def at(rate: str, **said: Any) -> dict[str, Any]:
    """A service with a rate."""
    return {"limits": {"rate": rate}, **said}


def wanted_on(queue: str, *plans: Plan) -> Wanted:
    """What the plans want of a queue."""
    [wanted] = [each for each in wanted_rates(plans).queues if each.queue == queue]
    return wanted


def after(held: Held, change: Change) -> Held:
    """What the server holds after a change; it keeps four bytes for a number, which is not done here."""
    weights = {key: weight for key, weight in held.weights.items() if key not in change.forgotten}
    return Held(default=change.default, weights={**weights, **change.weights})


def test_a_plan_without_rates_wants_nothing() -> None:
    wanted = wanted_rates([a_plan()])
    assert not wanted.limit_something
    assert wanted.notes == ()
    [queue] = wanted.queues
    assert queue.queue == CALLS_QUEUE
    assert queue.activities == {}
    assert queue.free == {"accounts", "forum"}
    assert change_for(NOTHING, queue) is None
    assert differences(NOTHING, queue) == []


@pytest.mark.parametrize(
    ("steps", "calls"),
    [
        ({"forum": _ERASE}, 1),
        ({"forum": {**_ERASE, "probe": _READ}}, 2),
        ({"forum": {**_ERASE, "probe": _READ, "on_permanent": _READ}}, 3),
        ({"forum": {**_ERASE, "on_permanent": _READ}}, 2),
        # The look at all probes is one activity.
        ({id: {**_ERASE, "probe": _READ} for id in ("a", "b", "c")}, 3),
        ({"other": {**_ERASE, "service": "accounts"}}, 1),
    ],
)
def test_an_activity_counts_for_the_most_that_it_may_call(steps: dict[str, Any], calls: int) -> None:
    plan = a_plan(steps=steps, forum=at("12/s"))
    assert calls_of(plan, "forum") == calls
    assert wanted_on(CALLS_QUEUE, plan).activities == {"forum": 12 / calls}


def test_the_look_up_counts_with_the_probes_and_facts_of_its_service() -> None:
    steps = {"profile": {**_ERASE, "service": "accounts", "probe": _READ}}
    plan = a_plan(steps=steps, accounts=at("30/m"))
    assert calls_of(plan, "accounts") == 2
    facts = {"admins": {"service": "accounts", **_READ}, "posts": {"service": "forum", **_READ}}
    plan = Plan.model_validate({**plan.model_dump(mode="json", by_alias=True), "facts": facts})
    assert calls_of(plan, "accounts") == 3
    assert wanted_on(CALLS_QUEUE, plan).activities == {"accounts": pytest.approx(0.5 / 3)}


def test_what_a_source_is_told_of_a_step_counts_with_the_step_s_call() -> None:
    """The step begins, is done, and has ended: three calls of the source, or one of another service."""
    states = {"mirrored": {"working": "A", "done": "B"}}
    steps = {"posts": {**_ERASE, **states}, "profile": {**_ERASE, "service": "accounts", **states}}
    plan = a_plan(steps=steps, accounts=at("12/s"), forum=at("6/s"))
    document = plan.model_dump(mode="json", by_alias=True)
    document["mirror"] = {
        **{
            "service": "accounts",
            "state": "body.state",
            "moved_at": "body.at",
            "update": {"method": "PATCH", "path": "/"},
        },
        **{"waiting": "C", "errored": "D", "aborted": "E", "complete": "F"},
    }
    mirrored = Plan.model_validate(document)
    assert (calls_of(mirrored, "accounts"), calls_of(mirrored, "forum")) == (3, 1)
    assert (calls_of(plan, "accounts"), calls_of(plan, "forum")) == (1, 1)


def test_what_is_asked_for_besides_counts_with_the_look_up() -> None:
    document = a_plan(accounts=at("12/s")).model_dump(mode="json", by_alias=True)
    document["subject"]["also"] = {id: {"service": "accounts", **_READ, "value": "body.id"} for id in ("one", "two")}
    assert calls_of(Plan.model_validate(document), "accounts") == 3


def test_a_queue_of_its_own_has_rates_of_its_own() -> None:
    plan = a_plan(forum=at("6/s", queue="inner"), accounts=at("10/s"))
    assert wanted_on(CALLS_QUEUE, plan).activities == {"accounts": 10}
    assert wanted_on(f"{CALLS_QUEUE}-inner", plan).activities == {"forum": 6}


def test_the_lowest_rate_of_several_plans_holds_and_is_told() -> None:
    one, other = a_plan("one", forum=at("300/m")), a_plan("other", forum=at("2/s"))
    wanted = wanted_rates([one, other])
    assert wanted.queues[0].activities == {"forum": 2}
    assert wanted.notes == (
        "service forum: the plans differ (one 300/m, other 2/s); the lowest, 2/s, holds for all of them together",
    )


def test_what_a_rate_does_not_hold_for_is_told() -> None:
    unlimited, elsewhere = a_plan("unlimited"), a_plan("elsewhere", forum=at("4/s", queue="inner"))
    wanted = wanted_rates([a_plan(forum=at("4/s")), unlimited, elsewhere])
    assert [note.split(";")[0] for note in wanted.notes] == [
        "service forum: has no rate in unlimited, so the calls of that plan are not counted",
        "service forum: the plans put it on 2 queues, and each holds its part of 4/s",
    ]
    assert [queue.activities for queue in wanted.queues] == [{"forum": 2}, {"forum": 2}]
    poll = {"url": "body.url", "done": "true", "every": "1s"}
    plan = a_plan(steps={"forum": {**_ERASE, "poll": poll}}, forum=at("4/s"))
    facts = {"posts": {"service": "forum", **_READ}}
    plan = Plan.model_validate({**plan.model_dump(mode="json", by_alias=True), "facts": facts})
    told = wanted_rates([plan]).notes
    assert [note.split(":")[0] for note in told] == ["plan acme, fact posts", "plan acme, step forum"]


def test_the_server_is_told_a_default_and_a_weight_for_each_service() -> None:
    wanted = wanted_on(CALLS_QUEUE, a_plan(forum=at("5/s"), accounts=at("20/s")))
    change = change_for(NOTHING, wanted)
    assert change is not None
    # As high as can be: it also holds for calls whose service has no weight.
    assert change.default == AS_GOOD_AS_UNLIMITED
    assert change.weights == {UNLIMITED_KEY: 1, "forum": 0.005, "accounts": 0.02}


def test_the_default_is_lower_where_a_rate_is_too_slow_for_the_least_weight() -> None:
    wanted = wanted_on(CALLS_QUEUE, a_plan(forum=at("6/m"), accounts=at("20/s")))
    change = change_for(NOTHING, wanted)
    assert change is not None
    assert change.default == pytest.approx(100)
    assert change.weights == pytest.approx({UNLIMITED_KEY: 10, "forum": LEAST_WEIGHT, "accounts": 0.2})


def test_what_others_have_set_keeps_its_rate_when_the_default_changes() -> None:
    held = Held(default=1000, weights={UNLIMITED_KEY: 1, "theirs": 0.5, "forum": 0.001})
    change = change_for(held, wanted_on(CALLS_QUEUE, a_plan(forum=at("6/m"))))
    assert change is not None
    now = after(held, change)
    assert now.activities("theirs") == pytest.approx(500)
    assert now.activities("forum") == pytest.approx(0.1)


def test_a_limit_that_the_plans_no_longer_have_is_taken_away() -> None:
    plan = a_plan(accounts=at("20/s"))
    held = Held(default=1000, weights={UNLIMITED_KEY: 1, "forum": 0.005, "accounts": 0.02})
    change = change_for(held, wanted_on(CALLS_QUEUE, plan))
    assert change == Change(default=1000, weights={}, forgotten=("forum",))
    last = change_for(held, wanted_on(CALLS_QUEUE, a_plan()))
    assert last is not None
    assert (last.default, set(last.forgotten)) == (None, {"accounts", "forum", UNLIMITED_KEY})


def test_no_limit_is_taken_away_while_some_plan_can_t_be_read() -> None:
    held = Held(default=1000, weights={UNLIMITED_KEY: 1, "forum": 0.005})
    [wanted] = wanted_rates([a_plan()], complete=False).queues
    assert change_for(held, wanted) is None
    assert differences(held, wanted) == []


def test_weights_without_a_default_limit_nothing_and_are_left_alone() -> None:
    held = Held(default=None, weights={"tenant-7": 3.0})
    change = change_for(held, wanted_on(CALLS_QUEUE, a_plan(forum=at("5/s"))))
    assert change is not None
    assert "tenant-7" not in {*change.weights, *change.forgotten}


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (NOTHING, ["forum: 5/s is not held"]),
        (Held(default=1000, weights={UNLIMITED_KEY: 1, "forum": 0.01}), ["forum: 5/s is not held, but 10/s"]),
        (Held(default=1000, weights={UNLIMITED_KEY: 1}), ["forum: 5/s is not held, but 1000/s"]),
        (
            Held(default=1000, weights={UNLIMITED_KEY: 1, "forum": 0.005, "accounts": 1}),
            ["accounts: is held to a rate that no plan gives it"],
        ),
        (Held(default=1000, weights={"forum": 0.005}), ["calls that no plan limits are held to a rate"]),
        (Held(default=1000, weights={UNLIMITED_KEY: 1, "forum": 0.005}), []),
    ],
)
def test_differences_are_told_as_calls(held: Held, told: list[str]) -> None:
    assert differences(held, wanted_on(CALLS_QUEUE, a_plan(forum=at("5/s")))) == told


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0.0003, 2000), min_size=1))
def test_whatever_the_rates_one_change_is_enough_and_none_is_exceeded(activities: dict[str, float]) -> None:
    wanted = Wanted(queue="q", activities=activities, rates={}, free=frozenset())
    change = change_for(NOTHING, wanted)
    assert change is not None
    now = after(NOTHING, change)
    assert change_for(now, wanted) is None
    assert all(LEAST_WEIGHT * 0.999 <= weight <= MOST_WEIGHT for weight in now.weights.values())
    for key, rate in activities.items():
        held = now.activities(key)
        assert held is not None and held <= rate * 1.0001
        assert held == pytest.approx(min(rate, (change.default or 0) * MOST_WEIGHT))

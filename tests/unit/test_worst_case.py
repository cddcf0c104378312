"""How long a retirement may take at most: sums with a worked example each."""

from datetime import timedelta
from typing import Any

import pytest

from plans.model import LegalDeadline, Plan
from plans.worst_case import shortest_deadline, worst_case
from workflows.durations import parse_duration

GET = {"method": "GET", "path": "/users/{{ user_id }}"}


def a_step(phase: str, patience: str, *after: str, probe: bool = True) -> dict[str, Any]:
    step: dict[str, Any] = {"phase": phase, "service": "accounts", "request": GET, "patience": patience, "after": after}
    return step | ({"probe": {"request": GET}} if probe else {})


def a_plan(
    steps: dict[str, Any] | None = None,
    *,
    facts: tuple[str, ...] = (),
    successors: tuple[str, ...] = (),
    **more: dict[str, Any],
) -> Plan:
    """`facts` and `successors` say the patience of each."""
    suitable = {"service": "accounts", "request": GET, "when": "body.active"}
    return Plan.model_validate(
        {
            "plan": "acme",
            "subject": {"lookup": {"service": "accounts", "request": GET}},
            "facts": {f"fact-{n}": {"service": "accounts", "request": GET, "patience": p} for n, p in enumerate(facts)},
            "successors": {f"policy-{n}": {"suitable": suitable, "patience": p} for n, p in enumerate(successors)},
            "services": {"accounts": {"base_url": "${env:URL}"}},
            "steps": (steps or {}) | more,
        }
    )


def told(plan: Plan, cool_off: str) -> str:
    return str(worst_case(plan, cool_off=parse_duration(cool_off)))


def test_the_cool_off_runs_from_the_request_and_covers_what_comes_before_its_end() -> None:
    plan = a_plan(lock=a_step("freeze", "1d"), profile=a_step("erase", "2d"))
    assert told(plan, "14d") == "cool-off 14d → re-check 1d → profile 2d → verify 2d = 19d"


def test_a_freeze_that_lasts_longer_than_the_cool_off_counts_in_its_place() -> None:
    plan = a_plan(lock=a_step("freeze", "20d"), profile=a_step("erase", "2d"))
    assert told(plan, "14d") == "lookup 1d → lock 20d → re-check 1d → profile 2d → verify 2d = 26d"


def test_without_a_cool_off_nobody_is_asked_again() -> None:
    plan = a_plan(lock=a_step("freeze", "1d"), profile=a_step("erase", "2d"))
    assert told(plan, "0s") == "lookup 1d → lock 1d → profile 2d → verify 2d = 6d"


def test_of_steps_in_parallel_the_longest_way_counts() -> None:
    plan = a_plan(
        a=a_step("erase", "1d"),
        b=a_step("erase", "1d", "a"),
        c=a_step("erase", "3d", "a"),
        d=a_step("erase", "1d", "b", "c", probe=False),
        e=a_step("erase", "4d", probe=False),
    )
    assert told(plan, "7d") == "cool-off 7d → re-check 1d → a 1d → c 3d → d 1d → verify 3d = 16d"


def test_facts_may_take_longer_than_the_lookup() -> None:
    plan = a_plan(facts=("2d", "5d"), profile=a_step("erase", "1d", probe=False))
    assert told(plan, "7d") == "cool-off 7d → re-check 5d → profile 1d = 13d"


def a_mirrored_plan(**also: str) -> Plan:
    """A source keeps a row; the values that are asked for besides say their patience."""
    plan = a_plan(posts=a_step("erase", "1d", probe=False), profile=a_step("erase", "2d", "posts", probe=False))
    document = plan.model_dump(mode="json", by_alias=True)
    document["subject"]["also"] = {
        id: {"service": "accounts", "request": GET, "value": "body.id", "patience": patience}
        for id, patience in also.items()
    }
    document["mirror"] = {
        **{"service": "accounts", "state": "body.state", "moved_at": "body.at", "update": GET},
        **{"waiting": "A", "errored": "B", "aborted": "C", "complete": "D"},
    }
    for id, step in document["steps"].items():
        step["mirrored"] = {"working": f"{id}-begun", "done": f"{id}-done"}
    return Plan.model_validate(document)


def test_a_source_that_is_away_is_nobody_s_error_so_its_patience_does_not_count() -> None:
    """And what it is told of a step takes of that step's patience."""
    assert told(a_mirrored_plan(), "7d") == "cool-off 7d → posts 1d → profile 2d = 10d"
    assert told(a_mirrored_plan(), "0s") == "posts 1d → profile 2d = 3d"


def test_what_is_asked_for_besides_is_asked_once() -> None:
    plan = a_mirrored_plan(number="3h", badge="2h")
    assert told(plan, "7d") == "cool-off 7d → posts 1d → profile 2d = 10d"
    assert told(plan, "1h") == "lookup 3h → posts 1d → profile 2d = 3d3h"
    unmirrored = plan.model_copy(update={"mirror": None})
    assert told(unmirrored, "2d") == "cool-off 2d → re-check 1d → posts 1d → profile 2d = 6d"


def test_what_is_retained_takes_no_time_and_a_release_comes_last() -> None:
    plan = a_plan(
        invoices={"phase": "erase", "retain": {"ground": "tax", "for": "3650d"}},
        profile=a_step("erase", "1d", "invoices"),
        name=a_step("release", "6h"),
    )
    assert told(plan, "7d") == "cool-off 7d → re-check 1d → profile 1d → verify 1d → name 6h = 10d6h"


def test_steps_that_wait_for_each_other_are_left_out() -> None:
    plan = a_plan(a=a_step("erase", "5d", "b"), b=a_step("erase", "5d", "a"), c=a_step("erase", "1d", probe=False))
    assert worst_case(plan, cool_off=timedelta(days=7)).total == timedelta(days=7 + 1 + 1 + 5)


def test_a_chain_of_two_thousand_steps_is_summed_up() -> None:
    steps = {f"s{n}": a_step("erase", "1h", *([f"s{n + 1}"] if n < 1999 else []), probe=False) for n in range(2000)}
    case = worst_case(a_plan(steps), cool_off=timedelta(0))
    assert case.total == timedelta(days=1, hours=2000)
    assert [leg.name for leg in case.legs[:2]] == ["lookup", "s1999"]


@pytest.mark.parametrize(("deadline", "days"), [("gdpr", 28), ("ccpa", 45), (timedelta(days=10), 10)])
def test_a_month_counts_as_the_shortest(deadline: LegalDeadline, days: int) -> None:
    assert shortest_deadline(deadline) == timedelta(days=days)


def test_what_is_handed_over_comes_before_anything_is_erased() -> None:
    plan = a_plan(
        ghost=a_step("transfer", "1d", probe=False),
        documents=a_step("transfer", "2d", "ghost", probe=False),
        boards=a_step("transfer", "2d", probe=False),
        profile=a_step("erase", "1d", probe=False),
    )
    assert told(plan, "7d") == "cool-off 7d → re-check 1d → ghost 1d → documents 2d → profile 1d = 12d"


def test_finding_a_successor_may_take_longer_than_the_lookup() -> None:
    plan = a_plan(successors=("3d", "2d"), profile=a_step("erase", "1d", probe=False))
    assert told(plan, "7d") == "cool-off 7d → re-check 3d → profile 1d = 11d"

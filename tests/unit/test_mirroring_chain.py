"""The order of a source's states, and every row of where a run begins."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from activities.mirroring.beginning import Hold, Refuse, Seen, where_to_begin
from activities.mirroring.chain import Chain, chain_of
from activities.mirroring.row import Row
from plans.loading import load_plan
from plans.mirror import MirroredStates
from plans.model import Plan, Step
from workflows.messages import Begin
from workflows.names import HeldCause, Outcome, Reason

PLAN = load_plan(Path(__file__).parent / "shown_plans" / "mirrored.yaml")
assert PLAN.mirror is not None
CHAIN = chain_of(PLAN, PLAN.mirror)
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
FRESH, STALE = timedelta(minutes=1), timedelta(hours=2)
EVERY_STATE = (*CHAIN.states, "ERRORED", "ABORTED", "SOMETHING_ELSE")


def a_row(state: str, *, moved: timedelta = FRESH, is_same: bool = True) -> Row:
    return Row(state=state, moved_at=NOW - moved, is_same=is_same)


def begins(row: Row | None, *, seen: Seen = Seen.NEVER, adopt: bool = False, chain: Chain = CHAIN) -> object:
    return where_to_begin(chain, row=row, seen=seen, now=NOW, adopt=adopt)


# --- the chain ---------------------------------------------------------------------------------------------------------


def test_the_states_are_those_of_the_steps_in_their_order() -> None:
    assert [step for step, _ in CHAIN.steps] == ["posts", "profile"]
    assert CHAIN.states == (
        "PENDING",
        "RETIRING_POSTS",
        "POSTS_COMPLETE",
        "RETIRING_PROFILE",
        "PROFILE_COMPLETE",
        "COMPLETE",
    )
    assert CHAIN.states_of("profile").working == "RETIRING_PROFILE"


def a_plan(after: dict[str, list[str]], *, mirrored: set[str]) -> Plan:
    """Steps in this order, which wait for each other like this."""
    steps = {
        id: Step.model_validate(
            {
                "phase": "erase",
                "after": earlier,
                "mirrored": {"working": f"RETIRING_{id}", "done": f"{id}_COMPLETE"} if id in mirrored else None,
            }
        )
        for id, earlier in after.items()
    }
    return PLAN.model_copy(update={"steps": steps})


@pytest.mark.parametrize(
    ("after", "mirrored", "order"),
    [
        ({"c": ["b"], "b": ["a"], "a": []}, {"a", "b", "c"}, ["a", "b", "c"]),
        ({"a": [], "c": ["a", "b"], "b": ["a"]}, {"a", "b", "c"}, ["a", "b", "c"]),
        ({"c": ["x"], "x": ["a"], "a": []}, {"a", "c"}, ["a", "c"]),
        ({"a": [], "x": []}, {"a"}, ["a"]),
    ],
    ids=["against the file's order", "more than one before", "by way of another step", "one alone"],
)
def test_the_order_is_that_of_after(after: dict[str, list[str]], mirrored: set[str], order: list[str]) -> None:
    assert PLAN.mirror is not None
    chain = chain_of(a_plan(after, mirrored=mirrored), PLAN.mirror)
    assert [step for step, _ in chain.steps] == order


def test_every_state_is_before_all_that_follow_and_before_no_other() -> None:
    for index, state in enumerate(CHAIN.states):
        earlier = {other for other in CHAIN.states if CHAIN.is_before(other, state)}
        assert earlier == set(CHAIN.states[:index])


def test_every_state_but_the_last_may_end_in_an_error_and_none_that_the_plan_does_not_know() -> None:
    assert {state for state in EVERY_STATE if CHAIN.is_before(state, "ERRORED")} == set(CHAIN.states) - {"COMPLETE"}
    for unknown in ("ERRORED", "ABORTED", "SOMETHING_ELSE"):
        assert not any(CHAIN.is_before(unknown, state) for state in EVERY_STATE)


def test_behind_each_state_comes_the_step_that_is_next() -> None:
    assert CHAIN.first_after("PENDING") == "posts"
    assert CHAIN.first_after("POSTS_COMPLETE") == "profile"
    assert CHAIN.first_after("PROFILE_COMPLETE") is None
    assert {state: CHAIN.working_on(state) for state in CHAIN.states if CHAIN.working_on(state)} == {
        "RETIRING_POSTS": "posts",
        "RETIRING_PROFILE": "profile",
    }
    assert [state for state in EVERY_STATE if CHAIN.is_done(state)] == ["POSTS_COMPLETE", "PROFILE_COMPLETE"]


def test_a_long_chain_is_walked_to_its_end() -> None:
    """From each state the step that it leads to, whose states are the next two."""
    steps = tuple((f"s{n}", MirroredStates(working=f"RETIRING_{n}", done=f"{n}_COMPLETE")) for n in range(13))
    chain = replace(CHAIN, steps=steps)
    state, walked = "PENDING", []
    while (step := chain.first_after(state)) is not None:
        assert chain.working_on(chain.states_of(step).working) == step
        walked.append(step)
        state = chain.states_of(step).done
    assert walked == [step for step, _ in steps]
    assert all(chain.is_before(one, other) for one, other in pairwise(chain.states))


# --- where a run begins, row by row --------------------------------------------------------------------------------------


def test_nobody_has_ever_seen_a_row_so_there_is_no_request() -> None:
    assert begins(None) == Refuse(reason=Reason.NO_SUCH_SUBJECT, code="no_row")


def test_a_row_that_was_waiting_and_is_gone_was_taken_back_at_the_source() -> None:
    assert begins(None, seen=Seen.WAITING) == Refuse(reason=Reason.RESCINDED, code="at_source")


def test_a_row_that_was_further_and_is_gone_is_for_a_person() -> None:
    assert begins(None, seen=Seen.BEGUN) == Hold(code="row_gone", cause=HeldCause.CONFLICT)


@pytest.mark.parametrize("state", EVERY_STATE)
@pytest.mark.parametrize("seen", Seen)
@pytest.mark.parametrize("adopt", [False, True])
def test_a_row_of_somebody_else_is_for_a_person_in_whatever_state(state: str, seen: Seen, adopt: bool) -> None:
    row = a_row(state, moved=STALE, is_same=False)
    assert begins(row, seen=seen, adopt=adopt) == Hold(code="wrong_person", cause=HeldCause.CONFLICT)


#: What each state means whatever was seen before, whenever it was moved, and whoever says that nobody comes back to it.
SETTLED = {
    "PENDING": Begin(step="posts", waiting=True),
    "POSTS_COMPLETE": Begin(step="profile"),
    "PROFILE_COMPLETE": Begin(step=None),
    "ERRORED": Begin(ended=Outcome.ERRORED),
    "ABORTED": Refuse(reason=Reason.RESCINDED, code="at_source"),
    "COMPLETE": Begin(ended=Outcome.COMPLETE),
    "SOMETHING_ELSE": Refuse(reason=Reason.NOT_ELIGIBLE, code="state_not_in_plan"),
    "complete": Refuse(reason=Reason.NOT_ELIGIBLE, code="state_not_in_plan"),
    "": Refuse(reason=Reason.NOT_ELIGIBLE, code="state_not_in_plan"),
}


@pytest.mark.parametrize("state", SETTLED)
@pytest.mark.parametrize("seen", Seen)
@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("moved", [FRESH, STALE])
def test_a_state_that_nobody_works_in_means_the_same_whenever_it_is_seen(
    state: str, seen: Seen, adopt: bool, moved: timedelta
) -> None:
    assert begins(a_row(state, moved=moved), seen=seen, adopt=adopt) == SETTLED[state]


def test_every_state_is_either_settled_or_of_a_step_at_work() -> None:
    at_work = {state for state in EVERY_STATE if CHAIN.working_on(state)}
    assert set(EVERY_STATE) - at_work <= SETTLED.keys()
    assert not at_work & SETTLED.keys()


@pytest.mark.parametrize(("state", "step"), [("RETIRING_POSTS", "posts"), ("RETIRING_PROFILE", "profile")])
@pytest.mark.parametrize("seen", Seen)
def test_a_step_at_work_is_somebody_else_s_until_the_row_has_rested(state: str, step: str, seen: Seen) -> None:
    held, taken_over = Hold(code="another_driver", cause=HeldCause.CONFLICT), Begin(step=step, working=True)
    assert begins(a_row(state, moved=FRESH), seen=seen) == held
    assert begins(a_row(state, moved=timedelta(hours=1)), seen=seen) == held
    assert begins(a_row(state, moved=timedelta(hours=1, seconds=1)), seen=seen) == taken_over
    assert begins(a_row(state, moved=FRESH), seen=seen, adopt=True) == taken_over
    # Clocks differ: a row from the future is as fresh as can be.
    assert begins(a_row(state, moved=-STALE), seen=seen) == held


def test_how_long_a_row_has_to_rest_is_the_plan_s_to_say() -> None:
    patient = replace(CHAIN, mirror=CHAIN.mirror.model_copy(update={"adopt_after": timedelta(days=2)}))
    assert begins(a_row("RETIRING_POSTS", moved=STALE), chain=patient) == Hold(code="another_driver")
    assert begins(a_row("RETIRING_POSTS", moved=timedelta(days=3)), chain=patient) == Begin(step="posts", working=True)

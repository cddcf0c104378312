"""Patience counts from the first failed attempt and ends with a failed attempt, at least the fifth."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.patience import FEWEST_ATTEMPTS, Tries, time_for_an_answer
from plans.checks.times import LONGEST_ATTEMPT, LONGEST_REQUEST
from workflows import calls

FIRST = datetime(2030, 1, 1, tzinfo=UTC)


def tries(*, failures: int, patience: timedelta = timedelta(hours=24)) -> Tries:
    return Tries(first_failed_at=FIRST, failures=failures, patience=patience)


@pytest.mark.parametrize(
    ("failures", "passed", "is_over"),
    [
        (1, timedelta(days=30), False),
        (4, timedelta(days=30), False),
        (5, timedelta(hours=23, minutes=59), False),
        (5, timedelta(hours=24), True),
        (900, timedelta(hours=23), False),
        (900, timedelta(hours=25), True),
    ],
)
def test_patience_is_over(failures: int, passed: timedelta, is_over: bool) -> None:
    assert tries(failures=failures).is_over(now=FIRST + passed) is is_over


def test_waits_double_up_to_five_minutes() -> None:
    waits = [tries(failures=n).wait(now=FIRST, chance=1.0).total_seconds() for n in range(1, 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_jitter_is_full_and_never_no_wait_at_all() -> None:
    assert tries(failures=9).wait(now=FIRST, chance=0.5) == timedelta(seconds=128)
    assert tries(failures=9).wait(now=FIRST, chance=0.0) > timedelta(0)


@given(chance=st.floats(0, 1, exclude_max=True), seconds=st.integers(1, 120))
def test_five_attempts_fit_into_a_short_patience(chance: float, seconds: int) -> None:
    patience = timedelta(seconds=seconds)
    waited = timedelta(0)
    for failures in range(1, FEWEST_ATTEMPTS):
        waited += tries(failures=failures, patience=patience).wait(now=FIRST + waited, chance=chance)
    assert waited <= patience


@pytest.mark.parametrize(
    ("asked", "passed", "wait"),
    [
        (timedelta(seconds=30), timedelta(0), timedelta(seconds=30)),
        (timedelta(0), timedelta(0), timedelta(seconds=1)),
        (timedelta(hours=6), timedelta(0), timedelta(hours=1)),
        (timedelta(minutes=50), timedelta(hours=23, minutes=30), timedelta(minutes=30)),
        (timedelta(minutes=50), timedelta(hours=25), timedelta(seconds=1)),
    ],
)
def test_retry_after_is_honoured_within_bounds(asked: timedelta, passed: timedelta, wait: timedelta) -> None:
    assert tries(failures=1).wait(now=FIRST + passed, chance=0.5, retry_after=asked) == wait


@pytest.mark.parametrize(
    ("step", "longest", "seconds"),
    [
        (None, None, [10, 10, 10, 10]),
        (120, None, [120, 120, 120, 120]),
        (120, 600, [120, 240, 480, 600, 600]),
        (None, 60, [10, 20, 40, 60, 60]),
        (30, 30, [30, 30]),
        (30, 20, [30, 30]),
    ],
)
def test_each_request_that_timed_out_gives_the_next_twice_the_time(
    step: int | None, longest: int | None, seconds: list[int]
) -> None:
    def given(timeouts: int) -> float:
        return time_for_an_answer(
            service=timedelta(seconds=10),
            step=None if step is None else timedelta(seconds=step),
            longest=None if longest is None else timedelta(seconds=longest),
            timeouts=timeouts,
        ).total_seconds()

    assert [given(timeouts) for timeouts in range(len(seconds))] == seconds
    assert given(10**6) == seconds[-1]


def test_a_plan_s_longest_attempt_ends_before_the_worker_s() -> None:
    """One that is cut off would be recorded by nobody, and a timeout be forgotten."""
    assert LONGEST_REQUEST < LONGEST_ATTEMPT < calls.LONGEST_ATTEMPT

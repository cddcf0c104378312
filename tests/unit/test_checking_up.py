"""What `retire doctor` makes of what it sees."""

from datetime import timedelta

import pytest

from starter.doctor.here import Check, CheckUp, State
from starter.doctor.temporal import OLDEST_SERVER, difference_of, version_of
from starter.exit_codes import ExitCode
from tools import temporal_server


def test_only_problems_end_it_with_a_code() -> None:
    fine, warned = Check(name="clock", told="-"), Check(name="rates", state=State.WARNING, told="-")
    wrong = Check(name="ledger", state=State.PROBLEM, told="-")
    assert CheckUp(checks=(fine, warned)).code is ExitCode.OK
    assert CheckUp(checks=(wrong, fine)).code is ExitCode.PROBLEMS


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (timedelta(0), "as the Temporal server's"),
        (timedelta(seconds=-60), "as the Temporal server's"),
        (timedelta(seconds=61), "this machine's is 1m1s behind the Temporal server's"),
        (timedelta(minutes=-90), "this machine's is 1h30m ahead of the Temporal server's"),
    ],
)
def test_clocks_may_differ_by_a_minute(ahead: timedelta, told: str) -> None:
    check = difference_of(ahead)
    assert check.told == told
    assert (check.state is State.OK) == (abs(ahead) <= timedelta(minutes=1))


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("1.32.0", State.OK),
        ("1.100.1-rc.2", State.OK),
        ("v2.0.0", State.OK),
        ("1.31.9", State.PROBLEM),
        ("1.9.1", State.PROBLEM),
        ("", State.PROBLEM),
    ],
)
def test_the_server_is_to_be_as_new_as_the_one_that_is_tested_with(version: str, state: State) -> None:
    assert version_of(version).state is state
    assert OLDEST_SERVER == temporal_server.OLDEST_SERVER

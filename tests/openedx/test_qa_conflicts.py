"""Whoever else moves a learner in the middle of a step is noticed before ERRORED is written over what they did."""

from collections.abc import Sequence
from typing import Any

import pytest

from sandbox.lms.faults import FaultKind
from tests.openedx.retiring import Campus
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([503, 400], id="refused after it had failed otherwise"),
        pytest.param([500, 405], id="refused after the first 500"),
        pytest.param([403], id="no permission for this one call"),
        pytest.param([404], id="not found"),
        pytest.param([501], id="not implemented"),
    ],
)
async def test_a_refusal_for_good_is_checked_against_the_row(campus: Campus, faults: Sequence[int]) -> None:
    ada = campus.learner("ada")
    for number, status in enumerate(faults, start=1):
        where: dict[str, Any] = {"route": "unenroll", "username": "ada", "nth": number}
        campus.lms.misbehave(FaultKind.STATUS, status=status, **where)
    campus.lms.misbehave(
        FaultKind.MOVED_BEFORE, route="unenroll", username="ada", nth=len(faults), state="LMS_MISC_COMPLETE"
    )
    run = await campus.start(ada, plan=campus.plan("four"), running_clock=True)

    async def is_held() -> None:
        assert [hold.code for hold in (await run.status()).held] == ["moved_by_another"]

    await eventually(is_held)
    calls = campus.calls("ada")
    assert calls[-2:] == ["unenroll", "status"] and "ERRORED" not in calls
    assert campus.lms.state("ada") == "LMS_MISC_COMPLETE"
    assert (await run.ask("decide", step="enrollments", decision="close")).accepted
    await run.errored()
    assert campus.lms.state("ada") == "LMS_MISC_COMPLETE"


@pytest.mark.parametrize("username", ["art", "RETIRING_LMS", "e"])
async def test_a_username_that_is_in_our_own_words_changes_no_note(campus: Campus, username: str) -> None:
    row = campus.learner(username)
    campus.lms.misbehave(FaultKind.STATUS, route="retire", status=400, body=f"no user {username.upper()}!", times=None)
    await (await campus.start(row, plan=campus.plan("four"))).errored()
    notes = [str(request.json["response"]) for request in campus.asked(username) if request.new_state is not None]
    assert notes[:2] == [
        "Starting: RETIRING_EMAIL_LISTS",
        "Ending: EMAIL_LISTS_COMPLETE with response:\nHTTP 204",
    ]
    ours, theirs = notes[-1].rsplit("\n", 1)
    assert ours == "Error in RETIRING_LMS: http_400\nHTTP 400 POST /api/user/v1/accounts/retire/"
    assert theirs.endswith("[learner]!") and username.upper() not in theirs.upper().replace("[LEARNER]", "")

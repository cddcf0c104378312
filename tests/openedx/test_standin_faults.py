"""The stand-in LMS misbehaves exactly as it is told, where it is told, and does what it says it has done."""

import asyncio
import sys
import time

import httpx
import pytest

from sandbox.lms.client import StandInLms
from sandbox.lms.faults import FaultKind
from tests.support.lms_caller import ACCOUNTS, LmsCaller
from tests.support.waiting import eventually

START = "RETIRING_ENROLLMENTS"
UNENROLL = "/api/enrollment/v1/unenroll/"


def unenroll(caller: LmsCaller, username: str = "ann", **headers: str | None) -> httpx.Response:
    return caller.call("POST", UNENROLL, json={"username": username}, **headers)


def test_a_status_is_told_as_often_as_asked_and_nothing_is_done(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann", state=START)
    number = lms.misbehave(
        FaultKind.STATUS, route="unenroll", times=2, status=503, body="try later, ann", headers={"Retry-After": "2"}
    )
    for _ in range(2):
        answer = unenroll(caller)
        assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "try later, ann", "2")
    assert lms.effects_on(row) == []
    assert unenroll(caller).status_code == 200
    assert [(fault.number, fault.hits) for fault in lms.faults()] == [(number, 2)]
    assert [seen.status for seen in lms.requests(route="unenroll")] == [503, 503, 200]


def test_a_fault_waits_for_its_learner_its_state_and_its_turn(lms: StandInLms, caller: LmsCaller) -> None:
    for name in ("ann", "bob"):
        lms.add_learner(name)
    lms.misbehave(FaultKind.STATUS, username="bob", route="update", new_state=START, nth=2, times=None)
    assert caller.update("ann", START).status_code == 204
    assert caller.update("bob", "RETIRING_FORUMS").status_code == 204
    assert caller.update("bob", START).status_code == 204
    assert [caller.update("bob", START).status_code for _ in range(3)] == [500, 500, 500]
    lms.behave()
    assert caller.update("bob", START).status_code == 400
    with pytest.raises(AssertionError, match="the routes are: token"):
        lms.misbehave(FaultKind.STATUS, route="unenrol")
    with pytest.raises(AssertionError, match="kind is one of: drop"):
        lms.misbehave("explode")


def test_a_404_that_is_told_is_no_missing_route(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=START)
    lms.misbehave(FaultKind.STATUS, route="unenroll", status=404)
    # The request without credentials does not use it up.
    assert unenroll(caller, authorization=None).status_code == 401
    assert unenroll(caller).status_code == 404
    lms.misbehave(FaultKind.MISSING_ROUTE, route="unenroll", times=None)
    assert unenroll(caller).status_code == 404
    assert unenroll(caller, authorization=None).status_code == 404
    lms.behave()
    lms.set(missing_routes=["unenroll"])
    assert unenroll(caller, authorization=None).status_code == 404
    assert lms.requests()[-1].route is None


def test_a_learner_may_be_unknown_to_a_service(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=START, unknown_to=["retire_forum"])
    forum = "/api/discussion/v1/accounts/retire_forum/"
    assert caller.call("POST", forum, json={"username": "ann"}).status_code == 404
    assert caller.call("POST", forum, authorization=None).status_code == 401
    assert unenroll(caller).status_code == 200


@pytest.mark.parametrize(("kind", "effects"), [(FaultKind.DROP, []), (FaultKind.LOST_ANSWER, ["unenroll"])])
def test_a_connection_is_lost_before_or_after_the_effect(
    lms: StandInLms, caller: LmsCaller, kind: FaultKind, effects: list[str]
) -> None:
    row = lms.add_learner("ann", state=START)
    caller.fetch_token()
    lms.misbehave(kind, route="unenroll")
    with pytest.raises(httpx.RemoteProtocolError):
        unenroll(caller)
    assert lms.effects_on(row) == effects
    assert [seen.status for seen in lms.requests(route="unenroll")] == [None]
    assert unenroll(caller).is_success


def test_an_update_whose_answer_is_lost_was_done(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann")
    caller.fetch_token()
    lms.misbehave(FaultKind.LOST_ANSWER, route="update", new_state=START)
    with pytest.raises(httpx.RemoteProtocolError):
        caller.update("ann", START)
    assert lms.state("ann") == START
    assert caller.update("ann", START).status_code == 400


def test_another_answer_hides_what_was_done(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann", state=START)
    lms.misbehave(FaultKind.OTHER_ANSWER, route="unenroll", status=200, body=None)
    answer = unenroll(caller)
    assert (answer.status_code, answer.content, lms.effects_on(row)) == (200, b"", ["unenroll"])
    lms.misbehave(
        FaultKind.OTHER_ANSWER, route="status", status=200, body="<html>", headers={"content-type": "text/html"}
    )
    answer = caller.status("ann")
    assert (answer.text, answer.headers["content-type"]) == ("<html>", "text/html")
    lms.misbehave(FaultKind.OTHER_ANSWER, route="status", status=200, body={"id": 1})
    assert caller.status("ann").json() == {"id": 1}


def test_a_redirect_is_said_and_nothing_is_done(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann", state=START)
    lms.misbehave(FaultKind.REDIRECT, route="unenroll", location="/login")
    answer = unenroll(caller)
    assert (answer.status_code, answer.headers["location"], lms.effects_on(row)) == (301, "/login", [])


def test_a_token_that_is_refused_stays_refused(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=START)
    lms.misbehave(FaultKind.REFUSE_TOKEN)
    caller.fetch_token()
    assert unenroll(caller).status_code == 401
    assert unenroll(caller).status_code == 401
    caller.fetch_token()
    assert unenroll(caller).status_code == 200


def test_the_token_endpoint_misbehaves_like_any_other(lms: StandInLms, caller: LmsCaller) -> None:
    lms.misbehave(FaultKind.STATUS, route="token", status=503)
    assert caller.fetch_token().status_code == 503
    lms.misbehave(FaultKind.HOLD, route="token", seconds=0.3)
    began = time.monotonic()
    assert caller.fetch_token().status_code == 200
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("kind", "answered"), [(FaultKind.MOVED_BEFORE, 500), (FaultKind.MOVED_AFTER, 200)])
def test_somebody_else_moves_the_learner_in_the_middle(
    lms: StandInLms, caller: LmsCaller, kind: FaultKind, answered: int
) -> None:
    lms.add_learner("ann", state=START)
    lms.misbehave(kind, route="unenroll", state="ERRORED")
    assert unenroll(caller).status_code == answered
    assert lms.state("ann") == "ERRORED"


@pytest.mark.parametrize("answer", [False, True])
async def test_a_held_request_waits_before_or_after_its_effect(
    lms: StandInLms, caller: LmsCaller, answer: bool
) -> None:
    row = lms.add_learner("ann", state=START)
    caller.fetch_token()
    number = lms.hold(answer=answer, route="unenroll", nth=2)
    assert unenroll(caller).status_code == 200
    held = asyncio.create_task(asyncio.to_thread(unenroll, caller))

    def is_held() -> None:
        assert lms.holding(number) == 1

    await eventually(is_held)
    assert lms.effects_on(row) == ["unenroll"] * (2 if answer else 1)
    assert lms.requests(route="unenroll")[-1].status is None
    # Everybody else goes on.
    assert lms.row("ann") is not None
    lms.release(number)
    assert (await held).status_code == 204
    assert lms.effects_on(row) == ["unenroll", "unenroll"]
    assert lms.faults() == []


_CALL = """
import httpx, sys
url, token = sys.argv[1:]
headers = {"authorization": f"JWT {token}", "content-type": "application/json"}
httpx.post(url, json={"username": "ann"}, headers=headers)
"""


@pytest.mark.parametrize(("done", "effects"), [(False, []), (True, ["unenroll"])])
async def test_the_request_of_a_killed_caller_is_done_late_or_never(
    lms: StandInLms, caller: LmsCaller, done: bool, effects: list[str]
) -> None:
    row = lms.add_learner("ann", state=START)
    caller.fetch_token()
    number = lms.hold(route="unenroll")
    program = (sys.executable, "-c", _CALL, f"{lms.url}{UNENROLL}", caller.token)
    process = await asyncio.create_subprocess_exec(*program)

    def is_held() -> None:
        assert lms.holding(number) == 1

    await eventually(is_held)
    process.kill()
    await process.wait()
    assert lms.effects_on(row) == []
    lms.release(number, done=done)
    assert unenroll(caller, username="nobody").status_code == 404
    assert lms.effects_on(row) == effects


async def test_a_reset_drops_what_is_held(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=START)
    caller.fetch_token()
    number = lms.hold(route="unenroll", username="ann")
    held = asyncio.create_task(asyncio.to_thread(unenroll, caller))

    def is_held() -> None:
        assert lms.holding(number) == 1

    await eventually(is_held)
    lms.reset()
    with pytest.raises(httpx.RemoteProtocolError):
        await held
    row = lms.add_learner("ann", state=START)
    assert (lms.effects_on(row), lms.requests(), lms.faults()) == ([], [], [])


def test_of_two_faults_of_a_kind_the_first_counts_and_kinds_add_up(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=START)
    lms.misbehave(FaultKind.STATUS, route="unenroll", status=429)
    lms.misbehave(FaultKind.STATUS, service="lms", path="/api/enrollment", method="POST", status=409)
    lms.misbehave(FaultKind.HOLD, route="unenroll", seconds=0.2)
    began = time.monotonic()
    assert unenroll(caller).status_code == 429
    assert time.monotonic() - began >= 0.2
    assert unenroll(caller).status_code == 200, "both were used up by the one request"
    assert caller.call("GET", f"{ACCOUNTS}/ann/retirement_status/").status_code == 200

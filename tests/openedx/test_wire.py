"""What goes over the wire when nothing goes wrong."""

import asyncio
import json
from itertools import pairwise
from urllib.parse import parse_qsl

import pytest

from sandbox.lms.client import SeenRequest
from tests.openedx.pipelines import THIRTEEN, THIRTEEN_SETTINGS, thirteen_urls
from tests.openedx.retiring import Campus
from workflows.names import Outcome, StepResult

_ACCOUNTS = "/api/user/v1/accounts"
#: Pipeline 4 as requests: method, path, body. `{note}` stands for what an update notes.
_FOURTEEN = [
    ("GET", f"{_ACCOUNTS}/ada/retirement_status/", None),
    ("PATCH", "RETIRING_EMAIL_LISTS", "Starting: RETIRING_EMAIL_LISTS"),
    ("POST", f"{_ACCOUNTS}/retire_mailings/", {"username": "ada"}),
    ("PATCH", "EMAIL_LISTS_COMPLETE", "Ending: EMAIL_LISTS_COMPLETE with response:\nHTTP 204"),
    ("PATCH", "RETIRING_ENROLLMENTS", "Starting: RETIRING_ENROLLMENTS"),
    ("POST", "/api/enrollment/v1/unenroll/", {"username": "ada"}),
    ("PATCH", "ENROLLMENTS_COMPLETE", "Ending: ENROLLMENTS_COMPLETE with response:\nHTTP 200, 1 item"),
    ("PATCH", "RETIRING_LMS_MISC", "Starting: RETIRING_LMS_MISC"),
    ("POST", f"{_ACCOUNTS}/retire_misc/", {"username": "ada"}),
    ("PATCH", "LMS_MISC_COMPLETE", "Ending: LMS_MISC_COMPLETE with response:\nHTTP 204"),
    ("PATCH", "RETIRING_LMS", "Starting: RETIRING_LMS"),
    ("POST", f"{_ACCOUNTS}/retire/", {"username": "ada"}),
    ("PATCH", "LMS_COMPLETE", "Ending: LMS_COMPLETE with response:\nHTTP 204"),
    ("PATCH", "COMPLETE", "Learner retirement complete."),
]


def _told(request: SeenRequest) -> tuple[str, str, object]:
    """A request as `_FOURTEEN` writes it."""
    if request.method != "PATCH":
        return request.method, request.path, request.json
    assert request.path == f"{_ACCOUNTS}/update_retirement_status/"
    body = request.json
    assert set(body) == {"username", "new_state", "response"} and body["username"] == "ada"
    return "PATCH", body["new_state"], body["response"]


async def test_01_a_pipeline_of_four_is_fourteen_requests(campus: Campus) -> None:
    ada = campus.learner("ada", name="Ada L")
    run = await campus.start(ada, plan=campus.plan("four"))
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE, result
    assert campus.lms.state("ada") == "COMPLETE"
    asked = campus.asked("ada")
    assert [_told(request) for request in asked] == _FOURTEEN
    # The next request was sent only after the answer of the one before.
    assert all(before.number < after.number for before, after in pairwise(asked))
    assert {step.result for step in result.steps} == {StepResult.UNVERIFIED}


async def test_02_thirteen_steps_with_a_tracking_id_are_forty_two_requests(campus: Campus) -> None:
    settings = campus.lms.settings()
    plan = campus.plan(
        "thirteen",
        THIRTEEN,
        base_urls=thirteen_urls(campus.lms.url),
        fetch_ecommerce_segment_id=True,
        **THIRTEEN_SETTINGS,
    )
    ada = campus.learner("ada", tracking_id="ecommerce-9911")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENEDX_SEGMENT_AUTH_TOKEN", settings.segment_token)
        # Where time skips, Segment would be asked at once what became of it.
        result = await (await campus.start(ada, plan=plan, running_clock=True)).result()
    assert result.outcome is Outcome.COMPLETE, result
    asked = [request for request in campus.lms.requests() if request.route != "token" and request.status != 401]
    assert len(asked) == 42, [request.route for request in asked]
    assert [request.route for request in asked[:2]] == ["status", "tracking_id"]
    by_path = {request.path: request for request in asked if request.method == "POST"}
    user_id = ada["user"]["id"]
    [demographics] = [each for path, each in by_path.items() if "retire_demographics" in path]
    assert demographics.json == {"lms_user_id": user_id}
    [licenses] = [each for path, each in by_path.items() if path.endswith("/api/v1/retire_user/")]
    assert licenses.json == {"lms_user_id": user_id, "original_username": "ada"}
    [segment] = [each for path, each in by_path.items() if path.endswith("/regulations")]
    assert segment.json == {
        "regulation_type": "Suppress_With_Delete",
        "attributes": {"name": "userId", "values": [str(user_id), "ada", "ecommerce-9911"]},
    }
    [proctoring] = [each for path, each in by_path.items() if "edx_proctoring" in path]
    assert proctoring.body == "" and proctoring.path.endswith(f"/{user_id}/")


async def test_02_without_a_tracking_id_segment_gets_two_values(campus: Campus) -> None:
    rows = [row for row in THIRTEEN if row[2] == "SEGMENT"]
    plan = campus.plan(
        "segment",
        rows,
        base_urls=thirteen_urls(campus.lms.url),
        fetch_ecommerce_segment_id=True,
        **THIRTEEN_SETTINGS,
    )
    ada = campus.learner("ada")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENEDX_SEGMENT_AUTH_TOKEN", campus.lms.settings().segment_token)
        # Where time skips, Segment would be asked at once what became of it.
        result = await (await campus.start(ada, plan=plan, running_clock=True)).result()
    assert result.outcome is Outcome.COMPLETE, result
    [segment] = [each for each in campus.lms.requests() if each.path.endswith("/regulations")]
    assert segment.json["attributes"]["values"] == [str(ada["user"]["id"]), "ada"]
    assert segment.headers["authorization"].startswith("Bearer ")


async def test_03_who_we_are_and_what_we_send(campus: Campus) -> None:
    ada = campus.learner("ada")
    campus.lms.revoke_tokens()
    await (await campus.start(ada, plan=campus.plan("four"))).result()
    tokens = [request for request in campus.lms.requests() if request.route == "token"]
    assert tokens, "no token was asked for"
    for request in tokens:
        assert "authorization" not in request.headers
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        form = parse_qsl(request.body)
        assert [name for name, _ in form] == ["grant_type", "client_id", "client_secret", "token_type"]
        assert (form[0][1], form[3][1]) == ("client_credentials", "jwt")
    for request in campus.asked("ada"):
        if request.status == 401:
            continue
        assert request.headers["authorization"].startswith("JWT ")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith("account-retirement/")


async def test_04_a_hundred_learners_share_a_token(campus: Campus) -> None:
    plan = campus.plan("four")
    rows = [campus.learner(f"learner-{number}") for number in range(100)]
    campus.lms.revoke_tokens()
    campus.lms.forget_requests()
    runs = [await campus.start(row, plan=plan) for row in rows]
    results = await asyncio.gather(*(run.result() for run in runs))
    assert {result.outcome for result in results} == {Outcome.COMPLETE}
    assert campus.lms.counts()["token"] == 1


async def test_05_no_update_is_forced_and_none_repeats_a_state(campus: Campus) -> None:
    ada = campus.learner("ada")
    await (await campus.start(ada, plan=campus.plan("four"))).result()
    updates = [request for request in campus.asked("ada") if request.route == "update"]
    assert all("force" not in request.json for request in updates)
    states = [request.new_state for request in updates]
    assert len(states) == len(set(states)) == 9


@pytest.mark.parametrize("ending", ["", "/", "//"])
async def test_06_base_urls_with_and_without_an_end_and_with_a_prefix(campus: Campus, ending: str) -> None:
    campus.lms.set(prefix="/campus")
    plan = campus.plan(f"prefixed{len(ending)}", base_url=f"{campus.lms.url}/campus{ending}")
    ada = campus.learner("ada")
    assert (await (await campus.start(ada, plan=plan)).result()).outcome is Outcome.COMPLETE
    assert [request.path.removeprefix("/campus") for request in campus.asked("ada")][:3] == [
        f"{_ACCOUNTS}/ada/retirement_status/",
        f"{_ACCOUNTS}/update_retirement_status/",
        f"{_ACCOUNTS}/retire_mailings/",
    ]
    assert all(request.path.startswith("/campus/") for request in campus.lms.requests())


@pytest.mark.parametrize("username", ["ada lovelace", "žofie", "a/../b", "a%2Fb?c#d"])
async def test_06_a_username_is_one_segment_of_the_path(campus: Campus, username: str) -> None:
    row = campus.learner(username, email="ada@learner.example")
    run = await campus.start(row, plan=campus.plan("four"))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert campus.lms.state(username) == "COMPLETE"
    assert json.loads(campus.asked(username)[1].body)["username"] == username

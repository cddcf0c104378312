"""Each way to misbehave does to a request exactly what its name says, to whom and as often as told."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from sandbox.client import Person
from sandbox.faults import FaultKind
from sandbox.launch import Sandbox
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(folder=tmp_path_factory.mktemp("sandbox"), newsletter_working_time=0.05) as started:
        yield started


@pytest.fixture(autouse=True)
def behaving(sandbox: Sandbox) -> None:
    for service in sandbox.services.values():
        service.behave()


def forum(sandbox: Sandbox, method: str, person: Person) -> httpx.Response:
    headers = {"authorization": f"Bearer {sandbox.environment['FORUM_TOKEN']}"}
    return sandbox.forum.http.request(method, f"/authors/{person.user_id}", headers=headers)


def delete_account(sandbox: Sandbox, person: Person, *, key: str, token: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {token or access_token(sandbox)}", "idempotency-key": key}
    return sandbox.accounts.http.delete(f"/users/{person.user_id}", headers=headers)


def access_token(sandbox: Sandbox) -> str:
    form = {"grant_type": "client_credentials", "client_id": "retirement"}
    form["client_secret"] = sandbox.environment["ACCOUNTS_CLIENT_SECRET"]
    return str(sandbox.accounts.http.post("/oauth/token", data=form).json()["access_token"])


async def test_slow_answers_rightly_but_late(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.SLOW, seconds=0.3)
    before = time.monotonic()
    assert forum(sandbox, "DELETE", ada).status_code == 204
    assert time.monotonic() - before >= 0.3


async def test_status_refuses_as_often_as_told_and_changes_nothing(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.STATUS, status=429, retry_after="7", times=2, method="DELETE")
    answers = [forum(sandbox, "DELETE", ada) for _ in range(2)]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(429, "7")] * 2
    assert sandbox.forum.effects_on(ada) == []
    assert forum(sandbox, "DELETE", ada).status_code == 204
    assert [request.status for request in sandbox.forum.requests(ada)] == [429, 429, 204]
    assert [fault.hits for fault in sandbox.forum.faults()] == [2]


async def test_a_fault_without_times_lasts_until_told_to_behave(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.STATUS, status=500, times=None)
    assert {forum(sandbox, "GET", ada).status_code for _ in range(5)} == {500}
    sandbox.forum.behave()
    assert forum(sandbox, "GET", ada).status_code == 200


async def test_a_fault_hits_only_whom_and_what_it_names(sandbox: Sandbox) -> None:
    ada, bob = sandbox.add_person(), sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.STATUS, status=503, times=None, user=ada, method="DELETE")
    sandbox.forum.misbehave(FaultKind.STATUS, status=500, times=None, path_prefix="/elsewhere")
    assert forum(sandbox, "DELETE", ada).status_code == 503
    assert forum(sandbox, "GET", ada).status_code == 200
    assert forum(sandbox, "DELETE", bob).status_code == 204


async def test_lost_answer_acts_and_says_nothing(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.LOST_ANSWER, user=ada)
    with pytest.raises(httpx.RemoteProtocolError):
        forum(sandbox, "DELETE", ada)
    assert sandbox.forum.effects_on(ada) == ["erase"]
    assert [request.status for request in sandbox.forum.requests(ada)] == [None]
    assert forum(sandbox, "DELETE", ada).status_code == 404


async def test_drop_neither_acts_nor_answers(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.DROP, user=ada)
    with pytest.raises(httpx.RemoteProtocolError):
        forum(sandbox, "DELETE", ada)
    assert sandbox.forum.effects_on(ada) == []


async def test_lie_says_it_is_done_while_the_person_is_still_there(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.LIE, user=ada)
    assert forum(sandbox, "GET", ada).status_code == 200
    assert forum(sandbox, "DELETE", ada).status_code == 204
    assert forum(sandbox, "GET", ada).status_code == 200
    assert sandbox.forum.effects_on(ada) == []
    assert forum(sandbox, "DELETE", ada).status_code == 204
    assert sandbox.forum.effects_on(ada) == ["erase"]


async def test_a_lie_is_repeated_under_the_same_key(sandbox: Sandbox) -> None:
    """As a service that remembers keys would: only another key gets it to act."""
    ada = sandbox.add_person()
    sandbox.accounts.misbehave(FaultKind.LIE, user=ada)
    assert [delete_account(sandbox, ada, key=f"{ada.user_id}:1").status_code for _ in range(2)] == [204, 204]
    assert sandbox.accounts.kept(ada) is not None
    assert delete_account(sandbox, ada, key=f"{ada.user_id}:2").status_code == 204
    assert sandbox.accounts.kept(ada) is None


async def test_a_lost_answer_is_found_again_under_the_same_key(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.accounts.misbehave(FaultKind.LOST_ANSWER, user=ada)
    with pytest.raises(httpx.RemoteProtocolError):
        delete_account(sandbox, ada, key=f"{ada.user_id}:profile")
    assert delete_account(sandbox, ada, key=f"{ada.user_id}:profile").status_code == 204
    assert delete_account(sandbox, ada, key=f"{ada.user_id}:other").status_code == 404
    assert sandbox.accounts.effects_on(ada) == ["erase"]


async def test_token_expiry_ends_the_token_in_use(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    token = access_token(sandbox)
    sandbox.accounts.misbehave(FaultKind.TOKEN_EXPIRY, user=ada)
    assert [delete_account(sandbox, ada, key="k1", token=token).status_code for _ in range(2)] == [401, 401]
    assert delete_account(sandbox, ada, key="k2").status_code == 204


async def test_echo_gives_the_person_away_in_body_header_and_reason(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(name="Ada Lovelace")
    sandbox.forum.misbehave(FaultKind.ECHO, user=ada, status=403)
    answer = forum(sandbox, "DELETE", ada)
    assert answer.status_code == 403
    for place in (answer.text, answer.headers["x-error"], answer.reason_phrase):
        assert "Ada Lovelace" in place and ada.email in place
    assert sandbox.forum.effects_on(ada) == []


@pytest.mark.parametrize(
    ("kind", "state", "still_there"),
    [(FaultKind.JOB_FAILS, "failed", True), (FaultKind.LIE, "done", True), (FaultKind.JOB_LATE, "done", False)],
)
async def test_the_newsletter_ends_a_deletion_as_told(
    sandbox: Sandbox, kind: FaultKind, state: str, still_there: bool
) -> None:
    ada = sandbox.add_person()
    sandbox.newsletter.misbehave(kind, user=ada, seconds=0.2)
    headers = {"authorization": f"Bearer {sandbox.environment['NEWSLETTER_TOKEN']}"}
    accepted = sandbox.newsletter.http.post("/deletions", json={"email": ada.email}, headers=headers)
    assert accepted.status_code == 202

    def has_ended() -> None:
        location = accepted.headers["location"]
        assert sandbox.newsletter.http.get(location, headers=headers).json()["state"] == state

    await eventually(has_ended, within=5)
    assert (sandbox.newsletter.kept(ada) is not None) is still_there


@pytest.mark.parametrize("fault", [{"kind": "nonsense"}, {}, {"kind": "slow", "colour": 1}, [1]])
async def test_an_unknown_fault_is_refused_with_what_is_known(sandbox: Sandbox, fault: object) -> None:
    answer = sandbox.forum.http.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 400
    assert "kind" in answer.json()["error"]

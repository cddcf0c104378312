"""OAuth 2 client credentials: one token for all calls of a worker, renewed in time, and once when refused."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer
from activities.actions.http import HttpAction
from plans.requests import HttpRequest, Method
from plans.services import ClientCredentialsAuth
from plans.services import HttpService as PlannedService
from tests.support.http_service import HttpService, Received, Reply, http_service
from workflows.names import HeldCause


class Guarded:
    """A service and its token endpoint; only the token it gave out last is good."""

    def __init__(self, *, service: HttpService) -> None:
        self.service = service
        self.given = 0
        self.expires_in: Any = 3600
        self.token_after = 0.0
        self.schemes = ["Bearer"]
        service.on("POST", "/token", self._token)
        service.otherwise(self._guarded)

    def call(self, **overrides: Any) -> Call:
        base_url = overrides.pop("base_url", self.service.url)
        auth = {
            "token_url": f"{self.service.url}/token",
            "client_id": "worker one",
            "client_secret": "s+cret/",
            **overrides,
        }
        return Call(
            service=PlannedService(base_url=base_url, auth=ClientCredentialsAuth(**auth)),
            request=HttpRequest(method=Method.DELETE, path="/users/{{ user_id }}"),
            context={"user_id": "ada-17"},
        )

    def _token(self, received: Received) -> Reply:
        self.given += 1
        body = {"access_token": f"t-{self.given}", "token_type": "Bearer", "expires_in": self.expires_in}
        return Reply(body=body, after=self.token_after)

    def _guarded(self, received: Received) -> Reply:
        good = [f"{scheme} t-{self.given}" for scheme in self.schemes]
        return Reply(status=204 if received.headers.get("authorization") in good else 401)


@pytest.fixture
async def guarded(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guarded]:
    monkeypatch.setenv("AUDIENCE", "all")
    async with http_service() as service:
        yield Guarded(service=service)


def status_of(answer: Answer | NoAnswer) -> int:
    assert isinstance(answer, Answer)
    return answer.status


async def test_a_token_is_asked_for_once_by_many_calls(guarded: Guarded, http_action: HttpAction) -> None:
    guarded.token_after = 0.1
    answers = await asyncio.gather(*(http_action.call(guarded.call()) for _ in range(20)))
    assert [status_of(answer) for answer in answers] == [204] * 20
    assert guarded.given == 1
    [asked] = guarded.service.calls("POST", "/token")
    assert asked.body == b"grant_type=client_credentials"
    basic = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
    assert basic == "worker+one:s%2Bcret%2F"


async def test_another_scope_is_another_token(guarded: Guarded, http_action: HttpAction) -> None:
    await http_action.call(guarded.call())
    await http_action.call(guarded.call(scope="erase"))
    assert guarded.given == 2
    assert guarded.service.calls("POST", "/token")[1].body == b"grant_type=client_credentials&scope=erase"


async def test_a_token_may_be_asked_for_in_the_form_alone(guarded: Guarded, http_action: HttpAction) -> None:
    call = guarded.call(credentials="body", form={"token_type": "jwt", "audience": "${env:AUDIENCE}"})
    assert status_of(await http_action.call(call)) == 204
    [asked] = guarded.service.calls("POST", "/token")
    form = b"grant_type=client_credentials&client_id=worker+one&client_secret=s%2Bcret%2F&token_type=jwt&audience=all"
    assert asked.body == form and "authorization" not in asked.headers
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_token_may_be_sent_under_another_word(guarded: Guarded, http_action: HttpAction) -> None:
    guarded.schemes = ["JWT"]
    assert status_of(await http_action.call(guarded.call(scheme="JWT"))) == 204
    guarded.given += 1
    assert status_of(await http_action.call(guarded.call(scheme="JWT"))) == 204
    assert [each.headers["authorization"] for each in guarded.service.calls("DELETE")] == [
        "JWT t-1",
        "JWT t-1",
        "JWT t-3",
    ]


async def test_services_that_want_the_same_token_share_it(guarded: Guarded, http_action: HttpAction) -> None:
    """However each of them sends it; what they ask the token endpoint for is what tells tokens apart."""
    guarded.schemes = ["Bearer", "JWT"]
    guarded.token_after = 0.1
    form = {"token_type": "jwt"}
    lms = guarded.call(form=form, credentials="body")
    shop = guarded.call(form=form, scheme="JWT", base_url=f"{guarded.service.url}/shop/")
    answers = await asyncio.gather(*(http_action.call(each) for each in [lms, shop] * 5))
    assert {status_of(answer) for answer in answers} == {204}
    assert guarded.given == 1
    await http_action.call(guarded.call(credentials="body"))
    assert guarded.given == 2


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(guarded: Guarded, http_action: HttpAction) -> None:
    await http_action.call(guarded.call())
    guarded.given += 1  # What the worker holds is no good any more.
    assert status_of(await http_action.call(guarded.call())) == 204
    assert len(guarded.service.calls("POST", "/token")) == 2
    guarded.service.otherwise(Reply(status=401))
    before = len(guarded.service.calls("DELETE"))
    assert status_of(await http_action.call(guarded.call())) == 401
    assert len(guarded.service.calls("DELETE")) == before + 2


async def test_many_calls_refused_at_once_renew_once(guarded: Guarded, http_action: HttpAction) -> None:
    await http_action.call(guarded.call())
    guarded.given += 1
    guarded.token_after = 0.1
    answers = await asyncio.gather(*(http_action.call(guarded.call()) for _ in range(10)))
    assert {status_of(answer) for answer in answers} == {204}
    assert len(guarded.service.calls("POST", "/token")) == 2


async def test_a_token_is_renewed_before_it_expires(
    guarded: Guarded, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("activities.actions.auth.time.monotonic", lambda: now)
    guarded.expires_in = 100
    await http_action.call(guarded.call())
    now += 79
    await http_action.call(guarded.call())
    assert guarded.given == 1
    now += 2  # Within the last fifth.
    await http_action.call(guarded.call())
    assert guarded.given == 2


async def test_a_token_of_two_seconds_is_of_use(
    guarded: Guarded, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("activities.actions.auth.time.monotonic", lambda: now)
    guarded.expires_in = 2
    await http_action.call(guarded.call())
    now += 1.5
    await http_action.call(guarded.call())
    assert guarded.given == 1
    now += 0.2
    await http_action.call(guarded.call())
    assert guarded.given == 2


@pytest.mark.parametrize("said", [None, 0, -1, "soon", [3600], {"s": 1}])
async def test_a_token_without_a_lifetime_is_renewed_when_it_is_refused(
    guarded: Guarded, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    now = 1000.0
    monkeypatch.setattr("activities.actions.auth.time.monotonic", lambda: now)
    guarded.expires_in = said
    await http_action.call(guarded.call())
    now += 10**9
    await http_action.call(guarded.call())
    assert guarded.given == 1
    guarded.given += 1
    assert status_of(await http_action.call(guarded.call())) == 204
    assert len(guarded.service.calls("POST", "/token")) == 2


@pytest.mark.parametrize("said", ["100", 100.0])
async def test_a_lifetime_may_be_written_otherwise(
    guarded: Guarded, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    now = 1000.0
    monkeypatch.setattr("activities.actions.auth.time.monotonic", lambda: now)
    guarded.expires_in = said
    await http_action.call(guarded.call())
    now += 81
    await http_action.call(guarded.call())
    assert guarded.given == 2


@pytest.mark.parametrize("credentials", ["basic", "body"])
async def test_a_secret_that_is_no_text_is_held_and_not_sent(
    guarded: Guarded, http_action: HttpAction, credentials: str
) -> None:
    answer = await http_action.call(guarded.call(client_secret="hunter2\udcff", credentials=credentials))
    assert answer == NoAnswer(code="bad_client_credentials", touched=False, held=HeldCause.CREDENTIALS)
    assert guarded.service.received == []


async def test_neither_secret_nor_token_is_in_anything_that_is_shown(
    guarded: Guarded, http_action: HttpAction, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    call = guarded.call(credentials="body", form={"key": "k-17"})
    done = await http_action.call(call)
    guarded.service.on("POST", "/token", Reply(status=401, raw=b"s+cret/ k-17 t-1"))
    guarded.given += 1
    refused = await http_action.call(call)
    shown = f"{done!r}{refused!r}{http_action._credentials._tokens!r}{caplog.text}"
    assert not any(secret in shown for secret in ("s+cret/", "s%2Bcret%2F", "k-17", "t-1"))


@pytest.mark.parametrize(
    ("reply", "code", "held"),
    [
        (Reply(status=503), "token_http_503", None),
        (Reply(status=429), "token_http_429", None),
        (Reply(status=400), "token_http_400", HeldCause.CREDENTIALS),
        (Reply(status=401), "token_http_401", HeldCause.CREDENTIALS),
        (Reply(status=403), "token_http_403", HeldCause.CREDENTIALS),
        (Reply(status=404), "token_http_404", HeldCause.CONFIGURATION),
        (Reply(status=302), "token_http_302", HeldCause.CONFIGURATION),
        (Reply(body={"token": "x"}), "token_unusable", None),
        (Reply(body={"access_token": "a\nb"}), "token_unusable", None),
        (Reply(body=["access_token"]), "token_unusable", None),
        (Reply(raw=b"<html>"), "token_unusable", None),
    ],
)
async def test_a_token_that_is_not_to_be_had(
    guarded: Guarded, http_action: HttpAction, reply: Reply, code: str, held: HeldCause | None
) -> None:
    guarded.service.on("POST", "/token", reply)
    assert await http_action.call(guarded.call()) == NoAnswer(code=code, touched=False, held=held)
    assert guarded.service.calls("DELETE") == []


async def test_a_token_endpoint_that_is_down_is_transient(guarded: Guarded, http_action: HttpAction) -> None:
    async with http_service() as gone:
        pass
    answer = await http_action.call(guarded.call(token_url=f"{gone.url}/token"))
    assert answer == NoAnswer(code="token_connect_error", touched=False)
    answer = await http_action.call(guarded.call(token_url="nowhere"))
    assert answer == NoAnswer(code="token_bad_url", touched=False, held=HeldCause.CONFIGURATION)


async def test_a_cancelled_call_does_not_take_the_token_from_the_others(
    guarded: Guarded, http_action: HttpAction
) -> None:
    guarded.token_after = 0.2
    first = asyncio.create_task(http_action.call(guarded.call()))
    await guarded.service.arrived.wait()
    second = asyncio.create_task(http_action.call(guarded.call()))
    first.cancel()
    assert status_of(await second) == 204
    assert guarded.given == 1

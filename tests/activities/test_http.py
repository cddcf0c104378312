"""The http action against a real server."""

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer
from activities.actions.http import HttpAction
from activities.actions.wire import LONGEST_SAID, BadAddress, origin_of
from activities.addresses import address_of, is_same_place
from plans.requests import HttpRequest, Method
from plans.secrets import SecretMissing
from plans.services import ApiKeyAuth, Auth, BasicAuth, BearerAuth, NoAuth
from plans.services import HttpService as PlannedService
from tests.support.http_service import HttpService, Received, Reply, http_service
from workflows.names import HeldCause


def a_call(service: HttpService, **overrides: Any) -> Call:
    user_id = overrides.pop("user_id", "ada-17")
    key = overrides.pop("key", None)
    offered = PlannedService(
        base_url=overrides.pop("base_url", service.url),
        auth=overrides.pop("auth", NoAuth()),
        timeout=overrides.pop("timeout", timedelta(seconds=10)),
        headers=overrides.pop("service_headers", {}),
    )
    request = HttpRequest(**{"method": Method.DELETE, "path": "/users/{{ user_id }}", **overrides})
    return Call(service=offered, request=request, context={"user_id": user_id, "tenant": None}, key=key)


async def test_a_request_arrives_as_the_plan_says(service: HttpService, http_action: HttpAction) -> None:
    service.on("POST", "/v1/users/ada-17/lock?why=asked", Reply(status=201, body={"was_locked": False}))
    call = a_call(
        service,
        base_url=f"{service.url}/v1/",
        method=Method.POST,
        path="/users/{{ user_id }}/lock",
        query={"why": "asked", "tenant": "{{ tenant }}"},
        headers={"X-User": "{{ user_id }}"},
        body={"id": "{{ user_id }}"},
        key="r-1:lock",
    )
    answer = await http_action.call(call)
    assert isinstance(answer, Answer) and answer.status == 201 and answer.body == {"was_locked": False}
    [received] = service.received
    assert received.json == {"id": "ada-17"}
    assert received.headers["idempotency-key"] == "r-1:lock"
    assert received.headers["user-agent"] == "account-retirement/1.2.3"
    assert received.headers["x-user"] == "ada-17"
    assert received.headers["content-type"] == "application/json"


async def test_a_read_carries_no_idempotency_key(service: HttpService, http_action: HttpAction) -> None:
    await http_action.call(a_call(service, method=Method.GET, key="r-1:lock"))
    assert "idempotency-key" not in service.received[0].headers


@pytest.mark.parametrize("user_id", ["../admin", "a/b?c=d#e", "x\r\nX-Evil: 1", "{{7*7}}", "\u202eمرحبا", "%2e%2e"])
async def test_a_hostile_id_reaches_the_service_as_data(
    service: HttpService, http_action: HttpAction, user_id: str
) -> None:
    await http_action.call(a_call(service, user_id=user_id))
    [received] = service.received
    assert received.target.startswith("/users/") and unquote(received.target.removeprefix("/users/")) == user_id
    assert received.target.count("/") == 2 and "x-evil" not in received.headers


async def test_an_id_too_long_for_any_address_is_permanent(service: HttpService, http_action: HttpAction) -> None:
    answer = await http_action.call(a_call(service, user_id="x" * 70_000))
    assert answer == NoAnswer(code="bad_url", touched=False, may_pass=False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(service: HttpService, http_action: HttpAction, status: int) -> None:
    """A redirected POST would arrive as a GET, and anything at another place than the plan's."""
    service.otherwise(Reply(status=status, headers={"location": f"{service.url}/elsewhere"}))
    call = a_call(service, method=Method.POST, auth=BearerAuth(token="t-1"))
    for answer in (await http_action.call(call), await http_action.follow(call, url=f"{service.url}/jobs/1")):
        assert isinstance(answer, Answer) and answer.status == status
    assert await http_action.is_route_known(call) is False
    assert [(each.method, each.target) for each in service.received] == [
        ("POST", "/users/ada-17"),
        ("GET", "/jobs/1"),
        ("POST", "/users/ada-17"),
    ]


@pytest.mark.parametrize("method", list(Method))
async def test_the_service_s_content_type_goes_out_with_a_body_or_without(
    service: HttpService, http_action: HttpAction, method: Method
) -> None:
    service.otherwise(Reply(status=204))
    json = {"Content-Type": "application/json"}
    await http_action.call(a_call(service, method=method, service_headers=json))
    await http_action.call(a_call(service, method=method, service_headers=json, body={"username": "{{ user_id }}"}))
    without, with_body = service.received
    assert without.headers["content-type"] == with_body.headers["content-type"] == "application/json"
    assert (without.body, with_body.json) == (b"", {"username": "ada-17"})


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=500, raw=b" No such state for ada-17.\n"), "No such state for ada-17."),
        (Reply(status=400, body={"detail": "unknown"}), '{"detail": "unknown"}'),
        (
            Reply(status=404, raw="zu früh".encode("latin-1"), headers={"content-type": "text/plain; charset=latin-1"}),
            "zu früh",
        ),
        (Reply(status=404, raw=b"early", headers={"content-type": "text/plain; charset=hex"}), "early"),
        (Reply(status=502, raw=b"\xff\xfe!"), "\ufffd\ufffd!"),
        (Reply(status=500, raw=b"x" * 5000), "x" * LONGEST_SAID),
        (Reply(status=500, raw=b"zipped", headers={"content-encoding": "gzip"}), None),
        (Reply(status=503), None),
        (Reply(status=200, body={"email": "ada@example.com"}), None),
    ],
)
async def test_what_a_refusal_says_is_kept_and_shown_to_nobody(
    service: HttpService, http_action: HttpAction, reply: Reply, said: str | None
) -> None:
    service.otherwise(reply)
    answer = await http_action.call(a_call(service))
    assert isinstance(answer, Answer) and answer.said == said
    assert set(answer.values) == {"status", "headers", "body"}
    assert (
        said is None or said not in f"{answer!r}{answer}{http_action.describe(a_call(service), answer)}{answer.values}"
    )


async def test_a_cookie_does_not_travel_with_the_next_request(service: HttpService, http_action: HttpAction) -> None:
    service.otherwise(Reply(headers={"set-cookie": "session=adas; Path=/"}))
    await http_action.call(a_call(service))
    await http_action.call(a_call(service))
    assert all("cookie" not in received.headers for received in service.received)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b"x" * (1024 * 1024 + 1)),
        Reply(raw=b"[" * 100_000),
        Reply(raw=b"<html>"),
        Reply(raw=b"\xff\xfe"),
        Reply(raw=b"1" * 10_000),
        Reply(raw=b"{}", headers={"content-encoding": "gzip"}),
        Reply(status=204),
    ],
)
async def test_a_body_that_is_of_no_use_leaves_the_status_standing(
    service: HttpService, http_action: HttpAction, reply: Reply
) -> None:
    service.otherwise(reply)
    answer = await http_action.call(a_call(service))
    assert isinstance(answer, Answer) and answer.status == reply.status and answer.body is None


async def test_a_service_that_hangs_is_a_timeout_that_may_have_done_it(
    service: HttpService, http_action: HttpAction
) -> None:
    service.otherwise(Reply(after=5))
    answer = await http_action.call(a_call(service, timeout=timedelta(milliseconds=200)))
    assert answer == NoAnswer(code="timeout", touched=True)


async def test_nobody_listening_is_a_connect_error_that_did_nothing(http_action: HttpAction) -> None:
    async with http_service() as gone:
        pass
    assert await http_action.call(a_call(gone)) == NoAnswer(code="connect_error", touched=False)


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


FIXED: list[tuple[Auth, str, str]] = [
    (BearerAuth(token="${env:SECRET}"), "authorization", "Bearer t-1"),
    (ApiKeyAuth(key="${env:SECRET}"), "x-api-key", "t-1"),
    (ApiKeyAuth(header="Acme-Key", key="${env:SECRET}"), "acme-key", "t-1"),
    (BasicAuth(username="retirement", password="${env:SECRET}"), "authorization", basic("retirement", "t-1")),
    # RFC 7617 §2.1: both parts in UTF-8; the first colon ends the name, others belong to the password.
    (BasicAuth(username="Zoë", password="pä:ß:€"), "authorization", basic("Zoë", "pä:ß:€")),
    (BasicAuth(username="", password="${env:SECRET}"), "authorization", basic("", "t-1")),
]


@pytest.mark.parametrize(("auth", "header", "sent"), FIXED)
async def test_a_fixed_credential_is_sent_and_not_tried_twice(
    service: HttpService, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch, auth: Auth, header: str, sent: str
) -> None:
    monkeypatch.setenv("SECRET", "t-1")
    service.otherwise(Reply(status=401))
    answer = await http_action.call(a_call(service, auth=auth))
    assert isinstance(answer, Answer) and answer.status == 401
    assert [received.headers[header] for received in service.received] == [sent]


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (BearerAuth(token="${env:SECRET}"), "bad_token"),
        (ApiKeyAuth(key="${env:SECRET}"), "bad_api_key"),
        (BasicAuth(username="${env:SECRET}", password="x"), "bad_basic_auth"),
        (BasicAuth(username="x", password="${env:SECRET}"), "bad_basic_auth"),
    ],
)
async def test_a_credential_that_no_header_can_hold_is_held_and_not_sent(
    service: HttpService, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch, auth: Auth, code: str
) -> None:
    monkeypatch.setenv("SECRET", "t-1\r\nX-Evil: 1")
    held = NoAnswer(code=code, touched=False, held=HeldCause.CREDENTIALS)
    assert await http_action.call(a_call(service, auth=auth)) == held
    monkeypatch.setenv("SECRET", "")
    if not isinstance(auth, BasicAuth):
        assert await http_action.call(a_call(service, auth=auth)) == held
    monkeypatch.delenv("SECRET")
    with pytest.raises(SecretMissing, match="SECRET"):
        await http_action.call(a_call(service, auth=auth))
    assert service.received == []


async def test_a_user_name_with_a_colon_is_held_as_it_would_end_there(
    service: HttpService, http_action: HttpAction
) -> None:
    answer = await http_action.call(a_call(service, auth=BasicAuth(username="a:b", password="c")))
    assert answer == NoAnswer(code="bad_basic_auth", touched=False, held=HeldCause.CREDENTIALS)


async def test_a_request_s_header_replaces_the_service_s_and_credentials_replace_both(
    service: HttpService, http_action: HttpAction
) -> None:
    call = a_call(
        service,
        auth=ApiKeyAuth(key="t-1"),
        service_headers={"X-Tenant": "acme", "x-api-key": "of the service", "Accept": "application/vnd.acme+json"},
        headers={"x-tenant": "other", "X-API-KEY": "of the request"},
    )
    await http_action.call(call)
    [received] = service.received
    assert received.headers["x-tenant"] == "other" and received.headers["x-api-key"] == "t-1"
    assert received.headers["accept"] == "application/vnd.acme+json"


async def test_a_place_to_ask_is_asked_with_the_service_s_headers(
    service: HttpService, http_action: HttpAction
) -> None:
    call = a_call(service, auth=ApiKeyAuth(key="t-1"), service_headers={"X-Tenant": "acme"}, headers={"X-Own": "1"})
    await http_action.follow(call, url=f"{service.url}/jobs/1")
    [received] = service.received
    assert (received.method, received.target) == ("GET", "/jobs/1")
    assert received.headers["x-tenant"] == "acme" and received.headers["x-api-key"] == "t-1"
    assert "x-own" not in received.headers


async def test_a_route_is_known_by_what_it_answers_a_stranger(service: HttpService, http_action: HttpAction) -> None:
    def guarded(received: Received) -> Reply:
        return Reply(status=404 if "authorization" in received.headers else 401)

    service.on("DELETE", "/users/ada-17", guarded)
    auth = BearerAuth(token="t-1")
    assert await http_action.is_route_known(a_call(service, auth=auth, body={"id": "{{ user_id }}"})) is True
    assert await http_action.is_route_known(a_call(service, auth=auth, path="/wrong/{{ user_id }}")) is False
    asked = len(service.received)
    assert service.received[0].body == b"" and "authorization" not in service.received[0].headers
    # Remembered for the route, not for the person.
    assert await http_action.is_route_known(a_call(service, auth=auth, user_id="bob")) is True
    assert len(service.received) == asked


@pytest.mark.parametrize(
    ("status", "known"), [(400, True), (403, True), (422, True), (302, False), (405, False), (410, False), (503, None)]
)
async def test_what_a_stranger_s_answer_proves(
    service: HttpService, http_action: HttpAction, status: int, known: bool | None
) -> None:
    service.otherwise(Reply(status=status))
    assert await http_action.is_route_known(a_call(service, auth=BearerAuth(token="t-1"))) is known


@pytest.mark.parametrize("auth", [BasicAuth(username="u", password="SECRET"), ApiKeyAuth(key="SECRET"), NoAuth()])
async def test_a_stranger_shows_neither_credentials_nor_person(
    service: HttpService, http_action: HttpAction, monkeypatch: pytest.MonkeyPatch, auth: Auth
) -> None:
    monkeypatch.setenv("KEY", "SECRET")
    service.otherwise(Reply(status=401))
    call = a_call(
        service,
        auth=auth,
        base_url=service.url.replace("//", "//worker:SECRET@"),
        service_headers={"X-Tenant": "acme", "X-Gate": "${env:KEY}"},
        headers={"X-Own": "id ${env:KEY}", "X-Acting-For": "{{ user_id }}"},
        query={"key": "${env:KEY}", "full": "yes", "of": "{{ user_id }}"},
        key="r-1:lock",
    )
    assert await http_action.is_route_known(call) is True
    [received] = service.received
    # What is the same for everybody may be what finds the route.
    assert received.target == "/users/ada-17?full=yes&of=ada-17" and received.headers["x-tenant"] == "acme"
    assert "SECRET" not in str(received) and base64.b64encode(b"worker:SECRET").decode() not in str(received)
    assert not received.headers.keys() & {"authorization", "x-api-key", "x-gate", "x-own", "x-acting-for"}
    assert "idempotency-key" not in received.headers


async def test_a_route_is_known_for_its_service_only(service: HttpService, http_action: HttpAction) -> None:
    auth = BearerAuth(token="t-1")
    service.on("DELETE", "/v2/users/ada-17", Reply(status=401))
    assert await http_action.is_route_known(a_call(service, auth=auth, base_url=f"{service.url}/v2")) is True
    assert await http_action.is_route_known(a_call(service, auth=auth, base_url=f"{service.url}/v1")) is False


@pytest.mark.parametrize("headers", [{}, {"X-Tenant": "acme"}])
async def test_a_service_without_credentials_proves_no_route(
    service: HttpService, http_action: HttpAction, headers: dict[str, str]
) -> None:
    assert await http_action.is_route_known(a_call(service, headers=headers)) is False
    assert service.received == []


def test_a_place_to_ask_is_of_the_service_s_own_origin(http_action: HttpAction) -> None:
    service = HttpService(url="http://127.0.0.1:8123")
    call = a_call(service)
    assert http_action.place_to_ask(call, url="/jobs/1") == "http://127.0.0.1:8123/jobs/1"
    assert http_action.place_to_ask(call, url="http://127.0.0.1:8123/jobs/1") == "http://127.0.0.1:8123/jobs/1"
    for foreign in (
        "http://127.0.0.1:8124/jobs/1",
        "https://127.0.0.1:8123/jobs/1",
        "//evil.example/jobs/1",
        "http://127.0.0.1:8123@evil.example/jobs",
        "file:///etc/passwd",
        "\\\\evil.example\\x",
        "http://[",
        None,
        7,
    ):
        named = http_action.place_to_ask(call, url=foreign)
        assert named is None or origin_of(named) == origin_of(service.url), foreign


def test_the_detail_of_a_call_is_its_template(http_action: HttpAction) -> None:
    call = a_call(HttpService(url="http://127.0.0.1:8123"), user_id="secret-ada")
    detail = http_action.describe(call, Answer(status=404, body={"name": "secret-ada"}))
    assert detail == "DELETE /users/{{ user_id }} → 404"
    assert "secret-ada" not in repr(call)


@pytest.mark.parametrize("url", ["", "accounts", "ftp://x", "http://", "http://x:port", "//x"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadAddress, match="needs http:// or https://"):
        origin_of(url)


def test_an_address_that_is_recorded_holds_no_credentials() -> None:
    service = PlannedService(base_url="https://worker:s3cret@api.example/v1")
    assert address_of(service) == "https://api.example/v1"
    assert is_same_place(service, known="https://API.example:443/v2")
    assert not is_same_place(service, known="https://api.example:444/v1")


def test_an_origin_has_one_spelling() -> None:
    assert origin_of("https://API.example/v1") == origin_of("https://api.example:443") == "https://api.example:443"
    assert origin_of("http://[::1]:8080/x") == "http://[::1]:8080"

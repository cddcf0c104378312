"""The sandbox's services do what the real ones would: otherwise every test that counts on them proves nothing."""

import smtplib
import socket
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
import yaml

from plans.model import Plan
from sandbox.client import Person, SandboxService
from sandbox.faults import FaultKind
from sandbox.launch import Sandbox
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    async with Sandbox(folder=folder, token_lifetime=0.6, newsletter_working_time=0.2) as started:
        yield started


def access_token(sandbox: Sandbox) -> str:
    form = {"grant_type": "client_credentials", "client_id": "retirement"}
    form["client_secret"] = sandbox.environment["ACCOUNTS_CLIENT_SECRET"]
    return str(sandbox.accounts.http.post("/oauth/token", data=form).raise_for_status().json()["access_token"])


def call(
    sandbox: Sandbox, service: SandboxService, method: str, path: str, *, key: str | None = None, json: object = None
) -> httpx.Response:
    if service is sandbox.accounts:
        token = access_token(sandbox)
    else:
        name = next(name for name, listed in sandbox.services.items() if listed is service)
        token = sandbox.environment[f"{name.upper()}_TOKEN"]
    headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
    return service.http.request(method, path, headers=headers, json=json)


async def state_after_work(sandbox: Sandbox, location: str) -> str:
    def look() -> str:
        state = str(call(sandbox, sandbox.newsletter, "GET", location).json()["state"])
        assert state != "working"
        return state

    return await eventually(look, within=5)


@pytest.mark.parametrize("name", ["sandbox", "sandbox_team"])
async def test_the_plans_of_the_sandbox_are_plans(name: str) -> None:
    text = (Path(__file__).parents[2] / "plans" / f"{name}.yaml").read_text()
    assert Plan.model_validate(yaml.safe_load(text)).plan == name


async def test_a_lock_ends_every_session_and_refuses_logins_until_it_is_undone(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    session = sandbox.accounts.log_in(ada)
    assert session is not None and sandbox.accounts.is_session(session)

    assert call(sandbox, sandbox.accounts, "POST", f"/users/{ada.user_id}/lock").json() == {"was_locked": False}
    assert not sandbox.accounts.is_session(session)
    assert not sandbox.accounts.can_log_in(ada)
    assert call(sandbox, sandbox.accounts, "POST", f"/users/{ada.user_id}/unlock").json() == {"was_locked": True}
    assert sandbox.accounts.can_log_in(ada)
    assert sandbox.accounts.effects_on(ada) == ["lock", "unlock"]


async def test_a_wrong_password_opens_no_session(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    login = {"username": ada.username, "password": "wrong"}
    assert sandbox.accounts.http.post("/login", json=login).status_code == 401


async def test_sessions_can_be_ended_without_a_lock(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    session = sandbox.accounts.log_in(ada)
    assert session is not None
    assert call(sandbox, sandbox.accounts, "DELETE", f"/users/{ada.user_id}/sessions").json() == {"ended": 1}
    assert not sandbox.accounts.is_session(session)
    assert sandbox.accounts.can_log_in(ada)


async def test_accounts_repeats_its_first_answer_under_the_same_key(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    first, second = (
        call(sandbox, sandbox.accounts, "POST", f"/users/{ada.user_id}/lock", key=f"{ada.user_id}:lock")
        for _ in range(2)
    )
    assert first.json() == second.json() == {"was_locked": False}
    assert second.headers["idempotency-replayed"] == "true"
    assert sandbox.accounts.effects_on(ada) == ["lock"]
    reused = call(sandbox, sandbox.accounts, "DELETE", f"/users/{ada.user_id}", key=f"{ada.user_id}:lock")
    assert reused.status_code == 422


async def test_access_tokens_run_out_and_are_renewed(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    headers = {"authorization": f"Bearer {access_token(sandbox)}"}

    def status() -> int:
        return sandbox.accounts.http.get(f"/users/{ada.user_id}", headers=headers).status_code

    def is_refused() -> None:
        assert status() == 401

    assert status() == 200
    await eventually(is_refused, within=5)
    assert call(sandbox, sandbox.accounts, "GET", f"/users/{ada.user_id}").json()["email"] == ada.email


async def test_a_wrong_client_secret_gets_no_token(sandbox: Sandbox) -> None:
    form = {"grant_type": "client_credentials", "client_id": "retirement", "client_secret": "wrong"}
    assert sandbox.accounts.http.post("/oauth/token", data=form).status_code == 401
    basic = httpx.BasicAuth("retirement", sandbox.environment["ACCOUNTS_CLIENT_SECRET"])
    grant = {"grant_type": "client_credentials"}
    assert sandbox.accounts.http.post("/oauth/token", data=grant, auth=basic).status_code == 200


async def test_accounts_list_who_has_a_role_page_by_page(sandbox: Sandbox) -> None:
    admins = [Person(user_id=f"u-{number:02}", roles=("member", "admin-of-x")) for number in range(21)]
    sandbox.accounts.add_people([*admins, Person(roles=("admin-of-y",))])
    call(sandbox, sandbox.accounts, "POST", "/users/u-00/lock")
    call(sandbox, sandbox.accounts, "DELETE", "/users/u-01")
    page = call(sandbox, sandbox.accounts, "GET", "/roles/admin-of-x/users").json()
    assert [user["id"] for user in page["users"]] == ["u-00", *(admin.user_id for admin in admins[2:])]
    assert page["users"][0]["locked"] and page["next"] is None
    sandbox.accounts.add_people([admins[1]])
    first = call(sandbox, sandbox.accounts, "GET", "/roles/admin-of-x/users").json()
    second = call(sandbox, sandbox.accounts, "GET", f"/roles/admin-of-x/users{first['next']}").json()
    assert [user["id"] for user in first["users"] + second["users"]] == [admin.user_id for admin in admins]
    assert second["next"] is None
    assert call(sandbox, sandbox.accounts, "GET", "/roles/nobody/users").json() == {"users": [], "next": None}
    assert call(sandbox, sandbox.accounts, "GET", "/roles/x/users?page=x").status_code == 400
    assert sandbox.accounts.http.get("/roles/admin-of-x/users").status_code == 401


async def test_accounts_list_the_admins_of_an_org_and_of_no_other(sandbox: Sandbox) -> None:
    admins = [Person(user_id=f"o-{number:02}", org="orgs & co", roles=("member", "admin")) for number in range(21)]
    others = [Person(org="orgs & co"), Person(org="initech", roles=("admin",)), Person(org=None, roles=("admin",))]
    sandbox.accounts.add_people([*admins, *others])
    path = f"/orgs/{quote('orgs & co')}/admins"
    first = call(sandbox, sandbox.accounts, "GET", path).json()
    second = call(sandbox, sandbox.accounts, "GET", f"{path}{first['next']}").json()
    assert [user["id"] for user in first["users"] + second["users"]] == [admin.user_id for admin in admins]
    assert {user["org"] for user in first["users"]} == {"orgs & co"}
    assert second["next"] is None
    assert call(sandbox, sandbox.accounts, "GET", "/orgs/-/admins").json() == {"users": [], "next": None}
    assert call(sandbox, sandbox.accounts, "GET", f"{path}?page=0").status_code == 400
    assert sandbox.accounts.http.get(path).status_code == 401


@pytest.mark.parametrize("org", ["acme", None])
async def test_accounts_say_for_which_org_somebody_works(sandbox: Sandbox, org: str | None) -> None:
    ada = sandbox.add_person(org=org)
    assert call(sandbox, sandbox.accounts, "GET", f"/users/{ada.user_id}").json()["org"] == org


async def test_roles_change_and_accounts_go_without_a_trace_in_the_effects(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(user_id="a/b?c", org="hooli", roles=("admin",))
    session = sandbox.accounts.log_in(ada)
    assert session is not None
    sandbox.accounts.set_roles(ada, ["author", "admin-of-y"])
    assert call(sandbox, sandbox.accounts, "GET", "/users/a%2Fb%3Fc").json()["roles"] == ["author", "admin-of-y"]
    assert call(sandbox, sandbox.accounts, "GET", "/orgs/hooli/admins").json()["users"] == []
    sandbox.accounts.remove(ada)
    assert call(sandbox, sandbox.accounts, "GET", "/users/a%2Fb%3Fc").status_code == 404
    assert not sandbox.accounts.is_session(session)
    assert sandbox.accounts.effects(ada) == []
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        sandbox.accounts.remove(ada)
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        sandbox.accounts.set_roles(ada, [])


@pytest.mark.parametrize("name", ["accounts", "documents", "forum", "invoices", "newsletter"])
async def test_nobody_gets_in_without_credentials(sandbox: Sandbox, name: str) -> None:
    paths = {"accounts": "/users/x", "documents": "/documents/x", "forum": "/authors/x"}
    paths |= {"invoices": "/customers/x", "newsletter": "/subscribers/x"}
    headers = {"authorization": "Bearer wrong"}
    assert sandbox.services[name].http.get(paths[name]).status_code == 401
    assert sandbox.services[name].http.get(paths[name], headers=headers).status_code == 401


async def test_the_forum_answers_404_to_a_repeated_deletion(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(posts=4)
    assert call(sandbox, sandbox.forum, "GET", f"/authors/{ada.user_id}").json()["posts"] == 4
    statuses = [
        call(sandbox, sandbox.forum, "DELETE", f"/authors/{ada.user_id}", key="same").status_code for _ in range(2)
    ]
    assert statuses == [204, 404]
    assert sandbox.forum.kept(ada) is None
    assert [(effect.effect, effect.idempotency_key) for effect in sandbox.forum.effects(ada)] == [("erase", "same")]


async def test_a_mute_of_ours_leaves_the_moderators_alone(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    for reason in ("spam", "retirement", "retirement"):
        call(sandbox, sandbox.forum, "PUT", f"/authors/{ada.user_id}/mutes/{reason}").raise_for_status()
    for _ in range(2):
        call(sandbox, sandbox.forum, "DELETE", f"/authors/{ada.user_id}/mutes/retirement").raise_for_status()
    kept = sandbox.forum.kept(ada)
    assert kept is not None and kept["mutes"] == ["spam"]
    assert sandbox.forum.effects_on(ada) == ["mute", "mute", "unmute"]


async def test_the_newsletter_deletes_later_and_each_request_is_another_job(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    answers = [
        call(sandbox, sandbox.newsletter, "POST", "/deletions", key="same", json={"email": ada.email}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].headers["location"] != answers[1].headers["location"]
    assert sandbox.newsletter.kept(ada) is not None
    assert [await state_after_work(sandbox, answer.headers["location"]) for answer in answers] == ["done", "done"]
    assert call(sandbox, sandbox.newsletter, "GET", f"/subscribers/{ada.user_id}").status_code == 404
    assert sandbox.newsletter.effects_on(ada) == ["accept_deletion", "accept_deletion", "erase"]


async def test_invoices_can_be_read_and_never_deleted(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(invoices=7)
    assert call(sandbox, sandbox.invoices, "DELETE", f"/customers/{ada.user_id}").status_code == 404
    assert call(sandbox, sandbox.invoices, "GET", f"/customers/{ada.user_id}").json()["invoices"] == 7


@pytest.mark.parametrize("user_id", ["../admin", "a/b", "a&b=c", "..", "a%2Fb", "{{ 7*7 }}", "' or 1=1 --", "ü\u202eb"])
async def test_an_id_is_data_whatever_it_looks_like(sandbox: Sandbox, user_id: str) -> None:
    sandbox.add_person(user_id=user_id)
    path = "".join(f"%{byte:02X}" for byte in user_id.encode())
    answer = call(sandbox, sandbox.accounts, "GET", f"/users/{path}")
    assert (answer.status_code, answer.json().get("id")) == (200, user_id)
    assert sandbox.accounts.requests(user_id)[-1].status == 200


async def test_who_is_added_again_is_back(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    call(sandbox, sandbox.forum, "DELETE", f"/authors/{ada.user_id}")
    sandbox.add_people([ada], at=["forum"])
    assert sandbox.forum.kept(ada) is not None


async def test_a_person_can_be_unknown_to_a_service(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(at=["accounts", "newsletter"])
    known = {name for name, service in sandbox.services.items() if service.kept(ada) is not None}
    assert known == {"accounts", "newsletter"}


async def test_a_service_that_is_down_refuses_and_comes_back_with_its_data(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    sandbox.forum.misbehave(FaultKind.STATUS, user=ada, status=503)
    await sandbox.take_down("forum")
    with pytest.raises(httpx.ConnectError):
        sandbox.forum.kept(ada)
    await sandbox.bring_back("forum")
    assert sandbox.forum.kept(ada) is not None
    assert call(sandbox, sandbox.forum, "GET", f"/authors/{ada.user_id}").status_code == 503
    assert call(sandbox, sandbox.forum, "GET", f"/authors/{ada.user_id}").status_code == 200


async def test_a_stopped_sandbox_leaves_no_listener(tmp_path: Path) -> None:
    async with Sandbox(folder=tmp_path) as other:
        address = ("127.0.0.1", int(other.environment["RETIREMENT_SMTP_PORT"]))
        socket.create_connection(address).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def send(sandbox: Sandbox, *, to: str, subject: str = "Hello") -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "a@sandbox.example", to, subject, "<1@sandbox>"
    mail.set_content("Plain <b>words</b>")
    mail.add_alternative("<p>Rich words</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", int(sandbox.environment["RETIREMENT_SMTP_PORT"])) as client:
        client.send_message(mail)


async def test_the_mailbox_shows_each_mail_as_json_and_as_a_page(sandbox: Sandbox) -> None:
    ada = Person()
    send(sandbox, to=ada.email, subject="Grüße <script>")
    (mail,) = sandbox.mailbox.mails(ada)
    assert (mail["subject"], mail["message_id"], mail["html"]) == (
        "Grüße <script>",
        "<1@sandbox>",
        "<p>Rich words</p>\n",
    )
    assert sandbox.mailbox.mails("nobody@person.example") == []
    index = sandbox.mailbox.http.get(f"/?to={quote(ada.email)}").text
    page = sandbox.mailbox.http.get(f"/mails/{mail['number']}").text
    assert "Grüße &lt;script&gt;" in index and "Grüße &lt;script&gt;" in page
    assert "<iframe sandbox" in page
    everybodys = sandbox.mailbox.http.get("/").text
    assert f"Mails to {ada.email}" in index and "Mails to" not in everybodys
    assert f"href='/?to={ada.email}'" in everybodys


@pytest.mark.parametrize(("method", "status"), [("RCPT", 451), ("RCPT", 550), ("DATA", 451)])
async def test_the_mailbox_refuses_as_told(sandbox: Sandbox, method: str, status: int) -> None:
    ada = Person()
    sandbox.mailbox.misbehave(FaultKind.STATUS, user=ada.email, method=method, status=status)
    with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)) as refused:
        send(sandbox, to=ada.email)
    assert str(status) in str(refused.value)
    send(sandbox, to=ada.email)
    assert len(sandbox.mailbox.mails(ada)) == 1


@pytest.mark.parametrize(("kind", "kept"), [(FaultKind.LOST_ANSWER, 1), (FaultKind.DROP, 0)])
async def test_the_mailbox_hangs_up_as_told(sandbox: Sandbox, kind: FaultKind, kept: int) -> None:
    ada = Person()
    sandbox.mailbox.misbehave(kind, user=ada.email, method="DATA")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(sandbox, to=ada.email)
    assert len(sandbox.mailbox.mails(ada)) == kept

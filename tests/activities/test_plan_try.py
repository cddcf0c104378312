"""`retire plan try`: every mistake that a service's owner can make is found by asking, and nothing is changed."""

import asyncio
import copy
import json
import re
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner, Result

from activities.actions import sql_errors, wire
from activities.actions.action import Call
from activities.actions.answers import NoAnswer
from activities.actions.dispatch import Actions
from plans.defaults import with_defaults
from plans.model import Plan
from sandbox.launch import Sandbox
from starter.exit_codes import ExitCode
from starter.main import app
from starter.sheet import plain
from starter.trial.findings import Findings, Level, Question
from starter.trial.guard import OnlyReads, WouldChange
from starter.trial.meanings import trouble
from starter.trial.telling import facts_of, lines_of
from starter.trial.trial import try_plan
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.plans import SANDBOX_PLAN

USER = "ada-1815"
#: Errors of a driver without a SQLSTATE: nobody knows more of them than their name.
_RARE_IN_SQL = {
    f"sql_{name}"
    for name in (
        *("data_error", "database_error", "integrity_error", "interface_error", "internal_error"),
        *("not_supported", "operational_error", "programming_error"),
    )
}
TOKEN = "t0ken-of-the-forum"
#: What belongs to the person and must never be shown unasked.
PERSONAL = (USER, "ada@example.org", "Ada Lovelace", "countess")
Document = dict[str, Any]


class Forum:
    """A forum that does everything right: it wants a token, knows one author, and tells the others by 404."""

    def __init__(self, service: HttpService) -> None:
        self.service = service
        self.author: Any = {"id": USER, "mail": "ada@example.org", "name": "Ada Lovelace", "roles": ["countess"]}
        service.otherwise(self.answer)

    def answer(self, received: Received) -> Reply:
        path = received.target.partition("?")[0]
        if not path.startswith("/authors"):
            return Reply(status=404)
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(status=401)
        if received.method != "GET":
            return Reply(status=204)
        return Reply(body=self.author) if path == f"/authors/{USER}" else Reply(status=404, body={"error": "nobody"})

    def answers(self, status: int, **reply: Any) -> None:
        """Answer everything that has a token like this."""
        self.service.otherwise(lambda received: Reply(status=status, **reply))


@pytest.fixture
async def forum(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Forum]:
    async with http_service() as service:
        monkeypatch.setenv("FORUM_URL", service.url)
        monkeypatch.setenv("FORUM_TOKEN", TOKEN)
        yield Forum(service)


def a_document(change: Callable[[Document], None] | None = None) -> Document:
    """A plan of one service, changed as asked."""
    document: Document = {
        "plan": "acme",
        "subject": {
            "lookup": {
                "service": "forum",
                "request": {"method": "GET", "path": "/authors/{{ user_id }}"},
                "fields": {"email": "{{ body.mail }}", "roles": "{{ body.roles }}"},
            }
        },
        "cool_off": {"duration": "14d"},
        "services": {
            "forum": {"base_url": "${env:FORUM_URL}", "auth": {"type": "bearer", "token": "${env:FORUM_TOKEN}"}}
        },
        "steps": {
            "author": {
                "phase": "erase",
                "service": "forum",
                "request": {"method": "DELETE", "path": "/authors/{{ user_id }}"},
                "absent": [404],
                "probe": {"request": {"method": "GET", "path": "/authors/{{ user_id }}"}},
            }
        },
    }
    document = copy.deepcopy(document)
    if change is not None:
        change(document)
    return document


async def tried(document: Document, **how: Any) -> Findings:
    actions = Actions(version="0.test")
    try:
        plan = with_defaults(Plan.model_validate(document))
        return await try_plan(plan, action=actions, **{"user_id": USER, **how})
    finally:
        await actions.close()


def told(findings: Findings) -> str:
    return "\n".join(plain(line) for line in lines_of(findings))


def codes(part: Question | None) -> list[str]:
    assert part is not None
    return [remark.code for remark in part.remarks]


async def test_a_plan_that_is_right_is_fine_and_only_reads_arrive(forum: Forum) -> None:
    findings = await tried(a_document())
    assert findings.remarks() == []
    assert {received.method for received in forum.service.received} == {"GET"}
    assert {received.target for received in forum.service.calls("GET")} > {f"/authors/{USER}"}
    assert findings.lookup is not None and findings.lookup.meaning == "the person is there"
    assert [(each.name, each.kind, each.value) for each in findings.lookup.reads] == [
        ("email", "text, 15 characters", None),
        ("roles", "list of 1", None),
    ]
    assert findings.lookup.also == ("of an id that is nobody's it says 404, as it should",)
    (probe,) = findings.probes
    assert (probe.answer, probe.meaning) == ("200", "the person is there")
    (left,) = findings.not_asked
    assert (left.part, left.changes) == ("steps.author", True)
    assert left.sent_as == f"DELETE {forum.service.url}/authors/•••"


@dataclass(frozen=True)
class Mistake:
    """A mistake of a plan or a service, and what has to be said of it."""

    name: str
    code: str
    says: str
    mend: str
    plan: Callable[[Document], None] = lambda document: None
    service: Callable[[Forum], None] = lambda forum: None
    level: Level = Level.PROBLEM


def _probe(document: Document) -> Document:
    return document["steps"]["author"]["probe"]  # type: ignore[no-any-return]


def _lookup(document: Document) -> Document:
    return document["subject"]["lookup"]  # type: ignore[no-any-return]


def _html(forum: Forum) -> None:
    forum.answers(200, raw=b"<html>Log in</html>", headers={"content-type": "text/html; charset=utf-8"})


def _forgets_everybody(forum: Forum) -> None:
    forum.service.otherwise(lambda received: Reply(status=404 if "authorization" in received.headers else 401))


def _writes_to_a_name(document: Document) -> None:
    document["subject"]["lookup"]["fields"]["email"] = "{{ body.name }}"
    document["mail"] = {"from": "forum@forum.example"}


MISTAKES = [
    Mistake(
        "a wrong path of the probe",
        "path_not_proved",
        "404 can't be told from a wrong path, and the probe has seen nobody; without credentials it answers 404",
        "Check base_url and path.",
        plan=lambda d: _probe(d)["request"].update(path="/author/{{ user_id }}"),
    ),
    Mistake(
        "a probe's path that exists and holds nobody",
        "nobody_seen",
        "The lookup knows the person, the probe doesn't",
        "check path, id and `gone`",
        plan=lambda d: _probe(d)["request"].update(path="/authors/{{ user_id }}/posts"),
    ),
    Mistake(
        "a probe that ignores the id",
        "sees_everybody",
        "It says 'there' for an id that is nobody's, too (200)",
        "add gone_when",
        plan=lambda d: _probe(d)["request"].update(path=f"/authors/{USER}"),
    ),
    Mistake(
        "a lookup that ignores the id",
        "knows_everybody",
        "It answers 200 for an id that is nobody's, too",
        "names {{ user_id }}",
        plan=lambda d: _lookup(d)["request"].update(path=f"/authors/{USER}"),
    ),
    Mistake(
        "a lookup's wrong path",
        "path_not_proved",
        "404 can't be told from a wrong path: without credentials it answers 404",
        "absent_unchecked",
        plan=lambda d: _lookup(d)["request"].update(path="/author/{{ user_id }}"),
    ),
    Mistake(
        "a field of another name",
        "field_missing",
        "subject.lookup.fields.email: there is no `mails` in `body`, which has id, mail, name, roles.",
        "Did you mean `body.mail`?",
        plan=lambda d: _lookup(d)["fields"].update(email="{{ body.mails }}"),
    ),
    Mistake(
        "a field below a text",
        "field_missing",
        "there is no `body.mail.address`, as `body.mail` is a text, 15 characters.",
        "Read it from where it is.",
        plan=lambda d: _lookup(d)["fields"].update(email="{{ body.mail.address }}"),
    ),
    Mistake(
        "an expression that fails",
        "expression_fails",
        "subject.lookup.fields.email: the expression fails on this answer.",
        "kinds of values",
        plan=lambda d: _lookup(d)["fields"].update(email="{{ body.mail + 1 }}"),
    ),
    Mistake(
        "a wrong token",
        "http_401",
        "401: our credentials are refused.",
        "Check ${env:OTHER_TOKEN}",
        plan=lambda d: d["services"]["forum"]["auth"].update(token="${env:OTHER_TOKEN}"),
    ),
    Mistake(
        "no credentials at all",
        "http_401",
        "401: the service asks for credentials.",
        "Give them in services.forum.auth.",
        plan=lambda d: d["services"]["forum"].pop("auth"),
    ),
    Mistake(
        "a token without rights",
        "http_403",
        "403: our credentials are known, and may not do this.",
        "Let the service's owner give the client of ${env:FORUM_TOKEN} the right",
        service=lambda f: f.answers(403),
    ),
    Mistake(
        "a secret that isn't set",
        "secret_missing",
        "services.forum needs ${env:NOT_SET}, which can't be resolved here.",
        "Set NOT_SET in this shell.",
        plan=lambda d: d["services"]["forum"]["auth"].update(token="${env:NOT_SET}"),
    ),
    Mistake(
        "a page instead of JSON",
        "no_json",
        "200, with text/html instead of JSON",
        "a login form",
        plan=lambda d: _lookup(d)["fields"].clear(),
        service=_html,
    ),
    Mistake(
        "fields read from a page",
        "no_json",
        "there is nothing to read from: the answer has text/html instead of JSON",
        "the answer is JSON",
        service=_html,
    ),
    Mistake(
        "a redirect to a slash",
        "redirected",
        "302: it redirects to the same path with a slash at its end.",
        "Give the final address",
        service=lambda f: f.answers(302, headers={"location": f"/authors/{USER}/?next=ada@example.org"}),
    ),
    Mistake(
        "a redirect elsewhere",
        "redirected",
        "302: it redirects to another path at https://login.example.",
        "Give the final address",
        service=lambda f: f.answers(302, headers={"location": f"https://login.example/as/{USER}?who={USER}"}),
    ),
    Mistake(
        "a method that the path doesn't take",
        "http_405",
        "405: the path doesn't take this method.",
        "Check method and path",
        service=lambda f: f.answers(405),
    ),
    Mistake(
        "a service that fails",
        "http_503",
        "503: the service fails.",
        "See the service's own log.",
        service=lambda f: f.answers(503),
    ),
    Mistake(
        "a rate limit",
        "http_429",
        "429: the service asks to come back later.",
        "limits.rate",
        service=lambda f: f.answers(429),
    ),
    Mistake(
        "a service that says 500 of somebody it doesn't know",
        "nobody_is_not_gone",
        "For an id that is nobody's it answers 500, which says neither yes nor no.",
        "Let it answer 404",
        service=lambda f: f.service.otherwise(
            lambda received: Reply(body=f.author) if USER in received.target else Reply(status=500)
        ),
    ),
    Mistake(
        "a service that refuses made-up ids",
        "made_up_id_refused",
        "It refuses a made-up id (422)",
        "Ask its owner",
        service=lambda f: f.service.otherwise(
            lambda received: Reply(body=f.author) if USER in received.target else Reply(status=422)
        ),
        level=Level.WARNING,
    ),
    Mistake(
        "an answer about somebody else",
        "other_id",
        "The answer's `id` is not the user id that was asked for.",
        "under another kind of id",
        service=lambda f: f.author.update(id="someone-else"),
        level=Level.WARNING,
    ),
    Mistake(
        "an answer that never comes",
        "timeout",
        "No answer within 100ms.",
        "raise services.forum.timeout",
        plan=lambda d: d["services"]["forum"].update(timeout="100ms"),
        service=lambda f: f.answers(200, after=0.5),
    ),
    Mistake(
        "an answer that comes only just in time",
        "slow",
        "of the 500ms it may take",
        "raise services.forum.timeout",
        plan=lambda d: d["services"]["forum"].update(timeout="500ms"),
        service=lambda f: f.answers(200, body=f.author, after=0.4),
        level=Level.WARNING,
    ),
    Mistake(
        "a name that nobody knows",
        "unknown_host",
        "The name forum.nowhere.invalid is not known (DNS).",
        "Check services.forum.base_url",
        plan=lambda d: d["services"]["forum"].update(base_url="http://forum.nowhere.invalid"),
    ),
    Mistake(
        "a port where nobody listens",
        "connection_refused",
        "Nothing listens at 127.0.0.1:1.",
        "Check the port in services.forum.base_url",
        plan=lambda d: d["services"]["forum"].update(base_url="http://127.0.0.1:1"),
    ),
    Mistake(
        "https where http is spoken",
        "no_tls",
        "doesn't speak TLS as we do",
        "is it http://",
        plan=lambda d: d["services"]["forum"].update(base_url="${env:FORUM_TLS_URL}"),
    ),
    Mistake(
        "an address that is none",
        "bad_address",
        "services.forum.base_url is no address.",
        "needs http:// or https://",
        plan=lambda d: d["services"]["forum"].update(base_url="forum.example"),
    ),
    Mistake(
        "a request that will lack a value",
        "value_missing",
        "steps.author.request: names a value that isn't there, or is null.",
        "lookup.fields",
        plan=lambda d: d["steps"]["author"]["request"].update(path="/authors/{{ subject.number }}"),
    ),
    Mistake(
        "a list in a path",
        "unsafe_value",
        "steps.author.request: a value can't be sent in this place",
        "Send it in the query or the body",
        plan=lambda d: d["steps"]["author"]["request"].update(path="/authors/{{ subject.roles }}"),
    ),
    Mistake(
        "a probe's gone_when that reads what isn't there",
        "field_missing",
        "steps.author.probe.gone_when: there is no `state` in `body`",
        "Name one of these.",
        plan=lambda d: _probe(d).update(gone_when="body.state == 'deleted'"),
    ),
    Mistake(
        "a name where the address belongs",
        "no_mail_address",
        "What is read as `email` is no mail address",
        "Check subject.lookup.fields.email",
        plan=_writes_to_a_name,
    ),
    Mistake(
        "somebody who doesn't exist",
        "nobody_found",
        "The lookup doesn't know this person; the path exists: without credentials it answers 401.",
        "A retirement of them would end ABORTED (no_such_subject).",
        service=_forgets_everybody,
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
async def test_a_mistake_is_told_with_how_to_mend_it(
    forum: Forum, mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_TOKEN", "another")
    monkeypatch.setenv("FORUM_TLS_URL", forum.service.url.replace("http://", "https://"))
    monkeypatch.delenv("NOT_SET", raising=False)
    mistake.service(forum)
    findings = await tried(a_document(mistake.plan))
    found = [remark for remark in findings.remarks() if remark.code == mistake.code]
    assert found, [remark.code for remark in findings.remarks()]
    assert any(mistake.says in remark.what and mistake.mend in remark.mend for remark in found), found
    assert {remark.level for remark in found} == {mistake.level}
    assert not {received.method for received in forum.service.received} - {"GET"}
    text = told(findings) + json.dumps(facts_of(findings), default=str)
    assert not [secret for secret in (*PERSONAL, TOKEN) if secret in text.replace(f"/authors/{USER}", "")]


@pytest.mark.parametrize(
    ("of_nobody", "of_the_person", "code"),
    [
        (Reply(status=500), Reply(body={}), "nobody_is_not_gone"),
        (Reply(status=403), Reply(body={}), "nobody_is_not_gone"),
        (Reply(status=400), Reply(body={}), "made_up_id_refused"),
        (Reply(body={}), Reply(body={}), "sees_everybody"),
        (Reply(status=404), Reply(raw=b"<p>", headers={"content-type": "text/html"}), "no_json"),
        (Reply(status=404), Reply(body={}, after=0.8), "slow"),
        (Reply(status=404), Reply(status=204), None),
    ],
)
async def test_a_probe_is_doubted_for_itself(
    forum: Forum, of_nobody: Reply, of_the_person: Reply, code: str | None
) -> None:
    def change(document: Document) -> None:
        document["services"]["forum"]["timeout"] = "1s"
        _probe(document)["request"]["path"] = "/authors/{{ user_id }}/state"

    def state(received: Received) -> Reply:
        if not received.target.endswith("/state"):
            return forum.answer(received)
        return of_the_person if USER in received.target else of_nobody

    forum.service.otherwise(state)
    findings = await tried(a_document(change))
    assert codes(findings.lookup) == []
    assert codes(findings.probes[0]) == ([code] if code is not None else [])


async def test_no_value_and_no_secret_is_shown_unasked(forum: Forum) -> None:
    def change(document: Document) -> None:
        document["steps"]["author"]["request"] |= {
            "query": {"mail": "{{ subject.email }}", "by": "retirement"},
            "json": {"who": ["{{ subject.email }}"], "key": "${env:FORUM_TOKEN}", "note": "for {{ user_id }}"},
        }

    masked = told(await tried(a_document(change)))
    assert not [value for value in (*PERSONAL, TOKEN) if value in masked]
    url = forum.service.url
    assert (
        f'DELETE {url}/authors/•••?mail=•••&by=retirement with {{"who": [•••], "key": "${{env:FORUM_TOKEN}}", '
        '"note": "for •••"}' in masked
    )
    shown = told(await tried(a_document(change), show_values=True))
    assert f"DELETE {url}/authors/{USER}?mail=ada@example.org&by=retirement" in shown
    assert '"ada@example.org"' in shown and TOKEN not in shown


async def test_a_key_that_may_be_a_value_is_counted_and_not_named(forum: Forum) -> None:
    forum.author = {"ada@example.org": 1, "u4711": 2, "kind": "author"}
    findings = await tried(a_document())
    assert findings.lookup is not None
    assert findings.lookup.remarks[0].what.endswith("there is no `mail` in `body`, which has kind and 2 other keys.")


async def test_what_needs_an_answer_that_nobody_has_yet_is_said(forum: Forum) -> None:
    def change(document: Document) -> None:
        document["steps"]["lock"] = {
            "phase": "freeze",
            "service": "forum",
            "request": {"method": "POST", "path": "/authors/{{ user_id }}/lock"},
            "save": {"job": "{{ body.job }}"},
            "no_undo": "it ends by itself",
            "probe": {"request": {"method": "GET", "path": "/jobs/{{ saved.lock.job }}"}},
        }

    findings = await tried(a_document(change))
    left = {each.part: each for each in findings.not_asked}
    assert left["steps.lock.probe"].why == "needs saved.lock.job"
    assert left["steps.lock.probe"].remarks == ()
    assert findings.count(Level.PROBLEM) == 0


async def test_a_probe_that_posts_is_asked_only_on_request(forum: Forum) -> None:
    def change(document: Document) -> None:
        _probe(document)["request"] = {"method": "POST", "path": "/authors/search", "json": {"id": "{{ user_id }}"}}

    def search(received: Received) -> Reply:
        if received.method == "POST":
            return Reply(body=forum.author) if received.json["id"] == USER else Reply(status=404)
        return forum.answer(received)

    forum.service.otherwise(search)
    findings = await tried(a_document(change))
    assert forum.service.calls("POST") == []
    assert [each.why for each in findings.not_asked if not each.changes] == [
        "by its form it may change something; --ask-post asks it, too"
    ]
    findings = await tried(a_document(change), ask_post=True)
    assert len(forum.service.calls("POST")) == 2
    assert findings.remarks() == []


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
async def test_what_a_step_asks_for_is_never_asked_even_where_a_probe_asks_the_same(forum: Forum, method: str) -> None:
    def change(document: Document) -> None:
        request = {"method": method, "path": "/authors/{{ user_id }}/erase"}
        document["steps"]["author"]["request"] = request
        _probe(document)["request"] = dict(request)

    findings = await tried(a_document(change), ask_post=True)
    assert not [received for received in forum.service.received if received.target.endswith("/erase")]
    assert [each.part for each in findings.not_asked if not each.changes] == ["steps.author.probe"]


async def test_nothing_that_changes_passes_the_guard(forum: Forum) -> None:
    plan = Plan.model_validate(a_document())
    actions = Actions(version="0.test")
    guarded = OnlyReads(actions, plan=plan, ask_post=True)
    request = plan.steps["author"].request
    assert request is not None
    call = Call(service=plan.services["forum"], request=request, context={"user_id": USER})
    for ask in (guarded.call, guarded.is_route_known, lambda call: guarded.follow(call, url=forum.service.url)):
        with pytest.raises(WouldChange, match="a trial only reads, and DELETE"):
            await ask(call)
    await actions.close()
    assert forum.service.received == []


async def test_facts_are_read_over_all_pages_and_rules_are_worked_out(forum: Forum) -> None:
    def change(document: Document) -> None:
        request = {"method": "GET", "path": "/authors", "query": {"role": "{{ subject.roles[0] }}"}}
        fact = {"service": "forum", "request": request, "items": "body.all", "next_page": "body.next"}
        document["facts"] = {"peers": fact}
        document["eligibility"] = [
            {"refuse_if": "facts.peers | length == 3", "code": "one_of_three"},
            {"refuse_if": "facts.peers | length == 1", "code": "the_only_one"},
            {"refuse_if": "facts.peers | length", "code": "no_comparison"},
            {"refuse_if": "subject.rank > 3", "code": "broken"},
        ]
        document["claims"] = ["role:{{ subject.roles[0] }}", {"key": "x", "when": "facts_of_nobody"}]

    forum.service.on("GET", "/authors?role=countess", Reply(body={"all": [1, 2], "next": "/authors?page=2"}))
    forum.service.on("GET", "/authors?page=2", Reply(body={"all": [3], "next": None}))
    findings = await tried(a_document(change))
    (fact,) = findings.facts
    assert [(each.name, each.kind) for each in fact.reads] == [("peers", "list of 3, over 2 pages")]
    assert fact.remarks == ()
    said = {each.part: (each.says, [remark.code for remark in each.remarks]) for each in findings.rulings}
    assert said == {
        "eligibility.one_of_three": ("would refuse", ["would_refuse"]),
        "eligibility.the_only_one": ("would not refuse", []),
        "eligibility.no_comparison": ("would refuse", ["no_truth", "would_refuse"]),
        "eligibility.broken": ("can't be worked out", ["rule_broken"]),
        "claims.0": ("would claim role:{{ subject.roles[0] }}", []),
        "claims.1": ("can't be worked out", ["rule_broken"]),
    }
    assert "countess" not in told(findings)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"all": [1], "next": "/authors?page=2"}, {}, ["more_pages"]),
        ({"all": [1]}, {"link": '</authors?page=2>; rel="next"'}, ["more_pages"]),
        ({"all": [1], "next": None}, {"link": '</authors?page=1>; rel="prev"'}, []),
    ],
)
async def test_a_next_page_that_the_plan_does_not_read_is_told(
    forum: Forum, body: Any, headers: dict[str, str], expected: list[str]
) -> None:
    def change(document: Document) -> None:
        request = {"method": "GET", "path": "/authors", "query": {"role": "{{ subject.roles[0] }}"}}
        document["facts"] = {"peers": {"service": "forum", "request": request, "items": "body.all"}}
        document["eligibility"] = [{"refuse_if": "facts.peers | length > 3", "code": "too_many"}]

    forum.service.on("GET", "/authors?role=countess", Reply(body=body, headers=headers))
    findings = await tried(a_document(change))
    assert codes(findings.facts[0]) == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"all": {}}, "items_no_list"),
        ({"all": [], "next": "https://elsewhere.example/"}, "next_page_foreign"),
        ({"all": [], "next": "/authors?role=countess"}, "pages_in_a_circle"),
        ({"every": []}, "field_missing"),
    ],
)
async def test_a_fact_that_can_t_be_read_is_told_with_its_reason(forum: Forum, body: Any, code: str) -> None:
    def change(document: Document) -> None:
        request = {"method": "GET", "path": "/authors", "query": {"role": "{{ subject.roles[0] }}"}}
        fact = {"service": "forum", "request": request, "items": "body.all", "next_page": "body.next"}
        document["facts"] = {"peers": fact}
        document["eligibility"] = [{"refuse_if": "facts.peers | length == 3", "code": "one_of_three"}]

    forum.service.on("GET", "/authors?role=countess", Reply(body=body))
    findings = await tried(a_document(change))
    assert codes(findings.facts[0]) == [code]
    assert findings.rulings[0].says == "can't be worked out without facts.peers"


async def test_one_service_alone_is_asked_after_the_lookup(forum: Forum, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(document: Document) -> None:
        document["services"]["other"] = {"base_url": "${env:OTHER_URL}"}
        document["steps"]["other"] = {**document["steps"]["author"], "service": "other"}

    async with http_service() as other:
        monkeypatch.setenv("OTHER_URL", other.url)
        findings = await tried(a_document(change), service="forum")
        assert other.received == []
        assert [each.service for each in findings.places] == ["forum"]
        assert [each.part for each in findings.probes] == ["steps.author.probe"]
        assert [each.part for each in findings.not_asked] == ["steps.author"]


@pytest.fixture
async def self_signed(tmp_path: Path) -> AsyncIterator[str]:
    """Something that speaks TLS with a certificate that nobody has vouched for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    certificate = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    file = tmp_path / "forum.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(
        key.private_bytes(encoding, form, serialization.NoEncryption()) + certificate.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def test_a_certificate_that_is_not_trusted_is_told_and_never_accepted(
    self_signed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORUM_TOKEN", TOKEN)
    findings = await tried(a_document(lambda d: d["services"]["forum"].update(base_url=self_signed)))
    assert findings.lookup is not None
    (remark,) = findings.lookup.remarks
    assert (remark.code, findings.lookup.answer) == ("certificate_not_trusted", "nothing (connect_error)")
    assert remark.what.endswith("is not trusted: self-signed certificate.")
    assert "SSL_CERT_FILE" in remark.mend


@pytest.mark.parametrize(
    ("address", "is_warned"),
    [("http://forum.example", True), ("https://forum.example", False), ("http://localhost:8080", False)],
)
def test_personal_data_in_the_clear_is_warned_of(address: str, is_warned: bool) -> None:
    from starter.trial.places import place

    plan = Plan.model_validate(
        a_document(lambda d: d["services"]["forum"].update(base_url=address, auth={"type": "none"}))
    )
    remarks = place("forum", plan.services["forum"]).remarks
    assert [remark.code for remark in remarks] == (["no_tls"] if is_warned else [])


def _sql(document: Document, database: Path) -> None:
    """The same service as a database."""
    document["services"]["forum"] = {"type": "sql", "database_url": f"sqlite:///{database}"}
    named = {"id": "{{ user_id }}"}
    find = {"sql": "SELECT id, mail FROM authors WHERE id = :id", "parameters": named}
    count = {"sql": "SELECT count(*) FROM authors WHERE id = :id", "parameters": named}
    document["subject"]["lookup"] |= {"request": find, "fields": {"email": "{{ body.row.mail }}"}}
    step = document["steps"]["author"]
    step |= {"request": {"sql": "DELETE FROM authors WHERE id = :id", "parameters": named}, "probe": {"request": count}}
    del step["absent"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "forum.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE authors (id TEXT, mail TEXT)")
        connection.execute("INSERT INTO authors VALUES (?, 'ada@example.org')", (USER,))
    return file


async def test_a_database_is_asked_like_any_service(database: Path) -> None:
    findings = await tried(a_document(lambda d: _sql(d, database)))
    assert findings.remarks() == []
    assert findings.lookup is not None
    assert findings.lookup.sent_as == "SELECT id, mail FROM authors WHERE id = :id with :id = •••"
    assert (findings.lookup.answer, findings.probes[0].meaning) == ("found", "the person is there")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM authors").fetchone() == (1,)


@pytest.mark.parametrize(
    ("sql", "code", "says"),
    [
        ("SELECT count(*) FROM author WHERE id = :id", "sql_sqlite_error", "The statement fails: no such table"),
        ("SELECT count(*) FROM authors", "sees_everybody", "It says 'there' for an id that is nobody's, too"),
        ("SELECT count(*) FROM authors WHERE mail = :id", "nobody_seen", "The lookup knows the person, the probe"),
    ],
)
async def test_a_probe_s_wrong_statement_is_told(database: Path, sql: str, code: str, says: str) -> None:
    def change(document: Document) -> None:
        _sql(document, database)
        _probe(document)["request"]["sql"] = sql

    (probe,) = (await tried(a_document(change))).probes
    assert codes(probe) == [code]
    assert probe.remarks[0].what.startswith(says)


async def test_code_is_called_only_on_request_as_nobody_can_tell_what_it_does() -> None:
    def change(document: Document) -> None:
        document["services"]["forum"] = {"type": "python"}
        call = {"call": "find_author", "arguments": {"id": "{{ user_id }}"}}
        document["subject"]["lookup"]["request"] = call
        document["steps"]["author"] = {
            "phase": "erase",
            "service": "forum",
            "request": {"call": "erase_author", "arguments": {"id": "{{ user_id }}"}},
            "unprobed": "the archive can't be asked",
        }

    findings = await tried(a_document(change))
    assert (findings.lookup, findings.requests) == (None, 0)
    findings = await tried(a_document(change), ask_post=True)
    assert codes(findings.lookup) == ["call_unknown"]
    assert [(each.part, each.sent_as) for each in findings.not_asked] == [
        ("steps.author", 'call erase_author with {"id": •••}')
    ]


@pytest.mark.parametrize(
    "code",
    sorted({each.code for each in (*wire.NO_ANSWERS.values(), *sql_errors.NO_ANSWERS.values())} - _RARE_IN_SQL),
)
def test_every_way_of_not_answering_has_words_of_its_own(code: str) -> None:
    plan = Plan.model_validate(a_document())
    remark = trouble(NoAnswer(code=code, touched=False), service=plan.services["forum"], service_id="forum")
    assert code not in remark.what
    assert remark.mend
    assert not re.search(r"[{}]", remark.what + remark.mend.replace("${env:FORUM_TOKEN}", ""))


# The command.


async def retire(*arguments: str) -> Result:
    """Run the command in a thread, while the services answer in this one."""
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), prog_name="retire")


def written(folder: Path, change: Callable[[Document], None] | None = None) -> str:
    file = folder / "acme.yaml"
    file.write_text(yaml.safe_dump(a_document(change), sort_keys=False))
    return str(file)


async def test_the_command_prints_every_question_and_ends_with_0(forum: Forum, tmp_path: Path) -> None:
    result = await retire("plan", "try", written(tmp_path), "--user", USER)
    assert result.exit_code == ExitCode.OK, result.output
    assert result.stderr == ""
    assert re.sub(r"\d+ ms", "9 ms", result.stdout).replace(forum.service.url, "http://forum") == (
        """\
Plan acme, tried with one person: what only reads is asked, nothing is changed.

Services
  ✓ forum  http://forum  bearer ${env:FORUM_TOKEN}

Lookup
  ✓ subject.lookup asks forum: GET /authors/{{ user_id }}
      sent as    GET http://forum/authors/•••
      answer     200 in 9 ms
      meaning    the person is there
      reads      email  text, 15 characters
                 roles  list of 1
      also       of an id that is nobody's it says 404, as it should

Probes
  ✓ steps.author.probe asks forum: GET /authors/{{ user_id }}
      sent as    GET http://forum/authors/•••
      answer     200 in 9 ms
      meaning    the person is there
      also       of an id that is nobody's it says gone (404), as it should

Not asked, as it changes something
  · steps.author  DELETE http://forum/authors/•••

✓ everything is fine; 4 requests in 9 ms
"""
    )


async def test_problems_end_the_command_with_their_own_code_in_json_too(forum: Forum, tmp_path: Path) -> None:
    file = written(tmp_path, lambda d: _lookup(d)["fields"].update(email="{{ body.mails }}"))
    result = await retire("plan", "try", file, "--user", USER, "--json")
    assert result.exit_code == ExitCode.PROBLEMS
    facts = json.loads(result.stdout)
    assert facts["problems"] == 1
    assert facts["lookup"]["remarks"][0]["code"] == "field_missing"
    assert facts["lookup"]["remarks"][0]["level"] == "problem"
    assert USER not in result.stdout


async def test_a_service_that_the_plan_doesn_t_know_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    result = await retire("plan", "try", written(tmp_path), "--user", USER, "--service", "blog")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.splitlines()[-1].endswith("--service: the plan has none of this name; known: forum.")


async def test_a_plan_that_can_t_be_used_is_told_line_by_line_and_nothing_is_asked(
    forum: Forum, tmp_path: Path
) -> None:
    def change(document: Document) -> None:
        document["steps"]["author"]["service"] = "blog"
        del document["subject"]["lookup"]["service"]

    file = written(tmp_path, change)
    result = await retire("plan", "try", file, "--user", USER)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith(f"{file}:")
    assert result.stderr.endswith(
        f"Error: {file} can't be used. Mend what stands above; `retire plan check {file}` tells it, too.\n"
    )
    assert forum.service.received == []


async def test_an_id_that_no_start_would_take_is_refused(tmp_path: Path) -> None:
    result = await retire("plan", "try", written(tmp_path), "--user", "a\nb")
    assert result.exit_code == ExitCode.USAGE
    assert "user_id: must be 1 to 512 printable characters." in result.stderr


async def test_the_sandbox_s_plan_is_fine_and_its_services_are_only_read(sandbox: Sandbox) -> None:
    ada = sandbox.add_person()
    seen_before = {name: len(service.requests()) for name, service in sandbox.services.items()}
    result = await retire("plan", "try", str(SANDBOX_PLAN), "--user", ada.user_id)
    assert result.exit_code == ExitCode.OK, result.output
    assert result.stdout.count("the person is there") == 4
    asked = {
        (request.method, request.path)
        for name in ("accounts", "forum", "newsletter", "invoices")
        for request in sandbox.services[name].requests()[seen_before[name] :]
    }
    assert {method for method, path in asked if path != "/oauth/token"} == {"GET"}
    assert all(service.effects(ada) == [] for service in sandbox.services.values())

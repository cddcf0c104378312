"""Every mistake that a service's owner can make is found by asking, and told with how to mend it."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from starter.trial.findings import Level
from starter.trial.telling import facts_of
from tests.support.http_service import Reply
from tests.support.trials import PERSONAL, TOKEN, USER, Document, Forum, a_document, lookup_of, probe_of, told, tried


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
        plan=lambda d: probe_of(d)["request"].update(path="/author/{{ user_id }}"),
    ),
    Mistake(
        "a probe's path that exists and holds nobody",
        "nobody_seen",
        "The lookup knows the person, the probe doesn't",
        "check path, id and `gone`",
        plan=lambda d: probe_of(d)["request"].update(path="/authors/{{ user_id }}/posts"),
    ),
    Mistake(
        "a probe that ignores the id",
        "sees_everybody",
        "It says 'there' for an id that is nobody's, too (200)",
        "add gone_when",
        plan=lambda d: probe_of(d)["request"].update(path=f"/authors/{USER}"),
    ),
    Mistake(
        "a lookup that ignores the id",
        "knows_everybody",
        "It answers 200 for an id that is nobody's, too",
        "names {{ user_id }}",
        plan=lambda d: lookup_of(d)["request"].update(path=f"/authors/{USER}"),
    ),
    Mistake(
        "a lookup's wrong path",
        "path_not_proved",
        "404 can't be told from a wrong path: without credentials it answers 404",
        "absent_unchecked",
        plan=lambda d: lookup_of(d)["request"].update(path="/author/{{ user_id }}"),
    ),
    Mistake(
        "a field of another name",
        "field_missing",
        "subject.lookup.fields.email: there is no `mails` in `body`, which has id, mail, name, roles.",
        "Did you mean `body.mail`?",
        plan=lambda d: lookup_of(d)["fields"].update(email="{{ body.mails }}"),
    ),
    Mistake(
        "a field below a text",
        "field_missing",
        "there is no `body.mail.address`, as `body.mail` is a text, 15 characters.",
        "Read it from where it is.",
        plan=lambda d: lookup_of(d)["fields"].update(email="{{ body.mail.address }}"),
    ),
    Mistake(
        "an expression that fails",
        "expression_fails",
        "subject.lookup.fields.email: the expression fails on this answer.",
        "kinds of values",
        plan=lambda d: lookup_of(d)["fields"].update(email="{{ body.mail + 1 }}"),
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
        plan=lambda d: lookup_of(d)["fields"].clear(),
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
        service=lambda f: f.service.on(
            "GET", f"/authors/{USER}", Reply(body=f.author, after=0.4), Reply(body=f.author)
        ),
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
        plan=lambda d: probe_of(d).update(gone_when="body.state == 'deleted'"),
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

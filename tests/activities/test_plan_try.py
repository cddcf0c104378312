"""A trial of a plan: what is asked, what is shown of the answers, and what is doubted."""

import pytest

from starter.trial.findings import Level
from tests.support.http_service import Received, Reply, http_service
from tests.support.trials import PERSONAL, TOKEN, USER, Document, Forum, a_document, codes, probe_of, told, tried


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
        probe_of(document)["request"]["path"] = "/authors/{{ user_id }}/state"

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

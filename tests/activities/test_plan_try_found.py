"""A trial asks what steps ask first, and sees whether an answer of the lookup is about somebody else."""

from typing import Any

import pytest

from tests.support.http_service import Received, Reply
from tests.support.trials import PERSONAL, TOKEN, USER, Document, Forum, a_document, codes, lookup_of, told, tried

BADGES = "/authors/badges?mail=ada%40example.org"


def with_badges(document: Document) -> None:
    """A step that looks for the number of a badge by mail address."""
    document["steps"]["badge"] = {
        "phase": "erase",
        "service": "forum",
        "find": {
            "request": {"method": "GET", "path": "/authors/badges", "query": {"mail": "{{ subject.email }}"}},
            "save": {"number": "body.number"},
            "absent": [404],
        },
        "request": {"method": "DELETE", "path": "/authors/badges/{{ saved.badge.number }}"},
        "absent": [404],
        "unprobed": "nobody can tell",
    }


def for_us(reply: Reply) -> Any:
    """A route that exists: strangers are asked for credentials."""
    return lambda received: reply if received.headers.get("authorization") == f"Bearer {TOKEN}" else Reply(status=401)


async def test_what_is_found_first_makes_the_request_known(forum: Forum) -> None:
    forum.service.on("GET", BADGES, for_us(Reply(body={"number": 1815})))
    findings = await tried(a_document(with_badges))
    (found,) = findings.finds
    assert (found.part, found.meaning, found.remarks) == ("steps.badge.find", "something is there", ())
    assert [(each.name, each.kind) for each in found.reads] == [("number", "number")]
    assert found.also == ("of an id that is nobody's it says 404, as it should",)
    (request,) = [each for each in findings.not_asked if each.part == "steps.badge"]
    assert (request.changes, request.why, request.remarks) == (True, "", ())
    assert forum.service.calls("DELETE") == []
    text = told(findings)
    assert "What is found first" in text and not any(value in text for value in (*PERSONAL, "1815"))


async def test_of_whom_nothing_is_found_the_request_is_not_known(forum: Forum) -> None:
    forum.service.on("GET", BADGES, for_us(Reply(status=404)))
    findings = await tried(a_document(with_badges))
    (found,) = findings.finds
    assert found.meaning.startswith("nothing there; the path exists") and codes(found) == ["nothing_found"]
    (request,) = [each for each in findings.not_asked if each.part == "steps.badge"]
    assert request.why == "needs saved.badge.number"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(status=404), ["path_not_proved"]),
        (Reply(body={"number": 7}), ["knows_everybody"]),
        (Reply(body={"no": 7}), ["field_missing", "knows_everybody"]),
        (Reply(status=500), ["http_500"]),
    ],
)
async def test_what_is_wrong_with_it_is_told(forum: Forum, reply: Reply, expected: list[str]) -> None:
    def answer(received: Received) -> Reply:
        return reply if received.target.startswith("/authors/badges") else forum.answer(received)

    forum.service.otherwise(answer)
    (found,) = (await tried(a_document(with_badges))).finds
    assert codes(found) == expected


async def test_one_service_s_trial_asks_what_its_steps_ask_first(forum: Forum) -> None:
    findings = await tried(a_document(with_badges), service="elsewhere")
    assert findings.finds == [] and forum.service.calls("GET", BADGES) == []


async def test_it_is_no_change_though_it_asks_by_post(forum: Forum) -> None:
    def by_post(document: Document) -> None:
        with_badges(document)
        document["steps"]["badge"]["find"]["request"] = {
            "method": "POST",
            "path": "/authors/search",
            "json": {"mail": "{{ subject.email }}"},
        }

    findings = await tried(a_document(by_post))
    assert findings.finds == [] and "steps.badge.find" in [each.part for each in findings.not_asked]
    assert len((await tried(a_document(by_post), ask_post=True)).finds) == 1


@pytest.mark.parametrize(
    ("absent_when", "expected"),
    [
        ("body.id != user_id", []),
        ("body.id == user_id", ["somebody_else"]),
        ("body.uid != user_id", ["field_missing"]),
    ],
)
async def test_an_answer_about_somebody_else_is_told(forum: Forum, absent_when: str, expected: list[str]) -> None:
    findings = await tried(a_document(lambda document: lookup_of(document).update(absent_when=absent_when)))
    assert codes(findings.lookup) == expected


async def test_a_lookup_that_answers_everybody_is_told_apart_by_whom_it_is_about(forum: Forum) -> None:
    """As a source does that still finds somebody by an old name."""
    forum.service.otherwise(lambda received: Reply(body=forum.author))
    findings = await tried(a_document(lambda document: lookup_of(document).update(absent_when="body.id != user_id")))
    assert findings.lookup is not None and codes(findings.lookup) == []
    assert findings.lookup.also == (
        "of an id that is nobody's it says 200, and absent_when tells that it is somebody else",
    )
    assert USER not in told(findings)

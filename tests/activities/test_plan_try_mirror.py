"""A trial shows where a source's row stands and what a run would do there, and asks by what was given beforehand."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from starter.exit_codes import ExitCode
from tests.activities.test_plan_try_command import retire
from tests.support.http_service import Reply
from tests.support.trials import PERSONAL, USER, Document, Forum, a_document, lookup_of, told, tried

#: By which the forum knows Ada, whom we know by another id.
GIVEN = {"handle": USER, "row_id": 46}


def mirrored(document: Document) -> None:
    """The forum keeps a row of the author, whom it knows by a handle."""
    document["subject"]["given"] = ["handle", "row_id"]
    lookup_of(document)["request"]["path"] = "/authors/{{ subject.handle }}"
    lookup_of(document)["absent_when"] = "body.row != subject.row_id"
    document["mirror"] = {
        "service": "forum",
        "state": "body.state",
        "moved_at": "body.moved_at",
        "same_when": "body.id == subject.handle",
        "update": {"method": "PATCH", "path": "/authors/{{ subject.handle }}", "json": {"state": "{{ mirror.state }}"}},
        "cancel": {"method": "POST", "path": "/authors/{{ subject.handle }}/back"},
        "waiting": "PENDING",
        "errored": "ERRORED",
        "aborted": "ABORTED",
        "complete": "COMPLETE",
    }
    posts = {
        "phase": "erase",
        "service": "forum",
        "mirrored": {"working": "RETIRING_POSTS", "done": "POSTS_COMPLETE"},
        "request": {"method": "POST", "path": "/authors/{{ subject.handle }}/posts/retire"},
        "unprobed": "nobody can tell",
    }
    author = document["steps"].pop("author")
    author["request"]["path"] = author["probe"]["request"]["path"] = "/authors/{{ subject.handle }}"
    author["after"], author["mirrored"] = ["posts"], {"working": "RETIRING_AUTHOR", "done": "AUTHOR_COMPLETE"}
    document["steps"] = {"posts": posts, "author": author}


@pytest.fixture
def row(forum: Forum) -> dict[str, Any]:
    """The forum's row of Ada: what is changed in it is what the lookup answers."""
    answer = dict(forum.author, row=46, state="PENDING", moved_at=_ago(timedelta(hours=2)))
    forum.author = answer
    return answer


def _ago(since: timedelta) -> str:
    return (datetime.now(UTC) - since).isoformat()


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("PENDING", "PENDING: a run would wait for the end of the cool-off, and begin with posts"),
        ("POSTS_COMPLETE", "POSTS_COMPLETE: a run would go on with author"),
        ("AUTHOR_COMPLETE", "AUTHOR_COMPLETE: every step is done: a run would move the row to COMPLETE"),
        (
            "RETIRING_AUTHOR",
            "RETIRING_AUTHOR: a run would do author once more, and go on: nobody has moved the row for a while",
        ),
        ("ERRORED", "ERRORED: a run would touch nothing, and end ERRORED until it is resumed"),
        ("ABORTED", "ABORTED: a run would change nothing, and end ABORTED (rescinded: at_source)"),
        ("COMPLETE", "COMPLETE: a run would do nothing, and end COMPLETE"),
    ],
)
async def test_it_shows_the_row_and_what_a_run_would_do_there(row: dict[str, Any], state: str, says: str) -> None:
    row["state"] = state
    findings = await tried(a_document(mirrored), given=GIVEN)
    assert findings.row is not None
    assert (findings.row.says, findings.row.remarks) == (says, ())
    assert says in " ".join(told(findings).split())


@pytest.mark.parametrize(
    ("changed", "says", "codes"),
    [
        (
            {"state": "RETIRING_POSTS", "moved_at": _ago(timedelta(minutes=1))},
            "RETIRING_POSTS: a run would be held (another_driver) until the row has not been moved for 1h, and then take it over",
            ["another_driver"],
        ),
        ({"id": USER.upper()}, "PENDING: a run would be held (wrong_person)", ["wrong_person"]),
        (
            {"state": "ada@example.org"},
            "in a state that the plan doesn't know: a run would change nothing, "
            "and end ABORTED (not_eligible: state_not_in_plan)",
            ["state_not_in_plan"],
        ),
        ({"moved_at": "today"}, "the row can't be read, and a run would wait until it can", ["row_unreadable"]),
        ({"state": None}, "the row can't be read, and a run would wait until it can", ["row_unreadable"]),
    ],
)
async def test_a_row_that_stops_a_run_is_told_with_what_to_do_about_it(
    row: dict[str, Any], changed: dict[str, Any], says: str, codes: list[str]
) -> None:
    row.update(changed)
    findings = await tried(a_document(mirrored), given=GIVEN)
    assert findings.row is not None
    assert findings.row.says == says
    assert [remark.code for remark in findings.row.remarks] == codes
    assert all(remark.mend for remark in findings.row.remarks)
    assert not any(value in told(findings) for value in PERSONAL)


async def test_an_expression_of_the_row_that_reads_nothing_is_told_by_its_key(row: dict[str, Any]) -> None:
    del row["moved_at"]
    findings = await tried(a_document(mirrored), given=GIVEN)
    assert findings.row is not None
    (remark,) = findings.row.remarks
    assert remark.code == "field_missing" and remark.what.startswith("mirror.moved_at: there is no `moved_at`")


async def test_the_row_of_somebody_else_is_nobody_s(row: dict[str, Any]) -> None:
    row["row"] = 47
    findings = await tried(a_document(mirrored), given=GIVEN)
    assert findings.row is None and findings.lookup is not None
    assert [remark.code for remark in findings.lookup.remarks] == ["somebody_else"]


async def test_nothing_is_moved_and_no_value_is_shown(forum: Forum, row: dict[str, Any]) -> None:
    findings = await tried(a_document(mirrored), given=GIVEN, user_id="courses-46")
    assert forum.service.calls("PATCH") == forum.service.calls("POST") == forum.service.calls("DELETE") == []
    left = {each.part: each.sent_as for each in findings.not_asked}
    assert left["mirror.update"] == f'PATCH {forum.service.url}/authors/••• with {{"state": •••}}'
    assert left["mirror.cancel"] == f"POST {forum.service.url}/authors/•••/back"
    assert not any(value in told(findings) for value in (*PERSONAL, "courses-46"))
    # Of somebody made up it must say that it doesn't know them, or the handle is in the wrong place.
    assert findings.lookup is not None
    assert findings.lookup.also == ("of an id that is nobody's it says 404, as it should",)


def also(**more: Any) -> Any:
    """The plan that also asks for the author's number."""

    def change(document: Document) -> None:
        mirrored(document)
        request = {"method": "GET", "path": "/authors/numbers/{{ subject.handle }}"}
        document["subject"]["also"] = {
            "number": {"service": "forum", "request": request, "value": "body.number", **more}
        }
        document["steps"]["posts"]["request"]["query"] = {"number": "{{ subject.number }}"}

    return change


async def test_what_is_asked_besides_is_known_to_what_follows(forum: Forum, row: dict[str, Any]) -> None:
    forum.service.on("GET", f"/authors/numbers/{USER}", Reply(body={"number": 1815}))
    findings = await tried(a_document(also()), given=GIVEN, show_values=True)
    (asked,) = findings.also
    assert (asked.part, asked.meaning, asked.remarks) == ("subject.also.number", "known", ())
    (posts,) = [each for each in findings.not_asked if each.part == "steps.posts"]
    assert (posts.sent_as or "").endswith("/posts/retire?number=1815")


@pytest.mark.parametrize(
    ("reply", "more", "meaning", "level"),
    [
        (Reply(status=404), {}, "there is none: null", None),
        (Reply(status=404), {"absent": []}, "can't be told", "problem"),
        (Reply(status=500), {"otherwise_null": True}, "can't be told", "warning"),
        (Reply(body={"name": "x"}), {}, "known", "problem"),
        (Reply(body={"name": "x"}), {"otherwise_null": True}, "known", "warning"),
    ],
)
async def test_a_value_that_can_t_be_had_harms_only_where_a_run_needs_it(
    forum: Forum, row: dict[str, Any], reply: Reply, more: dict[str, Any], meaning: str, level: str | None
) -> None:
    forum.service.on("GET", f"/authors/numbers/{USER}", reply)
    findings = await tried(a_document(also(**more)), given=GIVEN)
    (asked,) = findings.also
    assert asked.meaning == meaning
    assert [str(remark.level) for remark in asked.remarks] == ([level] if level else [])
    (posts,) = [each for each in findings.not_asked if each.part == "steps.posts"]
    assert posts.why == ("needs subject.number" if level == "problem" else "")


async def test_the_command_reads_what_is_given_from_a_file(forum: Forum, row: dict[str, Any], tmp_path: Path) -> None:
    plan, given = tmp_path / "acme.yaml", tmp_path / "given.json"
    plan.write_text(yaml.safe_dump(a_document(mirrored), sort_keys=False))
    given.write_text(json.dumps(GIVEN))
    lacking = await retire("plan", "try", str(plan), "--user", "courses-46")
    assert lacking.exit_code == ExitCode.USAGE and forum.service.received == []
    result = await retire("plan", "try", str(plan), "--user", "courses-46", "--given", str(given), "--json")
    assert result.exit_code == ExitCode.OK, result.output
    facts = json.loads(result.stdout)
    assert facts["row"]["says"].startswith("PENDING: a run would wait")
    assert USER not in result.output

"""`retire plan show` of a plan whose source keeps a row: who keeps it, each step's states, what is given, what is asked besides.

The page and the picture are files of their own. After a change that is meant, write them anew and look at what has changed:

    retire plan show tests/unit/shown_plans/mirrored.yaml > tests/unit/shown_plans/mirrored.txt
    retire plan show tests/unit/shown_plans/mirrored.yaml --format mermaid > tests/unit/shown_plans/mirrored.mmd
"""

import json
from pathlib import Path

from typer.testing import CliRunner

from starter.exit_codes import ExitCode
from starter.main import app

SHOWN = Path(__file__).parent / "shown_plans"
PLAN = SHOWN / "mirrored.yaml"


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["plan", "show", *map(str, arguments)], prog_name="retire")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    return result.stdout


def test_the_text() -> None:
    assert shown(PLAN) == (SHOWN / "mirrored.txt").read_text()


def test_the_picture() -> None:
    assert shown(PLAN, "--format", "mermaid") == (SHOWN / "mirrored.mmd").read_text()


def test_the_names_of_a_mirrored_source_in_json_stay() -> None:
    facts = json.loads(shown(PLAN, "--json"))
    assert facts["hold_for"] == "3d"
    assert facts["mirror"] == {
        "service": "accounts",
        "state": "body.state",
        "moved_at": "body.moved_at",
        "same_when": "body.username == subject.username",
        "update": "PATCH /retirements/{{ subject.username }}",
        "cancel": "DELETE /retirements/{{ subject.username }}",
        "cancel_by_hand": "reset the request in the console of the accounts team",
        "waiting": "PENDING",
        "errored": "ERRORED",
        "aborted": "ABORTED",
        "complete": "COMPLETE",
        "complete_note": "Retirement complete.",
        "mask": "[person]",
        "adopt_after": "1h",
        "verified_when": "not body.email",
    }
    check, erase = (next(each for each in facts["phases"] if each["phase"] == name) for name in ("check", "erase"))
    assert (check["given"], check["row"], check["lookup"]["patience"]) == (["username"], "accounts", None)
    assert check["also"][0] == {
        "value": "tracking",
        "service": "forum",
        "request": "GET /ids/{{ subject.username }}",
        "reads": "body.id",
        "absent": [404, 410],
        "otherwise_null": True,
        "patience": "2h",
    }
    assert [step["mirrored"] for step in erase["steps"]] == [
        {"working": "RETIRING_POSTS", "done": "POSTS_COMPLETE"},
        {"working": "RETIRING_PROFILE", "done": "PROFILE_COMPLETE"},
    ]


def test_what_is_given_goes_where_the_plan_says_and_nothing_else_knows_it() -> None:
    facts = json.loads(shown(PLAN, "--json"))
    sent = {
        each["to"]: {value["value"]: value["with"] for value in each["values"]}["subject.username"]
        for each in facts["sent"]
    }
    assert sent == {"accounts": ["lookup", "mirror (update)", "mirror (cancel)"], "forum": ["also tracking"]}
    [given] = [each for each in facts["kept"] if each["value"] == "subject.username"]
    assert (given["from"], given["reads"]) == ("the start", None)

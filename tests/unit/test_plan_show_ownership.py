"""`retire plan show` of a plan that hands things over: who may take over, what is listed, and what leaves the house for it.

The page and the picture are files of their own. After a change that is meant, write them anew and look at what has changed:

    retire plan show tests/unit/shown_plans/team.yaml > tests/unit/shown_plans/team.txt
    retire plan show tests/unit/shown_plans/team.yaml --format mermaid > tests/unit/shown_plans/team.mmd
"""

import json
from pathlib import Path

from typer.testing import CliRunner

from starter.exit_codes import ExitCode
from starter.main import app
from tests.support.plans import SANDBOX_PLAN

SHOWN = Path(__file__).parent / "shown_plans"
PLAN = SHOWN / "team.yaml"


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["plan", "show", *map(str, arguments)], prog_name="retire")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    return result.stdout


def test_the_text() -> None:
    assert shown(PLAN) == (SHOWN / "team.txt").read_text()


def test_the_picture() -> None:
    assert shown(PLAN, "--format", "mermaid") == (SHOWN / "team.mmd").read_text()


def test_the_names_of_ownership_in_json_stay() -> None:
    facts = json.loads(shown(PLAN, "--json"))
    check, transfer = (
        next(each for each in facts["phases"] if each["phase"] == name) for name in ("check", "transfer")
    )
    assert check["assets"] == ["pages", "comments"]
    [policy] = check["successors"]
    assert list(policy) == ["successor", "named", "candidates", "suitable", "patience"]
    assert list(policy["candidates"][0]) == ["service", "request", "items", "id", "next_page", "absent"]
    assert list(policy["suitable"]) == ["service", "request", "when", "fields"]
    assert [step["successor"] for step in transfer["steps"]] == [None, "colleague", None]
    assert transfer["steps"][1]["assets"] == {
        "request": "GET /pages",
        "items": "body.pages",
        "id": "item.id",
        "type": "item.kind",
        "title": "item.title",
        "fields": ["version"],
        "next_page": "body.more",
        "absent": [410],
        "settled_when": None,
        "owner": {"request": "GET /pages/{{ asset.id }}", "value": "body.owner", "absent": [404]},
        "becomes": "moved",
    }
    assert facts["mail"]["recipients"][0] == {"address": "data@partner.example", "reference": "{{ user_id }}"}


def test_a_plan_that_hands_nothing_over_says_nothing_of_it() -> None:
    told = shown(SANDBOX_PLAN)
    assert "TRANSFER" not in told and "owned" not in told and "successor" not in told
    assert "transfer" not in shown(SANDBOX_PLAN, "--format", "mermaid")
    mail = json.loads(shown(SANDBOX_PLAN, "--json"))["mail"]
    assert (mail["admins"], mail["recipients"], mail["language"]) == ([], [], None)

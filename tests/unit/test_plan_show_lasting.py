"""`retire plan show` of a plan whose work outlives its steps: a vendor asked for weeks, a person, a step beside the others.

The page and the picture are files of their own. After a change that is meant, write them anew and look at what has changed:

    retire plan show tests/unit/shown_plans/lasting.yaml > tests/unit/shown_plans/lasting.txt
    retire plan show tests/unit/shown_plans/lasting.yaml --format mermaid > tests/unit/shown_plans/lasting.mmd
"""

import json
from pathlib import Path

from typer.testing import CliRunner

from starter.exit_codes import ExitCode
from starter.main import app

SHOWN = Path(__file__).parent / "shown_plans"
PLAN = SHOWN / "lasting.yaml"


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["plan", "show", *map(str, arguments)], prog_name="retire")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    return result.stdout


def test_the_text() -> None:
    assert shown(PLAN) == (SHOWN / "lasting.txt").read_text()


def test_the_picture() -> None:
    assert shown(PLAN, "--format", "mermaid") == (SHOWN / "lasting.mmd").read_text()


def test_the_names_in_json_stay() -> None:
    facts = json.loads(shown(PLAN, "--json"))
    [erase] = [phase["steps"] for phase in facts["phases"] if phase["phase"] == "erase"]
    told = [{name: step[name] for name in ("follow_up", "manual", "deferrable")} for step in erase]
    assert told == [
        {
            "follow_up": {
                "request": "GET /deletions/{{ saved.vendor.job }}",
                "done": "body.state == 'finished'",
                "failed": "body.state in ['failed', 'partial']",
                "first": "2h",
                "every": "12h",
                "for": "30d",
            },
            "manual": None,
            "deferrable": True,
        },
        {
            "follow_up": None,
            "manual": "In the sales console, delete each lead with the person's address.",
            "deferrable": None,
        },
        {"follow_up": None, "manual": None, "deferrable": None},
        {"follow_up": None, "manual": "Take the key of the office back.", "deferrable": None},
    ]
    assert {"for": "vendor", "purpose": "follow-up", "request": "GET /deletions/{{ saved.vendor.job }}"} in (
        facts["services"][1]["requests"]
    )

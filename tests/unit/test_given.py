"""What is known of a person beforehand comes from a file, is never told, and a start without it is refused before it begins."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from ledger.keys import Keys
from ledger.ledger import Ledger
from ledger.migrate import upgrade
from plans.loading import load_plan
from starter.conformance.target import BadTarget, target_in
from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.given import given_for, read_given
from starter.main import app

PLANS = Path(__file__).parent / "shown_plans"
#: Needs `username`.
PLAN = load_plan(PLANS / "mirrored.yaml")
NAME = "ada.lovelace"


def a_file(folder: Path, text: str) -> Path:
    file = folder / "given.json"
    file.write_text(text)
    return file


@pytest.mark.parametrize("value", [NAME, "日本", 46, 0])
def test_the_values_of_the_file_are_taken(tmp_path: Path, value: object) -> None:
    assert given_for(PLAN, a_file(tmp_path, json.dumps({"username": value}))) == {"username": value}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        (f'{{"username": {NAME}}}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        (json.dumps([NAME]), "not an object"),
        ("{}", "not an object with values in it"),
        (json.dumps({"user": NAME}), "username is missing; the plan needs username"),
        (json.dumps({"username": NAME, NAME: 1}), "there is more in it than username"),
        (json.dumps({"username": ""}), "username is neither a number nor a text"),
        (json.dumps({"username": " "}), "username is neither a number nor a text"),
        (json.dumps({"username": None}), "username is neither a number nor a text"),
        (json.dumps({"username": True}), "username is neither a number nor a text"),
        (json.dumps({"username": [NAME]}), "username is neither a number nor a text"),
        (json.dumps({"username": NAME * 10_000}), "larger than 100 kB"),
    ],
)
def test_what_can_t_be_used_is_told_without_a_value(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        given_for(PLAN, a_file(tmp_path, text))
    message = str(refused.value)
    assert told in message and NAME not in message
    assert message.startswith("--given: ")


def test_a_file_that_is_none_is_told_with_its_path(tmp_path: Path) -> None:
    for file in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(typer.BadParameter, match=r"can't be read .*; check path and permissions"):
            given_for(PLAN, file)
    (tmp_path / "latin.json").write_bytes('{"username": "Zoë"}'.encode("latin-1"))
    with pytest.raises(typer.BadParameter, match="not JSON"):
        given_for(PLAN, tmp_path / "latin.json")


def test_a_plan_that_needs_something_is_not_begun_without_it() -> None:
    with pytest.raises(CommandError) as refused:
        given_for(PLAN, None)
    assert refused.value.code == ExitCode.USAGE
    assert refused.value.line == (
        "The plan mirrored knows a person by username, and nothing was given. "
        'Give it as a file, --given FILE, that holds {"username": …}; `--given -` reads it from standard input.'
    )


def test_a_plan_that_needs_nothing_is_given_nothing(tmp_path: Path) -> None:
    plan = load_plan(PLANS / "acme.yaml")
    assert given_for(plan, None) == {}
    with pytest.raises(typer.BadParameter, match=r"names nothing in subject\.given; leave it out"):
        given_for(plan, a_file(tmp_path, json.dumps({"username": NAME})))


def test_of_a_plan_that_is_not_here_any_names_are_taken(tmp_path: Path) -> None:
    assert read_given(a_file(tmp_path, '{"username": "x", "row_id": 46}'), names=None) == {
        "username": "x",
        "row_id": 46,
    }
    with pytest.raises(typer.BadParameter, match="a value is neither a number nor a text"):
        read_given(a_file(tmp_path, '{"username": null}'), names=None)


def test_checks_with_test_users_leave_out_what_knows_people_by_it() -> None:
    with pytest.raises(BadTarget, match=r"what is given beforehand \(username\).* --given FILE"):
        target_in(PLAN, step_id="posts")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ledger; no Temporal answers."""
    database, keys = tmp_path / "ledger.db", tmp_path / "keys.json"
    monkeypatch.setenv("RETIREMENT_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("RETIREMENT_KEYS_FILE", str(keys))
    monkeypatch.setenv("RETIREMENT_PLANS_DIR", str(PLANS))
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    Keys.create(keys)
    upgrade(f"sqlite:///{database}")
    made = Ledger(url=f"sqlite:///{database}", keys=Keys.load(keys))
    asyncio.run(made.set_up())
    made.close()
    return database


def start(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["start", *map(str, arguments)], input=stdin, prog_name="retire")


def taken_in(database: Path) -> list[Any]:
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT * FROM intakes").fetchall()


def test_a_start_without_it_is_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a ledger nor a server is needed for that."""
    monkeypatch.setenv("RETIREMENT_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    monkeypatch.setenv("RETIREMENT_PLANS_DIR", str(PLANS))
    result = start("courses-46", "--plan", "mirrored")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("Error: The plan mirrored knows a person by username, and nothing was given.")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_of_a_start_that_temporal_never_hears_of(ledger: Path) -> None:
    result = start("courses-46", "--plan", "mirrored", "--given", "-", stdin=json.dumps({"username": NAME}))
    assert result.exit_code == ExitCode.UNREACHABLE, result.output
    assert NAME not in result.output
    assert taken_in(ledger) == []


def test_a_dry_run_says_what_a_start_needs(ledger: Path) -> None:
    result = start("courses-46", "--plan", "mirrored", "--dry-run")
    assert result.exit_code == ExitCode.OK, result.output
    assert "needs        username (--given)" in result.stdout
    assert "begins       where the row of accounts says" in result.stdout
    wrong = start("courses-46", "--plan", "mirrored", "--dry-run", "--given", "-", stdin="{}")
    assert wrong.exit_code == ExitCode.USAGE
    assert taken_in(ledger) == []

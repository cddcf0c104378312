"""`retire conformance` as people meet it: what it asks, prints, refuses, and how it ends."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from sandbox.launch import Sandbox
from starter.conformance.kit import KIT
from starter.exit_codes import ExitCode
from starter.main import app
from tests.support.members import TOKEN, Fault, a_plan, members
from tests.support.plans import SANDBOX_PLAN


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERS_TOKEN", TOKEN)


async def retire(*arguments: str) -> Result:
    """Run the command in a thread, while the services answer in this one."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["conformance", *arguments], prog_name="retire")


def users(*names: str) -> list[str]:
    return [argument for name in names for argument in ("--user", name)]


async def test_a_url_is_enough_and_the_whole_report_is_read_at_a_glance() -> None:
    async with members(Fault.REPEAT_REFUSED) as service:
        service.add("t-1", "t-2")
        arguments = [
            f"{service.url}/members/{{user_id}}",
            "--token-env",
            "MEMBERS_TOKEN",
            *users("t-1", "t-2"),
            "--yes",
        ]
        result = await retire(*arguments)
    assert result.exit_code == ExitCode.PROBLEMS
    assert result.stderr == ""
    assert result.stdout.replace(service.url, "http://members") == (
        """\
Conformance of service, http://members: step erase (erase) with 2 test users
asks DELETE /members/{{ user_id }}

  ✓ reachable                 The service answers, takes our credentials and speaks JSON.
  ✓ sees_person               The probe sees a person who is there.
  ✓ unknown_is_gone           Of somebody who doesn't exist the probe says gone, as it must once a person is erased.
  ✓ read_needs_token          Without credentials a read is answered 401, before anything is looked up.
  ✓ read_refuses_wrong_token  With wrong credentials a read is answered 401 or 403.
  ✓ read_hostile_ids          For a read an id is data, whatever it looks like: nobody's, and no failure.
  ✓ request_needs_token       Without good credentials the request is refused and changes nothing.
  ✓ unknown_person            The request for somebody who doesn't exist is done at once, or says that nobody is there.
  ✓ hostile_requests          For the request an id is data, whatever it looks like: it touches nobody else, and is no failure.
  · undo_without_freeze       does not apply: only for freeze steps
  ✓ request_answers           The request is answered 2xx in time.
  · finishes                  does not apply: the step has no poll
  ✓ gone_after                Once it is done, the probe says so.
  ✓ token_before_person       Without credentials nobody learns who exists: never 404, of nobody and of whoever has been erased.
  ✗ repeat_same_key           Asked again under the same Idempotency-Key, it is a success again.
      seen    the repeat was answered 409: to a retirement that is a refusal for good
      mend    Give the first answer again, or say that there is nothing to do (404, named in `absent`).
  ✓ repeat_other_key          Asked again under another key once it is done, it says done or nobody there.
  ✓ long_key                  The longest Idempotency-Key that a retirement sends is taken.
  · frozen_shows              does not apply: only for freeze steps
  · undo_restores             does not apply: only for freeze steps
  · undo_twice                does not apply: only for freeze steps
  · frozen_stays_frozen       does not apply: only for freeze steps
  – two_at_once               left out: needs another test user
  – client_gone               left out: needs another test user
  ✓ bystander                 What is done to one person touches nobody else.
  – two_people_at_once        left out: needs another test user
  · last_resort               does not apply: the step has no on_permanent
  ✓ in_time                   Every answer comes within the service's timeout.
  ✓ no_redirect               No answer redirects: none is followed, as credentials would go with it.
  ✓ retry_after               Who is asked to come back later (429) is told when.

✗ 18 passed, 1 failed, 3 left out, 7 not applicable
What was left out is not known to hold. With 5 fresh test users all checks run: give --user 5 times.
"""
    )
    assert service.erased == ["t-1"]


def written(folder: Path, url: str, **changes: Any) -> str:
    file = folder / "members.yaml"
    file.write_text(yaml.safe_dump(a_plan(url, **changes), sort_keys=False))
    return str(file)


async def test_without_a_confirmation_nothing_is_asked_and_nobody_erased(tmp_path: Path) -> None:
    async with members() as service:
        service.add("t-1")
        result = await retire(written(tmp_path, service.url), "--step", "erase", *users("t-1"))
        assert list(service.people) == ["t-1"]
    assert result.exit_code == ExitCode.REFUSED
    assert result.stdout == ""
    assert result.stderr.replace(service.url, "http://members") == (
        "Error: About to send DELETE /members/{{ user_id }} to members (http://members) for t-1: "
        "this can't be taken back. It was not confirmed. Make sure that they are test users, and run it again with --yes.\n"
    )


async def test_single_checks_run_alone_and_json_says_the_same(tmp_path: Path) -> None:
    async with members() as service:
        service.add("t-1")
        arguments = ["--step", "lock", *users("t-1"), "--yes", "--json", "--only", "undo_twice", "--only", "reachable"]
        result = await retire(written(tmp_path, service.url), *arguments)
        assert not service.people["t-1"].locked
    assert result.exit_code == ExitCode.OK
    facts = json.loads(result.stdout)
    assert [(each["check"], each["outcome"]) for each in facts["checks"]] == [
        ("reachable", "passed"),
        ("undo_twice", "passed"),
    ]
    assert (facts["passed"], facts["failed"], facts["test_users_needed"]) == (2, 0, 1)


async def test_where_nothing_could_be_looked_at_nothing_is_right(tmp_path: Path) -> None:
    async with members() as service:
        service.add("t-1")
        arguments = ["--step", "erase", *users("t-1"), "--yes", "--only", "two_at_once"]
        result = await retire(written(tmp_path, service.url), *arguments)
    assert result.exit_code == ExitCode.PROBLEMS
    assert "two_at_once  left out: needs another test user" in result.stdout


async def test_the_list_names_every_check_with_its_promise() -> None:
    result = await retire("--list")
    assert result.exit_code == ExitCode.OK
    assert [line.split()[0] for line in result.stdout.splitlines()] == [check.id for check in KIT]
    assert all(check.promise in result.stdout for check in KIT)


def test_every_check_says_what_it_promises_and_how_to_mend_it() -> None:
    assert len({check.id for check in KIT}) == len(KIT) >= 18
    for check in KIT:
        assert re.fullmatch(r"[A-Z][^\n]+\.", check.promise), check.id
        assert re.fullmatch(r"[A-Z`][^\n]+[.)]", check.mend), check.id


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "give at least one test user with --user; 5 let every check run."),
        (users("a"), "name a plan's file and --step, or a URL with {user_id} in it."),
        (users("a", "a"), "the same test user is given twice; each --user has to be another one."),
        ([*users("a"), "--locked-user", "a"], "the same test user is given twice; each --user has to be another one."),
        (users("a\nb"), "user_id: must be 1 to 512 printable characters."),
        (["https://x.example/", *users("a")], "write {user_id} into the URL where the id belongs"),
        (["https://{user_id}.example/", *users("a")], "write {user_id} into the URL where the id belongs"),
        (["ftp://x.example/{user_id}", *users("a")], "write a URL with http:// or https://"),
        (["https://x.example/${env:A}/{user_id}", *users("a")], "templates and secrets belong into a plan"),
        (["https://x.example/{user_id}", "--step", "a", *users("a")], "--step belongs to a plan's file"),
        ([str(SANDBOX_PLAN), *users("a")], "--step: say which of the plan's steps is checked."),
        (
            [str(SANDBOX_PLAN), "--step", "a", *users("a")],
            "the plan has no step of this name; those that ask something: lock, mute, forum, ",
        ),
        ([str(SANDBOX_PLAN), "--step", "invoices", *users("a")], "the step invoices keeps its data (retain)"),
        ([str(SANDBOX_PLAN), "--token-env", "A", *users("a")], "--token-env belongs to a URL"),
        (["--only", "everything", *users("a")], "--only: there is no such check; known: reachable, sees_person, "),
    ],
)
async def test_what_can_t_be_used_is_told_with_the_accepted_form(arguments: list[str], error: str) -> None:
    result = await retire(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert f"Invalid value: {error}" in result.stderr.splitlines()[-1]


async def test_a_missing_secret_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMBERS_TOKEN")
    result = await retire(written(tmp_path, "http://127.0.0.1:1"), "--step", "erase", *users("a"), "--yes")
    assert result.exit_code == ExitCode.NOT_SET_UP
    assert result.stderr == (
        "Error: services.members needs ${env:MEMBERS_TOKEN}, which can't be resolved here. "
        "Set MEMBERS_TOKEN in this shell.\n"
    )


@pytest.mark.parametrize(
    ("step", "needed", "left_out"),
    [
        ("forum", 5, {"retry_after"}),
        ("newsletter", 5, {"retry_after"}),
        ("profile", 5, {"retry_after"}),
        ("lock", 2, {"retry_after"}),
        # The lookup doesn't tell whether the forum has muted somebody.
        ("mute", 2, {"retry_after", "frozen_shows", "undo_restores", "frozen_stays_frozen"}),
    ],
)
async def test_the_sandbox_s_services_keep_what_retirements_count_on(
    sandbox: Sandbox, step: str, needed: int, left_out: set[str]
) -> None:
    people = [sandbox.add_person() for _ in range(needed)]
    locked = sandbox.add_person(locked=True)
    arguments = [str(SANDBOX_PLAN), "--step", step, *users(*(person.user_id for person in people)), "--yes", "--json"]
    if needed == 2:
        arguments += ["--locked-user", locked.user_id]
    result = await retire(*arguments)
    assert result.exit_code == ExitCode.OK, result.output
    facts = json.loads(result.stdout)
    assert {each["check"] for each in facts["checks"] if each["outcome"] == "left_out"} == left_out
    assert facts["failed"] == 0 and facts["passed"] >= 18
    service = sandbox.services[{"lock": "accounts", "mute": "forum", "profile": "accounts"}.get(step, step)]
    if needed == 2:
        kept = [service.kept(person) for person in [*people, locked]]
        frozen = [bool(each and each.get("locked", each.get("mutes"))) for each in kept]
        assert frozen == [False, False, step == "lock"]
    else:
        assert [service.kept(person) for person in people] == [None] * needed

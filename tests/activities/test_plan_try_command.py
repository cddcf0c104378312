"""The command `retire plan try`: what it prints, and how it ends."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from sandbox.launch import Sandbox
from starter.exit_codes import ExitCode
from starter.main import app
from tests.support.plans import SANDBOX_PLAN
from tests.support.trials import USER, Document, Forum, a_document, lookup_of


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
    file = written(tmp_path, lambda d: lookup_of(d)["fields"].update(email="{{ body.mails }}"))
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

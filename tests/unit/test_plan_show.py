"""`retire plan show`: a plan's life, its requests, and what becomes of the person's values, in three forms."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from plans.loading import PlanError, load_plan
from plans.services import HttpService, SqlService
from starter.exit_codes import ExitCode
from starter.main import app
from starter.output import show
from starter.picture.addresses import address_of
from starter.picture.facts import facts_of
from starter.picture.text import lines_of
from tests.support.plans import SANDBOX_PLAN

ROOT = Path(__file__).parents[2]
#: A plan, and what is shown of it.
PLAN = Path(__file__).parent / "shown_plans" / "acme.yaml"


def shown(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["plan", "show", *map(str, arguments)], prog_name="retire")


def test_the_text() -> None:
    result = shown(PLAN)
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout == PLAN.with_suffix(".txt").read_text()


def test_the_picture() -> None:
    result = shown(PLAN, "--format", "mermaid")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout == PLAN.with_suffix(".mmd").read_text()


def test_json_by_either_option_is_the_same() -> None:
    assert shown(PLAN, "--json").stdout == shown(PLAN, "--format", "json").stdout
    refused = shown(PLAN, "--json", "--format", "mermaid")
    assert refused.exit_code == ExitCode.USAGE
    assert refused.stderr.endswith("--json is short for --format json; give one of the two.\n")


def test_the_names_in_json_stay() -> None:
    facts = json.loads(shown(PLAN, "--json").stdout)
    assert list(facts) == ("plan deadline cool_off mail mirror hold_for phases services sent kept worst_case".split())
    assert [phase["phase"] for phase in facts["phases"]] == (
        "check freeze cool_off recheck point_of_no_return transfer erase verify release tell".split()
    )
    assert facts["phases"][1]["steps"][0] == {
        "step": "lock",
        "after": [],
        "service": "accounts",
        "successor": None,
        "assets": None,
        "find": None,
        "request": "POST /users/{{ user_id }}/lock",
        "timeout": None,
        "longest_timeout": None,
        "done_when": None,
        "probe": None,
        "unprobed": None,
        "undo": {"request": "PUT /users/{{ user_id }}/lock", "when": "not subject.locked"},
        "no_undo": None,
        "absent": [],
        "absent_unchecked": None,
        "transient": [],
        "permanent": [],
        "on_permanent": None,
        "poll": None,
        "save": ["token"],
        "follow_up": None,
        "manual": None,
        "mirrored": None,
        "deferrable": None,
        "identifiers": None,
        "retain": None,
        "patience": "1d",
    }
    assert facts["sent"][2] == {"to": "archive", "values": [{"value": "subject.*", "with": ["archive"]}]}
    assert facts["worst_case"]["cases"][1]["in_time"] is False


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value in it that isn't empty, with its place."""
    match data:
        case dict():
            for key, value in data.items():
                yield from leaves(value, (*path, key))
        case list():
            for index, value in enumerate(data):
                yield from leaves(value, (*path, index))
        case None:
            return
        case _:
            yield path, data


def changed(data: Any, path: tuple[str | int, ...], value: object) -> Any:
    """The same with another value at one place."""
    if not path:
        return value
    if isinstance(data, dict):
        return {key: changed(part, path[1:], value) if key == path[0] else part for key, part in data.items()}
    return [changed(part, path[1:], value) if index == path[0] else part for index, part in enumerate(data)]


@pytest.mark.parametrize(
    "path",
    [PLAN, SANDBOX_PLAN, PLAN.with_stem("team"), PLAN.with_stem("mirrored"), PLAN.with_stem("lasting")],
    ids=lambda path: path.stem,
)
def test_the_text_tells_every_fact_of_the_json(path: Path) -> None:
    """Each value is changed in turn: the text must change with it, and show what it has become."""
    facts = facts_of(load_plan(path))
    assert json.loads(shown(path, "--json").stdout).keys() == facts.keys()
    lines = [line.text for line in lines_of(facts, width=100)]
    places = list(leaves(facts))
    assert len(places) > 100
    untold = []
    for place, value in places:
        if place[-1] == "phase" or place[-2:] == ("lookup", "absent"):
            # Closed lists of words; the text says them in sentences.
            continue
        other = {str: "zebra", int: 777, bool: not value, timedelta: timedelta(days=777)}[type(value)]
        retold = [line.text for line in lines_of(changed(facts, place, other), width=100)]
        is_shown = isinstance(other, bool) or show(other) in " ".join(retold)
        if retold == lines or not is_shown:
            untold.append(place)
    assert untold == []


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_asked(width: int) -> None:
    told = lines_of(facts_of(load_plan(PLAN)), width=width)
    # An address or a path without a space is left whole, on a line of its own.
    assert [line.text for line in told if len(line.text) > width and " " in line.text.strip()] == []


def test_a_plan_that_can_t_be_used_is_refused_with_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(
        PLAN.read_text().replace("user_id }}/lock", "usr_id }}/lock").replace("absent: proceed", "absent: maybe")
    )
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    problems = str(caught.value)
    assert len(problems.splitlines()) == 3
    for form in ("text", "mermaid"):
        result = shown(path, "--format", form)
        assert (result.exit_code, result.stdout) == (ExitCode.NOT_SET_UP, "")
        assert result.stderr == f"Error: {problems}\n"
    assert json.loads(shown(path, "--json").stdout) == {"error": problems, "exit_code": 10}


def test_no_secret_is_resolved_or_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNTS_PASSWORD", "ORDERS_PASSWORD", "BUCKET"):
        monkeypatch.setenv(name, "s3cret")
    for form in ("text", "mermaid", "json"):
        assert "s3cret" not in shown(PLAN, "--format", form).stdout


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("https://accounts.example:8443/api", "https://accounts.example:8443/api"),
        ("${env:URL}/admin/${env:REALM}", "${env:URL}/admin/${env:REALM}"),
        ("https://retirement@accounts.example", "https://retirement@accounts.example"),
        ("https://retirement:hush@accounts.example:80/?key=hush", "https://retirement:…@accounts.example:80/?…"),
        ("https://${env:U}:hush${env:P}@x/?k=${file:/k}&z=hush", "https://${env:U}:…${env:P}@x/?…${file:/k}…"),
    ],
)
def test_an_address_is_told_as_written_but_for_what_may_be_secret(written: str, told: str) -> None:
    assert address_of(HttpService(base_url=written)) == told
    assert address_of(SqlService(type="sql", database_url=written)) == told


#: Texts that mean something to mermaid, markdown, HTML or a terminal.
HOSTILE = [
    'a "quoted" [x] (y) {z} | end; subgraph',
    "1. a list",
    "- another `with` **marks** _of_ ~~it~~",
    "<script>alert(1)</script> &lt;b&gt; <br/>",
    "#quot; #35; ﬂ°°35¶ß",
    "%%{init: {'theme': 'dark'}}%% --> == ~~~",
    "a\\nb\\\\n \\u202e \\e[2J 日本語 مرحبا é",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_a_plan_says_is_text_in_the_picture(tmp_path: Path, hostile: str) -> None:
    ground = json.dumps(hostile, ensure_ascii=False).replace("\\\\", "\\")
    steps = f"{{end: {{phase: erase, retain: {{ground: {ground}, for: 1d}}}}, click: {{phase: erase, after: [end], "
    steps += 'service: subgraph, request: {method: DELETE, path: "/{{ user_id }}"}, absent: [404], unprobed: x}}'
    path = tmp_path / "class.yaml"
    path.write_text(
        "plan: class\n"
        'subject: {lookup: {service: subgraph, request: {method: GET, path: "/{{ user_id }}"}}}\n'
        'services: {subgraph: {base_url: "${env:URL}", auth: {type: bearer, token: "${env:TOKEN}"}}}\n'
        f"steps: {steps}\n"
    )
    result = shown(path, "--format", "mermaid")
    assert result.exit_code == 0, result.stderr
    label = r'"((?:[\w ,:/]|#\d+;|<br/>)+)"'
    grammar = (
        rf"flowchart TB|subgraph \w+\[{label}\]|end|\w+(?:\[{label}\]|\(\[{label}\]\)|{{{{{label}}}}})(?::::kept)?"
        r"|\w+ (?:-->|==>) \w+|classDef \w+ [\w:#,-]+|class point_of_no_return point"
    )
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert [line for line in lines if not re.fullmatch(grammar, line)] == []
    assert "erase_1 --> erase_2" in lines
    [said] = [line for line in lines if line.startswith("erase_1[")]
    read = re.sub(r"#(\d+);", lambda code: chr(int(code.group(1))), said.replace("<br/>", " "))
    expected = show(" ".join(load_plan(path).steps["end"].retain.ground.split()))  # type: ignore[union-attr]
    assert expected.replace(" ", "") in read.replace(" ", "")


def on_a_terminal(path: Path, *, columns: int) -> str:
    """What the command writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "starter.main", "plan", "show", str(path)],
        cwd=ROOT,
        stdout=theirs,
        env={**environment, "TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:
            # How Linux says that the other end of a terminal has been closed.
            pass
        finally:
            os.close(ours)
        assert process.wait(timeout=60) == 0
    return written.decode()


def test_a_terminal_gets_its_own_width_and_stress() -> None:
    seen = on_a_terminal(PLAN, columns=80)
    assert "\x1b[1mFREEZE" in seen and "\x1b[1;31m━━━ POINT OF NO RETURN" in seen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen).replace("\r\n", "\n")
    assert plain.splitlines() == [line.text for line in lines_of(facts_of(load_plan(PLAN)), width=80)]

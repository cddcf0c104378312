"""The pages about Open edX are true: each command on them can be given as it stands, and each code there is has its line."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from activities import mirror
from activities.mirroring import beginning, source
from starter.driver_codes import DriverCode
from starter.main import app
from tests.docs.support.pages import DOCS, blocks_of

PAGES = (DOCS / "openedx.md", DOCS / "openedx-runbook.md")
#: Subcommands that must be explained somewhere.
_ALL = {
    "import", "check", "collect", "status", "stranded", "retire-one", "resume", "bulk-status", "archive", "partner-report",
    "destroy-reports", "purge-certificates", "replace-usernames",
}  # fmt: skip
_PLACEHOLDERS = {"WHO": "courses-46", "STEP": "notes", "USERNAME": "ann", "DATE": "2026-03-31", "STATE": "PENDING"}


def commands_of(page: Path) -> Iterator[list[str]]:
    """Every `retire …` of a page, as arguments: typed, in a crontab, a unit, a container, or in the text with its options."""
    text = page.read_text()
    for line in re.findall(r"(?:\$ |&& |/bin/)retire (.+)", text):
        yield shlex.split(line, comments=True)
    for block in blocks_of(page):
        if block.language == "yaml" and "containers:" in block.text:
            template = yaml.safe_load(block.text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            yield from (container["args"] for container in template["containers"])
    for quoted in re.findall(r"`retire ([^`]+ [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        yield [_PLACEHOLDERS.get(word, word) for word in shlex.split(quoted)]


def give(arguments: list[str]) -> None:
    """Have the command line read arguments as if they were typed, and do nothing.

    Raises:
        AssertionError: there is no such command.
        Exception: the command's own, for what it can't read.
    """
    command: Any = typer.main.get_command(app)
    left = list(arguments)
    while isinstance(command, TyperGroup) and left and not left[0].startswith("-"):
        name = left.pop(0)
        assert name in command.commands, f"there is no `retire {' '.join(arguments)}`"
        command = command.commands[name]
    # A command that is only named (`retire openedx resume`) may lack what it needs.
    command.make_context(command.name, left, resilient_parsing=not left)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_can_be_given(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETIREMENT_OPENEDX_SITE", "site.yaml")
    given = list(commands_of(page))
    assert len(given) >= 10
    for arguments in given:
        give(arguments)


def test_a_command_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AssertionError, match="there is no `retire openedx collekt`"):
        give(["openedx", "collekt"])
    with pytest.raises(Exception, match="No such option"):
        give(["openedx", "collect", "--site", "site.yaml", "--acept", "3"])


def test_every_command_has_its_place() -> None:
    named = {arguments[1] for page in PAGES for arguments in commands_of(page) if arguments[0] == "openedx"}
    assert named == _ALL


def test_the_operators_page_knows_every_code() -> None:
    page = PAGES[1].read_text()
    of_mirrors = [
        value for module in (mirror, beginning, source) for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and name not in ("MIRROR", "SAID")
    ]  # fmt: skip
    assert {"moved_by_another", "another_driver", "cancel_by_hand"} <= set(of_mirrors)
    assert [code for code in of_mirrors if f"`{code}`" not in page] == []


def test_the_exit_codes_of_retire_one_are_told() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGES[0].read_text(), flags=re.MULTILINE))
    assert rows.keys() == {str(code.value) for code in DriverCode}

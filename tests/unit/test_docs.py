"""The documentation is true: its plans load, its links lead somewhere, its tables are those of the code."""

import re
from pathlib import Path

import pytest

from plans.loading import load_plan
from worker.settings_reference import settings_reference
from workflows.names import HeldCause, Reason

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"])


def test_the_pages_are_there() -> None:
    assert len(PAGES) >= 6


def test_the_settings_page_is_generated_from_the_settings() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_reference(), (
        "docs/settings.md is out of date; run: python -m worker.settings_reference > docs/settings.md"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_named_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:workflows|activities|plans|ledger|worker|starter|templates|tests)/[\w./-]*)`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_s_plan_loads(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "acme.yaml").write_text(re.sub(r"^   ", "", text, flags=re.MULTILINE))
    assert load_plan(tmp_path / "acme.yaml").plan == "acme"


def test_the_readme_s_commands_exist() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "runbook.md").read_text()
    commands = {path.stem for path in (ROOT / "starter" / "commands").iterdir()} | {"list"}
    named = set(re.findall(r"retire ([a-z]+)(?=[ `\n])", text))
    assert {"start", "setup", "worker", "resume"} <= named
    assert named - commands == {"somebody"}  # the README promises not to


def test_the_runbook_knows_every_reason_and_every_cause_of_a_hold() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert [code for code in (*Reason, *HeldCause) if f"`{code}`" not in runbook] == []

"""The project's own set-up: pins, make targets, and that the linters refuse what they are there to refuse."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BIN = Path(sys.executable).parent


def pins(name: str) -> dict[str, str]:
    """The pinned version of each package in a file of requirements/."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE)
    assert found
    return dict(found)


@pytest.mark.parametrize("name", ["dev.txt", "run.txt"])
def test_every_pin_has_a_hash_and_no_line_names_an_index(name: str) -> None:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert re.fullmatch(r"[a-z0-9._-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        assert line.startswith(" ") or following.startswith("    --hash="), f"{line} has no hash"


def test_the_pins_are_what_the_project_says_it_needs() -> None:
    needs = PROJECT["dependencies"]
    extras = PROJECT["optional-dependencies"]
    for name, requirements in (("run.txt", needs), ("dev.txt", [*needs, *extras["sandbox"], *extras["dev"]])):
        pinned = pins(name)
        for requirement in map(Requirement, requirements):
            version = pinned.get(canonicalize_name(requirement.name), "")
            assert version and requirement.specifier.contains(version), (
                f"{requirement} is not met by requirements/{name}; run: make requirements"
            )


def test_what_runs_is_pinned_as_it_is_tested() -> None:
    assert pins("run.txt").items() <= pins("dev.txt").items()


def test_make_alone_explains_every_target() -> None:
    make = shutil.which("make")
    assert make is not None
    shown = subprocess.run([make], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(phony) > 5
    assert re.findall(r"^  make (\S+) +\S", shown, re.MULTILINE) == [target for target in phony if target != "help"]


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\n\n\nasync def test_x() -> None:\n    await asyncio.sleep(1)\n",
        "from asyncio import sleep\n\n\nasync def test_x() -> None:\n    await sleep(1)\n",
        "import time\n\ntime.sleep(1)\n",
        "from time import sleep\n\nsleep(1)\n",
    ],
)
def test_a_test_that_sleeps_is_refused(code: str) -> None:
    for path, refused in (("tests/life/test_x.py", True), ("tests/support/waiting.py", False), ("worker/x.py", False)):
        checked = subprocess.run(
            [BIN / "ruff", "check", "--no-cache", "--stdin-filename", path, "-"],
            cwd=ROOT,
            input=code,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("TID251" in checked.stdout) is refused, checked.stdout


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("workflows/broken.py", "import httpx", "workflows import no I/O"),
        ("workflows/broken.py", "import subprocess", "workflows import no I/O"),
        ("ledger/broken.py", "import activities", "imports point one way"),
        ("ledger/broken.py", "import plans", "imports point one way"),
        ("worker/broken.py", "import starter", "imports point one way"),
        ("openedx/broken.py", "import starter", "imports point one way"),
        ("activities/broken.py", "import openedx", "imports point one way"),
        ("activities/broken.py", "import workflows.retire_user", "side effects do not know the workflow"),
        ("plans/broken.py", "import httpx", "only activities speak to services"),
    ],
)
def test_an_import_against_the_contracts_is_refused(tmp_path: Path, path: str, line: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("activities", "ledger", "openedx", "plans", "sandbox", "starter", "worker", "workflows"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for name in ("case_run", "retire_user", "step_graph", "transfer_ownership"):
        (tmp_path / "workflows" / f"{name}.py").touch()
    assert "0 broken" in checked_imports(tmp_path)
    (tmp_path / path).write_text(f"{line}\n")
    assert f"{contract} BROKEN" in checked_imports(tmp_path)


def checked_imports(folder: Path) -> str:
    """What the import linter says of a folder."""
    command = [str(BIN / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout

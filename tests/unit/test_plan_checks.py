"""The gallery of bad plans: each file says at its end what checking it must tell, line by line, and nothing else."""

from pathlib import Path

import pytest

from plans.checks.findings import Check
from plans.loading import PlanError, check_plan, load_plan
from plans.yaml_reading import Severity

ROOT = Path(__file__).parents[2]
GALLERY = Path(__file__).parent / "bad_plans"
_EXPECT = "# expect: "
#: Tested where files are read: it is about files that are none.
_NO_PLAN = frozenset({Check.FILE})
#: What needs an installed package or a database is tested in test_plan_checks_here.

BAD_PLANS = sorted(GALLERY.iterdir())
GOOD_PLANS = sorted((ROOT / "plans").glob("*.yaml"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the plans of the gallery ask of a machine."""
    monkeypatch.setenv("ACCOUNTS_URL", "https://accounts.acme.example")
    monkeypatch.setenv("ACCOUNTS_TOKEN", "hunter3")
    monkeypatch.setenv("ACCOUNTS_SECRET", "hunter3")
    monkeypatch.setenv("FORUM_URL", "https://forum.acme.example")
    monkeypatch.setenv("FORUM_TOKEN", "hunter3")
    monkeypatch.setenv("CRM_URL", "sqlite:////var/lib/crm.db")
    monkeypatch.setenv("USER", "us")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)


def told(path: Path) -> list[str]:
    """What checking tells, without the file's name."""
    return [problem.told(path.name).removeprefix(f"{path.name}:") for problem in check_plan(path, secrets=True)]


@pytest.mark.parametrize("path", BAD_PLANS, ids=lambda path: path.name)
def test_a_bad_plan_is_told_word_for_word(path: Path) -> None:
    expected = [line.removeprefix(_EXPECT) for line in path.read_text().splitlines() if line.startswith(_EXPECT)]
    assert expected, "says at its end what checking must tell"
    assert told(path) == expected


@pytest.mark.parametrize("check", sorted(set(Check) - _NO_PLAN))
def test_every_kind_of_mistake_has_its_bad_plan(check: Check) -> None:
    shown = [path for path in BAD_PLANS if path.stem.partition("--")[0] == check]
    assert shown, f"add tests/unit/bad_plans/{check}.yaml"
    for path in shown:
        assert check in {problem.check for problem in check_plan(path, secrets=True)}, path.name


def test_the_gallery_is_not_empty_and_holds_nothing_else() -> None:
    assert len(BAD_PLANS) > 60
    assert {path.stem.partition("--")[0] for path in BAD_PLANS} == {*set(Check) - _NO_PLAN, "six-mistakes"}


def test_six_mistakes_of_six_kinds_are_six_problems() -> None:
    problems = check_plan(GALLERY / "six-mistakes.yaml", secrets=True)
    assert [problem.check for problem in problems] == [
        Check.UNKNOWN_FIELD,
        Check.NO_UNDO,
        Check.TEMPLATE,
        Check.UNPROBED,
        Check.CYCLE,
        Check.UNKNOWN_VALUE,
    ]


@pytest.mark.parametrize("path", BAD_PLANS, ids=lambda path: path.name)
def test_a_plan_with_an_error_doesn_t_load_and_one_with_warnings_does(path: Path) -> None:
    errors = [problem for problem in check_plan(path, secrets=False) if problem.severity is Severity.ERROR]
    if not errors:
        assert load_plan(path).plan == path.stem
        return
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert str(caught.value) == "\n".join(problem.told(str(path)) for problem in errors)


@pytest.mark.parametrize("path", BAD_PLANS, ids=lambda path: path.name)
def test_no_secret_is_told(path: Path) -> None:
    """Neither one that stands in the file, nor one that a reference stands for."""
    assert "hunter" not in "\n".join(told(path))


def test_the_gallery_has_secrets_that_could_be_told() -> None:
    assert "hunter2" in (GALLERY / "secret-in-clear.yaml").read_text()


@pytest.mark.parametrize("path", GOOD_PLANS, ids=lambda path: path.name)
def test_our_own_plans_have_no_problem(path: Path) -> None:
    assert check_plan(path, secrets=False) == ()


def test_there_are_plans_of_our_own() -> None:
    assert [path.name for path in GOOD_PLANS if path.name == "sandbox.yaml"]


@pytest.mark.parametrize("path", BAD_PLANS, ids=lambda path: path.name)
def test_every_problem_says_how_to_mend_it(path: Path) -> None:
    for problem in check_plan(path, secrets=True):
        assert any(mark in problem.what for mark in (";", "did you mean", ": add it there", "say which"))
        assert problem.what[-1] not in ".!"

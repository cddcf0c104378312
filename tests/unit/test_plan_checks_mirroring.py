"""What a plan whose source keeps a row must say; and that nothing is told of one that says it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from plans.checks.findings import Check
from plans.loading import check_plan, load_plan
from plans.yaml_reading import Severity

PLAN = Path(__file__).parent / "shown_plans" / "mirrored.yaml"
Document = dict[str, Any]


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """What checking tells of the plan, changed: each kind with its place."""

    def check(change: Callable[[Document], object] = lambda _: None) -> list[tuple[str, str]]:
        document = yaml.safe_load(PLAN.read_text())
        change(document)
        path = tmp_path / "mirrored.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return [(str(problem.check), problem.where) for problem in check_plan(path, secrets=False)]

    return check


def a_step(name: str, *after: str, mirrored: bool = True) -> Document:
    step: Document = {
        "phase": "erase",
        "after": list(after),
        "service": "accounts",
        "request": {"method": "POST", "path": f"/{name}/{{{{ subject.account }}}}"},
        "unprobed": "nobody can tell",
    }
    return step | ({"mirrored": {"working": f"RETIRING_{name}", "done": f"{name}_DONE"}} if mirrored else {})


def with_steps(document: Document, steps: Document) -> None:
    """Only these steps, and nothing besides that only others name."""
    document["steps"], document["subject"]["also"] = steps, {}
    del document["services"]["forum"]


def test_a_plan_that_says_it_all_has_no_problem(told: Callable[..., list[tuple[str, str]]]) -> None:
    assert told() == []
    assert load_plan(PLAN).mirror is not None


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        ({"a": a_step("a"), "b": a_step("b", "a"), "c": a_step("c", "a", "b")}, []),
        ({"c": a_step("c", "x"), "x": a_step("x", "a", mirrored=False), "a": a_step("a")}, []),
        ({"a": a_step("a"), "x": a_step("x", mirrored=False)}, []),
        ({"a": a_step("a"), "b": a_step("b")}, ["b"]),
        ({"a": a_step("a"), "b": a_step("b", "a"), "c": a_step("c", "a")}, ["c"]),
        ({"a": a_step("a"), "b": a_step("b"), "c": a_step("c"), "d": a_step("d", "a", "b", "c")}, ["b", "c"]),
        ({"a": a_step("a"), "b": a_step("b"), "c": a_step("c", "a"), "d": a_step("d", "b")}, ["b", "d"]),
    ],
    ids=["one way", "by way of another", "another beside it", "no order", "a fork", "a join", "two chains"],
)
def test_mirrored_steps_follow_one_another(
    told: Callable[..., list[tuple[str, str]]], steps: Document, problems: list[str]
) -> None:
    found = told(lambda document: with_steps(document, steps))
    assert found == [("mirror-order", f"steps.{id}.after") for id in problems]


def test_it_is_said_between_which_steps_the_order_is_missing(tmp_path: Path) -> None:
    steps = {"a": a_step("a"), "b": a_step("b"), "c": a_step("c", "a", "b"), "d": a_step("d", "a", "b")}
    document = yaml.safe_load(PLAN.read_text())
    with_steps(document, steps)
    (tmp_path / "mirrored.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    one, other = check_plan(tmp_path / "mirrored.yaml", secrets=False)
    assert one.what.startswith("has no order with 'a': both are mirrored")
    assert other.what.startswith("follows 'b' as 'c' does: both are mirrored")
    assert other.what.endswith("add 'c' here, or 'd' to the `after` of 'c'")


def test_a_circle_is_told_once(told: Callable[..., list[tuple[str, str]]]) -> None:
    found = told(lambda document: document["steps"]["posts"].update(after=["profile"]))
    assert found == [("cycle", "steps.posts.after")]


def test_a_freeze_step_beside_a_mirror_is_nobody_s_mistake(told: Callable[..., list[tuple[str, str]]]) -> None:
    lock = {"phase": "freeze", "service": "accounts", "no_undo": "it ends by itself"}
    request = {"method": "POST", "path": "/lock/{{ subject.username }}"}
    assert told(lambda document: document["steps"].update(lock=lock | {"request": request})) == []


def test_a_step_may_be_called_mirror_where_no_source_keeps_a_row(tmp_path: Path) -> None:
    document = yaml.safe_load((PLAN.parent / "acme.yaml").read_text())
    document["steps"]["mirror"] = a_step("mirror", mirrored=False)
    document["steps"]["mirror"]["request"]["path"] = "/mirror/{{ user_id }}"
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    assert Check.NAME_TAKEN not in {problem.check for problem in check_plan(tmp_path / "acme.yaml", secrets=False)}


@pytest.mark.parametrize(
    ("hold_for", "problems"),
    [("59s", ["hold-for"]), ("1m", []), ("30d", []), ("31d", ["hold-for"]), ("0", ["hold-for"])],
)
def test_what_is_held_waits_between_a_minute_and_a_month(
    told: Callable[..., list[tuple[str, str]]], hold_for: str, problems: list[str]
) -> None:
    assert [check for check, _ in told(lambda document: document.update(hold_for=hold_for))] == problems


@pytest.mark.parametrize("field", ["service", "state", "moved_at", "update", "waiting", "complete"])
def test_a_mirror_that_can_t_be_read_is_told_once(told: Callable[..., list[tuple[str, str]]], field: str) -> None:
    """And not that its steps are told to nobody, or that what is given is of no use."""
    assert told(lambda document: document["mirror"].pop(field)) == [("missing", f"mirror.{field}")]


def test_a_misspelt_service_of_a_mirror_or_a_value_is_told(told: Callable[..., list[tuple[str, str]]]) -> None:
    def change(document: Document) -> None:
        document["mirror"]["service"] = "acounts"
        document["subject"]["also"]["tracking"]["service"] = "froum"

    found = told(change)
    assert ("unknown-service", "mirror.service") in found
    assert ("unknown-service", "subject.also.tracking.service") in found


def test_a_service_that_only_tells_a_value_is_used(told: Callable[..., list[tuple[str, str]]]) -> None:
    """The forum has no step in this plan."""
    assert ("unused-service", "services.forum") not in told()
    found = told(lambda document: document["subject"].update(also={}))
    assert ("unused-service", "services.forum") in found


def test_a_value_that_the_mails_use_needs_no_template(told: Callable[..., list[tuple[str, str]]]) -> None:
    def change(document: Document) -> None:
        document["subject"]["given"].append("name")
        document["mail"] = {"from": "us@acme.example", "support": "us@acme.example", "operators": ["ops@acme.example"]}

    assert told(change) == []
    without = told(lambda document: document["subject"]["given"].append("name"))
    assert without == [("unused-value", "subject.given[1]")]


@pytest.mark.parametrize(
    ("absent", "severity"), [([401], Severity.ERROR), ([503], Severity.ERROR), ([200], Severity.ERROR), ([404], None)]
)
def test_an_answer_that_says_nothing_of_the_person_is_no_absence_of_a_value(
    tmp_path: Path, absent: list[int], severity: Severity | None
) -> None:
    document = yaml.safe_load(PLAN.read_text())
    document["subject"]["also"]["tracking"]["absent"] = absent
    (tmp_path / "mirrored.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    problems = check_plan(tmp_path / "mirrored.yaml", secrets=False)
    assert [problem.severity for problem in problems] == ([severity] if severity else [])

"""The plan reference is generated, complete, and true to the code it tells of."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.actions.answers import Answer, NoAnswer, Rules, meaning_of
from plans.loading import load_plan
from plans.reference import OBJECTS, plan_reference
from plans.reference_words import ANSWERS, EXAMPLE, NAMES, REQUESTS, RESULTS
from plans.schema import plan_schema
from plans.template_places import PLACES, SECRET_PLACES
from workflows.names import StepResult

ROOT = Path(__file__).parents[2]
PAGE = plan_reference()


def test_the_page_is_generated_from_the_model() -> None:
    assert (ROOT / "docs" / "plan-reference.md").read_text() == PAGE, (
        "docs/plan-reference.md is out of date; run: python -m plans.reference > docs/plan-reference.md"
    )


def test_the_example_is_a_plan_that_loads(tmp_path: Path) -> None:
    assert EXAMPLE in PAGE
    (tmp_path / "acme.yaml").write_text(EXAMPLE)
    assert load_plan(tmp_path / "acme.yaml").plan == "acme"


def test_every_object_of_the_schema_has_a_section() -> None:
    told = {about.name for about in OBJECTS}
    # Durations and rates have a section of prose; the kinds of a union stand in its place.
    prose = {"Duration", "Rate", "Service", "Auth"}
    assert set(plan_schema()["$defs"]) - told == prose


def test_every_key_is_explained() -> None:
    schema = plan_schema()
    for name, definition in {**schema["$defs"], "": schema}.items():
        for key, part in definition.get("properties", {}).items():
            if "const" not in part and name not in ("Service", "Auth"):
                assert re.search(rf"^\| `{key}` \| .+[.?] \| .+ \|$", PAGE, flags=re.MULTILINE), (name, key)


def test_every_link_of_the_page_leads_to_one_of_its_headings() -> None:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = re.findall(r"\]\(#([^)]+)\)", PAGE)
    assert len(linked) > 100
    assert set(linked) - anchors == set()
    assert len(headings) == len(set(headings))


def test_every_table_has_the_same_cells_in_each_row() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGE, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_example_of_a_request_uses_every_key(kind: str) -> None:
    keys = {line.split(":")[0] for line in REQUESTS[kind].splitlines() if line[0].isalpha()}
    assert keys == set(plan_schema()["$defs"][kind]["properties"])


def test_every_name_and_place_of_a_template_is_told() -> None:
    assert set(NAMES) == set().union(*(place.names for place in PLACES.values()))
    for place in PLACES:
        assert PAGE.count(f"`{place.replace('*', '<name>')}`") == 1, place


def annotated(module: str, alias: str) -> Iterator[str]:
    """The fields of a module's models that are of a kind (`Template`, `Expression`, `Reference`), as `Class.field`."""
    for node in ast.walk(ast.parse((ROOT / "plans" / f"{module}.py").read_text())):
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    if alias in {name.id for name in ast.walk(field.annotation) if isinstance(name, ast.Name)}:
                        yield f"{node.name}.{field.target.id}"


def test_every_field_that_is_a_template_or_a_secret_has_its_place() -> None:
    place_of = {about.name: about.place for about in OBJECTS}

    def places_of(module: str, alias: str) -> set[str]:
        fields = [field.split(".") for field in annotated(module, alias)]
        return {f"{place_of[name]}.{field}" for name, field in fields}

    def told(keys: set[str]) -> set[str]:
        return {key.removesuffix(".*") for key in keys}

    requests = {place for place in PLACES if place.endswith((".request", ".update", ".cancel"))}
    last_resort = {place for place in PLACES if place.startswith("steps.*.on_permanent.probe")}
    expressions = {place for place, about in PLACES.items() if about.is_expression}
    assert places_of("model", "Expression") | places_of("mirror", "Expression") == told(expressions - last_resort)
    templates = places_of("model", "Template") | places_of("services", "Template")
    assert templates == told(set(PLACES) - expressions - requests)
    assert places_of("services", "Reference") == told(set(SECRET_PLACES))


def row_of(status: int, rules: Rules) -> str:
    """The kind of the first row of the table that names this status, read as a person reads it."""
    for row in ANSWERS:
        if row.answers.startswith("a code in"):
            listed = status in getattr(rules, row.answers.split("`")[1])
        else:
            text, _, excepted = row.answers.partition(" but not ")
            listed = any(
                re.fullmatch(code.replace("x", r"\d"), str(status)) for code in re.findall(r"\b\d(?:\d\d|xx)\b", text)
            )
            listed = listed and str(status) not in excepted.split(";")[0]
            listed = listed and ("`poll`" not in row.answers or rules.polled)
            listed = listed and ("DELETE" not in row.answers or rules.method == "DELETE")
            listed = listed and ("before any step" not in row.answers or not rules.succeeded_before)
        if listed:
            return row.kind
    raise AssertionError(f"no row names {status}")


@pytest.mark.parametrize(
    "rules",
    [
        Rules(method="POST"),
        Rules(method="DELETE"),
        Rules(method="POST", polled=True),
        Rules(method="POST", succeeded_before=True),
        Rules(method="DELETE", absent=(404, 410, 200), permanent=(404, 503, 202), transient=(503, 409, 401)),
    ],
)
def test_the_table_says_what_every_answer_means(rules: Rules) -> None:
    wrong = {
        status: (row_of(status, rules), type(meaning).__name__)
        for status in range(100, 600)
        if row_of(status, rules) != type(meaning := meaning_of(Answer(status=status), rules)).__name__
    }
    assert wrong == {}


def test_no_answer_in_time_is_tried_again() -> None:
    meaning = meaning_of(NoAnswer(code="timeout", touched=True), Rules(method="POST"))
    [row] = [row for row in ANSWERS if "no answer in time" in row.answers]
    assert type(meaning).__name__ == row.kind


def test_every_result_of_a_step_is_told() -> None:
    assert set(RESULTS) == set(StepResult)

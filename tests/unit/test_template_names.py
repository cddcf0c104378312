"""Which values a template needs: read off its syntax, without rendering anything."""

from pathlib import Path

import pytest

from plans.checks.draft import read_draft
from plans.loading import load_plan
from plans.template_names import names_of
from plans.template_places import PLACES, texts_of
from plans.yaml_reading import read_yaml
from tests.support.plans import SANDBOX_PLAN, TEAM_PLAN


def named(text: str, *, is_expression: bool = False) -> set[str]:
    return {".".join(name) for name in names_of(text, is_expression=is_expression)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/users/{{ user_id }}", {"user_id"}),
        ("/users/{{ subject.email }}/{{ saved.lock.token }}", {"subject.email", "saved.lock.token"}),
        ("{{ subject['email'] }} {{ subject.email }}", {"subject.email"}),
        ("{{ subject.address.city | lower }}", {"subject.address.city"}),
        ("{{ subject | tojson }}", {"subject"}),
        ("{{ subject[user_id] }}", {"subject", "user_id"}),
        ("{{ body.items[0].id }}", {"body.items"}),
        ("{{ subject.email.lower() }}", {"subject.email"}),
        ("{{ subject.get('email', tenant) }}", {"subject", "tenant"}),
        ("{% if tenant %}{{ subject.name }}{% endif %}", {"tenant", "subject.name"}),
        ("{% for role in subject.roles %}{{ role.id }}{{ loop.index }}{% endfor %}", {"subject.roles"}),
        ("{% set who = subject.name %}{{ who }}", {"subject.name"}),
        ("{{ range(subject.count) | list }}", {"subject.count"}),
        ("${env:PREFIX}{{ user_id }}${file:/x}{{ tenant }}", {"user_id", "tenant"}),
        ("${env:{{ user_id }}", set()),
        ("no names, and {braces}", set()),
        ("{{ user_id", set()),
        ("{{ user_id | upcase }}", set()),
    ],
)
def test_the_names_of_a_template(text: str, names: set[str]) -> None:
    assert named(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("not subject.locked", {"subject.locked"}),
        ("{{ not subject.locked }}", {"subject.locked"}),
        ("body.state == 'done' and status in [200, 204]", {"body.state", "status"}),
        ("'admin' in subject.roles and facts.admins | length == 1", {"subject.roles", "facts.admins"}),
        ("body.email | default(none)", {"body.email"}),
        ("[body.first, body.last] | select | join(' ')", {"body.first", "body.last"}),
        ("body.", set()),
        ("{{ body.email", set()),
    ],
)
def test_the_names_of_an_expression(text: str, names: set[str]) -> None:
    assert named(text, is_expression=True) == names


def test_every_template_of_a_plan_is_found_once_and_names_only_what_its_place_knows() -> None:
    found = list(texts_of(load_plan(SANDBOX_PLAN)))
    assert ("steps", "lock", "undo", "when") in [text.path for text in found]
    assert ("steps", "newsletter", "request", "json", "email") in [text.path for text in found]
    assert len({text.path for text in found}) == len(found) > 20
    for text in found:
        roots = {name[0] for name in names_of(text.text, is_expression=text.is_expression)}
        assert roots <= PLACES[text.place].names, text.path


def test_every_template_of_what_is_handed_over_is_found_where_it_stands() -> None:
    found = {text.path: text.place for text in texts_of(load_plan(TEAM_PLAN))}
    asset = ("steps", "documents", "assets")
    assert found["steps", "documents", "request", "json", "owner"] == "steps.*.request"
    assert found[*asset, "owner", "request", "path"] == "steps.*.assets.owner.request"
    assert found[*asset, "title"] == "steps.*.assets.title"
    assert found["successors", "colleague", "candidates", 0, "id"] == "successors.*.candidates.id"
    assert found["successors", "colleague", "suitable", "fields", "name"] == "successors.*.suitable.fields.*"
    assert found["mail", "admins", 0] == "mail.admins"


def test_every_kind_of_place_is_found_in_some_plan() -> None:
    gallery = (Path(__file__).parent / "bad_plans").glob("*.yaml")
    read = (read_yaml(path.read_bytes()).data for path in (SANDBOX_PLAN, TEAM_PLAN, *gallery))
    drafts = (read_draft(data)[0] for data in read if isinstance(data, dict))
    assert {text.place for draft in drafts for text in draft.texts} == set(PLACES)

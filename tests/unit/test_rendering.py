"""Values land as data, whatever they hold."""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.rendering import (
    RenderingError,
    encode_json,
    evaluate,
    holds,
    names_in,
    names_in_expression,
    render_body,
    render_headers,
    render_path,
    render_query,
    render_value,
)
from plans.requests import HttpRequest, Method
from plans.secrets import SecretMissing, resolve

HOSTILE = [
    "../admin",
    "a&b=c",
    "a/b?c#d",
    "x\r\nX-Evil: 1",
    "{{ 7*7 }}",
    "{{7*7}}",
    "{% raw %}",
    "${env:HOME}",
    "'; DROP TABLE users; --",
    "\u202eevil\u202c مرحبا",
    "%2e%2e%2f",
    "x" * 65536,
    "\x00",
    "…",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_one_segment_of_the_path(value: str) -> None:
    path = render_path("/users/{{ user_id }}/lock", {"user_id": value})
    _, users, segment, lock = path.split("/")
    assert (users, unquote(segment), lock) == ("users", value, "lock")
    assert path.isascii() and path.isprintable()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_one_parameter_of_the_query(value: str) -> None:
    query = render_query({"user": "{{ user_id }}", "all": "yes"}, {"user_id": value})
    assert parse_qsl(query) == [("user", value), ("all", "yes")]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_one_string_of_the_body(value: str) -> None:
    body = render_body({"who": ["{{ user_id }}", "id={{ user_id }}"]}, {"user_id": value})
    assert json.loads(encode_json(body)) == {"who": [value, f"id={value}"]}


@pytest.mark.parametrize("value", ["x\r\nX-Evil: 1", "a\nb", "\x00", "\x7f", "tab\there"])
def test_a_control_character_is_refused_in_a_header(value: str) -> None:
    with pytest.raises(RenderingError, match="unsafe_value"):
        render_headers({"X-User": "{{ user_id }}"}, {"user_id": value})


@pytest.mark.parametrize("value", ["مرحبا", "a&b=c", "{{7*7}}"])
def test_other_values_pass_in_a_header(value: str) -> None:
    assert render_headers({"X-User": "{{ user_id }}"}, {"user_id": value}) == {"X-User": value.encode()}


@pytest.mark.parametrize("value", [".", ".."])
def test_a_dot_segment_is_refused(value: str) -> None:
    with pytest.raises(RenderingError, match="unsafe_value"):
        render_path("/users/{{ user_id }}", {"user_id": value})
    with pytest.raises(RenderingError, match="unsafe_value"):
        render_path("/users/.{{ user_id }}", {"user_id": "."})


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_segment_is_refused_since_it_would_address_everybody(value: Any) -> None:
    with pytest.raises(RenderingError, match="value_missing"):
        render_path("/users/{{ user_id }}", {"user_id": value})


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_a_path(value: str) -> None:
    try:
        path = render_path("/u/{{ user_id }}/x", {"user_id": value})
    except RenderingError:
        assert value in {".", ".."}
    else:
        assert unquote(path.split("/")[2]) == value and path.count("/") == 3


def test_a_lone_surrogate_is_refused_in_a_path_and_escaped_in_a_body() -> None:
    with pytest.raises(RenderingError, match="unsafe_value"):
        render_path("/u/{{ user_id }}", {"user_id": "\ud800"})
    assert encode_json(render_body("{{ user_id }}", {"user_id": "\ud800"})) == b'"\\ud800"'


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ n }}", 7),
        ("{{ flag }}", False),
        ("{{ nothing }}", None),
        ("{{ roles }}", ["a", "b"]),
        ("{{ n }} and {{ n }}", "7 and 7"),
        ("is {{ flag }}", "is false"),
        ("plain", "plain"),
        ("{{ 'a}}b{{c' }}", "a}}b{{c"),
    ],
)
def test_an_expression_alone_keeps_its_type(template: str, value: object) -> None:
    context = {"n": 7, "flag": False, "nothing": None, "roles": ["a", "b"]}
    assert render_value(template, context) == value


def test_a_null_parameter_is_left_out_of_the_query() -> None:
    assert render_query({"tenant": "{{ tenant }}", "n": "{{ n }}"}, {"tenant": None, "n": 1}) == "n=1"


@pytest.mark.parametrize("condition", ["not saved.lock.was_locked", "{{ not saved.lock.was_locked }}"])
def test_a_condition_is_written_bare_or_in_braces(condition: str) -> None:
    assert holds(condition, {"saved": {"lock": {"was_locked": False}}})
    assert not holds(condition, {"saved": {"lock": {"was_locked": True}}})


def test_a_field_comes_before_a_method_of_the_same_name() -> None:
    assert evaluate("body.items", {"body": {"items": [1]}}) == [1]


@pytest.mark.parametrize("expression", ["body.email", "{{ body.email }}", "body.a.b", "nobody", "body[0]"])
def test_a_missing_value_is_told_without_its_name(expression: str) -> None:
    with pytest.raises(RenderingError) as caught:
        evaluate(expression, {"body": {"name": "Ada"}})
    assert str(caught.value) == "value_missing"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "expression",
    ["''.__class__.__mro__", "{{ body.__class__ }}", "1/0", "body.pop('name')", "{{ (((", "'a' ~ body.name.x()"],
)
def test_an_expression_can_neither_reach_out_nor_fail_otherwise(expression: str) -> None:
    body = {"name": "Ada"}
    with pytest.raises(RenderingError):
        evaluate(expression, {"body": body})
    assert body == {"name": "Ada"}


def test_names_are_found_wherever_a_plan_may_write_them() -> None:
    request = HttpRequest(
        method=Method.POST,
        path="/u/{{ user_id }}",
        query={"a": "{{ tenant }}"},
        headers={"X-A": "{{ subject.email }}"},
        body={"b": [{"c": "{{ saved.lock.x }}"}]},
    )
    assert names_in(request) == {"user_id", "tenant", "subject", "saved"}
    assert names_in_expression("not saved.lock.x") == names_in_expression("{{ not saved.lock.x }}") == {"saved"}
    assert names_in_expression(None) == frozenset()


def test_secrets_are_put_into_the_plan_s_text_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("API_KEY", "{{ 7*7 }}k")
    (tmp_path / "token").write_text("from-file\n")
    headers = {"A": "Key ${env:API_KEY}", "B": f"${{file:{tmp_path / 'token'}}}", "C": "{{ user_id }}"}
    assert render_headers(headers, {"user_id": "${env:API_KEY}"}) == {
        "A": b"Key {{ 7*7 }}k",
        "B": b"from-file",
        "C": b"${env:API_KEY}",
    }


@pytest.mark.parametrize("text", ["${env:NOT_SET}", "${file:/not/there}", "${vault:x}", "${}", "${file:/\x00}"])
def test_a_missing_secret_is_named_by_its_reference(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(SecretMissing, match="can't be resolved on this worker") as caught:
        resolve(f"secret-prefix {text}")
    assert caught.value.reference == text and "secret-prefix" not in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        ("body.accounts | selectattr('open')", True),
        ("body.accounts | selectattr('closed')", False),
        ("not (body.accounts | rejectattr('open'))", True),
        ("not (body.accounts | selectattr('open'))", False),
        ("body.none | map(attribute='open')", False),
        ("body.none | select", False),
        ("body.none | unique", False),
        ("body.none | reverse", False),
    ],
)
def test_a_condition_over_a_filtered_list_is_true_only_where_something_is_left(condition: str, true: bool) -> None:
    """Jinja2's own filters give iterators, which are always true: such a probe would prove every erasure."""
    body = {"accounts": [{"open": True, "closed": False}], "none": []}
    assert holds(condition, {"body": body}) is true


def test_a_field_that_is_not_there_is_no_method_of_python_s() -> None:
    with pytest.raises(RenderingError) as caught:
        evaluate("body.items", {"body": {"users": []}})
    assert caught.value.code == "value_missing"

"""One mistake hides no other, and is told once: whatever follows from it is not a mistake of its own."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans.checks import findings_in
from plans.checks.draft import read_draft
from plans.checks.findings import Check, Finding
from plans.defaults import with_defaults
from plans.model import Plan
from plans.requests import KeyPath
from plans.yaml_reading import dotted

Data = dict[str, Any]

_SANDBOX: Data = yaml.safe_load((Path(__file__).parents[2] / "plans" / "sandbox.yaml").read_text())


def sandbox() -> Data:
    return copy.deepcopy(_SANDBOX)


def told(data: Data) -> list[tuple[str, str]]:
    """Where and which check, in the order of places."""
    return sorted((dotted(finding.path), str(finding.check)) for finding in findings_in(data, here=False)[1])


def set_at(data: Data, path: KeyPath, value: Any) -> Data:
    *outer, last = path
    inner: Any = data
    for part in outer:
        inner = inner[part]
    inner[last] = value
    return data


def without(data: Data, path: KeyPath) -> Data:
    *outer, last = path
    inner: Any = data
    for part in outer:
        inner = inner[part]
    del inner[last]
    return data


def test_the_sandbox_is_read_as_the_model_reads_it() -> None:
    plan, findings = findings_in(sandbox(), here=False)
    assert findings == ()
    assert plan == with_defaults(Plan.model_validate(sandbox()))


@pytest.mark.parametrize(
    ("path", "value", "check"),
    [
        (("services", "forum"), "https://forum.example", Check.WRONG_VALUE),
        (("services", "forum", "base_url"), ["https://forum.example"], Check.WRONG_VALUE),
        (("services", "forum", "auth"), {"type": "digest"}, Check.WRONG_VALUE),
        (("services", "forum", "auth", "token"), 5, Check.WRONG_VALUE),
        (("services",), [], Check.WRONG_VALUE),
        (("steps",), [], Check.WRONG_VALUE),
        (("steps", "profile"), "DELETE", Check.WRONG_VALUE),
        (("steps", "profile", "phase"), "later", Check.WRONG_VALUE),
        (("steps", "profile", "service"), 5, Check.WRONG_VALUE),
        (("steps", "profile", "request"), "DELETE /users", Check.WRONG_VALUE),
        (("steps", "profile", "request", "path"), 5, Check.WRONG_VALUE),
        (("steps", "profile", "probe"), "GET", Check.WRONG_VALUE),
        (("steps", "profile", "probe", "request"), "GET", Check.WRONG_VALUE),
        (("steps", "profile", "absent"), 404, Check.WRONG_VALUE),
        (("steps", "profile", "after"), "forum", Check.WRONG_VALUE),
        (("steps", "profile", "patience"), 5, Check.WRONG_VALUE),
        (("steps", "lock", "undo"), True, Check.WRONG_VALUE),
        (("steps", "invoices", "retain"), "ten years", Check.WRONG_VALUE),
        (("steps", "lock", "save"), [], Check.WRONG_VALUE),
        (("subject",), "ada", Check.WRONG_VALUE),
        (("subject", "lookup"), "accounts", Check.WRONG_VALUE),
        (("subject", "lookup", "fields"), [], Check.WRONG_VALUE),
        (("cool_off",), "14d", Check.WRONG_VALUE),
        (("mail",), "accounts@acme.example", Check.WRONG_VALUE),
        (("mail", "operators"), "ops@acme.example", Check.WRONG_VALUE),
        (("deadline",), 28, Check.WRONG_VALUE),
    ],
    ids=lambda value: dotted(value) if isinstance(value, tuple) else None,
)
def test_what_can_t_be_read_is_the_one_thing_told(path: KeyPath, value: Any, check: Check) -> None:
    assert told(set_at(sandbox(), path, value)) == [(dotted(path), check)]


@pytest.mark.parametrize(
    "path",
    [
        ("services",),
        ("steps",),
        ("subject",),
        ("subject", "lookup"),
        ("subject", "lookup", "service"),
        ("services", "forum", "base_url"),
        ("services", "forum", "auth", "token"),
        ("steps", "lock", "phase"),
        ("steps", "lock", "undo", "request"),
        ("steps", "profile", "request", "method"),
        ("steps", "profile", "probe", "request"),
        ("steps", "invoices", "retain", "for"),
        ("steps", "newsletter", "poll", "done"),
        ("mail", "from"),
    ],
    ids=dotted,
)
def test_what_is_missing_is_the_one_thing_told(path: KeyPath) -> None:
    assert told(without(sandbox(), path)) == [(dotted(path), Check.MISSING)]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("services", "forum", "base_url"), "base_ulr"),
        (("steps", "lock", "phase"), "phas"),
        (("steps", "lock", "undo"), "rollback"),
        (("steps", "profile", "probe"), "verify"),
        (("steps", "profile", "after"), "needs"),
        (("steps", "profile", "absent"), "absnt"),
        (("subject", "lookup"), "lokup"),
        (("subject", "lookup", "fields"), "feilds"),
        (("steps", "invoices", "retain"), "keep"),
        (("steps",), "stpes"),
    ],
    ids=lambda value: dotted(value) if isinstance(value, tuple) else value,
)
def test_a_misspelt_field_is_told_once_and_what_it_holds_is_checked(path: KeyPath, wrong: str) -> None:
    data = sandbox()
    *outer, last = path
    inner: Any = data
    for part in outer:
        inner = inner[part]
    inner[wrong] = inner.pop(last)
    assert told(data) == [(dotted((*outer, wrong)), Check.UNKNOWN_FIELD)]


def test_what_a_misspelt_field_holds_is_told_under_its_own_name() -> None:
    data = sandbox()
    data["steps"]["lock"]["rollback"] = data["steps"]["lock"].pop("undo")
    data["steps"]["lock"]["rollback"]["request"]["path"] = "/users/{{ user_id"
    assert told(data) == [
        ("steps.lock.rollback", Check.UNKNOWN_FIELD),
        ("steps.lock.rollback.request.path", Check.TEMPLATE),
    ]


def test_a_step_whose_id_is_no_name_is_checked_all_the_same() -> None:
    data = sandbox()
    data["steps"] = {"lockUser" if id == "lock" else id: step for id, step in data["steps"].items()}
    del data["steps"]["lockUser"]["undo"]
    assert told(data) == [("steps.lockUser", Check.NO_UNDO), ("steps.lockUser", Check.WRONG_VALUE)]


def test_mistakes_of_one_step_are_told_together() -> None:
    data = sandbox()
    data["steps"]["lock"] |= {"colour": "green", "absent": [4], "patience": "soon"}
    del data["steps"]["lock"]["undo"]
    data["steps"]["lock"]["request"]["path"] = "/users/{{ userid }}/lock"
    assert told(data) == [
        ("steps.lock", Check.NO_UNDO),
        ("steps.lock.absent[0]", Check.WRONG_VALUE),
        ("steps.lock.colour", Check.UNKNOWN_FIELD),
        ("steps.lock.patience", Check.WRONG_VALUE),
        ("steps.lock.request.path", Check.UNKNOWN_VALUE),
    ]


def test_a_service_that_can_t_be_read_is_still_known() -> None:
    data = set_at(sandbox(), ("services", "forum", "type"), "soap")
    data["steps"]["profile"]["service"] = "nowhere"
    assert told(data) == [("services.forum", Check.WRONG_VALUE), ("steps.profile.service", Check.UNKNOWN_SERVICE)]


_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-5, 600)
    | st.sampled_from(
        [
            "",
            "x",
            "14d",
            "{{ user_id }}",
            "{{ subject.x }}",
            "${env:X}",
            "GET",
            "erase",
            "freeze",
            "/users",
            "SELECT 1",
            "sql",
        ]
    )
)
_keys = st.sampled_from(
    ["plan", "subject", "lookup", "services", "steps", "request", "sql", "call", "type", "probe", "undo", "x", "retain"]
)
_junk = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3))


def _places(data: Any, path: KeyPath = ()) -> list[KeyPath]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in inner for place in [(*path, key), *_places(value, (*path, key))]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(_places(_SANDBOX)), _junk), min_size=1, max_size=4))
def test_whatever_a_file_holds_is_told_and_nothing_fails(changes: list[tuple[KeyPath, Any]]) -> None:
    data = sandbox()
    for path, value in changes:
        try:
            set_at(data, path, value)
        except (KeyError, IndexError, TypeError):
            # An earlier change has taken the place away.
            continue
    _, findings = findings_in(data, here=False)
    _accepted_or_told(data, findings)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_keys, _junk, max_size=4))
def test_whatever_is_no_plan_is_told_and_nothing_fails(data: Data) -> None:
    _, findings = findings_in(data, here=False)
    _accepted_or_told(data, findings)


def _accepted_or_told(data: Data, findings: tuple[Finding, ...]) -> None:
    """What the model refuses is told; what it accepts was read in full."""
    draft, refused = read_draft(data)
    try:
        plan = Plan.model_validate(data)
    except ValueError:
        assert refused
        return
    assert not refused and draft.written == plan and not draft.lost

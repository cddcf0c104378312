"""What a retirement keeps of its plan: the stored snapshot and the outline in its history."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.model import Plan
from plans.outline import FORMAT, UnknownPlanFormat, outline_of, plan_from_document, snapshot_of

GET = {"method": "GET", "path": "/users/{{ user_id }}"}
LOCK = {
    "phase": "freeze",
    "service": "accounts",
    "request": {"method": "POST", "path": "/lock"},
    "undo": {"request": {"method": "DELETE", "path": "/lock"}, "when": "not saved.lock.was_locked"},
}
FORUM = {
    "phase": "erase",
    "service": "accounts",
    "request": {"method": "DELETE", "path": "/forum", "json": {"deep": [1, {"x": "{{ subject.name }}"}]}},
    "probe": {"request": GET},
}
INVOICES = {"phase": "erase", "retain": {"ground": "tax law", "for": "3650d"}}


def a_plan(**overrides: Any) -> Plan:
    return Plan.model_validate(
        {
            "plan": "acme",
            "subject": {"lookup": {"service": "accounts", "request": GET, "fields": {"email": "{{ body.email }}"}}},
            "cool_off": {"duration": "14d", "reminders": ["7d", "1d"], "max": "21d", "expedite": "allowed"},
            "mail": {"from": "a@acme.example", "operators": ["ops@acme.example"], "patience": "2d"},
            "services": {"accounts": {"base_url": "${env:URL}", "auth": {"type": "bearer", "token": "${env:TOKEN}"}}},
            "steps": {"lock": LOCK, "profile": FORUM | {"after": ["forum"]}, "forum": FORUM, "invoices": INVOICES},
        }
        | overrides
    )


durations = st.integers(min_value=0, max_value=10**9).map(lambda ms: timedelta(milliseconds=ms))
names = st.from_regex(r"\A[a-z][a-z0-9_-]{0,10}\Z")
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    ids = draw(st.lists(names, unique=True, min_size=1, max_size=6))
    steps: dict[str, Any] = {
        id: FORUM | {"patience": draw(durations), "request": {"method": "PUT", "path": "/x", "json": draw(bodies)}}
        for id in ids
    }
    return a_plan(steps=steps, deadline=draw(durations | st.sampled_from(["gdpr", "ccpa"])))


@given(plans())
def test_a_stored_plan_is_the_same_plan_under_the_same_digest(plan: Plan) -> None:
    snapshot = snapshot_of(plan)
    stored = json.loads(json.dumps(snapshot.document))
    again = plan_from_document(stored, format=snapshot.format)
    assert again == plan
    assert list(again.steps) == list(plan.steps)
    assert snapshot_of(again) == snapshot


def test_a_snapshot_has_its_defaults_filled_in_and_secrets_as_references() -> None:
    snapshot = snapshot_of(a_plan())
    assert (snapshot.name, snapshot.format) == ("acme", FORMAT)
    assert snapshot.document["steps"]["forum"]["patience"] == "1d"
    assert snapshot.document["services"]["accounts"]["timeout"] == "10s"
    assert snapshot.document["services"]["accounts"]["auth"]["token"] == "${env:TOKEN}"
    assert snapshot.document["mail"]["from"] == "a@acme.example"
    assert snapshot.document["steps"]["invoices"]["retain"] == {"ground": "tax law", "for": "3650d"}


def test_spelling_out_a_default_changes_no_digest() -> None:
    assert snapshot_of(a_plan(deadline="gdpr")) == snapshot_of(a_plan())


def test_another_order_of_steps_is_another_plan() -> None:
    plan = a_plan()
    turned = a_plan(steps={id: plan.model_dump(by_alias=True)["steps"][id] for id in reversed(plan.steps)})
    assert snapshot_of(turned).digest != snapshot_of(plan).digest


def test_a_plan_stored_by_a_newer_release_is_not_guessed_at() -> None:
    with pytest.raises(UnknownPlanFormat, match="update the worker"):
        plan_from_document(snapshot_of(a_plan()).document, format=FORMAT + 1)


def test_the_outline_says_what_the_workflow_branches_on() -> None:
    outline = outline_of(a_plan(), digest="d", cool_off=None)
    assert [(step.id, step.after, step.has_undo) for step in outline.freeze] == [("lock", (), True)]
    assert [(step.id, step.after, step.has_probe, step.retained_for, step.ground) for step in outline.erase] == [
        ("profile", ("forum",), True, None, None),
        ("forum", (), True, None, None),
        ("invoices", (), False, timedelta(days=3650), "tax law"),
    ]
    assert (outline.plan, outline.digest, outline.expedite_allowed) == ("acme", "d", True)
    assert (outline.cool_off, outline.longest_cool_off) == (timedelta(days=14), timedelta(days=21))
    assert outline.reminders == (timedelta(days=7), timedelta(days=1))
    assert (outline.mails, outline.operators, outline.mail_patience) == (True, True, timedelta(days=2))


def test_a_start_may_ask_for_another_cool_off() -> None:
    shorter = outline_of(a_plan(), digest="d", cool_off=timedelta(0))
    assert (shorter.cool_off, shorter.longest_cool_off) == (timedelta(0), timedelta(days=21))
    longer = outline_of(a_plan(), digest="d", cool_off=timedelta(days=30))
    assert (longer.cool_off, longer.longest_cool_off) == (timedelta(days=30), timedelta(days=30))


def test_a_plan_without_mail_sends_none() -> None:
    outline = outline_of(a_plan(mail=None), digest="d", cool_off=None)
    assert (outline.mails, outline.operators) == (False, False)

"""How a plan asks is part of what is stored of it; plans that were stored before they could say it ask as they did."""

from datetime import timedelta
from typing import Any

import pytest

from plans.model import Plan
from plans.outline import FORMAT, plan_from_document, snapshot_of
from plans.services import ClientCredentialsAuth, HttpService

#: What plans of earlier formats did not know, and what each then means.
_OF_STEP: dict[str, Any] = {"find": None, "timeout": None, "longest_timeout": None, "done_when": None}
_OF_AUTH: dict[str, Any] = {"scheme": "Bearer", "credentials": "basic", "form": {}}
_OF_LOOKUP: dict[str, Any] = {"absent_when": None}


def a_plan(*, auth: dict[str, Any] | None = None, lookup: dict[str, Any] | None = None, **step: Any) -> Plan:
    request = {"method": "GET", "path": "/users/{{ user_id }}"}
    erasure = {"phase": "erase", "service": "crm", "request": {**request, "method": "DELETE"}, "unprobed": "no way"}
    client = {"type": "oauth2_client_credentials", "token_url": "https://crm.example/token", "client_id": "c"}
    return Plan.model_validate(
        {
            "plan": "acme",
            "subject": {"lookup": {"service": "crm", "request": request, **(lookup or {})}},
            "services": {
                "crm": {
                    "base_url": "https://crm.example",
                    "auth": {**client, "client_secret": "${env:SECRET}", **(auth or {})},
                }
            },
            "steps": {"contact": {**erasure, **step}},
        }
    )


def test_how_a_plan_asks_is_stored_and_read_back() -> None:
    find = {"request": {"method": "GET", "path": "/contacts/{{ user_id }}"}, "save": {"vid": "body.vid"}}
    plan = a_plan(
        auth={"scheme": "JWT", "credentials": "body", "form": {"token_type": "jwt", "audience": "${env:AUDIENCE}"}},
        lookup={"absent_when": "body.id != user_id"},
        find=find,
        timeout="2m",
        longest_timeout="10m",
        done_when="body.deleted",
    )
    snapshot = snapshot_of(plan)
    assert plan_from_document(snapshot.document, format=snapshot.format) == plan
    assert snapshot.document["steps"]["contact"]["longest_timeout"] == "10m"
    assert snapshot.document["steps"]["contact"]["find"]["absent"] == [404, 410]
    assert snapshot.document["services"]["crm"]["auth"]["form"]["audience"] == "${env:AUDIENCE}"
    assert snapshot.digest != snapshot_of(a_plan()).digest


@pytest.mark.parametrize("format", range(1, FORMAT))
def test_a_plan_that_was_stored_before_asks_as_it_did(format: int) -> None:
    document = snapshot_of(a_plan()).document
    for name in _OF_STEP:
        del document["steps"]["contact"][name]
    for name in _OF_AUTH:
        del document["services"]["crm"]["auth"][name]
    for name in _OF_LOOKUP:
        del document["subject"]["lookup"][name]
    plan = plan_from_document(document, format=format)
    assert plan == a_plan()
    step, service = plan.steps["contact"], plan.services["crm"]
    assert isinstance(service, HttpService) and isinstance(service.auth, ClientCredentialsAuth)
    assert {name: getattr(step, name) for name in _OF_STEP} == _OF_STEP
    assert {name: getattr(service.auth, name) for name in _OF_AUTH} == _OF_AUTH
    assert {name: getattr(plan.subject.lookup, name) for name in _OF_LOOKUP} == _OF_LOOKUP
    assert service.timeout == timedelta(seconds=10)

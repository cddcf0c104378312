"""What a retirement keeps of a plan that hands things over: the outline, the services' defaults, and older documents."""

import copy
from datetime import timedelta
from typing import Any

import pytest
import yaml

from plans.defaults import with_defaults
from plans.loading import load_plan
from plans.model import Plan
from plans.outline import outline_of, plan_from_document, snapshot_of
from tests.support.plans import SANDBOX_PLAN, TEAM_PLAN

_TEAM: dict[str, Any] = yaml.safe_load(TEAM_PLAN.read_text())
#: What plans of earlier formats did not know.
_OF_PLAN, _OF_STEP, _OF_MAIL = (
    ("successors",),
    ("assets", "successor"),
    ("admins", "recipients", "deadline_near", "language"),
)


def a_plan(**services: dict[str, Any]) -> Plan:
    """The team's plan, with its services' fields replaced."""
    data = copy.deepcopy(_TEAM)
    for id, fields in services.items():
        data["services"][id] |= fields
    return Plan.model_validate(data)


def test_the_outline_says_what_is_handed_over_and_who_hears_of_it() -> None:
    outline = outline_of(a_plan(), digest="d", cool_off=None)
    assert [(step.id, step.has_assets) for step in outline.transfer] == [("documents", True)]
    assert [step.id for step in outline.steps if step.has_assets] == ["documents"]
    assert (outline.format, outline.successors, outline.admins, outline.recipients) == (4, True, True, False)


def test_an_erase_step_that_names_a_successor_needs_one_too() -> None:
    data = copy.deepcopy(_TEAM)
    del data["steps"]["documents"]
    assert not outline_of(Plan.model_validate(data), digest="d", cool_off=None).successors
    data["steps"]["profile"]["successor"] = "colleague"
    outline = outline_of(Plan.model_validate(data), digest="d", cool_off=None)
    assert (outline.successors, outline.transfer) == (True, ())


def test_recipients_are_told_where_there_are_some() -> None:
    data = copy.deepcopy(_TEAM)
    data["mail"] |= {"admins": [], "recipients": [{"address": "data@partner.example"}]}
    outline = outline_of(Plan.model_validate(data), digest="d", cool_off=None)
    assert (outline.admins, outline.recipients) == (False, True)


def test_a_stored_plan_is_the_same_plan() -> None:
    plan = load_plan(TEAM_PLAN)
    snapshot = snapshot_of(plan)
    assert plan_from_document(snapshot.document, format=snapshot.format) == plan


@pytest.mark.parametrize("format", [1, 2])
def test_a_plan_that_was_stored_before_is_still_read(format: int) -> None:
    document = snapshot_of(load_plan(SANDBOX_PLAN)).document
    for key in _OF_PLAN:
        del document[key]
    for key in _OF_MAIL:
        del document["mail"][key]
    for step in document["steps"].values():
        for key in _OF_STEP:
            del step[key]
    outline = outline_of(plan_from_document(document, format=format), digest="d", cool_off=None)
    assert (outline.transfer, outline.admins, outline.recipients, outline.successors) == ((), False, False, False)


def test_whoever_says_who_may_take_over_has_their_patience_with_it() -> None:
    policy = with_defaults(a_plan(accounts={"patience": "3h"})).successors["colleague"]
    assert policy.patience == timedelta(hours=3)


def test_what_a_policy_says_itself_beats_the_service() -> None:
    plan = a_plan(accounts={"patience": "3h"})
    said = Plan.model_validate(
        plan.model_dump(mode="json", by_alias=True, exclude_unset=True)
        | {"successors": {"colleague": _TEAM["successors"]["colleague"] | {"patience": "5h"}}}
    )
    assert with_defaults(said).successors["colleague"].patience == timedelta(hours=5)


@pytest.mark.parametrize(
    "service",
    [
        {"type": "sql", "database_url": "${env:CRM_URL}"},
        {"type": "python"},
    ],
    ids=["sql", "python"],
)
def test_databases_and_code_say_outright_that_nothing_is_there(service: dict[str, Any]) -> None:
    data = copy.deepcopy(_TEAM)
    data["services"] |= {"documents": service, "accounts": service}
    plan = with_defaults(Plan.model_validate(data))
    assets = plan.steps["documents"].assets
    assert assets is not None and assets.owner is not None
    assert (assets.absent, assets.owner.absent) == ((404,), (404,))
    assert [listed.absent for listed in plan.successors["colleague"].candidates] == [(404,)]


def test_over_http_only_an_owner_is_absent_by_default() -> None:
    plan = with_defaults(a_plan(documents={"absent": [404]}))
    assets = plan.steps["documents"].assets
    assert assets is not None and assets.owner is not None
    assert (assets.absent, assets.owner.absent) == ((), (404, 410))

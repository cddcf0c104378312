"""Which steps of a plan a transfer does that stands alone, and what is told of the others."""

from typing import Any

import pytest

from activities.transfers import outline_of_transfer
from plans.handing_over import handing_over
from plans.loading import load_plan
from plans.model import Plan
from starter.ownership.outcomes import left_out_lines
from tests.support.plans import SANDBOX_PLAN, TEAM_PLAN


@pytest.fixture
def plan() -> Plan:
    return load_plan(TEAM_PLAN)


def with_steps(plan: Plan, **steps: dict[str, Any]) -> Plan:
    """The plan with more transfer steps, each like the one for documents but for what is said."""
    document = plan.model_dump(mode="json", by_alias=True)
    for id, changes in steps.items():
        document["steps"][id] = {**document["steps"]["documents"], **changes}
    document["successors"]["chosen"] = {**document["successors"]["colleague"], "named": "refused"}
    return Plan.model_validate(document)


def test_each_step_is_done_or_said_to_be_left_out(plan: Plan) -> None:
    assets = plan.steps["documents"].model_dump(mode="json", by_alias=True)["assets"]
    request = {"method": "PUT", "path": "/x/{{ asset.id }}", "json": {"owner": "{{ saved.stand_in.id }}"}}
    whole = with_steps(
        plan,
        stand_in={"assets": None, "successor": None},
        drafts={"assets": {**assets, "becomes": "deleted"}, "successor": None},
        boards={"successor": "chosen"},
        wiki={"request": request},
        sheets={"after": ["documents", "stand_in"]},
    )
    seen = handing_over(whole)
    assert list(seen.steps) == ["documents", "sheets"]
    assert dict(seen.left_out) == {
        "stand_in": "moves_nothing",
        "drafts": "no_successor",
        "boards": "not_by_name",
        "wiki": "needs_another",
    }
    assert seen.policies == ("colleague",)
    assert len(set(left_out_lines(seen.left_out))) == 4
    outline = outline_of_transfer(whole, digest="d")
    assert [(step.id, step.after) for step in outline.steps] == [("documents", ()), ("sheets", ("documents",))]
    assert (outline.mails, outline.recipients, outline.admins, outline.operators) == (False, False, True, True)


def test_a_plan_that_hands_nothing_over_has_no_steps() -> None:
    seen = handing_over(load_plan(SANDBOX_PLAN))
    assert (dict(seen.steps), dict(seen.left_out)) == ({}, {})

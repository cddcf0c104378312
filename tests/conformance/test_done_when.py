"""The workbench of the checks understands a step's answers as a retirement would."""

from datetime import timedelta
from typing import Any

import pytest

from activities.actions.answers import Done, Transient
from activities.actions.dispatch import Actions
from plans.model import Plan
from starter.conformance.bench import Bench
from starter.conformance.target import BadTarget, Target, target_in
from starter.exchanges import Exchanges
from tests.support.http_service import Reply, http_service


def a_target(*, url: str = "https://forum.example", **overrides: Any) -> Target:
    request = {"path": "/authors/{{ user_id }}"}
    step = {
        "phase": "erase",
        "service": "forum",
        "request": {"method": "DELETE", **request},
        "probe": {"request": {"method": "GET", **request}},
        **overrides,
    }
    lookup = {"service": "forum", "request": {"method": "GET", **request}}
    document = {
        "plan": "test",
        "subject": {"lookup": lookup},
        "services": {"forum": {"base_url": url}},
        "steps": {"author": step},
    }
    return target_in(Plan.model_validate(document), step_id="author")


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ({"gone": True}, Done()),
        ({"gone": False}, Transient(code="not_done", touched=True)),
        ({}, Transient(code="value_missing", touched=True)),
    ],
)
async def test_a_2xx_is_done_only_where_the_plan_says_so(body: Any, meaning: Done | Transient) -> None:
    actions = Actions(version="0.test")
    async with http_service() as service:
        service.otherwise(Reply(body=body))
        bench = Bench(
            target=a_target(url=service.url, done_when="body.gone"),
            action=Exchanges(actions),
            people=[],
            frozen=None,
            tenant=None,
            within=timedelta(seconds=1),
        )
        assert (await bench.do({"user_id": "ada"}, key="r-1:author")).meaning == meaning
    await actions.close()


def test_a_step_gives_its_request_its_own_time() -> None:
    assert a_target(timeout="2m").service.timeout == timedelta(minutes=2)
    assert a_target().service.timeout == timedelta(seconds=10)


def test_a_step_that_asks_first_is_not_checked_alone() -> None:
    find = {"request": {"method": "GET", "path": "/search"}, "save": {"id": "body.id"}}
    with pytest.raises(BadTarget, match="the step author asks first by which id"):
        a_target(find=find)

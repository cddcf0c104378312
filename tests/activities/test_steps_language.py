"""What a plan may say of a step beyond the request: last resorts, moved codes, names blocked or freed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import STEP_FAILED, TRY_AGAIN
from tests.support.http_service import HttpService, Reply, http_service
from tests.support.step_case import USER, failure_of, step_case
from workflows.names import StepResult

CRM = f"/contacts/{USER}"
GONE_WHEN = "body.name == 'erased'"


@pytest.fixture
async def crm() -> AsyncIterator[HttpService]:
    async with http_service() as service:
        yield service


def a_plan(service: HttpService, step: dict[str, Any], **crm: Any) -> dict[str, Any]:
    """One step at one service."""
    return {
        "plan": "test",
        "subject": {"lookup": {"service": "crm", "request": {"method": "GET", "path": "/x"}}},
        "services": {"crm": {"base_url": service.url, "auth": {"type": "bearer", "token": "t-1"}, **crm}},
        "steps": {"contact": {"service": "crm", **step}},
    }


def an_erasure(**overrides: Any) -> dict[str, Any]:
    """A DELETE that falls back to replacing the name."""
    resort = {"request": {"method": "PATCH", "path": "/contacts/{{ user_id }}", "json": {"name": "erased"}}}
    return {
        "phase": "erase",
        "request": {"method": "DELETE", "path": "/contacts/{{ user_id }}"},
        "probe": {"request": {"method": "GET", "path": "/contacts/{{ user_id }}"}},
        "on_permanent": resort | overrides.pop("resort", {}),
        **overrides,
    }


def seen_by_name() -> dict[str, Any]:
    return {"request": {"method": "GET", "path": "/contacts/{{ user_id }}"}, "gone_when": GONE_WHEN}


async def test_a_refused_erasure_ends_scrubbed_by_its_last_resort(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=409))
    crm.on("PATCH", CRM, Reply())
    async with step_case(tmp_path, a_plan(crm, an_erasure())) as case:
        await case.pass_point()
        outcome = await case.run("contact", present=True)
        assert outcome.result is StepResult.SCRUBBED
        assert outcome.detail == "DELETE /contacts/{{ user_id }} → 409; then PATCH /contacts/{{ user_id }} → 200"
        [deleted, patched] = [crm.calls("DELETE")[0], crm.calls("PATCH")[0]]
        assert deleted.headers["idempotency-key"] == f"{case.retirement_id}:contact"
        assert patched.headers["idempotency-key"] == f"{case.retirement_id}:contact:last_resort"
        assert await case.run("contact", present=True) == outcome
        assert len(crm.calls("PATCH")) == 1, "a repeat returns what was recorded"


async def test_an_erasure_that_is_not_refused_for_good_never_comes_to_the_last_resort(
    tmp_path: Path, crm: HttpService
) -> None:
    crm.on("DELETE", CRM, Reply(status=503), Reply(status=204))
    async with step_case(tmp_path, a_plan(crm, an_erasure())) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact", present=True)
        assert caught.value.type == TRY_AGAIN
        assert (await case.run("contact", present=True)).result is StepResult.ERASED
        assert crm.calls("PATCH") == []


async def test_a_last_resort_that_leaves_the_name_is_tried_again(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=409))
    crm.on("PATCH", CRM, Reply())
    crm.on("GET", CRM, Reply(body={"name": "Ada"}), Reply(body={"name": "erased"}))
    step = an_erasure(resort={"probe": seen_by_name()})
    async with step_case(tmp_path, a_plan(crm, step)) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact", present=True)
        assert (caught.value.type, failure_of(caught.value).code) == (TRY_AGAIN, "still_present")
        assert (await case.run("contact", present=True)).result is StepResult.SCRUBBED


@pytest.mark.parametrize(("name", "result"), [("erased", StepResult.SCRUBBED), ("Ada", None)])
async def test_what_was_scrubbed_is_looked_at_again_by_its_own_probe(
    tmp_path: Path, crm: HttpService, name: str, result: StepResult | None
) -> None:
    """The account is still there, which the step's own probe would take for a failure."""
    crm.on("DELETE", CRM, Reply(status=409))
    crm.on("PATCH", CRM, Reply())
    crm.on("GET", CRM, Reply(body={"name": "erased"}), Reply(body={"name": name}))
    async with step_case(tmp_path, a_plan(crm, an_erasure(resort={"probe": seen_by_name()}))) as case:
        await case.pass_point()
        await case.run("contact", present=True)
        if result is not None:
            verified = await case.verify("contact", present=("contact",))
            assert [outcome.result for outcome in verified.outcomes] == [result]
            return
        with pytest.raises(ApplicationError) as caught:
            await case.verify("contact", present=("contact",))
        assert failure_of(caught.value).code == "still_present"


async def test_a_last_resort_that_is_refused_fails_the_step(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=409))
    crm.on("PATCH", CRM, Reply(status=422))
    async with step_case(tmp_path, a_plan(crm, an_erasure())) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact", present=True)
        assert (caught.value.type, failure_of(caught.value).code) == (STEP_FAILED, "http_422")


async def test_a_vendor_that_gives_its_job_up_comes_to_the_last_resort(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=202, headers={"location": "/jobs/7"}))
    crm.on("GET", "/jobs/7", Reply(body={"state": "failed"}))
    crm.on("PATCH", CRM, Reply())
    poll = {"url": "headers.location", "done": "body.state == 'done'", "failed": "body.state == 'failed'"}
    async with step_case(tmp_path, a_plan(crm, an_erasure(poll=poll | {"every": "10ms"}))) as case:
        await case.pass_point()
        assert (await case.run("contact", present=True)).result is StepResult.SCRUBBED
        assert (await case.saved("contact")).get("_poll") is None


@pytest.mark.parametrize("where", ["step", "service"])
async def test_a_code_may_be_moved_to_transient(tmp_path: Path, crm: HttpService, where: str) -> None:
    crm.on("DELETE", CRM, Reply(status=409), Reply(status=204))
    moved: dict[str, Any] = {"transient": [409]}
    step = an_erasure() | (moved if where == "step" else {})
    plan = a_plan(crm, step, **(moved if where == "service" else {}))
    async with step_case(tmp_path, plan) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact", present=True)
        assert (caught.value.type, failure_of(caught.value).code) == (TRY_AGAIN, "http_409")
        assert (await case.run("contact", present=True)).result is StepResult.ERASED


async def test_a_code_may_be_moved_to_permanent(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=503))
    step = an_erasure(permanent=[503]) | {"on_permanent": None}
    async with step_case(tmp_path, a_plan(crm, step)) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact", present=True)
        assert (caught.value.type, failure_of(caught.value).code) == (STEP_FAILED, "http_503")


async def test_what_a_step_says_beats_the_service_s_default(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=409))
    step = an_erasure(transient=[]) | {"on_permanent": None}
    async with step_case(tmp_path, a_plan(crm, step, transient=[409], patience="1h")) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact", present=True)
        assert caught.value.type == STEP_FAILED


async def test_a_service_s_patience_is_its_steps_patience(tmp_path: Path, crm: HttpService) -> None:
    crm.on("DELETE", CRM, Reply(status=503))
    async with step_case(tmp_path, a_plan(crm, an_erasure(), patience="1h")) as case:
        await case.pass_point()
        kinds = []
        for _ in range(5):
            with pytest.raises(ApplicationError) as caught:
                await case.run("contact", present=True)
            kinds.append(caught.value.type)
            case.clock += timedelta(minutes=15)
            case.attempt += 1
        assert kinds == [TRY_AGAIN] * 4 + [STEP_FAILED]


def a_release(policy: str | None, *, probe: bool = True) -> dict[str, Any]:
    step: dict[str, Any] = {"phase": "release", "request": {"method": "PUT", "path": "/names/{{ user_id }}"}}
    if probe:
        step["probe"] = {"request": {"method": "GET", "path": "/names/{{ user_id }}"}}
    return step if policy is None else step | {"identifiers": policy}


@pytest.mark.parametrize(("policy", "taken"), [("blocked", 200), ("freed", 404)])
async def test_a_release_says_what_became_of_the_name(
    tmp_path: Path, crm: HttpService, policy: str, taken: int
) -> None:
    name = f"/names/{USER}"
    crm.on("PUT", name, Reply())
    crm.on("GET", name, Reply(status=taken))
    async with step_case(tmp_path, a_plan(crm, a_release(policy))) as case:
        await case.pass_point()
        outcome = await case.run("contact")
        assert (outcome.result, outcome.code) == (StepResult.DONE, policy)


@pytest.mark.parametrize(
    ("policy", "status", "code"), [("blocked", 404, "still_free"), ("freed", 200, "still_present")]
)
async def test_a_name_that_is_not_as_the_policy_wants_is_tried_again(
    tmp_path: Path, crm: HttpService, policy: str, status: int, code: str
) -> None:
    name = f"/names/{USER}"
    crm.on("PUT", name, Reply())
    crm.on("GET", name, Reply(status=status))
    async with step_case(tmp_path, a_plan(crm, a_release(policy))) as case:
        await case.pass_point()
        with pytest.raises(ApplicationError) as caught:
            await case.run("contact")
        assert (caught.value.type, failure_of(caught.value).code) == (TRY_AGAIN, code)
        assert (await case.row("contact")).lies == 1, "the next request has a key of its own"


async def test_a_policy_without_a_probe_is_recorded_as_said(tmp_path: Path, crm: HttpService) -> None:
    crm.on("PUT", f"/names/{USER}", Reply())
    async with step_case(tmp_path, a_plan(crm, a_release("blocked", probe=False))) as case:
        await case.pass_point()
        outcome = await case.run("contact")
        assert (outcome.result, outcome.code) == (StepResult.DONE, "blocked")

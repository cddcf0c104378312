"""Asynchronous services: accepted, asked about, done, failed, forgotten."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import STEP_FAILED, TRY_AGAIN
from tests.support.http_service import HttpService, Reply, http_service
from tests.support.step_case import START, USER, StepCase, failure_of, step_case
from workflows.messages import Failure
from workflows.names import StepResult

DAY = timedelta(days=1)
PERSON = f"/people/{USER}"
ACCEPTED = Reply(status=202, headers={"location": "/jobs/1"})


@pytest.fixture
async def vendor() -> AsyncIterator[HttpService]:
    async with http_service() as service:
        service.on("DELETE", PERSON, ACCEPTED)
        yield service


def a_plan(service: HttpService, **overrides: Any) -> dict[str, Any]:
    """An erasure that the vendor takes its time for."""
    poll = {
        "url": "headers.location",
        "done": "body.state == 'done'",
        "failed": "body.state == 'failed'",
        "every": overrides.pop("every", "1m"),
    }
    person = {
        "phase": "erase",
        "service": "vendor",
        "request": {"method": "DELETE", "path": "/people/{{ user_id }}"},
        "poll": poll,
        **overrides,
    }
    return {
        "plan": "test",
        "subject": {"lookup": {"service": "vendor", "request": {"method": "GET", "path": "/people/{{ user_id }}"}}},
        "services": {"vendor": {"base_url": service.url}},
        "steps": {"person": person},
    }


async def not_yet(case: StepCase, *, code: str = "in_progress") -> timedelta:
    """Run the step, which is to be tried again; gives the wait."""
    with pytest.raises(ApplicationError) as caught:
        await case.run("person", present=True)
    assert (caught.value.type, failure_of(caught.value).code) == (TRY_AGAIN, code)
    assert caught.value.next_retry_delay is not None
    return caught.value.next_retry_delay


async def failed(case: StepCase) -> Failure:
    """Run the step, which is to fail for good."""
    with pytest.raises(ApplicationError) as caught:
        await case.run("person", present=True)
    assert caught.value.type == STEP_FAILED
    return failure_of(caught.value)


async def test_the_vendor_is_asked_at_the_plan_s_pace_and_the_work_is_asked_for_once(
    tmp_path: Path, vendor: HttpService
) -> None:
    vendor.on("GET", "/jobs/1", Reply(body={"state": "queued"}), Reply(status=202), Reply(body={"state": "done"}))
    async with step_case(tmp_path, a_plan(vendor)) as case:
        await case.pass_point()
        for attempt in (1, 2, 3):
            case.attempt = attempt
            assert await not_yet(case) == timedelta(minutes=1)
        outcome = await case.run("person", present=True)
        assert (outcome.result, outcome.code) == (StepResult.UNVERIFIED, "no_probe")
        assert outcome.detail == "DELETE /people/{{ user_id }} → 202, then 200"
        assert len(vendor.calls("DELETE")) == 1 and len(vendor.calls("GET", "/jobs/1")) == 3


async def test_a_short_pace_is_kept_within_the_attempt(tmp_path: Path, vendor: HttpService) -> None:
    vendor.on("GET", "/jobs/1", Reply(body={"state": "queued"}), Reply(body={"state": "done"}))
    async with step_case(tmp_path, a_plan(vendor, every="50ms")) as case:
        await case.pass_point()
        assert (await case.run("person", present=True)).result is StepResult.UNVERIFIED


async def test_done_by_word_is_probed_like_any_other(tmp_path: Path, vendor: HttpService) -> None:
    vendor.on("GET", "/jobs/1", Reply(body={"state": "done"}))
    vendor.on("GET", PERSON, Reply(), Reply(status=404))
    probe = {"request": {"method": "GET", "path": "/people/{{ user_id }}"}}
    async with step_case(tmp_path, a_plan(vendor, probe=probe)) as case:
        await case.pass_point()
        await not_yet(case)
        await not_yet(case, code="still_present")
        assert (await case.run("person", present=True)).result is StepResult.ERASED


async def test_waiting_uses_time_but_is_no_failure(tmp_path: Path, vendor: HttpService) -> None:
    vendor.on("GET", "/jobs/1", Reply(body={"state": "queued"}))
    async with step_case(tmp_path, a_plan(vendor, patience="1h")) as case:
        await case.pass_point()
        await not_yet(case)
        case.clock = START + timedelta(minutes=59)
        await not_yet(case)
        assert await case.ledger.steps(case.retirement_id) == []
        case.clock = START + timedelta(minutes=61)
        assert (await failed(case)).code == "in_progress"
        assert (await case.row("person")).touched
        # A resume asks on, with patience of its own, and does not ask for the work again.
        case.clock = START + DAY
        await not_yet(case)
        vendor.on("GET", "/jobs/1", Reply(body={"state": "done"}))
        assert (await case.run("person", present=True)).result is StepResult.UNVERIFIED
        assert len(vendor.calls("DELETE")) == 1


async def test_a_job_that_failed_is_asked_for_anew_by_a_resume_under_another_key(
    tmp_path: Path, vendor: HttpService
) -> None:
    vendor.on("GET", "/jobs/1", Reply(body={"state": "failed"}))
    async with step_case(tmp_path, a_plan(vendor)) as case:
        await case.pass_point()
        await not_yet(case)
        failure = await failed(case)
        assert failure == Failure(
            code="job_failed", step="person", detail="DELETE /people/{{ user_id }} → 202, then 200"
        )
        await not_yet(case)
        keys = [call.headers["idempotency-key"].removeprefix(case.retirement_id) for call in vendor.calls("DELETE")]
        assert keys == [":person", ":person:1"]


async def test_a_job_the_vendor_has_forgotten_is_permanent(tmp_path: Path, vendor: HttpService) -> None:
    async with step_case(tmp_path, a_plan(vendor)) as case:
        await case.pass_point()
        await not_yet(case)
        assert (await failed(case)).code == "poll_http_404"


async def test_a_vendor_that_is_down_meanwhile_is_asked_again(tmp_path: Path, vendor: HttpService) -> None:
    vendor.on("GET", "/jobs/1", Reply(status=503), Reply(raw=b"<html>"), Reply(body={"state": "done"}))
    async with step_case(tmp_path, a_plan(vendor)) as case:
        await case.pass_point()
        await not_yet(case)
        await not_yet(case, code="http_503")
        await not_yet(case, code="value_missing")
        assert (await case.run("person", present=True)).result is StepResult.UNVERIFIED
        assert len(vendor.calls("DELETE")) == 1


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/jobs/1", "//evil.example/jobs/1"])
async def test_a_place_of_another_origin_is_not_asked(tmp_path: Path, vendor: HttpService, place: str) -> None:
    vendor.on("DELETE", PERSON, Reply(status=202, headers={"location": place}))
    async with step_case(tmp_path, a_plan(vendor)) as case:
        await case.pass_point()
        failure = await failed(case)
        assert failure.code == "status_url_foreign" and "127" not in repr(failure)
        assert (await case.row("person")).touched


async def test_an_acceptance_without_a_place_is_tried_again(tmp_path: Path, vendor: HttpService) -> None:
    vendor.on("DELETE", PERSON, Reply(status=202), Reply(status=200))
    async with step_case(tmp_path, a_plan(vendor)) as case:
        await case.pass_point()
        await not_yet(case, code="value_missing")
        assert (await case.run("person", present=True)).result is StepResult.UNVERIFIED

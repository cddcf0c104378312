"""Steps whose service refuses, fails or never answers: what is tried again, what is held, and what fails."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import STEP_FAILED, STEP_HELD, TRY_AGAIN
from tests.support.forum_steps import AUTHOR, Author, a_plan, an_erasure, opened
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.step_case import START, USER, failure_of, refused, step_case
from workflows.messages import Failure
from workflows.names import HeldCause, Outcome, Reason, StepResult

DAY = timedelta(days=1)


async def test_a_service_that_is_down_is_tried_again_in_one_write(tmp_path: Path, service: HttpService) -> None:
    service.otherwise(Reply(status=503, headers={"retry-after": "30"}))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        await refused(case.run("posts"), kind=TRY_AGAIN)
        before = case.ledger.transactions
        with pytest.raises(ApplicationError) as caught:
            await case.run("posts")
        after = case.ledger.transactions
        assert (after.reads - before.reads, after.writes - before.writes) == (1, 1)
        assert caught.value.next_retry_delay == timedelta(seconds=30)
        assert failure_of(caught.value).detail == "DELETE /authors/{{ user_id }}/posts → 503"
        row = await case.row("posts")
        assert (row.failures, row.last_code, row.touched, row.service) == (2, "http_503", True, "forum")


async def test_patience_counts_from_the_first_failure_not_from_the_schedule(
    tmp_path: Path, service: HttpService
) -> None:
    service.otherwise(Reply(status=500))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        case.clock = START + 30 * DAY  # A long queue, a weekend without workers.
        for attempt in range(1, 7):
            case.attempt = attempt
            await refused(case.run("posts"), kind=TRY_AGAIN)
        case.clock += DAY
        assert (await refused(case.run("posts"), kind=STEP_FAILED)).code == "http_500"


async def test_what_never_arrived_has_touched_nothing(tmp_path: Path) -> None:
    async with http_service() as gone:
        pass
    async with opened(tmp_path, gone) as case:
        await case.pass_point()
        assert (await refused(case.run("posts"), kind=TRY_AGAIN)).code == "connect_error"
        assert not (await case.row("posts")).touched


@pytest.mark.parametrize(("status", "touched"), [(400, False), (422, False), (303, True)])
async def test_a_refusal_is_permanent_at_once(tmp_path: Path, service: HttpService, status: int, touched: bool) -> None:
    service.otherwise(Reply(status=status, body={"error": "no ada@example.com"}))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        failure = await refused(case.run("posts"), kind=STEP_FAILED)
        assert failure == Failure(
            code=f"http_{status}", step="posts", detail=f"DELETE /authors/{{{{ user_id }}}}/posts → {status}"
        )
        row = await case.row("posts")
        assert (row.result, row.touched) == (StepResult.FAILED, touched)


async def test_a_403_is_held_at_first_contact_and_permanent_later(tmp_path: Path, service: HttpService) -> None:
    Author(service)
    service.on("DELETE", f"{AUTHOR}/posts", Reply(status=403))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        failure = await refused(case.run("posts"), kind=STEP_HELD)
        assert (failure.code, failure.held) == ("http_403", HeldCause.CREDENTIALS)
        await case.run("author", present=True)
        case.steps = type(case.steps)(ledger=case.ledger, action=case.steps._action)  # Another worker.
        assert (await refused(case.run("posts"), kind=STEP_FAILED)).code == "http_403"


async def test_a_call_that_finds_no_slot_costs_no_patience(tmp_path: Path, service: HttpService) -> None:
    has_given_way = asyncio.Event()

    async def hang(received: Received) -> Reply:
        await has_given_way.wait()
        return Reply(status=400)

    service.on("DELETE", AUTHOR, hang)
    one_at_a_time = {"forum": {"base_url": service.url, "limits": {"concurrent": 1}}}
    async with opened(tmp_path, service, services=one_at_a_time) as case:
        await case.pass_point()
        hung = asyncio.create_task(case.run("author", present=True))
        await service.arrived.wait()
        assert (await refused(case.run("posts"), kind=TRY_AGAIN)).code == "busy"
        assert await case.ledger.steps(case.retirement_id) == []
        assert service.calls("DELETE", f"{AUTHOR}/posts") == []
        has_given_way.set()
        assert (await refused(hung, kind=STEP_FAILED)).code == "http_400"


async def test_no_error_and_no_record_holds_a_value_of_the_person(
    tmp_path: Path, service: HttpService, caplog: pytest.LogCaptureFixture
) -> None:
    """The service echoes who it was asked about into its status, headers and body."""
    echo = {"location": f"/{USER}", "x-user": USER}
    body = {"error": f"no {USER}, ada@example.com"}
    service.on("GET", f"/users/{USER}", Reply(body={"email": "ada@example.com"}))
    async with opened(tmp_path, service) as case:
        await case.check()
        await case.pass_point()
        told = []
        with caplog.at_level(logging.INFO, logger="retirement"):
            for status in (301, 401, 403, 404, 422, 429, 500, 503):
                service.otherwise(Reply(status=status, headers=echo, body=body))
                for step in ("posts", "author"):
                    with pytest.raises(ApplicationError) as caught:
                        await case.run(step, present=False)
                    assert caught.value.__context__ is None or caught.value.__suppress_context__
                    told.append(f"{caught.value!r} {caught.value} {caught.value.details}")
        told += [repr(row) for row in await case.ledger.steps(case.retirement_id)]
        told += [record.getMessage() for record in caplog.records if record.name.startswith("retirement")]
    assert len(told) > 16
    assert not [line for line in told if USER in line or "ada@" in line]


async def test_an_attempt_that_left_no_trace_may_have_touched(tmp_path: Path, service: HttpService) -> None:
    """Its worker was killed: what comes after is refused, and still nobody can say that nothing is gone."""
    service.on("DELETE", f"{AUTHOR}/posts", Reply(status=401), Reply(status=422))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        case.attempt = 2
        await refused(case.run("posts"), kind=STEP_HELD)
        assert (await case.row("posts")).touched
        case.attempt = 1
        await refused(case.run("posts"), kind=STEP_FAILED)
        assert (await case.row("posts")).touched


async def test_a_held_step_costs_no_patience(tmp_path: Path, service: HttpService) -> None:
    service.otherwise(Reply(status=401))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        await refused(case.run("posts"), kind=STEP_HELD)
        assert await case.ledger.steps(case.retirement_id) == []


async def test_another_environment_s_worker_calls_nothing(tmp_path: Path, service: HttpService) -> None:
    async with step_case(tmp_path, a_plan(service), hosts={"forum": "https://forum.example"}) as case:
        await case.pass_point()
        failure = await refused(case.run("posts"), kind=STEP_HELD)
        assert (failure.code, failure.held) == ("other_host", HeldCause.CONFIGURATION)
    assert service.received == []


async def test_a_missing_secret_is_held_by_its_reference(tmp_path: Path, service: HttpService) -> None:
    plan = a_plan(service)
    plan["services"]["forum"]["auth"]["token"] = "${env:NOT_THERE}"
    async with step_case(tmp_path, plan) as case:
        await case.pass_point()
        failure = await refused(case.run("posts"), kind=STEP_HELD)
        assert (failure.code, failure.detail) == ("secret_missing", "${env:NOT_THERE}")


async def test_a_step_out_of_its_place_is_a_conflict(tmp_path: Path, service: HttpService) -> None:
    async with opened(tmp_path, service) as case:
        assert (await refused(case.run("posts"), kind=STEP_HELD)).held is HeldCause.CONFLICT
        assert (await refused(case.undo("lock"), kind=STEP_HELD)).code == "case_is_open"
        await case.pass_point()
        assert (await refused(case.run("lock"), kind=STEP_HELD)).code == "case_is_past_return"
    assert service.received == []


async def test_a_closed_case_calls_nothing(tmp_path: Path, service: HttpService) -> None:
    async with opened(tmp_path, service) as case:
        await case.ledger.close_case(
            retirement_id=case.retirement_id,
            outcome=Outcome.ABORTED,
            reason=Reason.RESCINDED,
            direction=None,
            now=START,
            messages=(),
        )
        for work in (case.check(), case.run("posts"), case.undo("lock"), case.verify("author")):
            assert (await refused(work, kind=STEP_FAILED)).code == "case_closed"
    assert service.received == []


async def test_a_missing_value_in_a_request_is_permanent(tmp_path: Path, service: HttpService) -> None:
    steps = {"posts": an_erasure(probe=None, path="/mail/{{ subject.email }}")}
    async with opened(tmp_path, service, steps=steps) as case:
        await case.pass_point()
        assert (await refused(case.run("posts"), kind=STEP_FAILED)).code == "value_missing"


async def test_a_bug_of_ours_is_tried_again_and_tells_nothing(
    tmp_path: Path, service: HttpService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        await refused(case.run("author", present=False), kind=STEP_FAILED)

        async def broken(*_: object, **__: object) -> None:
            raise KeyError("ada@example.com")

        monkeypatch.setattr(case.steps._action, "call", broken)
        with caplog.at_level(logging.INFO):
            failure = await refused(case.run("posts"), kind=TRY_AGAIN)
        assert failure == Failure(code="internal_error", step="posts", detail="KeyError")
        assert (await case.row("posts")).last_code == "internal_error"
        assert "ada@" not in caplog.records[-1].getMessage()

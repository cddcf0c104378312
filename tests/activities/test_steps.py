"""Steps of a plan against a real service, with a real ledger."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import STEP_FAILED, STEP_HELD, TRY_AGAIN
from ledger.rows import StepAction
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.step_case import START, USER, StepCase, failure_of, step_case
from workflows.messages import Failure
from workflows.names import HeldCause, Outcome, Reason, StepResult

AUTHOR = f"/authors/{USER}"
DAY = timedelta(days=1)


@pytest.fixture
async def forum() -> AsyncIterator[HttpService]:
    async with http_service() as service:
        yield service


def a_plan(service: HttpService, **overrides: Any) -> dict[str, Any]:
    """A lookup, a lock that can be undone, and an erasure with a probe, all at one service that takes a fixed token."""
    steps = {
        "lock": {
            "phase": "freeze",
            "service": "forum",
            "request": {"method": "POST", "path": "/authors/{{ user_id }}/lock"},
            "save": {"was_locked": "{{ body.was_locked }}"},
            "undo": {
                "request": {"method": "POST", "path": "/authors/{{ user_id }}/unlock"},
                "when": "not saved.lock.was_locked",
            },
        },
        "author": an_erasure(),
        "posts": an_erasure(probe=None, path="/authors/{{ user_id }}/posts"),
        "invoices": {"phase": "erase", "retain": {"ground": "tax law", "for": "30d"}},
    }
    lookup = {
        "service": "forum",
        "request": {"method": "GET", "path": "/users/{{ user_id }}"},
        "fields": {"email": "{{ body.email }}"},
    }
    return {
        "plan": "test",
        "subject": {"lookup": lookup | overrides.pop("lookup", {}), **overrides.pop("subject", {})},
        "services": {"forum": {"base_url": service.url, "auth": {"type": "bearer", "token": "t-1"}, "timeout": "2s"}},
        "steps": {**steps, **overrides.pop("steps", {})},
        **overrides,
    }


def an_erasure(**overrides: Any) -> dict[str, Any]:
    path = overrides.pop("path", "/authors/{{ user_id }}")
    probe = {"request": {"method": "GET", "path": "/authors/{{ user_id }}"}}
    return {
        "phase": "erase",
        "service": "forum",
        "request": {"method": "DELETE", "path": path},
        "absent": [404],
        "probe": probe,
        **overrides,
    }


def opened(
    folder: Path, service: HttpService, *, user_id: str = USER, **overrides: Any
) -> AbstractAsyncContextManager[StepCase]:
    return step_case(folder, a_plan(service, **overrides), user_id=user_id)


async def refused(work: Awaitable[object], *, kind: str) -> Failure:
    """Await an activity that is to raise; gives the details."""
    with pytest.raises(ApplicationError) as caught:
        await work
    assert caught.value.type == kind, caught.value
    assert caught.value.non_retryable is (kind != TRY_AGAIN)
    assert (caught.value.next_retry_delay is not None) is (kind == TRY_AGAIN)
    assert caught.value.__cause__ is None
    return failure_of(caught.value)


class TestCheck:
    async def test_it_keeps_what_it_found_and_whom_the_probes_saw(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("GET", f"/users/{USER}", Reply(body={"email": "ada@example.com"}))
        forum.on("GET", AUTHOR, Reply())
        async with opened(tmp_path, forum) as case:
            checked = await case.check()
            assert checked.refused is None and checked.present == ("author",)
            start = await case.ledger.begin_step(retirement_id=case.retirement_id, step="author", action="do")
            assert start.values is not None and start.values["subject"] == {"email": "ada@example.com"}
            assert start.case.present == ("author",)

    @pytest.mark.parametrize(("absent", "reason"), [("refuse", Reason.NO_SUCH_SUBJECT), ("proceed", None)])
    async def test_somebody_unknown_is_refused_unless_the_plan_proceeds(
        self, tmp_path: Path, forum: HttpService, absent: str, reason: Reason | None
    ) -> None:
        forum.on("GET", f"/users/{USER}", guarded(404))
        async with opened(tmp_path, forum, subject={"absent": absent}) as case:
            assert (await case.check()).refused is reason

    async def test_a_lookup_at_a_wrong_address_finds_nobody_missing(self, tmp_path: Path, forum: HttpService) -> None:
        async with opened(tmp_path, forum) as case:
            checked = await case.check()
            assert (checked.refused, checked.code) == (Reason.LOOKUP_FAILED, "route_unproven")

    async def test_a_probe_that_fails_for_good_is_told_by_its_step(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("GET", f"/users/{USER}", Reply(body={"email": "a@example.com"}))
        forum.on("GET", AUTHOR, Reply(status=405))
        async with opened(tmp_path, forum) as case:
            checked = await case.check()
            assert (checked.refused, checked.code) == (Reason.LOOKUP_FAILED, "author:http_405")

    async def test_a_value_that_is_missing_is_waited_for_and_then_refused(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        forum.on("GET", f"/users/{USER}", Reply(body={}))
        async with opened(tmp_path, forum, lookup={"patience": "5s"}) as case:
            for attempt in range(1, 5):
                case.attempt, case.clock = attempt, START + attempt * DAY
                assert (await refused(case.check(), kind=TRY_AGAIN)).code == "value_missing"
            case.attempt, case.clock = 5, START + 5 * DAY
            checked = await case.check()
            assert (checked.refused, checked.code) == (Reason.LOOKUP_FAILED, "value_missing")

    async def test_the_re_check_only_asks_for_the_person(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("GET", f"/users/{USER}", Reply(body={"email": "a@example.com"}), Reply(status=404))
        forum.on("GET", AUTHOR, Reply())
        async with opened(tmp_path, forum) as case:
            await case.check()
            probed = len(forum.calls("GET", AUTHOR))
            # The route has answered before: this 404 is about the person.
            assert (await case.check(again=True)).refused is Reason.NO_SUCH_SUBJECT
            assert len(forum.calls("GET", AUTHOR)) == probed

    async def test_a_refused_key_is_held(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("GET", f"/users/{USER}", Reply(status=401))
        async with opened(tmp_path, forum) as case:
            failure = await refused(case.check(), kind=STEP_HELD)
            assert (failure.code, failure.held) == ("http_401", HeldCause.CREDENTIALS)


def guarded(status: int) -> Any:
    """A route that exists: it asks a stranger for credentials."""
    return lambda received: Reply(status=status if "authorization" in received.headers else 401)


class Author:
    """An author who is there until deleted. `deaf` deletions are answered as done and change nothing."""

    def __init__(self, forum: HttpService, *, deaf: int = 0) -> None:
        self.is_there = True
        self.deaf = deaf
        forum.on("GET", AUTHOR, lambda received: Reply(status=200 if self.is_there else 404))
        forum.on("DELETE", AUTHOR, self._delete)

    def _delete(self, received: Received) -> Reply:
        if self.deaf:
            self.deaf -= 1
        else:
            self.is_there = False
        return Reply(status=204)


class TestErase:
    async def test_present_before_and_gone_now_is_erased(self, tmp_path: Path, forum: HttpService) -> None:
        Author(forum)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            before = case.ledger.transactions
            outcome = await case.run("author", present=True)
            assert (outcome.result, outcome.code) == (StepResult.ERASED, None)
            assert outcome.detail == "DELETE /authors/{{ user_id }} → 204"
            [deleted] = forum.calls("DELETE")
            assert deleted.headers["idempotency-key"] == f"{case.retirement_id}:author"
            after = case.ledger.transactions
            # One read of the case and one of the plan, which is kept from then on; one write.
            assert (after.reads - before.reads, after.writes - before.writes) == (2, 1)

    async def test_a_repeat_returns_what_is_recorded_and_calls_nothing(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        Author(forum)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            outcome = await case.run("author", present=True)
            calls, before = len(forum.received), case.ledger.transactions
            assert await case.run("author", present=True) == outcome
            after = case.ledger.transactions
            assert (after.reads - before.reads, after.writes - before.writes) == (1, 0)
            assert len(forum.received) == calls

    async def test_never_seen_and_not_there_is_absent(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("DELETE", AUTHOR, guarded(404))
        forum.on("GET", AUTHOR, guarded(404))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            assert (await case.run("author", present=False)).result is StepResult.ABSENT

    async def test_a_404_after_the_probe_saw_the_person_is_believed(self, tmp_path: Path, forum: HttpService) -> None:
        """As after a crash, at a service that answers 404 to a repeat."""
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            assert (await case.run("author", present=True)).result is StepResult.ERASED

    async def test_a_404_of_a_wrong_address_is_not_believed(self, tmp_path: Path, forum: HttpService) -> None:
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            failure = await refused(case.run("author", present=False), kind=STEP_FAILED)
            assert failure.code == "route_unproven"
            assert (await case.row("author")).result is StepResult.FAILED

    async def test_a_404_is_believed_where_the_plan_gives_a_reason(self, tmp_path: Path, forum: HttpService) -> None:
        steps = {"posts": an_erasure(probe=None, absent_unchecked="the vendor has no other answer")}
        async with opened(tmp_path, forum, steps=steps) as case:
            await case.pass_point()
            outcome = await case.run("posts")
            assert (outcome.result, outcome.code) == (StepResult.ABSENT, "absent_unchecked")

    async def test_done_but_with_a_probe_nobody_can_believe_is_unverified(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        forum.on("DELETE", AUTHOR, Reply(status=204))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            outcome = await case.run("author", present=False)
            assert (outcome.result, outcome.code) == (StepResult.UNVERIFIED, "route_unproven")

    async def test_without_a_probe_done_is_unverified(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("DELETE", f"{AUTHOR}/posts", Reply())
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            outcome = await case.run("posts")
            assert (outcome.result, outcome.code) == (StepResult.UNVERIFIED, "no_probe")

    async def test_without_a_probe_a_proven_404_is_absent(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("DELETE", f"{AUTHOR}/posts", guarded(404))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            assert (await case.run("posts")).result is StepResult.ABSENT

    async def test_a_lie_is_found_out_and_the_next_call_has_another_key(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        Author(forum, deaf=2)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            for attempt in (1, 2):
                case.attempt = attempt
                failure = await refused(case.run("author", present=True), kind=TRY_AGAIN)
                assert failure.code == "still_present"
            case.attempt = 3
            assert (await case.run("author", present=True)).result is StepResult.ERASED
            keys = [call.headers["idempotency-key"].removeprefix(case.retirement_id) for call in forum.calls("DELETE")]
            assert keys == [":author", ":author:1", ":author:2"]

    async def test_after_a_lie_the_probe_is_asked_first(self, tmp_path: Path, forum: HttpService) -> None:
        author = Author(forum, deaf=1)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            await refused(case.run("author", present=True), kind=TRY_AGAIN)
            author.is_there = False  # It was only slow.
            assert (await case.run("author", present=True)).result is StepResult.ERASED
            assert len(forum.calls("DELETE")) == 1

    async def test_a_liar_fails_when_patience_is_over(self, tmp_path: Path, forum: HttpService) -> None:
        Author(forum, deaf=99)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            for attempt in range(1, 5):
                case.attempt, case.clock = attempt, START + attempt * DAY
                await refused(case.run("author", present=True), kind=TRY_AGAIN)
            case.attempt, case.clock = 5, START + 5 * DAY
            failure = await refused(case.run("author", present=True), kind=STEP_FAILED)
            assert failure == Failure(code="still_present", step="author", detail="GET /authors/{{ user_id }} → 200")
            row = await case.row("author")
            assert (row.result, row.lies, row.touched) == (StepResult.FAILED, 5, True)

    async def test_a_probe_may_tell_it_from_the_body(self, tmp_path: Path, forum: HttpService) -> None:
        probe = {"request": {"method": "GET", "path": "/authors/{{ user_id }}"}, "gone_when": "body.state == 'deleted'"}
        forum.on("DELETE", AUTHOR, Reply(status=204))
        forum.on("GET", AUTHOR, Reply(body={}), Reply(body={"state": "deleted"}))
        async with opened(tmp_path, forum, steps={"author": an_erasure(probe=probe)}) as case:
            await case.pass_point()
            assert (await refused(case.run("author", present=True), kind=TRY_AGAIN)).code == "value_missing"
            assert (await case.run("author", present=True)).result is StepResult.ERASED


class TestTrouble:
    async def test_a_service_that_is_down_is_tried_again_in_one_write(self, tmp_path: Path, forum: HttpService) -> None:
        forum.otherwise(Reply(status=503, headers={"retry-after": "30"}))
        async with opened(tmp_path, forum) as case:
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
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        forum.otherwise(Reply(status=500))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            case.clock = START + 30 * DAY  # A long queue, a weekend without workers.
            for attempt in range(1, 7):
                case.attempt = attempt
                await refused(case.run("posts"), kind=TRY_AGAIN)
            case.clock += DAY
            assert (await refused(case.run("posts"), kind=STEP_FAILED)).code == "http_500"

    async def test_what_never_arrived_has_touched_nothing(self, tmp_path: Path) -> None:
        async with http_service() as gone:
            pass
        async with opened(tmp_path, gone) as case:
            await case.pass_point()
            assert (await refused(case.run("posts"), kind=TRY_AGAIN)).code == "connect_error"
            assert not (await case.row("posts")).touched

    @pytest.mark.parametrize(("status", "touched"), [(400, False), (422, False), (303, True)])
    async def test_a_refusal_is_permanent_at_once(
        self, tmp_path: Path, forum: HttpService, status: int, touched: bool
    ) -> None:
        forum.otherwise(Reply(status=status, body={"error": "no ada@example.com"}))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            failure = await refused(case.run("posts"), kind=STEP_FAILED)
            assert failure == Failure(
                code=f"http_{status}", step="posts", detail=f"DELETE /authors/{{{{ user_id }}}}/posts → {status}"
            )
            row = await case.row("posts")
            assert (row.result, row.touched) == (StepResult.FAILED, touched)

    async def test_a_403_is_held_at_first_contact_and_permanent_later(self, tmp_path: Path, forum: HttpService) -> None:
        Author(forum)
        forum.on("DELETE", f"{AUTHOR}/posts", Reply(status=403))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            failure = await refused(case.run("posts"), kind=STEP_HELD)
            assert (failure.code, failure.held) == ("http_403", HeldCause.CREDENTIALS)
            await case.run("author", present=True)
            case.steps = type(case.steps)(ledger=case.ledger, action=case.steps._action)  # Another worker.
            assert (await refused(case.run("posts"), kind=STEP_FAILED)).code == "http_403"

    async def test_a_call_that_finds_no_slot_costs_no_patience(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("DELETE", AUTHOR, Reply(status=400, after=1.5))
        one_at_a_time = {"forum": {"base_url": forum.url, "limits": {"concurrent": 1}}}
        async with opened(tmp_path, forum, services=one_at_a_time) as case:
            await case.pass_point()
            hung = asyncio.create_task(case.run("author", present=True))
            await forum.arrived.wait()
            assert (await refused(case.run("posts"), kind=TRY_AGAIN)).code == "busy"
            assert await case.ledger.steps(case.retirement_id) == []
            assert forum.calls("DELETE", f"{AUTHOR}/posts") == []
            assert (await refused(hung, kind=STEP_FAILED)).code == "http_400"

    async def test_no_error_and_no_record_holds_a_value_of_the_person(
        self, tmp_path: Path, forum: HttpService, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The service echoes who it was asked about into its status, headers and body."""
        echo = {"location": f"/{USER}", "x-user": USER}
        body = {"error": f"no {USER}, ada@example.com"}
        forum.on("GET", f"/users/{USER}", Reply(body={"email": "ada@example.com"}))
        async with opened(tmp_path, forum) as case:
            await case.check()
            await case.pass_point()
            told = []
            with caplog.at_level(logging.INFO, logger="retirement"):
                for status in (301, 401, 403, 404, 422, 429, 500, 503):
                    forum.otherwise(Reply(status=status, headers=echo, body=body))
                    for step in ("posts", "author"):
                        with pytest.raises(ApplicationError) as caught:
                            await case.run(step, present=False)
                        assert caught.value.__context__ is None or caught.value.__suppress_context__
                        told.append(f"{caught.value!r} {caught.value} {caught.value.details}")
            told += [repr(row) for row in await case.ledger.steps(case.retirement_id)]
            told += [record.getMessage() for record in caplog.records if record.name.startswith("retirement")]
        assert len(told) > 16
        assert not [line for line in told if USER in line or "ada@" in line]

    async def test_an_attempt_that_left_no_trace_may_have_touched(self, tmp_path: Path, forum: HttpService) -> None:
        """Its worker was killed: what comes after is refused, and still nobody can say that nothing is gone."""
        forum.on("DELETE", f"{AUTHOR}/posts", Reply(status=401), Reply(status=422))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            case.attempt = 2
            await refused(case.run("posts"), kind=STEP_HELD)
            assert (await case.row("posts")).touched
            case.attempt = 1
            await refused(case.run("posts"), kind=STEP_FAILED)
            assert (await case.row("posts")).touched

    async def test_a_held_step_costs_no_patience(self, tmp_path: Path, forum: HttpService) -> None:
        forum.otherwise(Reply(status=401))
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            await refused(case.run("posts"), kind=STEP_HELD)
            assert await case.ledger.steps(case.retirement_id) == []

    async def test_another_environment_s_worker_calls_nothing(self, tmp_path: Path, forum: HttpService) -> None:
        async with step_case(tmp_path, a_plan(forum), hosts={"forum": "https://forum.example"}) as case:
            await case.pass_point()
            failure = await refused(case.run("posts"), kind=STEP_HELD)
            assert (failure.code, failure.held) == ("other_host", HeldCause.CONFIGURATION)
        assert forum.received == []

    async def test_a_missing_secret_is_held_by_its_reference(self, tmp_path: Path, forum: HttpService) -> None:
        plan = a_plan(forum)
        plan["services"]["forum"]["auth"]["token"] = "${env:NOT_THERE}"
        async with step_case(tmp_path, plan) as case:
            await case.pass_point()
            failure = await refused(case.run("posts"), kind=STEP_HELD)
            assert (failure.code, failure.detail) == ("secret_missing", "${env:NOT_THERE}")

    async def test_a_step_out_of_its_place_is_a_conflict(self, tmp_path: Path, forum: HttpService) -> None:
        async with opened(tmp_path, forum) as case:
            assert (await refused(case.run("posts"), kind=STEP_HELD)).held is HeldCause.CONFLICT
            assert (await refused(case.undo("lock"), kind=STEP_HELD)).code == "case_is_open"
            await case.pass_point()
            assert (await refused(case.run("lock"), kind=STEP_HELD)).code == "case_is_past_return"
        assert forum.received == []

    async def test_a_closed_case_calls_nothing(self, tmp_path: Path, forum: HttpService) -> None:
        async with opened(tmp_path, forum) as case:
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
        assert forum.received == []

    async def test_a_missing_value_in_a_request_is_permanent(self, tmp_path: Path, forum: HttpService) -> None:
        steps = {"posts": an_erasure(probe=None, path="/mail/{{ subject.email }}")}
        async with opened(tmp_path, forum, steps=steps) as case:
            await case.pass_point()
            assert (await refused(case.run("posts"), kind=STEP_FAILED)).code == "value_missing"

    async def test_a_bug_of_ours_is_tried_again_and_tells_nothing(
        self, tmp_path: Path, forum: HttpService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with opened(tmp_path, forum) as case:
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


class TestFreezeAndUndo:
    async def test_what_was_found_is_restored(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": False}))
        forum.on("POST", f"{AUTHOR}/unlock", Reply(status=204))
        async with opened(tmp_path, forum) as case:
            assert (await case.run("lock")).result is StepResult.DONE
            assert await case.saved("lock") == {"was_locked": False}
            await case.turn_back()
            outcome = await case.undo("lock")
            assert (outcome.result, outcome.code) == (StepResult.DONE, None)
            keys = [call.headers["idempotency-key"] for call in forum.calls("POST")]
            assert keys == [f"{case.retirement_id}:lock", f"{case.retirement_id}:lock:undo"]
            assert await case.undo("lock") == outcome and len(forum.received) == 2

    async def test_an_account_locked_before_stays_locked(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": True}))
        async with opened(tmp_path, forum) as case:
            await case.run("lock")
            await case.turn_back()
            assert (await case.undo("lock")).code == "nothing_to_undo"
            assert forum.calls("POST", f"{AUTHOR}/unlock") == []

    async def test_a_value_the_answer_lacks_is_asked_for_again(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("POST", f"{AUTHOR}/lock", Reply(raw=b"<html>"), Reply(body={"was_locked": False}))
        async with opened(tmp_path, forum) as case:
            assert (await refused(case.run("lock"), kind=TRY_AGAIN)).code == "value_missing"
            assert (await case.run("lock")).result is StepResult.DONE

    async def test_an_undo_that_needs_what_nobody_saved_fails(self, tmp_path: Path, forum: HttpService) -> None:
        """The freeze was begun and its outcome is unknown: whoever reads this has to look at the account."""
        async with opened(tmp_path, forum) as case:
            await case.turn_back()
            assert (await refused(case.undo("lock"), kind=STEP_FAILED)).code == "saved_value_missing"
            assert (await case.row("lock", StepAction.UNDO)).result is StepResult.FAILED

    async def test_a_freeze_that_was_refused_leaves_nothing_to_undo(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("POST", f"{AUTHOR}/lock", Reply(status=422))
        async with opened(tmp_path, forum) as case:
            await refused(case.run("lock"), kind=STEP_FAILED)
            await case.turn_back()
            assert (await case.undo("lock")).code == "nothing_to_undo"

    async def test_where_freeze_and_undo_are_both_refused_everything_is_as_it_was(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        """A realm that refuses every change of a user refuses to enable them again, too; nobody is left locked."""
        forum.on("PUT", AUTHOR, Reply(status=400))
        request = {"method": "PUT", "path": "/authors/{{ user_id }}"}
        step = {"phase": "freeze", "service": "forum", "request": request, "undo": {"request": request}}
        async with opened(tmp_path, forum, steps={"disable": step}) as case:
            await refused(case.run("disable"), kind=STEP_FAILED)
            await case.turn_back()
            assert (await case.undo("disable")).code == "nothing_to_undo"

    async def test_an_undo_that_is_refused_fails_where_the_freeze_may_have_taken_effect(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        forum.on("PUT", AUTHOR, Reply(status=500), Reply(status=400))
        request = {"method": "PUT", "path": "/authors/{{ user_id }}"}
        step = {"phase": "freeze", "service": "forum", "request": request, "undo": {"request": request}}
        async with opened(tmp_path, forum, steps={"disable": step}) as case:
            await refused(case.run("disable"), kind=TRY_AGAIN)
            await refused(case.run("disable"), kind=STEP_FAILED)
            await case.turn_back()
            assert (await refused(case.undo("disable"), kind=STEP_FAILED)).code == "http_400"

    async def test_an_undo_may_have_its_own_answers_for_nothing_there(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("DELETE", f"{AUTHOR}/mute", guarded(404))
        forum.on("PUT", f"{AUTHOR}/mute", Reply())
        path = "/authors/{{ user_id }}/mute"
        undo = {"request": {"method": "DELETE", "path": path}, "absent": [404]}
        step = {"phase": "freeze", "service": "forum", "request": {"method": "PUT", "path": path}, "undo": undo}
        async with opened(tmp_path, forum, steps={"mute": step}) as case:
            await case.run("mute")
            await case.turn_back()
            assert (await case.undo("mute")).code == "http_404"

    async def test_an_undo_is_tried_again_and_fails_like_a_step(self, tmp_path: Path, forum: HttpService) -> None:
        forum.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": False}))
        forum.on("POST", f"{AUTHOR}/unlock", Reply(status=503), Reply(status=422))
        async with opened(tmp_path, forum) as case:
            await case.run("lock")
            await case.turn_back()
            assert (await refused(case.undo("lock"), kind=TRY_AGAIN)).code == "http_503"
            assert (await refused(case.undo("lock"), kind=STEP_FAILED)).code == "http_422"

    async def test_a_cancelled_freeze_in_flight_is_finished_and_recorded(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        forum.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": False}, after=0.3))
        async with opened(tmp_path, forum) as case:
            environment = case.environment()
            running = asyncio.ensure_future(environment.run(case.steps.run_step, case.run_input("lock")))
            await forum.arrived.wait()
            environment.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert (await case.row("lock")).result is StepResult.DONE
            assert await case.saved("lock") == {"was_locked": False}


class TestVerify:
    async def test_gone_everywhere_changes_nothing_and_writes_nothing(self, tmp_path: Path, forum: HttpService) -> None:
        Author(forum)
        forum.on("DELETE", f"{AUTHOR}/posts", Reply())
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            outcomes = tuple([await case.run(step, present=True) for step in ("author", "posts")])
            before = case.ledger.transactions
            verified = await case.verify("author", "posts", present=("author",))
            assert verified.outcomes == outcomes
            assert case.ledger.transactions.writes == before.writes

    async def test_somebody_written_back_is_waited_for_and_then_fails_to_run_again(
        self, tmp_path: Path, forum: HttpService
    ) -> None:
        author = Author(forum)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            await case.run("author", present=True)
            author.is_there = True
            for attempt in range(1, 5):
                case.attempt, case.clock = attempt, START + attempt * DAY
                failure = await refused(case.verify("author", present=("author",)), kind=TRY_AGAIN)
                assert (failure.step, failure.code) == ("author", "still_present")
            case.attempt, case.clock = 5, START + 5 * DAY
            failure = await refused(case.verify("author", present=("author",)), kind=STEP_FAILED)
            detail = "GET /authors/{{ user_id }} → 200"
            assert failure == Failure(code="still_present", step="author", detail=detail, steps=("author",))
            assert (await case.row("author")).result is StepResult.FAILED
            # As a resume does it: under another key, since the old one would replay "done".
            assert (await case.run("author", present=True)).result is StepResult.ERASED
            assert forum.calls("DELETE")[-1].headers["idempotency-key"] == f"{case.retirement_id}:author:1"

    async def test_gone_in_the_end_is_erased_after_all(self, tmp_path: Path, forum: HttpService) -> None:
        author = Author(forum)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            await case.run("author", present=True)
            author.is_there = True
            await refused(case.verify("author", present=("author",)), kind=TRY_AGAIN)
            author.is_there = False
            verified = await case.verify("author", present=("author",))
            assert [outcome.result for outcome in verified.outcomes] == [StepResult.ERASED]

    async def test_a_probe_that_is_refused_is_held(self, tmp_path: Path, forum: HttpService) -> None:
        Author(forum)
        async with opened(tmp_path, forum) as case:
            await case.pass_point()
            await case.run("author", present=True)
            forum.on("GET", AUTHOR, Reply(status=401))
            assert (await refused(case.verify("author", present=("author",)), kind=STEP_HELD)).step == "author"

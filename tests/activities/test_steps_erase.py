"""Erasing at a real service, and verifying it: what was done, what is believed, what is found out."""

from datetime import timedelta
from pathlib import Path

from activities.errors import STEP_FAILED, STEP_HELD, TRY_AGAIN
from tests.support.forum_steps import AUTHOR, Author, an_erasure, guarded, opened
from tests.support.http_service import HttpService, Reply
from tests.support.step_case import START, refused
from workflows.messages import Failure
from workflows.names import StepResult

DAY = timedelta(days=1)


async def test_present_before_and_gone_now_is_erased(tmp_path: Path, service: HttpService) -> None:
    Author(service)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        before = case.ledger.transactions
        outcome = await case.run("author", present=True)
        assert (outcome.result, outcome.code) == (StepResult.ERASED, None)
        assert outcome.detail == "DELETE /authors/{{ user_id }} → 204"
        [deleted] = service.calls("DELETE")
        assert deleted.headers["idempotency-key"] == f"{case.retirement_id}:author"
        after = case.ledger.transactions
        # One read of the case and one of the plan, which is kept from then on; one write.
        assert (after.reads - before.reads, after.writes - before.writes) == (2, 1)


async def test_a_repeat_returns_what_is_recorded_and_calls_nothing(tmp_path: Path, service: HttpService) -> None:
    Author(service)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        outcome = await case.run("author", present=True)
        calls, before = len(service.received), case.ledger.transactions
        assert await case.run("author", present=True) == outcome
        after = case.ledger.transactions
        assert (after.reads - before.reads, after.writes - before.writes) == (1, 0)
        assert len(service.received) == calls


async def test_never_seen_and_not_there_is_absent(tmp_path: Path, service: HttpService) -> None:
    service.on("DELETE", AUTHOR, guarded(404))
    service.on("GET", AUTHOR, guarded(404))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        assert (await case.run("author", present=False)).result is StepResult.ABSENT


async def test_a_404_after_the_probe_saw_the_person_is_believed(tmp_path: Path, service: HttpService) -> None:
    """As after a crash, at a service that answers 404 to a repeat."""
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        assert (await case.run("author", present=True)).result is StepResult.ERASED


async def test_a_404_of_a_wrong_address_is_not_believed(tmp_path: Path, service: HttpService) -> None:
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        failure = await refused(case.run("author", present=False), kind=STEP_FAILED)
        assert failure.code == "route_unproven"
        assert (await case.row("author")).result is StepResult.FAILED


async def test_a_404_is_believed_where_the_plan_gives_a_reason(tmp_path: Path, service: HttpService) -> None:
    steps = {"posts": an_erasure(probe=None, absent_unchecked="the vendor has no other answer")}
    async with opened(tmp_path, service, steps=steps) as case:
        await case.pass_point()
        outcome = await case.run("posts")
        assert (outcome.result, outcome.code) == (StepResult.ABSENT, "absent_unchecked")


async def test_done_but_with_a_probe_nobody_can_believe_is_unverified(tmp_path: Path, service: HttpService) -> None:
    service.on("DELETE", AUTHOR, Reply(status=204))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        outcome = await case.run("author", present=False)
        assert (outcome.result, outcome.code) == (StepResult.UNVERIFIED, "route_unproven")


async def test_without_a_probe_done_is_unverified(tmp_path: Path, service: HttpService) -> None:
    service.on("DELETE", f"{AUTHOR}/posts", Reply())
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        outcome = await case.run("posts")
        assert (outcome.result, outcome.code) == (StepResult.UNVERIFIED, "no_probe")


async def test_without_a_probe_a_proven_404_is_absent(tmp_path: Path, service: HttpService) -> None:
    service.on("DELETE", f"{AUTHOR}/posts", guarded(404))
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        assert (await case.run("posts")).result is StepResult.ABSENT


async def test_a_lie_is_found_out_and_the_next_call_has_another_key(tmp_path: Path, service: HttpService) -> None:
    Author(service, deaf=2)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        for attempt in (1, 2):
            case.attempt = attempt
            failure = await refused(case.run("author", present=True), kind=TRY_AGAIN)
            assert failure.code == "still_present"
        case.attempt = 3
        assert (await case.run("author", present=True)).result is StepResult.ERASED
        keys = [call.headers["idempotency-key"].removeprefix(case.retirement_id) for call in service.calls("DELETE")]
        assert keys == [":author", ":author:1", ":author:2"]


async def test_after_a_lie_the_probe_is_asked_first(tmp_path: Path, service: HttpService) -> None:
    author = Author(service, deaf=1)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        await refused(case.run("author", present=True), kind=TRY_AGAIN)
        author.is_there = False  # It was only slow.
        assert (await case.run("author", present=True)).result is StepResult.ERASED
        assert len(service.calls("DELETE")) == 1


async def test_a_liar_fails_when_patience_is_over(tmp_path: Path, service: HttpService) -> None:
    Author(service, deaf=99)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        for attempt in range(1, 5):
            case.attempt, case.clock = attempt, START + attempt * DAY
            await refused(case.run("author", present=True), kind=TRY_AGAIN)
        case.attempt, case.clock = 5, START + 5 * DAY
        failure = await refused(case.run("author", present=True), kind=STEP_FAILED)
        assert failure == Failure(code="still_present", step="author", detail="GET /authors/{{ user_id }} → 200")
        row = await case.row("author")
        assert (row.result, row.lies, row.touched) == (StepResult.FAILED, 5, True)


async def test_a_probe_may_tell_it_from_the_body(tmp_path: Path, service: HttpService) -> None:
    probe = {"request": {"method": "GET", "path": "/authors/{{ user_id }}"}, "gone_when": "body.state == 'deleted'"}
    service.on("DELETE", AUTHOR, Reply(status=204))
    service.on("GET", AUTHOR, Reply(body={}), Reply(body={"state": "deleted"}))
    async with opened(tmp_path, service, steps={"author": an_erasure(probe=probe)}) as case:
        await case.pass_point()
        assert (await refused(case.run("author", present=True), kind=TRY_AGAIN)).code == "value_missing"
        assert (await case.run("author", present=True)).result is StepResult.ERASED


async def test_gone_everywhere_changes_nothing_and_writes_nothing(tmp_path: Path, service: HttpService) -> None:
    Author(service)
    service.on("DELETE", f"{AUTHOR}/posts", Reply())
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        outcomes = tuple([await case.run(step, present=True) for step in ("author", "posts")])
        before = case.ledger.transactions
        verified = await case.verify("author", "posts", present=("author",))
        assert verified.outcomes == outcomes
        assert case.ledger.transactions.writes == before.writes


async def test_somebody_written_back_is_waited_for_and_then_fails_to_run_again(
    tmp_path: Path, service: HttpService
) -> None:
    author = Author(service)
    async with opened(tmp_path, service) as case:
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
        assert service.calls("DELETE")[-1].headers["idempotency-key"] == f"{case.retirement_id}:author:1"


async def test_gone_in_the_end_is_erased_after_all(tmp_path: Path, service: HttpService) -> None:
    author = Author(service)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        await case.run("author", present=True)
        author.is_there = True
        await refused(case.verify("author", present=("author",)), kind=TRY_AGAIN)
        author.is_there = False
        verified = await case.verify("author", present=("author",))
        assert [outcome.result for outcome in verified.outcomes] == [StepResult.ERASED]


async def test_a_probe_that_is_refused_is_held(tmp_path: Path, service: HttpService) -> None:
    Author(service)
    async with opened(tmp_path, service) as case:
        await case.pass_point()
        await case.run("author", present=True)
        service.on("GET", AUTHOR, Reply(status=401))
        assert (await refused(case.verify("author", present=("author",)), kind=STEP_HELD)).step == "author"

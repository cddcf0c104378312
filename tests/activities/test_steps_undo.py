"""Freezing at a real service, and undoing it: what was found is restored."""

import asyncio
from pathlib import Path

import pytest

from activities.errors import STEP_FAILED, TRY_AGAIN
from ledger.rows import StepAction
from tests.support.forum_steps import AUTHOR, guarded, opened
from tests.support.http_service import HttpService, Reply
from tests.support.step_case import refused
from workflows.names import StepResult


async def test_what_was_found_is_restored(tmp_path: Path, service: HttpService) -> None:
    service.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": False}))
    service.on("POST", f"{AUTHOR}/unlock", Reply(status=204))
    async with opened(tmp_path, service) as case:
        assert (await case.run("lock")).result is StepResult.DONE
        assert await case.saved("lock") == {"was_locked": False}
        await case.turn_back()
        outcome = await case.undo("lock")
        assert (outcome.result, outcome.code) == (StepResult.DONE, None)
        keys = [call.headers["idempotency-key"] for call in service.calls("POST")]
        assert keys == [f"{case.retirement_id}:lock", f"{case.retirement_id}:lock:undo"]
        assert await case.undo("lock") == outcome and len(service.received) == 2


async def test_an_account_locked_before_stays_locked(tmp_path: Path, service: HttpService) -> None:
    service.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": True}))
    async with opened(tmp_path, service) as case:
        await case.run("lock")
        await case.turn_back()
        assert (await case.undo("lock")).code == "nothing_to_undo"
        assert service.calls("POST", f"{AUTHOR}/unlock") == []


async def test_a_value_the_answer_lacks_is_asked_for_again(tmp_path: Path, service: HttpService) -> None:
    service.on("POST", f"{AUTHOR}/lock", Reply(raw=b"<html>"), Reply(body={"was_locked": False}))
    async with opened(tmp_path, service) as case:
        assert (await refused(case.run("lock"), kind=TRY_AGAIN)).code == "value_missing"
        assert (await case.run("lock")).result is StepResult.DONE


async def test_an_undo_that_needs_what_nobody_saved_fails(tmp_path: Path, service: HttpService) -> None:
    """The freeze was begun and its outcome is unknown: whoever reads this has to look at the account."""
    async with opened(tmp_path, service) as case:
        await case.turn_back()
        assert (await refused(case.undo("lock"), kind=STEP_FAILED)).code == "saved_value_missing"
        assert (await case.row("lock", StepAction.UNDO)).result is StepResult.FAILED


async def test_a_freeze_that_was_refused_leaves_nothing_to_undo(tmp_path: Path, service: HttpService) -> None:
    service.on("POST", f"{AUTHOR}/lock", Reply(status=422))
    async with opened(tmp_path, service) as case:
        await refused(case.run("lock"), kind=STEP_FAILED)
        await case.turn_back()
        assert (await case.undo("lock")).code == "nothing_to_undo"


async def test_where_freeze_and_undo_are_both_refused_everything_is_as_it_was(
    tmp_path: Path, service: HttpService
) -> None:
    """A realm that refuses every change of a user refuses to enable them again, too; nobody is left locked."""
    service.on("PUT", AUTHOR, Reply(status=400))
    request = {"method": "PUT", "path": "/authors/{{ user_id }}"}
    step = {"phase": "freeze", "service": "forum", "request": request, "undo": {"request": request}}
    async with opened(tmp_path, service, steps={"disable": step}) as case:
        await refused(case.run("disable"), kind=STEP_FAILED)
        await case.turn_back()
        assert (await case.undo("disable")).code == "nothing_to_undo"


async def test_an_undo_that_is_refused_fails_where_the_freeze_may_have_taken_effect(
    tmp_path: Path, service: HttpService
) -> None:
    service.on("PUT", AUTHOR, Reply(status=500), Reply(status=400))
    request = {"method": "PUT", "path": "/authors/{{ user_id }}"}
    step = {"phase": "freeze", "service": "forum", "request": request, "undo": {"request": request}}
    async with opened(tmp_path, service, steps={"disable": step}) as case:
        await refused(case.run("disable"), kind=TRY_AGAIN)
        await refused(case.run("disable"), kind=STEP_FAILED)
        await case.turn_back()
        assert (await refused(case.undo("disable"), kind=STEP_FAILED)).code == "http_400"


async def test_an_undo_may_have_its_own_answers_for_nothing_there(tmp_path: Path, service: HttpService) -> None:
    service.on("DELETE", f"{AUTHOR}/mute", guarded(404))
    service.on("PUT", f"{AUTHOR}/mute", Reply())
    path = "/authors/{{ user_id }}/mute"
    undo = {"request": {"method": "DELETE", "path": path}, "absent": [404]}
    step = {"phase": "freeze", "service": "forum", "request": {"method": "PUT", "path": path}, "undo": undo}
    async with opened(tmp_path, service, steps={"mute": step}) as case:
        await case.run("mute")
        await case.turn_back()
        assert (await case.undo("mute")).code == "http_404"


async def test_an_undo_is_tried_again_and_fails_like_a_step(tmp_path: Path, service: HttpService) -> None:
    service.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": False}))
    service.on("POST", f"{AUTHOR}/unlock", Reply(status=503), Reply(status=422))
    async with opened(tmp_path, service) as case:
        await case.run("lock")
        await case.turn_back()
        assert (await refused(case.undo("lock"), kind=TRY_AGAIN)).code == "http_503"
        assert (await refused(case.undo("lock"), kind=STEP_FAILED)).code == "http_422"


async def test_a_cancelled_freeze_in_flight_is_finished_and_recorded(tmp_path: Path, service: HttpService) -> None:
    service.on("POST", f"{AUTHOR}/lock", Reply(body={"was_locked": False}, after=0.3))
    async with opened(tmp_path, service) as case:
        environment = case.environment()
        running = asyncio.ensure_future(environment.run(case.steps.run_step, case.run_input("lock")))
        await service.arrived.wait()
        environment.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await case.row("lock")).result is StepResult.DONE
        assert await case.saved("lock") == {"was_locked": False}

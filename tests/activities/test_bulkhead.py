"""Calls in flight are bounded for each place, so that one that hangs holds no other up."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer
from activities.actions.bulkhead import NO_SLOT, Bulkhead
from activities.actions.http import HttpAction
from activities.actions.threads import STUCK, TIMED_OUT, Threads
from plans.requests import HttpRequest, Method
from plans.services import ClientCredentialsAuth, Limits, NoAuth
from plans.services import HttpService as PlannedService
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.waiting import eventually

DONE = Answer(status=200)


def a_call(service: HttpService, *, concurrent: int = 2, timeout: float = 3, path: str = "", **fields: Any) -> Call:
    offered = PlannedService(
        base_url=service.url + path,
        limits=Limits(concurrent=concurrent),
        timeout=timedelta(seconds=timeout),
        **{"auth": NoAuth(), **fields},
    )
    return Call(service=offered, request=HttpRequest(method=Method.DELETE, path="/users/1"), context={})


def statuses(answers: Iterable[Answer | NoAnswer]) -> list[int]:
    return [answer.status for answer in answers if isinstance(answer, Answer)]


class Gate:
    """Answers once it is opened."""

    def __init__(self) -> None:
        self.inside = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def __call__(self, received: Received) -> Reply:
        self.inside += 1
        await self._open.wait()
        self.inside -= 1
        return Reply(status=204)

    async def holds(self, count: int) -> None:
        """Wait until so many are inside."""

        def look() -> None:
            assert self.inside == count

        await eventually(look)


async def test_no_more_calls_are_in_flight_than_the_service_bears(
    service: HttpService, http_action: HttpAction
) -> None:
    gate = Gate()
    service.otherwise(gate)
    calls = [asyncio.ensure_future(http_action.call(a_call(service, concurrent=3))) for _ in range(8)]
    await gate.holds(3)

    def given_way() -> None:
        assert [call.result() for call in calls if call.done()] == [NO_SLOT] * 5

    await eventually(given_way, within=5)
    assert gate.inside == 3 == len(service.received)
    gate.open()
    assert statuses(await asyncio.gather(*calls)) == [204] * 3


async def test_a_hung_service_holds_no_healthy_one_up(service: HttpService, http_action: HttpAction) -> None:
    gate = Gate()
    service.otherwise(gate)
    async with http_service() as healthy:
        healthy.otherwise(Reply(status=204))
        hung = [asyncio.ensure_future(http_action.call(a_call(service, concurrent=50))) for _ in range(200)]
        await gate.holds(50)
        assert statuses([await http_action.call(a_call(healthy))]) == [204]
        assert gate.inside == 50

        def given_way() -> None:
            assert [call.result() for call in hung if call.done()] == [NO_SLOT] * 150

        await eventually(given_way, within=5)
        gate.open()
        assert statuses(await asyncio.gather(*hung)) == [204] * 50


async def test_services_behind_one_gateway_have_slots_of_their_own(
    service: HttpService, http_action: HttpAction
) -> None:
    gate = Gate()
    service.on("DELETE", "/forum/users/1", gate)
    service.on("DELETE", "/accounts/users/1", Reply(status=204))
    hung = [asyncio.ensure_future(http_action.call(a_call(service, path="/forum"))) for _ in range(2)]
    await gate.holds(2)
    assert statuses([await http_action.call(a_call(service, path="/accounts"))]) == [204]
    assert await http_action.call(a_call(service, path="/forum")) == NO_SLOT
    gate.open()
    assert statuses(await asyncio.gather(*hung)) == [204, 204]


async def test_a_stricter_limit_for_the_same_place_is_not_starved_by_a_laxer_one(
    service: HttpService, http_action: HttpAction
) -> None:
    gate = Gate()
    service.otherwise(gate)
    lax = [asyncio.ensure_future(http_action.call(a_call(service, concurrent=5))) for _ in range(5)]
    await gate.holds(5)
    strict = asyncio.ensure_future(http_action.call(a_call(service, concurrent=1)))
    await gate.holds(6)
    assert await http_action.call(a_call(service, concurrent=1)) == NO_SLOT
    gate.open()
    assert statuses(await asyncio.gather(*lax, strict)) == [204] * 6


async def test_a_slot_comes_back_after_a_timeout_an_error_and_a_cancellation(
    service: HttpService, http_action: HttpAction
) -> None:
    gate = Gate()
    service.otherwise(gate)

    def one(timeout: float = 3) -> Call:
        return a_call(service, concurrent=1, timeout=timeout)

    assert await http_action.call(one(timeout=0.2)) == TIMED_OUT

    async with http_service() as gone:
        pass
    for _ in range(3):
        assert await http_action.call(a_call(gone, concurrent=1)) == NoAnswer(code="connect_error", touched=False)

    async def has_asked(count: int) -> None:
        def look() -> None:
            assert len(service.received) == count

        await eventually(look)

    cancelled = asyncio.ensure_future(http_action.call(one()))
    await has_asked(2)
    cancelled.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled
    waiting = asyncio.ensure_future(http_action.call(one()))
    await has_asked(3)
    cut_short = asyncio.ensure_future(http_action.call(one()))
    _, still_waiting = await asyncio.wait({cut_short}, timeout=0.1)
    assert still_waiting
    cut_short.cancel()
    gate.open()
    assert statuses([await waiting, await http_action.call(one())]) == [204, 204]
    assert len(service.received) == 4


async def test_a_token_is_fetched_though_every_slot_of_the_same_place_is_taken(
    service: HttpService, http_action: HttpAction
) -> None:
    gate = Gate()
    service.on("POST", "/token", Reply(body={"access_token": "t-1"}))
    service.otherwise(gate)
    auth = ClientCredentialsAuth(token_url=f"{service.url}/token", client_id="w", client_secret="s")
    hung = [asyncio.ensure_future(http_action.call(a_call(service))) for _ in range(2)]
    await gate.holds(2)
    waiting = asyncio.ensure_future(http_action.call(a_call(service, auth=auth)))

    def asked() -> None:
        assert service.calls("POST", "/token")

    await eventually(asked, within=2)
    gate.open()
    assert statuses(await asyncio.gather(*hung, waiting)) == [204] * 3


async def test_whoever_waits_for_a_slot_gets_the_first_that_comes_free() -> None:
    bulkhead = Bulkhead()

    async def take() -> bool:
        async with bulkhead.slot("a", limit=1) as has_slot:
            return has_slot

    async with bulkhead.slot("a", limit=1) as has_slot:
        assert has_slot
        waiting = [asyncio.ensure_future(take()) for _ in range(5)]
    assert await asyncio.gather(*waiting) == [True] * 5


class Hang:
    """Blocking work that ends when it is let go."""

    def __init__(self) -> None:
        self.count = 0
        self.begun = threading.Semaphore(0)
        self._let_go = threading.Event()

    def __call__(self) -> Answer | NoAnswer:
        self.count += 1
        self.begun.release()
        self._let_go.wait(30)
        return DONE

    def let_go(self) -> None:
        self._let_go.set()


async def test_threads_that_hang_are_given_up_and_no_more_are_begun_than_there_are_slots() -> None:
    threads, hang = Threads(), Hang()

    async def run(place: str = "a", work: Any = hang) -> Answer | NoAnswer:
        return await threads.run(work, place=place, limit=2, within=0.1)

    try:
        # The slots come back; the threads are counted.
        assert list(await asyncio.gather(run(), run())) == [TIMED_OUT, TIMED_OUT]
        assert await run() == STUCK
        assert not STUCK.touched and STUCK.may_pass and STUCK.code != NO_SLOT.code, "it has to cost patience"
        assert await run(place="b", work=lambda: DONE) == DONE
        assert await run() == STUCK and hang.count == 2
    finally:
        hang.let_go()

    async def recovered() -> None:
        assert await run(work=lambda: DONE) == DONE

    await eventually(recovered)
    assert list(await asyncio.gather(run(), run())) == [DONE, DONE]


async def test_a_cancelled_caller_gives_its_slot_back_and_leaves_its_thread_behind() -> None:
    threads, hang = Threads(), Hang()
    caller = asyncio.ensure_future(threads.run(hang, place="a", limit=1, within=30))
    await asyncio.to_thread(hang.begun.acquire)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await threads.run(hang, place="a", limit=1, within=1) == STUCK
    hang.let_go()

    async def recovered() -> None:
        assert await threads.run(lambda: DONE, place="a", limit=1, within=1) == DONE

    await eventually(recovered)


async def test_what_blocking_work_raises_all_the_same_is_told_by_its_type_alone() -> None:
    def fail() -> Answer:
        raise SystemExit("ada@example.com")

    answer = await Threads().run(fail, place="a", limit=1, within=1)
    assert answer == NoAnswer(code="internal_error", touched=True, kind="SystemExit")


def test_the_process_ends_though_a_thread_hangs() -> None:
    program = """
import asyncio, threading
from activities.actions.threads import Threads
answer = asyncio.run(Threads().run(threading.Event().wait, place="a", limit=1, within=0.1))
print(answer.code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("timeout\n", "")

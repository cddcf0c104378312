"""A step's own time for its request: in place of the service's, and twice as long after each that timed out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from activities.actions.answers import Answer, NoAnswer
from activities.actions.wire import TIMEOUT, Wire
from activities.errors import TRY_AGAIN
from tests.support.forum_steps import an_erasure, opened
from tests.support.http_service import HttpService, Reply, http_service
from tests.support.step_case import StepCase, refused

POSTS = "/authors/ada-17/posts"
#: Stands for no answer at all, without the wait.
HANGS = Reply(status=599)


@pytest.fixture
async def service() -> AsyncIterator[HttpService]:
    async with http_service() as service:
        yield service


def posts(**overrides: Any) -> dict[str, Any]:
    """A step without a probe, that deletes posts."""
    step = an_erasure(path="/authors/{{ user_id }}/posts", unprobed="nobody can tell", **overrides)
    del step["probe"]
    return {"posts": step}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that each request was given, in seconds. One that is answered by HANGS seems to have had no answer in it."""
    times: list[float] = []
    send: Callable[..., Awaitable[Answer | NoAnswer]] = Wire.send

    async def noted(self: Wire, **exchange: Any) -> Answer | NoAnswer:
        times.append(exchange["timeout"])
        answer = await send(self, **exchange)
        return NoAnswer(code=TIMEOUT, touched=True) if isinstance(answer, Answer) and answer.status == 599 else answer

    monkeypatch.setattr(Wire, "send", noted)
    return times


async def timed_out(case: StepCase) -> None:
    assert (await refused(case.run("posts"), kind=TRY_AGAIN)).code == "timeout"
    case.attempt += 1


async def test_a_request_that_timed_out_is_given_twice_as_long_up_to_a_limit(
    tmp_path: Path, service: HttpService, given: list[float]
) -> None:
    service.on("DELETE", POSTS, HANGS)
    async with opened(tmp_path, service, steps=posts(timeout="2m", longest_timeout="10m", patience="3d")) as case:
        await case.pass_point()
        for _ in range(4):
            await timed_out(case)
        assert given == [120, 240, 480, 600]
        row = await case.row("posts")
        assert (row.timeouts, row.failures, row.touched) == (4, 4, True)
        service.on("DELETE", POSTS, Reply(status=204))
        await case.run("posts")
        assert given[-1] == 600 and (await case.row("posts")).timeouts == 0


async def test_only_a_request_that_timed_out_lengthens_the_next(
    tmp_path: Path, service: HttpService, given: list[float]
) -> None:
    service.on("DELETE", POSTS, Reply(status=500), HANGS, Reply(status=503), Reply(status=429))
    async with opened(tmp_path, service, steps=posts(timeout="10s", longest_timeout="1m")) as case:
        await case.pass_point()
        for code in ("http_500", "timeout", "http_503", "http_429"):
            assert (await refused(case.run("posts"), kind=TRY_AGAIN)).code == code
            case.attempt += 1
        assert given == [10, 10, 20, 20]
        assert (await case.row("posts")).timeouts == 1


async def test_without_a_limit_each_request_is_given_the_same(
    tmp_path: Path, service: HttpService, given: list[float]
) -> None:
    service.on("DELETE", POSTS, HANGS)
    async with opened(tmp_path, service, steps=posts(timeout="90s")) as case:
        await case.pass_point()
        await timed_out(case)
        await timed_out(case)
        assert given == [90, 90]


async def test_the_service_s_time_is_what_is_lengthened_where_the_step_says_none(
    tmp_path: Path, service: HttpService, given: list[float]
) -> None:
    service.on("DELETE", POSTS, HANGS)
    async with opened(tmp_path, service, steps=posts(longest_timeout="5s")) as case:
        await case.pass_point()
        for _ in range(3):
            await timed_out(case)
        assert given == [2, 4, 5]


async def test_probe_and_lookup_keep_to_the_service_s_time(
    tmp_path: Path, service: HttpService, given: list[float]
) -> None:
    service.on("DELETE", "/authors/ada-17", Reply(status=204))
    service.on("GET", "/authors/ada-17", HANGS)
    steps = {"author": an_erasure(timeout="1m", longest_timeout="10m")}
    async with opened(tmp_path, service, steps=steps) as case:
        await case.pass_point()
        assert (await refused(case.run("author"), kind=TRY_AGAIN)).code == "timeout"
        # The probe was what timed out, so the request is given no longer than before.
        assert given == [60, 2] and (await case.row("author")).timeouts == 0


async def test_the_time_is_kept_by_the_very_request(tmp_path: Path, service: HttpService) -> None:
    """Without anything in between: what takes longer than the service's time is waited for."""
    service.on("DELETE", POSTS, Reply(status=204, after=0.4))
    services = {"forum": {"base_url": service.url, "auth": {"type": "bearer", "token": "t-1"}, "timeout": "100ms"}}
    async with opened(tmp_path, service, steps=posts(timeout="5s"), services=services) as case:
        await case.pass_point()
        async with asyncio.timeout(4):
            await case.run("posts")

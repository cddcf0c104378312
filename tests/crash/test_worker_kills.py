"""kill -9 of the worker, one of each kind. Every single boundary: test_every_boundary.py."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandbox.launch import Sandbox
from tests.crash.conftest import Lanes
from tests.crash.judging import judge_complete, judge_given_back
from tests.crash.recoveries import Recoveries
from tests.support.killable_worker import RANDOM_KEYS
from tests.support.lanes import Life, a_lane
from tests.support.processes import TemporalServer
from workflows import names

_AT_THE_POINT = "pass_point_of_no_return: write 1, committed"
_FORWARD = {
    "before a call": "run_step lock: POST /users/…/lock, before",
    "after an effect, at a service that honours the key": "run_step lock: POST /users/…/lock, answered",
    "after an effect, at a service that ignores the key": "run_step newsletter: POST /deletions, answered",
    "after an effect whose repeat finds nothing": "run_step forum: DELETE /authors/…, answered",
    "in a transaction that would have told of an effect": "run_step profile: write 1, uncommitted",
    "with the effect recorded and not reported": "run_step profile: write 1, committed",
    "at the point of no return": _AT_THE_POINT,
    "between phases, decided and not reported": "run_step forum: decided",
    "with a mail handed in and not recorded": "send_mail complete: handed in",
    "with the case closed and the run still open": "end: decided",
}
_BACK = {"on the way back, after an undo": "undo_step lock:undo: POST /users/…/unlock, answered"}
#: Where a service that doesn't know the key again does it again.
_CALLED_TWICE = "run_step lock: POST /users/…/lock, answered"

_IDLE = {"in the cool-off, before expedite": names.EXPEDITE, "in the cool-off, before rescind": names.RESCIND}
_TOO_LATE = "at the point of no return, before rescind"
_CONTROL = "control"

Lives = dict[str, asyncio.Task[Life]]


@pytest.fixture(scope="module")
async def lives(
    request: pytest.FixtureRequest,
    lanes: Lanes,
    crash_server: TemporalServer,
    sandbox: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Lives]:
    """The lives of all tests that are wanted, side by side: most of each is waiting."""

    async def live(kind: str) -> Life:
        if kind == _CONTROL:
            folder = tmp_path_factory.mktemp("control")
            opened = a_lane(RANDOM_KEYS, name="control", server=crash_server, sandbox=sandbox, folder=folder)
            async with opened as lane:
                return await lane.live_and_die_at(_CALLED_TWICE, wish=names.EXPEDITE)
        async with lanes.free() as lane:
            if kind == _TOO_LATE:
                return await lane.live_and_die_at(_AT_THE_POINT, wish=names.EXPEDITE, last_wish=names.RESCIND)
            if kind in _IDLE:
                return await lane.live_and_die_in_cool_off(wish=_IDLE[kind])
            wish = names.RESCIND if kind in _BACK else names.EXPEDITE
            return await lane.live_and_die_at({**_FORWARD, **_BACK}[kind], wish=wish)

    wanted = [
        str(item.callspec.params["kind"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "kind" in item.callspec.params
    ]
    lives = {kind: asyncio.create_task(live(kind)) for kind in wanted}
    yield lives
    for task in lives.values():
        task.cancel()
    await asyncio.gather(*lives.values(), return_exceptions=True)


@pytest.mark.parametrize("kind", [*_FORWARD, *_BACK, *_IDLE])
async def test_a_worker_killed(kind: str, lives: Lives, recoveries: Recoveries) -> None:
    life = await lives[kind]
    assert life.crashes == 1
    recoveries.note(life, killed="worker", at=kind)
    goes_back = kind in _BACK or _IDLE.get(kind) == names.RESCIND
    await (judge_given_back if goes_back else judge_complete)(life)


@pytest.mark.parametrize("kind", [_TOO_LATE])
async def test_a_rescind_that_comes_when_the_point_was_passed_and_its_worker_died(kind: str, lives: Lives) -> None:
    """It finds the point decided, whoever knows of that: refused, and the retirement goes on."""
    life = await lives[kind]
    messages = await life.ledger.messages(life.result.retirement_id or "")
    assert [(row.kind, row.accepted, row.code) for row in messages] == [
        ("expedite", True, "expedited"),
        ("rescind", False, "past_return"),
    ]
    await judge_complete(life)


@pytest.mark.parametrize("kind", [_CONTROL])
async def test_the_same_check_fails_with_random_keys(kind: str, lives: Lives) -> None:
    """A check that no mistake can fail would prove nothing."""
    life = await lives[kind]
    assert life.sandbox.accounts.effects_on(life.person) == ["lock", "lock", "erase"]
    with pytest.raises(AssertionError, match="'lock', 'lock', 'erase'"):
        await judge_complete(life)

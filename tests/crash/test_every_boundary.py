"""kill -9 of the worker at every single boundary that a retirement passes. Minutes: `make test-crash`."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from tests.crash.conftest import Lanes
from tests.crash.judging import judge_complete, judge_given_back
from tests.crash.recoveries import Recoveries
from tests.support.lanes import Lane, Life, NotReached
from workflows import names

pytestmark = [pytest.mark.every_boundary, pytest.mark.timeout(1800)]

Say = Callable[[str], None]
Judge = Callable[[Life], Awaitable[None]]

#: A dry run that missed one of these has not looked where things can part.
_KINDS = ("decided", "begun", "before", "answered", "uncommitted", "committed", "handed in", "ended")
_FREEZES = ("run_step lock", "run_step mute")
_SAY_EVERY = 10


async def test_a_worker_killed_at_any_boundary_forward(lanes: Lanes, recoveries: Recoveries, say: Say) -> None:
    async with lanes.free() as lane:
        boundaries = await lane.boundaries(wish=names.EXPEDITE)
    assert all(any(boundary.endswith(kind) for boundary in boundaries) for kind in _KINDS), boundaries
    tour = Tour(lanes=lanes, recoveries=recoveries, say=say, wish=names.EXPEDITE, judge=judge_complete)
    await tour.kill_at_each(boundaries)


async def test_a_worker_killed_at_any_boundary_on_the_way_back(lanes: Lanes, recoveries: Recoveries, say: Say) -> None:
    async with lanes.free() as lane:
        forward = await lane.boundaries(wish=names.EXPEDITE)
        boundaries = [boundary for boundary in await lane.boundaries(wish=names.RESCIND) if boundary not in forward]
    assert any(boundary.startswith("undo_step lock") for boundary in boundaries), boundaries
    # And freezes that had to be repeated: what they found the first time is what must come back.
    boundaries += [boundary for boundary in forward if boundary.startswith(_FREEZES)]
    tour = Tour(lanes=lanes, recoveries=recoveries, say=say, wish=names.RESCIND, judge=judge_given_back)
    await tour.kill_at_each(boundaries)


@dataclass(kw_only=True)
class Tour:
    """A life for each boundary, on all lanes at once. Each has the same wish and the same judge."""

    lanes: Lanes
    recoveries: Recoveries
    say: Say
    wish: str
    judge: Judge
    waiting: deque[str] = field(default_factory=deque)
    wrong: list[str] = field(default_factory=list)

    async def kill_at_each(self, boundaries: list[str]) -> None:
        """Fails with every boundary after which something is wrong."""
        self.say(f"{len(boundaries)} boundaries, with a wish to {self.wish}")
        self.waiting.extend(boundaries)
        await self.lanes.on_each(self._work_off)
        assert not self.wrong, "\n".join(self.wrong)

    async def _work_off(self, lane: Lane) -> None:
        while self.waiting:
            boundary = self.waiting.popleft()
            try:
                life = await lane.live_and_die_at(boundary, wish=self.wish)
                assert life.crashes == 1
                self.recoveries.note(life, killed="worker", at=f"{boundary} ({self.wish})")
                await self.judge(life)
            except (AssertionError, NotReached) as error:
                self.wrong.append(f"{boundary}: {type(error).__name__} {error}")
                self.say(f"✗ {self.wrong[-1]}")
            if len(self.waiting) % _SAY_EVERY == 0:
                self.say(f"{len(self.waiting)} boundaries to go, {len(self.wrong)} wrong")

"""A thousand random ownership graphs, activity by activity: several people go at once, in an order that the seed chooses.

Afterwards nothing belongs to somebody who was retired, and nothing to nobody; or the retirement stopped before anything was
destroyed, with the right list. One graph alone: `GRAPH=4711 make test T=tests/ownership/test_interleavings.py`.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from activities.ownership.choosing import Choosing
from sandbox.faults import FaultKind
from tests.ownership import broken
from tests.ownership.graphs import Graph, Request, Resume, Someone, Trouble
from tests.ownership.interleaving import stand_back
from tests.ownership.playing import Grounds, Played

_AT_A_TIME = 125
_GRAPHS = range(1000)
_ALONE = os.environ.get("GRAPH")
#: Each series has met all of these, or it has not looked where it matters.
_MET = (
    "COMPLETE",
    "ABORTED rescinded",
    "ABORTED no_successor colleague:nobody_suitable",
    "ABORTED no_successor colleague:named_retiring",
    "ABORTED no_successor colleague:named_unsuitable",
    "ERRORED documents",
)
#: How many graphs may pass before a mistake is found. The known ones are among the first.
_MOST_PLAYED = 400


def told(played: list[Played]) -> str:
    return "\n\n".join(each.told() for each in played if each.wrong)


@pytest.mark.skipif(_ALONE is not None, reason="one graph alone is asked for")
@pytest.mark.parametrize("first", _GRAPHS[::_AT_A_TIME])
async def test_nothing_is_orphaned(first: int, grounds: Grounds) -> None:
    played = await grounds.play_all(range(first, first + _AT_A_TIME))
    assert not told(played), told(played)
    ends = sum((each.ends for each in played), Counter[str]())
    missed = [end for end in _MET if not any(ended.startswith(end) for ended in ends)]
    assert not missed and len(played) == _AT_A_TIME, ends


@pytest.mark.skipif(_ALONE is None, reason="no GRAPH is named")
async def test_one_graph(grounds: Grounds) -> None:
    played = await grounds.play_all([int(_ALONE or 0)])
    assert not told(played), told(played)


async def test_the_same_seed_is_the_same_story(grounds: Grounds) -> None:
    """Without that, nobody could look at a failure again."""
    first = await grounds.play_all([7, 8, 9])
    again = await grounds.play_all([9, 7])
    stories = {each.graph.seed: (each.turns.order, each.ends) for each in first}
    assert [stories[each.graph.seed] for each in again] == [(each.turns.order, each.ends) for each in again]


async def test_whoever_goes_while_they_are_being_chosen_takes_nothing_over(
    grounds: Grounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume chooses past the point of no return, where nobody looks at that point any more."""
    choose = Choosing.choose

    async def choose_slowly(self: Choosing, policy: str) -> dict[str, Any]:
        chosen = await choose(self, policy)
        if chosen["id"].endswith("-bob"):
            stand_back()  # a whole retirement fits between the answer and its record
        return chosen

    monkeypatch.setattr(Choosing, "choose", choose_slowly)
    ada = Request(successor="cleo", resumes=(Resume(successor="bob"),))
    people = (
        Someone(name="ada", org="red", roles=("author",), documents=1, requests=(ada,)),
        Someone(name="bob", org="red", roles=("author",), documents=0, requests=(Request(),)),
        Someone(name="cleo", org="red", roles=("admin",), documents=0),
    )
    refuse_once = Trouble(service="documents", kind=FaultKind.STATUS, who="ada", method="PUT", times=1, status=422)
    played = await grounds.tell(
        Graph(seed=0, people=people, events=(), troubles=(refuse_once,)), ranks={"beside": 1, "ada": 2, "bob": 3}
    )
    assert not told([played]), told([played])
    assert played.ends == Counter(["ERRORED documents assets_refused", "COMPLETE", "ERRORED documents successor_lost"])


@pytest.mark.parametrize(
    ("mistake", "complaint", "known"),
    [
        (broken.nobody_is_awaited, "passed the point while", (35, 4)),
        (broken.nobody_is_lost, "who takes over, was going or gone", (41, 44)),
        (broken.one_look_is_enough, "is orphaned", (5, 8)),
        (broken.nobody_asks_at_the_write, "when the hand-over began", (35, 91)),
        (broken.nothing_is_said_to_have_begun, "the record says None", (0, 131)),
        (broken.nothing_is_listed, "leaves out", (0, 1)),
    ],
)
async def test_each_mistake_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None],
    complaint: str,
    known: tuple[int, ...],
    grounds: Grounds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A judge whom no mistake could convince would prove nothing. Where the engine's steps have changed, other seeds find it."""
    mistake(monkeypatch)
    for seeds in (known, *(range(first, first + 25) for first in range(0, _MOST_PLAYED, 25))):
        played = await grounds.play_all(seeds)
        if any(complaint in wrong for each in played for wrong in each.wrong):
            return
    raise AssertionError(f"{_MOST_PLAYED} graphs have not found it")

"""Random ownership graphs with all there is: workflows on a real Temporal server, and people who go at the same instant.

A thousand of them, activity by activity, are in test_interleavings.py. One graph alone:
`GRAPH=4711 make test T=tests/ownership/test_graphs.py`.
"""

import os
from collections import Counter

import pytest

from tests.ownership import broken
from tests.ownership.graphs import a_graph
from tests.ownership.staging import locking, stage_all
from tests.support.stage import Stage

_ALONE = os.environ.get("GRAPH")
#: Those in which several go at once.
_GRAPHS = [seed for seed in range(90) if len(a_graph(seed).going) > 1] if _ALONE is None else [int(_ALONE)]
#: A service says there that it has handed something over, and has not.
_WITH_LIES = (69, 153, 180)
#: All of these are met, or nobody has looked where it matters.
_MET = ("COMPLETE", "ABORTED rescinded", "ABORTED no_successor", "ERRORED documents")


async def test_nothing_is_orphaned(stage: Stage) -> None:
    staged = await stage_all(_GRAPHS, stage=stage, plan=stage.team_plan("locking", locking))
    wrong = "\n\n".join(each.told() for each in staged if each.wrong)
    assert not wrong, wrong
    ends = Counter(end.told() for each in staged for actor in each.actors for end in actor.ends)
    missed = [end for end in _MET if not any(ended.startswith(end) for ended in ends)]
    assert _ALONE is not None or not missed, ends


async def test_a_mistake_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge whom no mistake could convince would prove nothing."""
    broken.one_look_is_enough(monkeypatch)
    staged = await stage_all(_WITH_LIES, stage=stage, plan=stage.team_plan("locking", locking))
    assert all(any("is orphaned" in wrong for wrong in each.wrong) for each in staged), [each.told() for each in staged]

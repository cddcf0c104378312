"""`retire demo --plan openedx`: played whole, and it says so where something came out otherwise than told."""

import io
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sandbox import openedx_demo
from sandbox.board import Board
from sandbox.campus import Campus
from sandbox.engine import StageError
from sandbox.openedx_demo import ALL_WELL, LEARNERS, Play, run_openedx_demo
from sandbox.scenes.scene import NotAsItShould

ROOT = Path(__file__).resolve().parents[2]


# A dozen commands, each a process of its own.
@pytest.mark.timeout(120)
async def test_every_learner_ends_as_told(tmp_path: Path) -> None:
    out = io.StringIO()
    temporal = Path(os.environ["TEMPORAL_CLI"])
    assert await run_openedx_demo(folder=tmp_path, temporal=temporal, board=Board(out=out), keep=False), out.getvalue()

    told = out.getvalue()
    assert told.rstrip().endswith(ALL_WELL)
    table = {
        cells[0]: cells[2:]
        for cells in (re.findall(r"[^│\s](?:[^│]*[^│\s])?", line) for line in told.splitlines())
        if len(cells) == 5
    }
    ends = {learner.username: table[learner.username] for learner in LEARNERS}
    assert ends.pop("lea") == ["row gone", "ABORTED (rescinded)", "none"]
    archived = {username for username, end in ends.items() if end == ["archived", "COMPLETE", "7 of 7"]}
    assert archived == {"ada", "ben", "cho", "dina"}
    assert all(ends[username] == ["COMPLETE", "COMPLETE", "7 of 7"] for username in ends.keys() - archived)


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    """A play on an empty stage, where Temporal would end at once."""
    campus = Campus(folder=tmp_path, temporal=Path("/bin/true"))
    yield Play(campus=campus, board=Board(out=io.StringIO()))
    await campus.stop_services()


def raising(error: Exception | None) -> Callable[[Play], object]:
    """A play that comes out so."""

    async def play(_: Play) -> None:
        if error is not None:
            raise error

    return play


@pytest.mark.parametrize(
    ("surprise", "told"),
    [
        (None, ""),
        (NotAsItShould("not so: hana is COMPLETE"), "✗ not so: hana is COMPLETE"),
        (RuntimeError("not for people's eyes"), "✗ unexpected RuntimeError"),
    ],
    ids=["as it should", "otherwise", "broken"],
)
async def test_only_what_went_as_told_is_said_to(
    play: Play, monkeypatch: pytest.MonkeyPatch, surprise: Exception | None, told: str
) -> None:
    out = io.StringIO()
    play.board = Board(out=out)
    monkeypatch.setattr(openedx_demo, "_play", raising(surprise))
    assert await openedx_demo.played(play) is (surprise is None)
    assert out.getvalue().strip() == told


async def test_evidence_that_is_not_so_ends_it(play: Play) -> None:
    play.see(True, "the row is gone")
    with pytest.raises(NotAsItShould, match="not so: the row is gone"):
        play.see(False, "the row is gone")


async def test_without_temporal_it_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"temporal\.log"):
        await run_openedx_demo(folder=tmp_path, temporal=Path("/bin/true"), board=Board(out=io.StringIO()), keep=False)


def test_the_page_waits_for_what_the_demo_says() -> None:
    assert f"```\n{ALL_WELL}\n```" in (ROOT / "docs" / "openedx.md").read_text()

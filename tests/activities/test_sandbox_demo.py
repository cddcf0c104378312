"""What the demo stands on: its plan, its board, and that nothing of it outlives whoever started it."""

import asyncio
import io
import signal
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from plans.loading import load_plan
from sandbox.board import Board
from sandbox.stage import Stage, StageError
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

_PARENT = """
import asyncio, sys, tempfile
from pathlib import Path
from sandbox.launch import Sandbox

async def main():
    sandbox = Sandbox(folder=Path(sys.argv[1]))
    await sandbox.start()
    print(*(service.url.rpartition(":")[2] for service in sandbox.services.values()), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_listening(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


async def test_services_end_with_whoever_started_them_even_by_kill_9(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, str(tmp_path)), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    ports = [int(port) for port in (await parent.stdout.readline()).split()]
    assert len(ports) == 6 and all(is_listening(port) for port in ports)
    parent.send_signal(signal.SIGKILL)
    await parent.communicate()

    def are_gone() -> None:
        assert not any(is_listening(port) for port in ports)

    await eventually(are_gone, within=10)


async def test_a_stage_without_temporal_says_where_to_look_and_has_written_a_plan_that_loads(tmp_path: Path) -> None:
    stage = Stage(
        folder=tmp_path,
        temporal=Path("/bin/true"),
        patience={"forum": "4s"},
        cool_off={"duration": "8s", "expedite": "allowed"},
    )
    with pytest.raises(StageError, match=r"temporal\.log"):
        async with stage:
            raise AssertionError("there is no server")
    plan, original = load_plan(tmp_path / "plans" / "sandbox.yaml"), load_plan(ROOT / "plans" / "sandbox.yaml")
    assert plan.steps["forum"].patience == timedelta(seconds=4)
    assert plan.cool_off.duration == timedelta(seconds=8)
    assert set(plan.steps) == set(original.steps) and plan.services == original.services


def test_the_board_says_each_change_once_where_nobody_can_watch() -> None:
    out = io.StringIO()
    with Board(out=out) as board:
        board.add(person="Ada", shows="complete")
        for text in ("cool-off", "cool-off", "erase"):
            board.tell(person="Ada", text=text)
        board.end(person="Ada", well=True, text="COMPLETE")
    assert [line.rpartition("  ")[2] for line in out.getvalue().splitlines()] == [
        "Ada: cool-off",
        "Ada: erase",
        "Ada: COMPLETE",
    ]


def test_the_closing_table_is_whole_without_a_terminal() -> None:
    out = io.StringIO()
    Board(out=out).show_results([("Ada", "complete", "COMPLETE", "login refused\n2 invoices kept", True)])
    for text in ("✓", "Ada", "COMPLETE", "login refused", "2 invoices kept"):
        assert text in out.getvalue()

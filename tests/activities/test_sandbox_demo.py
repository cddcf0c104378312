"""What the demo stands on: its plan, its board, and that nothing of it outlives whoever started it."""

import asyncio
import io
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from plans.loading import load_plan
from sandbox import demo
from sandbox.board import Board
from sandbox.client import Person
from sandbox.engine import StageError
from sandbox.launch import Sandbox
from sandbox.scenes.scene import NotAsItShould, Part, Scene
from sandbox.scenes.team import WITH_MAIL, see_moved_once, see_owners
from sandbox.stage import Stage
from starter.exit_codes import ExitCode
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {7: "seven", 8: "eight", 9: "nine", 10: "ten"}

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


@pytest.fixture
async def bare_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """One that isn't built up, and whose Temporal server would end at once."""
    folder = tmp_path / "it's here; $HOME"
    folder.mkdir()
    cool_off = {"duration": "8s", "expedite": "allowed"}
    stage = Stage(folder=folder, temporal=Path("/bin/true"), patience={"forum": "4s"}, cool_off=cool_off)
    yield stage
    await stage.sandbox.stop()


async def test_a_stage_without_temporal_says_where_to_look_and_has_written_plans_that_load(bare_stage: Stage) -> None:
    with pytest.raises(StageError, match=r"temporal\.log"):
        async with bare_stage:
            raise AssertionError("there is no server")
    for name in ("sandbox", "sandbox_team"):
        written, original = (load_plan(folder / "plans" / f"{name}.yaml") for folder in (bare_stage.folder, ROOT))
        assert written.steps["forum"].patience == timedelta(seconds=4)
        assert written.cool_off.duration == timedelta(seconds=8)
        assert set(written.steps) == set(original.steps) and written.services == original.services
        assert written.successors == original.successors and written.eligibility == original.eligibility


async def test_a_shell_that_reads_the_settings_has_them_as_they_are(bare_stage: Stage) -> None:
    path = bare_stage.write_settings()
    assert path.stat().st_mode & 0o777 == 0o600  # it holds credentials
    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", '. "$0"; env -0', str(path), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await shell.communicate()
    seen = dict(line.split("=", 1) for line in output.decode().split("\0") if line)
    assert bare_stage.settings.items() <= seen.items()
    assert bare_stage.settings["RETIREMENT_KEYS_FILE"] == f"{bare_stage.folder}/keys.json"


# --- scenes ----------------------------------------------------------------------------------------------------------


def hand_over(sandbox: Sandbox, document_id: str, owner: Person, to: Person) -> None:
    """As a plan would."""
    sandbox.documents.http.put(
        f"/documents/{document_id}/owner",
        json={"owner": to.user_id, "owner_name": to.name, "expected": owner.user_id},
        headers={"authorization": f"Bearer {sandbox.environment['DOCUMENTS_TOKEN']}"},
    ).raise_for_status()


@pytest.mark.parametrize(
    ("surprise", "told"),
    [
        (None, "—"),
        (NotAsItShould("ended ERRORED, forum: http_403"), "ended ERRORED, forum: http_403"),
        (RuntimeError("not for people's eyes"), "unexpected RuntimeError"),
    ],
    ids=["as it should", "otherwise", "broken"],
)
async def test_only_a_scene_that_went_as_it_should_is_marked_so(
    bare_stage: Stage, surprise: Exception | None, told: str
) -> None:
    async def play(scene: Scene) -> None:
        if surprise is not None:
            raise surprise

    out = io.StringIO()
    board = Board(out=out)
    part = Part(person=Person(name="Ada"), shows="something", play=play)
    scene = Scene(person=part.person, stage=bare_stage, board=board)
    board.add(person="Ada", shows=part.shows)
    await demo.play_part(scene, part)
    assert scene.well is (surprise is None)
    assert scene.evidence == ([] if surprise is None else [told])
    assert out.getvalue().rstrip().endswith(f"Ada: {told}")


async def test_evidence_that_is_not_so_ends_a_scene(bare_stage: Stage) -> None:
    async with bare_stage.sandbox as sandbox:
        ada, bob = sandbox.add_person(documents=2), sandbox.add_person()
        scene = Scene(person=ada, stage=bare_stage, board=Board(out=io.StringIO()))
        scene.see_untouched()
        see_owners(scene, "now", {ada: 2, bob: 0})
        with pytest.raises(NotAsItShould, match="documents now: "):
            see_owners(scene, "now", {ada: 0, bob: 2})
        with pytest.raises(NotAsItShould, match="moved once"):
            see_moved_once(scene, ("Page 1", "Page 2"))
        with pytest.raises(NotAsItShould, match="nothing left"):
            scene.see_gone()
        for document in sandbox.documents.documents_of(ada):
            hand_over(sandbox, document.id, ada, bob)
        see_owners(scene, "now", {ada: 0, bob: 2})
        see_moved_once(scene, ("Page 1", "Page 2"))
        with pytest.raises(NotAsItShould, match="nothing locked, moved or erased"):
            scene.see_untouched()


async def test_a_second_signal_does_not_cut_off_the_end(tmp_path: Path) -> None:
    ended = []

    async def run_demo(**_: object) -> bool:
        os.kill(os.getpid(), signal.SIGHUP)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            with suppress(TimeoutError):  # what is being ended takes its time
                await asyncio.wait_for(asyncio.Event().wait(), 0.05)
            ended.append("all of it")
        return True

    board = Board(out=io.StringIO())
    try:
        code = await demo.run_until_stopped(
            run_demo, folder=tmp_path, temporal=Path("/bin/true"), board=board, keep=False
        )
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
    assert (code, ended) == (ExitCode.INTERRUPTED, ["all of it"])


def test_everybody_in_the_demo_is_somebody_else() -> None:
    people = [person for part in demo.PARTS for person in (part.person, *part.others)]
    for what in ("user_id", "name", "email", "username"):
        assert len({getattr(person, what) for person in people}) == len(people) > len(demo.PARTS)
    assert set(WITH_MAIL) <= set(people)


def test_the_readme_waits_for_what_the_demo_says() -> None:
    text = (ROOT / "README.md").read_text()
    assert f"```\n{demo.ALL_WELL}\n```" in text
    assert f"{COUNTS[len(demo.PARTS)]} people, one thing shown by each" in text


# --- the board -------------------------------------------------------------------------------------------------------


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


def test_a_command_stays_to_be_read() -> None:
    out = io.StringIO()
    board = Board(out=out)
    board.add(person="Ada", shows="complete")
    board.command(person="Ada", text="$ retire start u-1001")
    board.tell(person="Ada", text="$ retire start u-1001")
    assert out.getvalue().count("Ada: $ retire start u-1001") == 1


def test_the_closing_table_is_whole_without_a_terminal() -> None:
    out = io.StringIO()
    Board(out=out).show_results([("Ada", "complete", "COMPLETE", ["login refused", "2 invoices kept"], True)])
    for text in ("✓", "Ada", "complete", "COMPLETE", "login refused", "2 invoices kept"):
        assert text in out.getvalue()


def test_a_mailbox_shows_how_each_mail_begins_and_how_much_there_is_more() -> None:
    out = io.StringIO()
    long, fitting = ("\n\n".join(f"line {number}" for number in range(1, last + 1)) for last in (15, 14))
    mails = [
        {"subject": "Long", "text": long},
        {"subject": "Fitting", "text": fitting},
        {"subject": "Short", "text": "Hello,\n\n  - [a] thing\n"},
    ]
    Board(out=out).show_mails("Gwen's mailbox", mails)
    Board(out=out).show_mails("Hugo's mailbox", [])
    assert out.getvalue().splitlines() == [
        "",
        "Gwen's mailbox",
        "  Long",
        *(f"    line {number}" for number in range(1, 13)),
        "    … and 3 more lines",
        "  Fitting",
        *(f"    line {number}" for number in range(1, 15)),
        "  Short",
        "    Hello,",
        "      - [a] thing",
        "",
        "Hugo's mailbox",
        "  no mails",
    ]

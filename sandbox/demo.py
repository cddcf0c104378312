"""`retire demo`: several people are retired from real services, each showing one thing that can happen.

Every command the demo gives is one that a person could type. It ends well only if each retirement did what it should.
"""

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from sandbox.board import Board
from sandbox.client import Person
from sandbox.engine import StageError
from sandbox.scenes import alone, team
from sandbox.scenes.scene import NotAsItShould, Part, Scene
from sandbox.stage import Stage
from starter.exit_codes import ExitCode

#: No scene may take longer; the whole is meant to stay under two minutes.
_SCENE_WITHIN = 100.0
_COOL_OFF = {"duration": "24s", "reminders": ["8s"], "max": "10m", "expedite": "allowed"}
#: The forum lies to Dan, and nobody wants to wait for long until that is found out.
_PATIENCE = {"forum": "4s", "newsletter": "30s"}
#: What a reader of the README waits for.
ALL_WELL = "Everyone's retirement ended as it should."
_HINT = "KEEP=1 make demo keeps all running, with the Temporal UI and the mails to look at."
PARTS = (*alone.PARTS, *team.PARTS)


class Demo(Protocol):
    """A demo: plays in a folder, and tells whether everything ended as it should."""

    async def __call__(self, *, folder: Path, temporal: Path, board: Board, keep: bool) -> bool:
        """Play it."""


async def run_demo(*, folder: Path, temporal: Path, board: Board, keep: bool) -> bool:
    """Play every scene in a folder. Did each end as it should?

    Raises:
        StageError: something that the demo runs on did not come up, or ended.
    """
    board.note("starting a Temporal server, five services, a mailbox and a worker")
    async with Stage(folder=folder, temporal=temporal, patience=_PATIENCE, cool_off=_COOL_OFF) as stage:
        stage.sandbox.add_people(person for part in PARTS for person in (part.person, *part.others))
        scenes = [Scene(person=part.person, stage=stage, board=board) for part in PARTS]
        with board:
            for part in PARTS:
                board.add(person=part.person.name, shows=part.shows)
            playing = asyncio.create_task(_play_all(scenes))
            broken = asyncio.create_task(stage.wait_for_an_end())
            try:
                await asyncio.wait((playing, broken), return_when=asyncio.FIRST_COMPLETED)
                if broken.done():
                    broken.result()
            finally:
                playing.cancel()
                broken.cancel()
                await asyncio.gather(playing, broken, return_exceptions=True)
        board.show_results(
            (scene.person.name, part.shows, scene.outcome, scene.evidence, scene.well)
            for part, scene in zip(PARTS, scenes, strict=True)
        )
        for person in team.WITH_MAIL:
            board.show_mails(_mailbox_of(person), stage.sandbox.mailbox.mails(person))
        well = all(scene.well for scene in scenes)
        board.say()
        if well:
            board.say(ALL_WELL)
        if keep:
            _show_where(stage, board=board)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    return well


async def _play_all(scenes: list[Scene]) -> None:
    await asyncio.gather(*(play_part(scene, part) for scene, part in zip(scenes, PARTS, strict=True)))


async def play_part(scene: Scene, part: Part) -> None:
    """Play a part to its end, whatever becomes of it; the scene and the board then say how it went."""
    try:
        async with asyncio.timeout(_SCENE_WITHIN):
            await part.play(scene)
        scene.well = True
        end = scene.outcome
    except NotAsItShould as surprise:
        end = str(surprise)
    except TimeoutError:
        end = f"not at its end after {_SCENE_WITHIN:.0f} s, in phase {scene.phase}"
    except Exception as error:
        end = f"unexpected {type(error).__name__}"
    if not scene.well:
        scene.evidence.append(end)
    scene.board.end(person=scene.person.name, well=scene.well, text=end)


def _mailbox_of(person: Person) -> str:
    locked = ", whose account is locked" if person.locked else ""
    return f"{person.name}'s mailbox ({' and '.join(person.roles)} of {person.org}{locked})"


def _show_where(stage: Stage, *, board: Board) -> None:
    mails = stage.sandbox.mailbox.url
    board.say()
    board.say(f"Temporal UI   {stage.ui_url}")
    board.say(f"all mails     {mails}")
    for person in team.WITH_MAIL:
        board.say(f"{person.name}'s mails  {mails}/?{urlencode({'to': person.email}, safe='@')}")
    board.say(f"logs, data    {stage.folder}")
    board.say("To give commands of your own, in another terminal:")
    board.say(f"  . {shlex.quote(str(stage.write_settings()))}")
    board.say(f"  {shlex.quote(str(Path(sys.executable).with_name('retire')))} list")
    board.say("All keeps running until Ctrl-C.")


async def run_until_stopped(play: Demo, *, folder: Path, temporal: Path, board: Board, keep: bool) -> ExitCode:
    """Run a demo until it ends, or a signal ends it; in either case all it has started has ended, too."""
    demo = asyncio.create_task(play(folder=folder, temporal=temporal, board=board, keep=keep))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # Once: a second signal would cut off what the first one ends, and leave processes behind.
        if not demo.cancelling():
            demo.cancel()

    # SIGHUP comes where the terminal is closed, often twice.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        return ExitCode.OK if await demo else ExitCode.UNEXPECTED
    except asyncio.CancelledError:
        return ExitCode.INTERRUPTED
    except OSError:
        if not demo.cancelling():
            raise
        # The terminal is closed, and what should have been shown on it can't be.
        return ExitCode.INTERRUPTED
    except StageError as error:
        board.say(f"✗ {error}")
        return ExitCode.UNEXPECTED


def main(play: Demo = run_demo, *, hint: str = _HINT) -> int:
    """Run a demo; 0 only if each retirement ended as it should. KEEP=1 keeps all running afterwards."""
    from tools.temporal_server import NoTemporalServer, temporal_cli

    keep = os.environ.get("KEEP") == "1"
    board = Board(out=sys.stdout)
    try:
        temporal = temporal_cli()
    except NoTemporalServer as error:
        board.say(f"✗ {error}")
        return ExitCode.NOT_SET_UP
    folder = Path(tempfile.mkdtemp(prefix="retire-demo-"))
    code = asyncio.run(run_until_stopped(play, folder=folder, temporal=temporal, board=board, keep=keep))
    if code == ExitCode.UNEXPECTED:
        board.say(f"The demo did not end as it should. Logs and databases: {folder}")
        return code
    shutil.rmtree(folder, ignore_errors=True)
    if keep or code == ExitCode.INTERRUPTED:
        board.say("Stopped. Nothing is left running, and nothing on disk.")
    else:
        board.say(hint)
    return code


if __name__ == "__main__":
    sys.exit(main())

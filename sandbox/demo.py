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
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from sandbox.board import Board
from sandbox.client import Person
from sandbox.faults import FaultKind
from sandbox.stage import Stage, StageError, Told
from starter.exit_codes import ExitCode
from starter.starting import ask_status, result_of
from workflows import names
from workflows.messages import Result
from workflows.names import Mail, Outcome, Phase, Reason

#: No scene may take longer; the whole is meant to stay under two minutes.
_SCENE_WITHIN = 100.0
_LOOK_EVERY = 0.4
_LOOKS_FOR_MAIL = 25
_COOL_OFF = {"duration": "24s", "reminders": ["8s"], "max": "10m", "expedite": "allowed"}
#: The forum lies to Dan, and nobody wants to wait for long until that is found out.
_PATIENCE = {"forum": "4s", "newsletter": "30s"}
_DOWN_FOR = 5.0


class NotAsItShould(Exception):
    """A retirement did something else than the demo promises."""


@dataclass(kw_only=True)
class Scene:
    """One person, and what happens to them."""

    person: Person
    shows: str
    stage: Stage
    board: Board
    phase: Phase | None = None
    outcome: str = "—"
    evidence: list[str] = field(default_factory=list)
    well: bool = False

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The newest run of this person's retirement."""
        return self.stage.client.get_workflow_handle(names.workflow_id(user_id=self.person.user_id))

    def tell(self, text: str) -> None:
        """Say what happens now."""
        self.board.tell(person=self.person.name, text=text)

    async def retire(self, command: str, *options: str, expect: ExitCode = ExitCode.OK) -> Told:
        """Give a `retire` command about this person.

        Raises:
            NotAsItShould: it ended with another code than expected.
        """
        arguments = (command, self.person.user_id, "--by", "demo", *options)
        self.tell(f"$ retire {shlex.join(arguments)}")
        told = await self.stage.retire(*arguments)
        if told.code != expect:
            said = (told.errors or told.output).strip().splitlines()
            raise NotAsItShould(f"`retire {command}` ended with {told.code}: {said[-1] if said else 'without a word'}")
        return told

    async def until(self, *phases: Phase) -> None:
        """Wait for a phase, and show each one on the way."""
        while True:
            status = await ask_status(self.handle)
            if status is not None and status.phase is not self.phase:
                self.phase = status.phase
                self.tell(status.phase.value.replace("_", "-"))
            if self.phase in phases:
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def ends(self, outcome: Outcome, reason: Reason | None = None) -> Result:
        """Wait for the end of the newest run.

        Raises:
            NotAsItShould: it ended otherwise.
        """
        shown = asyncio.create_task(self.until(Phase.CLOSED))
        try:
            result = await result_of(self.handle)
        finally:
            shown.cancel()
        told = f"{result.outcome} ({result.reason})" if result.reason else str(result.outcome)
        self.outcome = told if self.outcome == "—" else f"{self.outcome}, then {told}"
        failed = "".join(f", {step.step}: {step.code}" for step in result.steps if step.step in result.failed)
        self.tell(f"{told}{failed}")
        if (result.outcome, result.reason) != (outcome, reason):
            raise NotAsItShould(f"ended {told}{failed}")
        return result

    def see(self, fact: bool, evidence: str) -> None:
        """Note a piece of evidence.

        Raises:
            NotAsItShould: it is not so.
        """
        if not fact:
            raise NotAsItShould(f"not so: {evidence}")
        self.evidence.append(evidence)

    def see_gone(self) -> None:
        """The person is gone everywhere, but for what the law keeps."""
        sandbox, person = self.stage.sandbox, self.person
        invoices = sandbox.invoices.kept(person) or {}
        gone = [name for name in ("accounts", "forum", "newsletter") if sandbox.services[name].kept(person) is None]
        self.see(not sandbox.accounts.can_log_in(person), "login refused")
        self.see(gone == ["accounts", "forum", "newsletter"], f"nothing left at {', '.join(gone)}")
        self.see(invoices.get("invoices") == person.invoices, f"{person.invoices} invoices kept, as the law asks")

    async def see_mails(self, *kinds: Mail) -> None:
        """The mails have come. The last one may still be on its way when the retirement is complete."""
        mailbox = self.stage.sandbox.mailbox
        for _ in range(_LOOKS_FOR_MAIL):
            if len(mailbox.mails(self.person)) >= len(kinds):
                break
            await asyncio.sleep(_LOOK_EVERY)
        self.see(len(mailbox.mails(self.person)) == len(kinds), f"{len(kinds)} mails: {', '.join(kinds)}")


async def _complete(scene: Scene) -> None:
    accounts = scene.stage.sandbox.accounts
    session = accounts.log_in(scene.person) or ""
    await scene.retire("start")
    await scene.until(Phase.COOL_OFF, Phase.ERASE, Phase.CLOSED)
    scene.see(not accounts.is_session(session), "session ended")
    await scene.ends(Outcome.COMPLETE)
    scene.see_gone()
    await scene.see_mails(Mail.RECEIVED, Mail.REMINDER, Mail.COMPLETE)


async def _rescinded(scene: Scene) -> None:
    sandbox = scene.stage.sandbox
    await scene.retire("start", "--cool-off", "5m")
    await scene.until(Phase.COOL_OFF)
    scene.see(not sandbox.accounts.can_log_in(scene.person), "login refused in the cool-off")
    await scene.retire("rescind", "--reason", "changed_mind")
    await scene.ends(Outcome.ABORTED, Reason.RESCINDED)
    scene.see(sandbox.accounts.can_log_in(scene.person), "login works again")
    forum = sandbox.forum.kept(scene.person) or {}
    unharmed = forum.get("posts") == scene.person.posts and not forum.get("mutes")
    scene.see(unharmed, f"all {scene.person.posts} posts there, may post")
    await scene.see_mails(Mail.RECEIVED, Mail.RESCINDED)


async def _service_down(scene: Scene) -> None:
    sandbox = scene.stage.sandbox
    # Slow enough to be cut off in the middle of Cleo's deletion, and of nobody else's.
    sandbox.newsletter.misbehave(FaultKind.SLOW, user=scene.person, method="POST", seconds=9)
    await scene.retire("start", "--cool-off", "12s")
    await scene.until(Phase.ERASE)
    await sandbox.take_down("newsletter")
    scene.tell(f"the newsletter service is down, for {_DOWN_FOR:.0f} s")
    await asyncio.sleep(_DOWN_FOR)
    scene.see(sandbox.forum.kept(scene.person) is None, "forum erased while the newsletter was down")
    scene.see(sandbox.accounts.kept(scene.person) is not None, "account waited for it")
    await sandbox.bring_back("newsletter")
    back = time.monotonic()
    scene.tell("the newsletter service is back")
    await scene.ends(Outcome.COMPLETE)
    scene.evidence.append(f"all done {time.monotonic() - back:.0f} s after it was back")
    scene.see(sandbox.newsletter.effects_on(scene.person) == ["accept_deletion", "erase"], "erased there once")
    scene.see_gone()


async def _lied_to(scene: Scene) -> None:
    forum = scene.stage.sandbox.forum
    forum.misbehave(FaultKind.LIE, user=scene.person, times=None)
    await scene.retire("start", "--cool-off", "3s")
    result = await scene.ends(Outcome.ERRORED)
    scene.see(result.failed == ("forum",) and forum.kept(scene.person) is not None, "forum said done, and was not")
    forum.behave()
    await scene.retire("resume")
    await scene.ends(Outcome.COMPLETE)
    scene.see_gone()


async def _started_twice(scene: Scene) -> None:
    await scene.retire("start", "--cool-off", "5m")
    await scene.until(Phase.COOL_OFF)
    await scene.retire("start", expect=ExitCode.ALREADY_RUNNING)
    scene.evidence.append("second start refused: already running")
    await scene.retire("expedite")
    await scene.ends(Outcome.COMPLETE)
    scene.see(scene.stage.sandbox.accounts.effects_on(scene.person) == ["lock", "erase"], "locked once, erased once")
    scene.see_gone()


_SCENES: tuple[tuple[str, str, str, Callable[[Scene], Awaitable[None]]], ...] = (
    ("u-1001", "Ada", "complete, cool-off and all", _complete),
    ("u-1002", "Bob", "rescinded in the cool-off", _rescinded),
    ("u-1003", "Cleo", "a service down, then back", _service_down),
    ("u-1004", "Dan", "a service that lies; resumed", _lied_to),
    ("u-1005", "Eve", "a second start; expedited", _started_twice),
)


async def run_demo(*, folder: Path, temporal: Path, board: Board, keep: bool) -> bool:
    """Play every scene in a folder. Did each end as it should?

    Raises:
        StageError: something that the demo runs on did not come up, or ended.
    """
    board.note("starting a Temporal server, five services, a mailbox and a worker")
    async with Stage(folder=folder, temporal=temporal, patience=_PATIENCE, cool_off=_COOL_OFF) as stage:
        with board:
            scenes = []
            for user_id, name, shows, play in _SCENES:
                person = stage.sandbox.add_person(user_id=user_id, name=name, email=f"{name.lower()}@person.example")
                board.add(person=name, shows=shows)
                scenes.append((Scene(person=person, shows=shows, stage=stage, board=board), play))
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
        board.show_results((s.person.name, s.shows, s.outcome, "\n".join(s.evidence), s.well) for s, _ in scenes)
        well = all(scene.well for scene, _ in scenes)
        if keep:
            _show_where(stage, board=board)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    return well


async def _play_all(scenes: list[tuple[Scene, Callable[[Scene], Awaitable[None]]]]) -> None:
    await asyncio.gather(*(_play(scene, play) for scene, play in scenes))


async def _play(scene: Scene, play: Callable[[Scene], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(_SCENE_WITHIN):
            await play(scene)
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


def _show_where(stage: Stage, *, board: Board) -> None:
    board.say()
    board.say(f"Temporal UI  {stage.ui_url}")
    board.say(f"mails        {stage.sandbox.mailbox.url}")
    board.say(f"logs, data   {stage.folder}")
    board.say("To give commands of your own, for example `retire list`, in another terminal:")
    for name, value in sorted(stage.settings.items()):
        board.say(f"  export {name}={shlex.quote(value)}")
    board.say("All keeps running until Ctrl-C.")


async def _run_until_stopped(*, folder: Path, temporal: Path, board: Board, keep: bool) -> int:
    demo = asyncio.create_task(run_demo(folder=folder, temporal=temporal, board=board, keep=keep))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, demo.cancel)
    try:
        return ExitCode.OK if await demo else ExitCode.UNEXPECTED
    except asyncio.CancelledError:
        return ExitCode.INTERRUPTED
    except StageError as error:
        board.say(f"✗ {error}")
        return ExitCode.UNEXPECTED


def main() -> int:
    """Run the demo; 0 only if each retirement ended as it should. KEEP=1 keeps all running afterwards."""
    from tools.temporal_server import NoTemporalServer, temporal_cli

    keep = os.environ.get("KEEP") == "1"
    board = Board(out=sys.stdout)
    try:
        temporal = temporal_cli()
    except NoTemporalServer as error:
        board.say(f"✗ {error}")
        return ExitCode.NOT_SET_UP
    folder = Path(tempfile.mkdtemp(prefix="retire-demo-"))
    code = asyncio.run(_run_until_stopped(folder=folder, temporal=temporal, board=board, keep=keep))
    if code == ExitCode.UNEXPECTED:
        board.say(f"The demo did not end as it should. Logs and databases: {folder}")
        return code
    shutil.rmtree(folder, ignore_errors=True)
    if code == ExitCode.INTERRUPTED:
        board.say("Stopped. Nothing is left running, and nothing on disk.")
    elif not keep:
        board.say("KEEP=1 make demo keeps all running, with the Temporal UI and the mails to look at.")
    return code


if __name__ == "__main__":
    sys.exit(main())

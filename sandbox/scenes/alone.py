"""Scenes of people who own nothing that others need: plan `sandbox`."""

import asyncio
import time

from sandbox.client import Person
from sandbox.faults import FaultKind
from sandbox.scenes.scene import Part, Scene
from starter.exit_codes import ExitCode
from workflows.names import Mail, Outcome, Phase, Reason

_DOWN_FOR = 5.0


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


def _person(user_id: str, name: str) -> Person:
    return Person(user_id=user_id, name=name, email=f"{name.lower()}@person.example")


PARTS = (
    Part(person=_person("u-1001", "Ada"), shows="complete, cool-off and all", play=_complete),
    Part(person=_person("u-1002", "Bob"), shows="rescinded in the cool-off", play=_rescinded),
    Part(person=_person("u-1003", "Cleo"), shows="a service down, then back", play=_service_down),
    Part(person=_person("u-1004", "Dan"), shows="a service that lies; resumed", play=_lied_to),
    Part(person=_person("u-1005", "Eve"), shows="a second start; expedited", play=_started_twice),
)

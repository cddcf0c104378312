"""`retire demo --plan openedx`: an Open edX site moves from its driver to this, and a dozen learners are retired.

Every command is one that a person could type. It ends well only if the stand-in LMS now shows of each learner what was told.
"""

import asyncio
import gzip
import json
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.board import Board
from sandbox.campus import ARCHIVE, DRIVER_FILE, PLAN_FILE, REPORTS, SITE, SITE_FILE, Campus, Learner
from sandbox.engine import StageError
from sandbox.lms.settings import Settings
from sandbox.scenes.scene import NotAsItShould
from starter.exit_codes import ExitCode
from starter.output import reason_of
from starter.starting import result_of
from workflows import names
from workflows.messages import Result

#: What a reader of docs/openedx.md waits for.
ALL_WELL = "Every learner's retirement ended as it should."
HINT = "KEEP=1 make demo PLAN=openedx keeps all running, to be looked at."
_GUARD = 10
_WITHIN = 100.0
_LOOK_EVERY = 0.3
#: What the notes service answers about one learner until it is mended. Services do name people in their errors.
_SAYS = "The notes index is read-only; notes of {} were kept."

_LEFT = Learner(
    username="kim",
    days_ago=9,
    shows="left within a step",
    left_in=("RETIRING_ENROLLMENTS", "FORUMS_COMPLETE"),
)
_FAILING = Learner(username="hana", days_ago=12, shows="refused by notes")
_CHANGED_MIND = Learner(username="lea", days_ago=2, shows="changes her mind")
_OLD = tuple(
    Learner(username=name, days_ago=days, orgs=orgs, shows="asked long ago")
    for name, days, orgs in (
        ("ada", 52, ("ExampleX",)),
        ("ben", 49, ("SampleX",)),
        ("cho", 45, ("ExampleX", "SampleX")),
        ("dina", 41, ("ExampleX",)),
    )
)
_DUE = tuple(
    Learner(username=name, days_ago=days, orgs=orgs)
    for name, days, orgs in (
        ("eli", 25, ("SampleX",)),
        ("fay", 21, ()),
        ("gus", 17, ("ExampleX",)),
        ("ivo", 11, ("SampleX",)),
        ("jun", 8, ("ExampleX",)),
    )
)
LEARNERS = (*_OLD, *_DUE, _FAILING, _LEFT, _CHANGED_MIND)
_RETIRED = (*_OLD, *_DUE, _FAILING, _LEFT)
#: A sweep counts whoever has asked in the LMS; somebody within a step isn't new.
_NEW = len(LEARNERS) - 1


@dataclass(kw_only=True)
class Play:
    """The play under way. `results` are those of the newest runs, `ids` the user ids, by original username."""

    campus: Campus
    board: Board
    ids: dict[str, str] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    async def retire(self, *arguments: str, expect: ExitCode = ExitCode.OK, whole: bool = True) -> None:
        """Give a `retire` command, and show what it says: all of it, or its first paragraph.

        Raises:
            NotAsItShould: it ended with another code than expected.
        """
        self.board.note(f"$ retire {shlex.join(arguments)}")
        told = await self.campus.retire(*arguments, together=True)
        # A record for a log isn't for people.
        said = "\n".join(line for line in told.output.splitlines() if not line.startswith("{")).strip()
        first, _, more = said.partition("\n\n")
        self.board.quote(said.splitlines() if whole else [*first.splitlines(), *(["…"] if more else [])])
        if told.code != expect:
            raise NotAsItShould(f"`retire {' '.join(arguments[:2])}` ended with {told.code}")

    def see(self, fact: bool, evidence: str) -> None:
        """Say what is seen now.

        Raises:
            NotAsItShould: it is not so.
        """
        if not fact:
            raise NotAsItShould(f"not so: {evidence}")
        self.board.note(f"✓ {evidence}")

    def states(self) -> dict[str, str]:
        """The state of each learner's row in the LMS, by original username; who has no row any more is left out."""
        rows = [learner["row"] for learner in self.campus.lms.learners() if learner["row"] is not None]
        return {row["original_username"]: row["current_state"]["state_name"] for row in rows}

    async def end_of(self, learner: Learner) -> Result:
        """How a learner's newest run ends."""
        handle = self.campus.client.get_workflow_handle(names.workflow_id(user_id=self.ids[learner.username]))
        self.results[learner.username] = result = await result_of(handle)
        return result

    async def _end_live(self, learner: Learner) -> None:
        result = await self.end_of(learner)
        self.board.end(person=learner.username, well=result.outcome == "COMPLETE", text=told_of(result))

    async def watch(self, learners: Iterable[Learner]) -> None:
        """Show each row's state while they are retired, until all runs have ended."""
        for learner in learners:
            self.board.add(person=learner.username, shows=learner.shows)
        ends = [asyncio.ensure_future(self._end_live(learner)) for learner in learners]
        with self.board:
            try:
                while not all(end.done() for end in ends):
                    states = await asyncio.to_thread(self.states)
                    for learner, end in zip(learners, ends, strict=True):
                        if not end.done():
                            self.board.glance(person=learner.username, text=states.get(learner.username, "—"))
                    await asyncio.wait(ends, timeout=_LOOK_EVERY)
                for end in ends:
                    end.result()
            finally:
                for end in ends:
                    end.cancel()


async def run_openedx_demo(*, folder: Path, temporal: Path, board: Board, keep: bool) -> bool:
    """Play it in a folder. Did everything end as it should?

    Raises:
        StageError: something that the demo runs on did not come up, or ended.
    """
    board.note(f"starting a Temporal server and a stand-in LMS with {len(LEARNERS)} learners")
    async with Campus(folder=folder, temporal=temporal) as campus:
        campus.add_learners(LEARNERS)
        play = Play(campus=campus, board=board)
        rows = {learner.username: campus.lms.row(learner.username) for learner in LEARNERS}
        play.ids = {username: f"{SITE}-{row['id']}" for username, row in rows.items() if row is not None}
        well = await played(play)
        if well:
            board.say()
            board.say(ALL_WELL)
        if keep:
            _show_where(campus, board=board)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    return well


async def played(play: Play) -> bool:
    """Play it to its end, whatever becomes of it. Did everything end as it should?"""
    playing = asyncio.create_task(_play(play))
    broken = asyncio.create_task(play.campus.wait_for_an_end())
    try:
        async with asyncio.timeout(_WITHIN):
            await asyncio.wait((playing, broken), return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            broken.result()
        playing.result()
    except NotAsItShould as surprise:
        play.board.say(f"✗ {surprise}")
        return False
    except TimeoutError:
        play.board.say(f"✗ not at its end after {_WITHIN:.0f} s")
        return False
    except StageError:
        raise
    except Exception as error:
        play.board.say(f"✗ unexpected {type(error).__name__}")
        return False
    finally:
        playing.cancel()
        broken.cancel()
        await asyncio.gather(playing, broken, return_exceptions=True)
    return True


async def _play(play: Play) -> None:
    await _import(play)
    await _collect(play)
    await _mend(play)
    await _rescind(play)
    await _archive(play)
    await _report(play)
    _show_learners(play)


async def _import(play: Play) -> None:
    campus, board = play.campus, play.board
    board.heading("The driver's file becomes a plan")
    campus.write_driver_file()
    files = ("--out", PLAN_FILE, "--site-out", SITE_FILE)
    await play.retire(
        "openedx", "import", DRIVER_FILE, "--site", SITE, *files, "--user-count-error-threshold", str(_GUARD)
    )
    written = [(campus.folder / file).read_text() for file in (PLAN_FILE, SITE_FILE)]
    play.see(not any(Settings().client_secret in text for text in written), "the driver's secret is in neither file")
    campus.say_where_files_go()
    board.note(f"by hand, in {SITE_FILE}: archives and reports go to folders")
    await asyncio.gather(campus.begin_work(), play.retire("openedx", "check", PLAN_FILE, "--site", SITE_FILE))


async def _collect(play: Play) -> None:
    lms = play.campus.lms
    play.board.heading("Whoever has asked in the LMS is collected")
    before = lms.counts().get("update", 0)
    await play.retire("openedx", "collect", expect=ExitCode.REFUSED)
    play.see(
        lms.counts().get("update", 0) == before,
        f"more than {_GUARD} at once: somebody has to look first, nobody was moved",
    )
    says = _SAYS.format(_FAILING.username)
    lms.misbehave("status", route="retire_notes", username=_FAILING.username, times=None, status=400, body=says)
    await play.retire("openedx", "collect", "--accept", str(_NEW))
    await play.watch(_RETIRED)
    states = play.states()
    for learner in _RETIRED:
        wanted = "ERRORED" if learner is _FAILING else "COMPLETE"
        result = play.results[learner.username]
        if (result.outcome, states.get(learner.username)) != (wanted, wanted):
            raise NotAsItShould(
                f"{learner.username} ended {told_of(result)}, {states.get(learner.username)} in the LMS"
            )
    play.see(
        states[_CHANGED_MIND.username] == "PENDING",
        f"{len(_RETIRED) - 1} are COMPLETE, in the LMS, too; {_CHANGED_MIND.username} is in cool-off",
    )
    routes = [request.route for request in lms.requests(_LEFT.username)]
    play.see(
        "retire_forum" not in routes and routes.count("unenroll") == 1,
        f"{_LEFT.username}, whom the driver had left within a step, went on from there",
    )


async def _mend(play: Play) -> None:
    lms, username = play.campus.lms, _FAILING.username
    play.board.heading(f"{username} is ERRORED: the notes service refuses for good")
    await play.retire("openedx", "status", username, whole=False)
    row = lms.row(username)
    said = str(row["responses"]).strip().splitlines()[-3:] if row is not None else []
    play.board.note("the LMS keeps with the row why, for its admin pages:")
    play.board.quote(said)
    masked = _SAYS.format("[learner]")
    play.see(said[-1:] == [masked], "the service named the learner, and the row does not")
    lms.behave()
    play.board.note("somebody mends the notes service")
    await play.retire("openedx", "resume", username, "--by", "demo", "--reason", "the notes index can be written again")
    result = await play.end_of(_FAILING)
    play.see(result.outcome == "COMPLETE" and play.states()[username] == "COMPLETE", f"{username} is COMPLETE")
    forums = [request for request in lms.requests(username, route="retire_forum") if request.status == 204]
    play.see(len(forums) == 1, "what was done before was not done again")


async def _rescind(play: Play) -> None:
    username = _CHANGED_MIND.username
    user_id = play.ids[username]
    play.board.heading(f"{username} changes her mind, in time")
    await play.retire("rescind", user_id, "--by", "demo")
    result = await play.end_of(_CHANGED_MIND)
    play.see(result.outcome == "ABORTED" and username not in play.states(), "the row is gone: she has her account back")


async def _archive(play: Play) -> None:
    folder, old = play.campus.folder / ARCHIVE, {learner.username for learner in _OLD}
    play.board.heading("Who was retired long enough ago is archived, and the LMS forgets them")
    await play.retire("openedx", "archive", "--dry-run")
    play.see(old <= play.states().keys(), "it only looked")
    await play.retire("openedx", "archive")
    [stored] = folder.rglob("*.json.gz")
    lines = [json.loads(line) for line in gzip.decompress(stored.read_bytes()).splitlines()]
    play.board.quote([str(stored.relative_to(play.campus.folder))])
    archived = {line["original_username"] for line in lines}
    play.see(
        archived == old and not old & play.states().keys(), f"{len(lines)} lines there, {len(old)} rows less in the LMS"
    )


async def _report(play: Play) -> None:
    folder = play.campus.folder / REPORTS
    play.board.heading("Partners are told")
    await play.retire("openedx", "partner-report")
    told = set[str]()
    for file in sorted(folder.rglob("*.csv")):
        lines = file.read_text().splitlines()
        play.board.quote(
            [
                f"{file.relative_to(play.campus.folder)}",
                *(f"  {line}" for line in lines[:2]),
                f"  … and {len(lines) - 2} more",
            ]
        )
        told |= {line.split(",")[1] for line in lines[1:]}
    of_partners = {learner.username for learner in _RETIRED if learner.orgs}
    play.see(told == of_partners and not play.campus.lms.partner_reports(), "the LMS has nobody left on its list")


def _show_learners(play: Play) -> None:
    states, rows = play.states(), []
    for learner in LEARNERS:
        result = play.results[learner.username]
        gone = "archived" if result.outcome == "COMPLETE" else "row gone"
        done = sum(step.result != "failed" for step in result.steps)
        steps = f"{done} of {len(result.steps)}" if result.steps else "none"
        state = states.get(learner.username, gone)
        rows.append((learner.username, learner.shows, state, told_of(result), steps))
    play.board.show_table("What became of them", ("learner", "who", "in the LMS", "here", "steps"), rows)


def told_of(result: Result) -> str:
    """`ERRORED (http_400)`."""
    why = reason_of(result.model_dump())
    return f"{result.outcome} ({why})" if why else str(result.outcome)


def _show_where(campus: Campus, *, board: Board) -> None:
    board.say()
    board.say(f"Temporal UI   {campus.ui_url}")
    board.say(f"the LMS       {campus.lms.url}/_sandbox/learners")
    board.say(f"logs, data    {campus.folder}")
    board.say("To give commands of your own, in another terminal:")
    board.say(f"  . {shlex.quote(str(campus.write_settings()))}")
    board.say(f"  {shlex.quote(str(Path(sys.executable).with_name('retire')))} openedx status eli")
    board.say("All keeps running until Ctrl-C.")

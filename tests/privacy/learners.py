"""Learners of an Open edX site: what can end well, be refused, held, taken back or cut short, at an LMS that says too much."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger import Keys, Ledger
from sandbox.lms.client import StandInLms
from sandbox.lms.faults import FaultKind
from tests.openedx.pipelines import FOUR, SITE, THIRTEEN, THIRTEEN_SETTINGS, driver_document, thirteen_urls, write_plan
from tests.privacy import faulty_worker
from tests.privacy.places import LEARNER, LMS_USER_ID, QUARREL, TRACKING
from tests.support.stage import LONGEST_WAIT
from tests.support.waiting import eventually
from workflows import names

if TYPE_CHECKING:
    from tests.privacy.retirements import Handle, Play

_STORIES = (
    "complete",
    "errored",
    "not_found",
    "held",
    "conflict",
    "rescinded",
    "cancelled",
    "no_row",
    "elsewhere",
    "wrong_person",
    "retried",
    "one",
    "killed",
    "mistaken",
)
_LONG_AGO = timedelta(days=40)
#: Stays in the midst of it, so that a ledger is searched that holds all it can of a learner.
HELD = "held"


def user_of(story: str) -> str:
    """The id by which a learner is retired: of the site, and of their row."""
    return f"{SITE}-{_row_of(story)}"


def username_of(story: str) -> str:
    """With a space, as it is encoded in paths."""
    return f"{LEARNER.mark}ette {story}"


def _row_of(story: str) -> int:
    return 101 + _STORIES.index(story)


def email_of(story: str) -> str:
    """Their address."""
    return f"{LEARNER.mark}.{story}@{LEARNER.domain}"


def write_site(folder: Path, *, lms: StandInLms) -> None:
    """The plans that an import makes, and the site's file."""
    plans = folder / "plans"

    def brief(plan: dict[str, Any]) -> None:
        plan["cool_off"] = {"duration": "7d", "expedite": "allowed"}

    write_plan(plans, "four", document=driver_document(lms.url, FOUR), change=brief)
    thirteen = driver_document(
        lms.url,
        THIRTEEN,
        base_urls=thirteen_urls(lms.url),
        fetch_ecommerce_segment_id=True,
        **THIRTEEN_SETTINGS,
    )
    write_plan(plans, "thirteen", document=thirteen, change=brief)
    (folder / "archive").mkdir()
    archive = f"archive: {{to: {{directory: {folder / 'archive'}}}, cool_off_days: 1}}"
    (folder / "site.yaml").write_text(f"site: {SITE}\nplan: four\n{archive}\n")


class Learners:
    """Each with a row of their own at the stand-in."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._grounds = play.grounds
        self.lms = play.grounds.lms
        #: What sealed columns held of learners who are gone later, byte for byte.
        self.sealed: list[bytes] = []

    def add(self, story: str, *, ago: timedelta = _LONG_AGO, **details: Any) -> dict[str, Any]:
        """A learner who has asked to be retired."""
        created = datetime.now(UTC) - ago
        named = {
            "row_id": _row_of(story),
            "user_id": LMS_USER_ID + _row_of(story),
            "tracking_id": f"{TRACKING}-{story}",
        }
        return self.lms.add_learner(
            username_of(story), email_of(story), LEARNER.name, created=created, **{**named, **details}
        )

    async def take_in(self, story: str, *, username: str | None = None) -> None:
        """Leave with the ledger what whoever starts a retirement knows of the learner."""
        values = {"username": username or username_of(story), "row_id": _row_of(story)}
        ledger = self._ledger()
        try:
            await ledger.take_in(user_id=user_of(story), tenant=None, values=values, now=datetime.now(UTC))
        finally:
            ledger.close()

    async def begin(self, story: str, *, plan: str = "four", ago: timedelta = _LONG_AGO, **details: Any) -> "Handle":
        """Take a learner in and start their retirement."""
        await asyncio.to_thread(self.add, story, ago=ago, **details)
        await self.take_in(story)
        return await self.start(story, plan=plan, ago=ago)

    async def start(self, story: str, *, plan: str = "four", ago: timedelta = _LONG_AGO) -> "Handle":
        """Start the retirement of a learner who was taken in."""
        asked = (datetime.now(UTC) - ago).isoformat()
        user_id = user_of(story)
        return await self._grounds.client.start_workflow(
            names.WORKFLOW_TYPE,
            {"user_id": user_id, "plan": plan, "requested_at": asked},
            id=names.workflow_id(user_id=user_id),
            task_queue=names.QUEUE,
        )

    def babble(self, story: str, *, status: int, times: int | None = 1, **where: Any) -> int:
        """Answer with a status, and with all that is known of the learner."""
        row = self.lms.row(username_of(story))
        body = f"{QUARREL} about {row}"
        return self.lms.misbehave(
            FaultKind.STATUS, username=username_of(story), status=status, times=times, body=body, **where
        )

    # --- with a sound worker -----------------------------------------------------------------------------------------

    async def complete(self) -> None:
        """Thirteen services and calls, several of which fail at first; one knows nobody; what a vendor accepts goes on."""
        story = "complete"
        await asyncio.to_thread(self.add, story, unknown_to=("retire_forum",))
        self.babble(story, status=500, route="tracking_id")
        self.babble(story, status=503, route="update", new_state="NOTES_COMPLETE")
        self.babble(story, status=500, route="retire_misc")
        await self.take_in(story)
        await self._play.end(await self.start(story, plan="thirteen"))

    async def errored(self) -> None:
        """Refused with a text about the learner; then resumed by the command."""
        story = "errored"
        await asyncio.to_thread(self.add, story)
        refusing = self.babble(story, status=400, route="unenroll", times=None)
        await self.take_in(story)
        handle = await self.start(story)
        await self._play.end(handle)
        self._play.ended[f"{user_of(story)} before"] = self._play.ended[user_of(story)]
        self.lms.release(refusing)
        await self._retire("resume", username_of(story), "--by", "ops-3")
        await self._play.end(self._grounds.client.get_workflow_handle(handle.id))

    async def not_found(self) -> None:
        await self._play.end(await self.begin("not_found", unknown_to=("unenroll",)))

    async def held(self) -> None:
        """For credentials; stays so."""
        username = username_of(HELD)
        self.lms.misbehave(FaultKind.REFUSE_TOKEN, route="retire_misc", username=username, times=None)
        handle = await self.begin(HELD)
        await self._play.reaches(handle, names.Phase.ERASE, held=True)

    async def conflict(self) -> None:
        """Somebody else moves the row, and an operator gives up."""
        story = "conflict"
        self.lms.misbehave(
            FaultKind.MOVED_BEFORE,
            username=username_of(story),
            route="update",
            new_state="RETIRING_LMS_MISC",
            state="LMS_COMPLETE",
        )
        handle = await self.begin(story)
        await self._play.reaches(handle, names.Phase.ERASE, held=True)
        await handle.execute_update(names.DECIDE, {"step": "lms_misc", "decision": "close", "by": "ops-3"})
        await self._play.end(handle)

    async def rescinded(self) -> None:
        handle = await self.begin("rescinded", ago=timedelta(days=1))
        await self._play.reaches(handle, names.Phase.COOL_OFF)
        await handle.execute_update(names.RESCIND, {"by": "support-7"})
        await self._play.end(handle)

    async def cancelled(self) -> None:
        """At the LMS, and found out at the end of the cool-off."""
        handle = await self.begin("cancelled", ago=timedelta(days=1))
        await self._play.reaches(handle, names.Phase.COOL_OFF)
        self.lms.cancel_row(username_of("cancelled"))
        await handle.execute_update(names.EXPEDITE, {"by": "support-7"})
        await self._play.end(handle)

    async def refused(self) -> None:
        """Nobody of that name; a row in a state that the plan doesn't have; a row of somebody who is spelt otherwise."""
        await asyncio.to_thread(self.add, "no_row")
        self.lms.delete_row(username_of("no_row"))
        await self.take_in("no_row")
        await self._play.end(await self.start("no_row"))
        await self._play.end(await self.begin("elsewhere", state="LOCKING_ACCOUNT"))
        await asyncio.to_thread(self.add, "wrong_person")
        await self.take_in("wrong_person", username=username_of("wrong_person").upper())
        wrong = await self.start("wrong_person")
        await self._play.reaches(wrong, names.Phase.CHECK, held=True)
        await wrong.execute_update(names.DECIDE, {"step": "check", "decision": "close", "by": "ops-3"})
        await self._play.end(wrong)

    async def retried(self) -> None:
        """Stays at a call that is being tried again."""
        story = "retried"
        await asyncio.to_thread(self.add, story)
        self.babble(story, status=503, route="retire_mailings", times=None)
        await self.take_in(story)
        handle = await self.start(story)

        async def tried() -> None:
            pending = (await handle.describe()).raw_description.pending_activities
            assert any(each.attempt > 1 and each.HasField("last_failure") for each in pending)

        await eventually(tried, within=LONGEST_WAIT)

    async def act_one(self) -> None:
        """All that happens while the worker is sound."""
        self.lms.set(lookup_ignores_case=True)
        await asyncio.to_thread(self.add, "one")
        await asyncio.gather(
            self.complete(),
            self.errored(),
            self.not_found(),
            self.held(),
            self.conflict(),
            self.rescinded(),
            self.cancelled(),
            self.refused(),
            self.retried(),
            self._retire("retire-one", username_of("one")),
        )

    async def commands(self) -> None:
        """What operators ask for that names nobody."""
        await asyncio.gather(
            self._retire("status", username_of("complete")),
            self._retire("collect", "--dry-run"),
            self._retire("archive", "--dry-run", "--json"),
        )

    # --- with a worker that is killed, and one with mistakes in it ---------------------------------------------------

    async def until_killed(self) -> "Handle":
        """In the middle of a call; and one who is only taken in. What is kept of both is remembered as it lies there."""
        held = self.lms.hold(route="unenroll", username=username_of("killed"))
        handle = await self.begin("killed")
        await asyncio.to_thread(self.add, "mistaken")
        await self.take_in("mistaken")

        def called() -> None:
            assert self.lms.holding(held) == 1

        await eventually(called, within=LONGEST_WAIT)
        with closing(sqlite3.connect(self._grounds.ledger_file)) as database:
            for query, *arguments in _SEALED:
                found = database.execute(query, [argument(handle.id) for argument in arguments]).fetchall()
                assert found, query
                self.sealed += [blob for row in found for blob in row]
        return handle

    async def act_two(self, killed: "Handle") -> None:
        """Whom the killed worker had in hand, and one who meets the mistakes."""
        mistaken = await self.start("mistaken")
        await asyncio.gather(self._play.end(killed), self._play.end(mistaken))

    # --- what must be found nowhere ----------------------------------------------------------------------------------

    def secrets(self) -> tuple[str, ...]:
        """Hashes that the LMS has made up, and every token that it has given out."""
        rows = [self.lms.row(username_of(story)) for story in ("complete", "errored", HELD)]
        hashes = {str(row[name]).rpartition("_")[2].partition("@")[0] for row in rows if row for name in _HASHES}
        told = {request.headers.get("authorization", "") for request in self.lms.requests()}
        tokens = {words.removeprefix("JWT ") for words in told if words.startswith("JWT ")}
        assert hashes and tokens
        return (*sorted(hashes), *sorted(tokens)[:5])

    def said(self) -> str:
        """All that went to the LMS and its neighbours."""
        return "\n".join(f"{request.path} {request.body}" for request in self.lms.requests())

    def _ledger(self) -> Ledger:
        keys = Keys.load(self._grounds.folder / "keys.json")
        return Ledger(url=f"sqlite:///{self._grounds.ledger_file}", keys=keys)

    async def _retire(self, *arguments: str) -> None:
        await self._grounds.retire("openedx", *arguments, "--site", str(self._grounds.folder / "site.yaml"))


_HASHES = ("retired_username", "retired_email")
_OF_CASE = "from {0} join cases using (retirement_id) where cases.workflow_id = ?"
#: Sealed columns of one case, and of whoever has none yet.
_SEALED: tuple[tuple[Any, ...], ...] = (
    ("select wrapped_key, sealed from intakes",),
    (f"select wrapped_key {_OF_CASE.format('vault')}", str),
    (f"select sealed {_OF_CASE.format('vault_fields')}", str),
)

#: What the LMS and its neighbours are told of learners, and what is known of one from the LMS.
ASKED_ABOUT = (f"{LEARNER.mark}ette", str(LMS_USER_ID)[:-3], TRACKING)
KNOWN = (username_of(HELD), email_of(HELD), LEARNER.name, str(LMS_USER_ID + _row_of(HELD)), "retired__user_")

#: How each of them has to end.
ENDS = {
    user_of("complete"): "COMPLETE",
    f"{user_of('errored')} before": "ERRORED enrollments",
    user_of("errored"): "COMPLETE",
    user_of("not_found"): "ERRORED enrollments",
    user_of("conflict"): "ERRORED lms_misc",
    user_of("rescinded"): "ABORTED rescinded",
    user_of("cancelled"): "ABORTED rescinded",
    user_of("no_row"): "ABORTED no_such_subject",
    user_of("elsewhere"): "ABORTED not_eligible",
    user_of("wrong_person"): "ERRORED ",
    user_of("killed"): "COMPLETE",
    user_of("mistaken"): "COMPLETE",
}
#: The faulty worker fails once for this one.
assert user_of("mistaken") == faulty_worker.IN_LEARNER

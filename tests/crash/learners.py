"""Learners whose retirements are cut short at one of the fourteen requests of pipeline 4, before, during or after it."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from sandbox.launch import Sandbox
from sandbox.lms.client import SeenRequest, StandInLms
from tests.crash.recoveries import Recoveries, Recovery
from tests.openedx.pipelines import FOUR, SITE, driver_document, write_plan
from tests.support.killable_worker import STAYING, STAYS, place_to_stay
from tests.support.lanes import LONGEST_LIFE, Lane, a_lane
from tests.support.processes import TemporalServer
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import Outcome, StepResult

#: Where a step's own call goes.
_CALLS = ("retire_mailings", "unenroll", "retire_misc", "retire")
#: Every request of a retirement: an update as the state that it sets, any other as its route.
FOURTEEN = (
    "status",
    *(request for row, call in zip(FOUR, _CALLS, strict=True) for request in (row[0], call, row[1])),
    "COMPLETE",
)
#: An operator waits no longer for work to go on.
GOES_ON_WITHIN = 15.0
_LONG_AGO = timedelta(days=40)


class Moment(StrEnum):
    """How far a request is when the worker that sends it is killed."""

    #: Not sent.
    BEFORE = "before"
    #: Sent, and nothing is ever done about it.
    LOST = "lost"
    #: Done, and never answered.
    UNANSWERED = "unanswered"
    #: Sent, and done only when the next worker has looked and seen that it is not.
    LATE = "late"
    #: Answered, and nothing came of the answer yet.
    AFTER = "after"


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Where a learner's retirement is cut short."""

    request: str
    moment: Moment

    def __str__(self) -> str:
        """`unenroll, lost`."""
        return f"{self.request}, {self.moment}"

    @property
    def expected(self) -> list[str]:
        """All that the LMS is asked about the learner.

        What came before is not asked again. Whoever goes on reads the row first: an update is sent again only where the row
        shows that it was not done, a call is repeated, as nobody can tell. An update that comes second after all is refused, and
        the row read once more.
        """
        at = FOURTEEN.index(self.request)
        sent = [] if self.moment is Moment.BEFORE else [self.request]
        again = ["status", self.request]
        if self.request == "status":
            again = ["status"]
        elif self.request not in _CALLS:
            if self.moment in (Moment.UNANSWERED, Moment.AFTER):
                again = ["status"]
            elif self.moment is Moment.LATE:
                again = ["status", self.request, "status"]
        return [*FOURTEEN[:at], *sent, *again, *FOURTEEN[at + 1 :]]


#: A look changes nothing, so that a late one is a lost one.
KILLS = tuple(
    Kill(request=request, moment=moment)
    for request in FOURTEEN
    for moment in Moment
    if (request, moment) != ("status", Moment.LATE)
)
#: Before, during and after each request; of what else may be during one, one update and one call each.
CHOSEN = tuple(
    kill
    for kill in KILLS
    if kill.moment not in (Moment.LOST, Moment.LATE) or kill.request in ("RETIRING_ENROLLMENTS", "retire_misc")
)


@dataclass(kw_only=True)
class Cut:
    """A learner on the way to where they are cut short."""

    kill: Kill
    username: str
    row: dict[str, Any]
    handle: WorkflowHandle[Any, Any]
    #: The stand-in's faults that keep the request, or the look after it, until they are released.
    held: int | None = None
    look: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A retirement that has ended."""

    kill: Kill
    result: Result
    #: What the LMS was asked about the learner, in order.
    asked: tuple[SeenRequest, ...]
    killed_at: float
    ended_at: float
    row: dict[str, Any]

    @property
    def calls(self) -> list[str]:
        """The same as names, as `FOURTEEN` has them."""
        return [request.new_state or str(request.route) for request in self.asked]

    @property
    def went_on_after(self) -> float:
        """Seconds from the kill to the next request."""
        return min(request.at for request in self.asked if request.at > self.killed_at) - self.killed_at


@dataclass(frozen=True, kw_only=True)
class Halls:
    """A lane beside the stand-in LMS."""

    lane: Lane
    lms: StandInLms
    plan: str

    async def cut_short(self, kills: Iterable[Kill]) -> list[Ended]:
        """Retire a learner for each kill, all at once; kill the worker when each is where it is to die, and start another."""
        if not self.lane.worker.is_running:
            await self.lane.worker.start()
        cuts = [await self.start(kill) for kill in kills]
        await eventually(lambda: self._all_in_place(cuts), within=LONGEST_LIFE)
        await self.lane.worker.kill()
        killed_at = time.time()
        for cut in cuts:
            if cut.held is not None and cut.look is None:
                self.lms.release(cut.held, done=False)
        await self.lane.worker.start()
        await asyncio.gather(*(self._let_late_one_in(cut) for cut in cuts if cut.look is not None))
        return [await self.ended(cut, killed_at=killed_at) for cut in cuts]

    async def lose_server(self, server: TemporalServer) -> list[Ended]:
        """Retire a learner for each request; kill Temporal when each is at it, and start it again on the same database.

        The worker lives on: it is answered while there is no server.
        """
        cuts = [await self.start(Kill(request=request, moment=Moment.UNANSWERED)) for request in FOURTEEN]
        await eventually(lambda: self._all_in_place(cuts), within=LONGEST_LIFE)
        await server.kill()
        killed_at = time.time()
        for cut in cuts:
            assert cut.held is not None
            self.lms.release(cut.held)
        await server.start()
        await server.client()
        return [await self.ended(cut, killed_at=killed_at) for cut in cuts]

    async def start(self, kill: Kill) -> Cut:
        """Retire a learner who will stop at a request until it is released, or the worker killed."""
        username = f"{kill.request} {kill.moment} {secrets.token_hex(4)}".replace("_", "-").lower()
        row = self.lms.add_learner(username, created=datetime.now(UTC) - _LONG_AGO)
        held, look = self._stop_at(kill, username=username)
        user_id = f"{SITE}-{row['id']}"
        values = {"username": username, "row_id": row["id"]}
        await self.lane.ledger.take_in(user_id=user_id, tenant=None, values=values, now=datetime.now(UTC))
        handle: WorkflowHandle[Any, Any] = await self.lane.client.start_workflow(
            names.WORKFLOW_TYPE,
            {"user_id": user_id, "plan": self.plan, "requested_at": row["created"]},
            id=names.workflow_id(user_id=user_id),
            task_queue=names.QUEUE,
        )
        return Cut(kill=kill, username=username, row=row, handle=handle, held=held, look=look)

    def _stop_at(self, kill: Kill, *, username: str) -> tuple[int | None, int | None]:
        if kill.moment in (Moment.BEFORE, Moment.AFTER):
            self._place(kill, username=username).touch()
            return None, None
        is_update = kill.request.isupper()
        where = {"route": "update", "new_state": kill.request} if is_update else {"route": kill.request}
        held = self.lms.hold(answer=kill.moment is Moment.UNANSWERED, username=username, **where)
        if kill.moment is not Moment.LATE:
            return held, None
        return held, self.lms.hold(answer=True, username=username, route="status", nth=2)

    def _place(self, kill: Kill, *, username: str) -> Path:
        request = "retirement_status" if kill.request == "status" else kill.request
        folder = self.lane.folder / "stay"
        folder.mkdir(exist_ok=True)
        return folder / place_to_stay(username=username, request=request, moment=kill.moment)

    def _all_in_place(self, cuts: Sequence[Cut]) -> None:
        holding = {fault.number: fault.holding for fault in self.lms.faults()}
        away = [
            str(cut.kill)
            for cut in cuts
            if not (
                holding[cut.held]
                if cut.held is not None
                else Path(f"{self._place(cut.kill, username=cut.username)}{STAYS}").exists()
            )
        ]
        assert not away, f"not there yet: {away}; {self.lane.worker.last_lines()}"

    async def _let_late_one_in(self, cut: Cut) -> None:
        assert cut.held is not None and cut.look is not None
        look = cut.look

        def looked() -> None:
            assert [fault.holding for fault in self.lms.faults() if fault.number == look] == [1], cut.kill

        await eventually(looked, within=LONGEST_LIFE)
        self.lms.release(cut.held, done=True)
        self.lms.release(look, done=True)

    async def ended(self, cut: Cut, *, killed_at: float) -> Ended:
        """Wait for a learner's end."""
        async with asyncio.timeout(LONGEST_LIFE):
            result = Result.model_validate(await cut.handle.result())
        closed = (await cut.handle.describe()).close_time
        assert closed is not None
        return Ended(
            kill=cut.kill,
            result=result,
            asked=tuple(self.lms.requests(cut.username)),
            killed_at=killed_at,
            ended_at=closed.timestamp(),
            row=self.lms.row(cut.username) or {},
        )


@contextlib.asynccontextmanager
async def halls(
    *, name: str, lms: StandInLms, server: TemporalServer, sandbox: Sandbox, folder: Path, killable: bool = True
) -> AsyncIterator[Halls]:
    """A namespace with a ledger and a worker of its own, and the imported plan of pipeline 4."""

    def roomy(plan: dict[str, Any]) -> None:
        # Whoever is stopped keeps its place among the calls that a service may have at once.
        plan["services"]["lms"]["limits"] = {"concurrent": 2 * len(KILLS)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENEDX_CLIENT_SECRET", lms.settings().client_secret)
        options = (STAYING,) if killable else ()
        opened = a_lane(*options, name=name, server=server, sandbox=sandbox, folder=folder, killable=killable)
        async with opened as lane:
            plan = write_plan(folder / "plans", "four", document=driver_document(lms.url), change=roomy)
            yield Halls(lane=lane, lms=lms, plan=plan)


def judge(ended: Ended, *, recoveries: Recoveries) -> None:
    """It went on soon, it completed, and the LMS was asked what it had to be asked and nothing else."""
    asked, expected = (_without_looks_again(calls) for calls in (ended.calls, ended.kill.expected))
    assert [str(ended.kill), *asked] == [str(ended.kill), *expected]
    _judge_complete(ended)
    assert ended.went_on_after < GOES_ON_WITHIN
    seconds = ended.ended_at - ended.killed_at
    recoveries.add(Recovery(killed="worker with learners of Open edX", at=str(ended.kill), seconds=seconds))


def judge_without_server(ended: Ended) -> None:
    """It completed. No update was repeated, and no call but the one under way, once: each of them was done."""
    repeats = {call: count for call, count in Counter(ended.calls).items() if count > 1 and call != "status"}
    assert repeats in ({}, {ended.kill.request: 2}) and set(repeats) <= set(_CALLS), ended.calls
    assert list(dict.fromkeys(ended.calls)) == list(FOURTEEN)
    _judge_complete(ended)


def _without_looks_again(calls: Sequence[str]) -> list[str]:
    """Where a machine is short of time, an attempt that goes on may be given up as well, and the next one looks once more."""
    return [call for before, call in pairwise(["", *calls]) if not before == call == "status"]


def _judge_complete(ended: Ended) -> None:
    assert (ended.result.outcome, ended.row["current_state"]["state_name"]) == (Outcome.COMPLETE, "COMPLETE")
    assert [step.result for step in ended.result.steps] == [StepResult.UNVERIFIED] * len(FOUR)
    assert not [request for request in ended.asked if request.route == "update" and "force" in request.json]
    keys = {(request.route, request.headers["idempotency-key"]) for request in ended.asked if request.route in _CALLS}
    assert len(keys) == len(_CALLS), "a call was repeated under another key"

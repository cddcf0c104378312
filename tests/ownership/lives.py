"""A retirement without Temporal: the activities in the order in which the workflow asks for them, repeated as the server would.

What the workflow decides is decided here, too, in as few words as possible; the life of the real one is in test_graphs.py.
"""

import dataclasses
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.cases import CaseActivities
from activities.errors import STEP_HELD, TRY_AGAIN
from activities.steps import StepActivities
from ledger.ledger import Ledger
from ledger.rows import StepAction, no_values
from tests.ownership.graphs import COOL_OFF_DAYS, Request, Resume
from tests.ownership.interleaving import BEGINNING, Interleaving, Killed
from tests.ownership.retirees import ERASE, TRANSFER, Ended, Passage, Retiree, Span
from workflows import holds, outcomes
from workflows.messages import (
    CheckSubject,
    CloseCase,
    Failure,
    Moved,
    OpenCase,
    OpenedCase,
    PassPoint,
    RunStep,
    Start,
    StepOutcome,
    TurnBack,
)
from workflows.names import Direction, Outcome, Reason, StepResult

T = TypeVar("T")
A = TypeVar("A")

#: What a server waits before it tries again, more or less; five failures within the plan's patience of a second.
_RETRIES = (timedelta(milliseconds=100), timedelta(milliseconds=400), timedelta(milliseconds=900))
_MOST_ATTEMPTS = 60


class _Refused(Exception):
    """Something says that this account is not to be retired."""

    def __init__(self, reason: Reason, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


class _Failed(Exception):
    """An activity failed for good, or its hold has expired."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(kw_only=True)
class Life(Retiree):
    """Their retirements, one after the other."""

    turns: Interleaving
    ledger: Ledger
    cases: CaseActivities
    steps: StepActivities
    now: Callable[[], float]
    #: What a name of the graph is called by the services.
    id_of: Callable[[str], str]
    _runs: Any = field(default_factory=itertools.count)
    _opened: OpenedCase = field(default_factory=OpenedCase)
    _awaiting_since: datetime | None = None

    @property
    def may_own_more(self) -> bool:
        """Is nothing decided yet from what they own? From then on nobody may give them anything, but other retirements."""
        return not self.handing_over and not any(end.outcome is Outcome.COMPLETE for end in self.ends)

    async def live(self) -> None:
        """Ask until retired. Whoever changes their mind doesn't ask again."""
        for request in self.requests:
            await self.turns.until(BEGINNING + timedelta(days=request.day, milliseconds=request.after))
            end = await self._run(request)
            for resume in request.resumes:
                if end.outcome is Outcome.ERRORED:
                    end = await self._run(request, resume=resume, of=end)
            if end.outcome is not Outcome.ABORTED or end.reason is Reason.RESCINDED:
                return

    async def _run(self, request: Request, *, resume: Resume | None = None, of: Ended | None = None) -> Ended:
        """One run to its end. A resume that is refused leaves everything as it is."""
        end = await self._until_the_end(request, resume=resume, of=of)
        if end is None:
            assert of is not None
            return of
        end = dataclasses.replace(end, at=self.now())
        self.ends.append(end)
        return end

    async def _until_the_end(self, request: Request, *, resume: Resume | None, of: Ended | None) -> Ended | None:
        successor = request.successor if resume is None else resume.successor
        start = Start(
            user_id=self.user_id,
            cool_off=timedelta(days=COOL_OFF_DAYS if request.cools_off else 0),
            successor=None if successor is None else self.id_of(successor),
            resume=of.retirement_id if of is not None else None,
            go_back=resume is not None and resume.go_back,
        )
        run_key = f"{self.user_id}-{next(self._runs)}"
        open_case = OpenCase(start=start, run_key=run_key, now=self.turns.clock)
        self._awaiting_since = None
        if resume is not None and self.passages:
            self.passages[-1].until = self.passages[-1].until or self.now()  # another may be named from now on
        self._opened = opened = await self._do(self.cases.open_case, open_case)
        retirement_id = opened.retirement_id or ""
        if opened.refused is not None:
            # Something was handed over: there is no way back. Nothing else is refused to these.
            assert start.go_back and opened.refused is Reason.NOT_RESUMABLE, opened
            return None
        if not opened.resumed:
            self.spans.append(Span(retirement_id=retirement_id, opened=self.now()))
        if opened.state == "going_back":
            return await self._back(_Refused(Reason.ABANDONED))
        if opened.state == "past_return":
            return await (self._back(_Refused(Reason.ABANDONED)) if start.go_back else self._forward())
        try:
            await self._before_return(request)
            while not (moved := await self._pass_point()).moved:
                if moved.successor_lost:
                    raise _Refused(Reason.NO_SUCCESSOR, "successor_retiring")
                assert moved.awaited, moved
                await self._await_inheritance()
        except _Refused as refused:
            return await self._back(refused)
        return await self._forward()

    async def _before_return(self, request: Request) -> None:
        await self._check()
        if request.cools_off:
            await self.turns.until(self.turns.clock + timedelta(days=COOL_OFF_DAYS))
            if request.rescinds:
                raise _Refused(Reason.RESCINDED)
            await self._check(again=True)

    async def _check(self, *, again: bool = False) -> None:
        check = CheckSubject(**self._ref(), again=again, now=self.turns.clock)
        try:
            checked = await self._held(self.steps.check_subject, check)
        except _Failed as failed:
            raise _Refused(Reason.LOOKUP_FAILED, failed.code) from None
        if checked.refused is not None:
            raise _Refused(checked.refused, checked.code)
        assert checked.chosen

    async def _pass_point(self) -> Moved:
        point, began = PassPoint(retirement_id=self._id, now=self.turns.clock), self.now()
        moved = await self._do(self.cases.pass_point_of_no_return, point)
        if moved.moved:
            ended = self.now()
            start = await self.ledger.begin_step(retirement_id=self._id, step=TRANSFER, action=StepAction.DO)
            chosen = frozenset(str(who["id"]) for who in (start.values or no_values())["successors"].values())
            self.passages.append(Passage(retirement_id=self._id, successors=chosen, began=began, ended=ended))
        return moved

    async def _await_inheritance(self) -> None:
        since = self._awaiting_since = self._awaiting_since or self.turns.clock
        if self.turns.clock >= holds.expires_at(since=since):
            raise _Refused(Reason.HOLD_EXPIRED)
        await self._next_look(since=since)
        await self._check(again=True)

    async def _next_look(self, *, since: datetime) -> None:
        """A hold is looked at every few minutes, at first; here that soon becomes a day, as weeks of it would be all the same."""
        now = self.turns.clock
        soon = holds.next_look(since=since, now=now)
        later = min(timedelta(days=1), holds.expires_at(since=since) - now)
        await self.turns.until(now + (soon if now - since < timedelta(minutes=10) else later))

    async def _forward(self) -> Ended:
        for step in (TRANSFER, ERASE):
            if any(ended.step == step and ended.result is not StepResult.FAILED for ended in self._opened.ended):
                continue
            try:
                await self._step(step)
            except _Failed as failed:
                outcome = outcomes.failed(step, code=failed.code, now=self.turns.clock)
                await self._close(Outcome.ERRORED, direction=Direction.FORWARD, concluded=(outcome,))
                return Ended(retirement_id=self._id, outcome=Outcome.ERRORED, failed=step, code=failed.code)
        await self._close(Outcome.COMPLETE)
        return Ended(retirement_id=self._id, outcome=Outcome.COMPLETE)

    async def _step(self, step: str) -> StepOutcome:
        run = RunStep(**self._ref(), step=step, now=self.turns.clock)
        if step == TRANSFER:
            handed_over = await self._held(self.steps.run_step, run, begins=self._begin_to_hand_over)
            if self.passages:
                self.passages[-1].until = self.passages[-1].until or self._last_look()
            return handed_over
        return await self._held(self.steps.run_step, run)

    def _last_look(self) -> float:
        """When the attempt began that saw that nothing was left; those after it only repeat what it said."""
        asked = f"/documents?owner={self.user_id}&"
        return max(exchange.attempt for exchange in self.turns.exchanges if asked in exchange.url)

    def _begin_to_hand_over(self) -> None:
        self.handing_over.append(self.now())

    async def _back(self, refused: _Refused) -> Ended:
        turn = TurnBack(
            retirement_id=self._id,
            reason=refused.reason,
            code=refused.code,
            now=self.turns.clock,
            from_past_return=self._opened.state == "past_return",
        )
        moved = await self._do(self.cases.turn_back, turn)
        assert moved.moved, moved
        await self._close(Outcome.ABORTED, reason=refused.reason)
        return Ended(retirement_id=self._id, outcome=Outcome.ABORTED, reason=refused.reason, code=refused.code)

    async def _close(self, outcome: Outcome, **details: Any) -> None:
        if outcome is not Outcome.ERRORED:
            self.spans[-1].closed = self.now()
        close = CloseCase(retirement_id=self._id, outcome=outcome, now=self.turns.clock, **details)
        await self._do(self.cases.close_case, close)

    # --- activities --------------------------------------------------------------------------------------------------

    async def _held(
        self,
        activity: Callable[[A], Coroutine[Any, Any, T]],
        argument: A,
        *,
        begins: Callable[[], None] = lambda: None,
    ) -> T:
        """Run an activity; while it is held, look again for as long as a hold lasts."""
        since: datetime | None = None
        while True:
            try:
                return await self._do(activity, argument, begins=begins)
            except ApplicationError as error:
                failure = error.details[0]
                assert isinstance(failure, Failure), error
                if error.type != STEP_HELD:
                    raise _Failed(failure.code) from None
            since = since or self.turns.clock
            if self.turns.clock >= holds.expires_at(since=since):
                raise _Failed(Reason.HOLD_EXPIRED)
            await self._next_look(since=since)

    async def _do(
        self,
        activity: Callable[[A], Coroutine[Any, Any, T]],
        argument: A,
        *,
        begins: Callable[[], None] = lambda: None,
    ) -> T:
        """Run an activity to its end, attempt after attempt, whoever is killed meanwhile."""
        for number in range(1, _MOST_ATTEMPTS):
            environment = ActivityEnvironment()
            environment.info = dataclasses.replace(environment.info, attempt=number, started_time=self.turns.clock)
            begins()
            try:
                return await self.turns.attempt(lambda: environment.run(activity, argument))  # noqa: B023 - awaited here
            except Killed:
                pass
            except ApplicationError as error:
                if error.type != TRY_AGAIN:
                    raise
            await self.turns.until(self.turns.clock + self.turns.chance.choice(_RETRIES))
        raise AssertionError(f"{activity.__name__} of {self.user_id} is tried for ever")

    @property
    def _id(self) -> str:
        return self._opened.retirement_id or ""

    def _ref(self) -> dict[str, Any]:
        assert self._opened.outline is not None
        return {
            "retirement_id": self._id,
            "user_id": self.user_id,
            "tenant": None,
            "plan_digest": self._opened.outline.digest,
        }

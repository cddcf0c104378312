"""One attempt at one step of a plan: ask, believe nothing, record what became of it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from activities.actions.action import Action, Call
from activities.actions.answers import (
    Absent,
    Answer,
    Done,
    Held,
    Permanent,
    Transient,
    Working,
    meaning_of,
)
from activities.actions.wire import TIMEOUT
from activities.attempts import Attempts, Trouble, Trying, now
from activities.errors import try_again
from activities.finding import look_for
from activities.first_contact import Worked, settled
from activities.following import work_of
from activities.opening import Begun, names_of_probe
from activities.ownership.succession import Succession
from activities.paging import NotTold
from activities.patience import time_for_an_answer
from activities.probing import Gone, Seen, StillThere, ask, deed_rules, reading_rules
from activities.rendering import RenderingError, evaluate, holds
from ledger.ledger import Ledger
from ledger.rows import StepAction, no_values
from plans.model import SHORT_POLL, Find, Identifiers, LastResort, Probe, Step, StepPhase
from plans.requests import Request
from workflows.messages import Failure, StepOutcome
from workflows.names import StepResult

STILL_PRESENT = "still_present"
NOT_DONE = "not_done"
IN_PROGRESS = "in_progress"
STILL_FREE = "still_free"
ROUTE_UNPROVEN = "route_unproven"
#: Accepted; what became of it is asked for after the retirement.
FOLLOWED_UP = "followed_up"
#: The place a service named for asking how far it is; in the vault, as it may name the person.
PLACE = "_poll"
#: After how many lies of the service `find` was asked last; in the vault, as what it found is.
FOUND = "_found"

#: Short waits of a poll are spent inside the attempt, so long as it stays a short attempt.
_LONGEST_ATTEMPT = 10.0


@dataclass(kw_only=True)
class StepRun:
    """A step at work. `attempt` is called until it gives an outcome; in between the activity may be cancelled."""

    action: Action
    ledger: Ledger
    attempts: Attempts
    worked: Worked
    begun: Begun
    step_id: str
    step: Step
    service: str
    #: Did the probe see the person before the point of no return? None: it wasn't asked.
    present: bool | None
    saved: dict[str, Any] = field(init=False, repr=False)
    trying: Trying = field(init=False)
    lies: int = field(init=False)
    #: Told of every answer to the step's own request that doesn't accept it, before anything follows from it.
    on_refusal: Callable[[Answer], Awaitable[None]] | None = None
    #: How many items the answer that was believed has listed, where it was a list.
    counted: int | None = None
    #: What templates may name of who takes over; None until that was asked.
    _takes_over: dict[str, Any] | None = field(default=None, repr=False)
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.saved = self.begun.saved_by(self.step_id)
        row = self.begun.row
        self.lies = row.lies if row is not None else 0
        self.trying = Trying(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            service=self.service,
            patience=self.step.patience,
        )
        if "saved" in names_of_probe(self.step.probe):
            # What the probe asks about was not known before the freeze, so nobody was asked about then.
            self.present = None

    async def attempt(self) -> StepOutcome | timedelta:
        """Try once. A duration: look again after it, within this activity attempt.

        Raises:
            ApplicationError: TryAgain, StepFailed or StepHeld.
        """
        try:
            if self._takes_over is None:
                self._takes_over = await self._succession.confirmed()
            if self.saved.get(PLACE):
                return await self._ask_progress(self.saved[PLACE])
            if self.lies and self.step.probe is not None:
                seen = await self._ask(self.step.probe)
                if not isinstance(seen.verdict, StillThere):
                    return await self._conclude(seen=seen, said_done=True, detail=seen.detail)
            return await self._call()
        except RenderingError as error:
            await self._give_way(Permanent(code=error.code), detail=_route(self.step))
        except NotTold as untold:
            await self._give_way(untold.trouble, detail=untold.detail)

    async def _call(self) -> StepOutcome | timedelta:
        if self.step.find is not None and not self._has_found(self.step.find):
            nobody = await self._find(self.step.find)
            if nobody is not None:
                return nobody
        call = self._given_time(self._own_call())
        answer = await self.action.call(call)
        detail = self.action.describe(call, answer)
        meaning = meaning_of(
            answer, deed_rules(call, step=self.step, worked=self.worked, polled=self.step.poll is not None)
        )
        match meaning:
            case Working() if isinstance(answer, Answer):
                return await self._accepted(call, answer, detail=detail)
            case Done() if isinstance(answer, Answer):
                await self._need_done(call, answer, detail=detail)
                return await self._done(call, answer, detail=detail)
            case Absent():
                return await self._absent(call, meaning, detail=detail)
            case Transient() | Permanent() | Held():
                if self.on_refusal is not None and isinstance(answer, Answer):
                    await self.on_refusal(answer)
                return await self._refused(meaning, detail=detail)
        raise AssertionError("every meaning has its branch")

    def _has_found(self, find: Find) -> bool:
        """Is what `find` saves known? What was found before the service lied about it is asked for anew."""
        return self.saved.get(FOUND) == self.lies and find.save.keys() <= self.saved.keys()

    async def _find(self, find: Find) -> StepOutcome | None:
        """Keep what the service knows the person by, before anything is done with it. An outcome where it knows nobody."""
        call = self.begun.call(step=self.step_id, service=self.service, request=find.request, more=self._takes_over)
        found = await look_for(self.action, call=call, find=find, worked=self.worked)
        if isinstance(found.instead, Absent):
            return await self._absent(call, found.instead, detail=found.detail)
        if found.instead is not None:
            await self._give_way(found.instead, detail=found.detail)
        self.saved = {**self.saved, **found.values, FOUND: self.lies}
        await self._keep_saved()
        return None

    def _given_time(self, call: Call) -> Call:
        """The same, with the time that this step gives its own request."""
        within = time_for_an_answer(
            service=call.service.timeout,
            step=self.step.timeout,
            longest=self.step.longest_timeout,
            timeouts=self.begun.row.timeouts if self.begun.row is not None else 0,
        )
        return replace(call, service=call.service.model_copy(update={"timeout": within}))

    async def _refused(self, trouble: Trouble, *, detail: str) -> StepOutcome:
        """The request was not accepted; where that is for good, the plan may name a last resort."""
        retirement_id = self.begun.ref.retirement_id
        trouble = await settled(self.ledger, trouble=trouble, retirement_id=retirement_id, service=self.service)
        if isinstance(trouble, Permanent) and self.step.on_permanent is not None:
            return await self._scrub(self.step.on_permanent, refused=detail)
        timed_out = trouble.code == TIMEOUT
        await self.attempts.give_way(
            self.trying, trouble=trouble, detail=detail, timed_out=timed_out, row=self.begun.row
        )

    async def _scrub(self, resort: LastResort, *, refused: str) -> StepOutcome:
        """The last resort. A repeat after a crash asks for the erasure first, is refused again, and comes back here."""
        call = self._own_call(request=resort.request, suffix=":last_resort")
        answer = await self.action.call(call)
        detail = f"{refused}; then {self.action.describe(call, answer)}"
        meaning = meaning_of(answer, deed_rules(call, step=self.step, worked=self.worked))
        if isinstance(meaning, Transient | Permanent | Held):
            await self._give_way(meaning, detail=detail)
        if not isinstance(meaning, Done):
            # Nothing there to scrub, where the erasure was refused: the two answers can't both be right.
            await self._give_way(Permanent(code="nothing_to_scrub", touched=True), detail=detail)
        if resort.probe is not None:
            seen = await self._ask(resort.probe)
            if isinstance(seen.verdict, StillThere):
                await self._give_way(Transient(code=STILL_PRESENT, touched=True), detail=seen.detail)
            if not isinstance(seen.verdict, Gone):
                await self._give_way(seen.verdict, detail=seen.detail)
        return await self._end(StepResult.SCRUBBED, detail=detail)

    async def _need_done(self, call: Call, answer: Answer, *, detail: str) -> None:
        """Go on only if what was answered says that it was done, where the plan says how to tell."""
        if self.step.done_when is None:
            return
        try:
            is_done = holds(self.step.done_when, {**call.context, **answer.values})
        except RenderingError as error:
            await self._give_way(Transient(code=error.code, touched=True), detail=detail)
        if not is_done:
            await self._give_way(Transient(code=NOT_DONE, touched=True), detail=detail)

    async def _done(self, call: Call, answer: Answer, *, detail: str) -> StepOutcome:
        self.counted = len(answer.body) if isinstance(answer.body, list) else None
        context = {**call.context, **answer.values}
        try:
            new = {name: evaluate(expression, context) for name, expression in self.step.save.items()}
        except RenderingError as error:
            await self._give_way(Transient(code=error.code, touched=True), detail=detail)
        # What the first attempt at a freeze found stands: a repeated lock finds the account locked, by ourselves.
        is_freeze = self.step.phase is StepPhase.FREEZE
        self.saved = {**new, **self.saved} if is_freeze else {**self.saved, **new}
        if self.step.probe is None:
            if self.step.phase is not StepPhase.ERASE:
                return await self._end(StepResult.DONE, code=self.step.identifiers, detail=detail)
            code = "no_probe" if self.step.follow_up is None else FOLLOWED_UP
            return await self._end(StepResult.UNVERIFIED, code=code, detail=detail)
        return await self._conclude(seen=await self._ask(self.step.probe), said_done=True, detail=detail)

    async def _absent(self, call: Call, absent: Absent, *, detail: str) -> StepOutcome:
        if self.step.probe is not None:
            seen = await self._ask(self.step.probe)
            return await self._conclude(seen=seen, said_done=False, detail=detail, absent=absent, call=call)
        await self._prove(call, absent, detail=detail)
        return await self._end(StepResult.ABSENT, code=self._why_absent(), detail=detail)

    async def _conclude(
        self, *, seen: Seen, said_done: bool, detail: str, absent: Absent | None = None, call: Call | None = None
    ) -> StepOutcome:
        """What the probe's finding makes of the service's word."""
        match seen.verdict:
            case StillThere() if self.step.identifiers is Identifiers.BLOCKED:
                # The name is taken for good, so that nobody else gets it.
                return await self._end(StepResult.DONE, code=Identifiers.BLOCKED, detail=detail)
            case Gone() if self.step.identifiers is Identifiers.BLOCKED:
                trouble = Transient(code=STILL_FREE, touched=True)
                await self._give_way(trouble, detail=seen.detail, lied=said_done)
            case StillThere():
                trouble = Transient(code=STILL_PRESENT, touched=True)
                await self._give_way(trouble, detail=seen.detail, lied=said_done)
            case Transient() | Permanent() | Held() as trouble:
                # The call before it may well have had its effect.
                touched = replace(trouble, touched=True) if not isinstance(trouble, Held) else trouble
                await self._give_way(touched, detail=seen.detail)
            case Gone(needs_proof=needs_proof):
                if self.step.phase is not StepPhase.ERASE:
                    result = StepResult.DONE if said_done else StepResult.ABSENT
                    return await self._end(result, code=self.step.identifiers, detail=detail)
                if self.present:
                    return await self._end(StepResult.ERASED, detail=detail)
                if needs_proof and not await self._is_known(self._probe_call(), detail=seen.detail):
                    if said_done:
                        return await self._end(StepResult.UNVERIFIED, code=ROUTE_UNPROVEN, detail=seen.detail)
                    if absent is not None and call is not None:
                        await self._prove(call, absent, detail=detail)
                erased = said_done and self.present is None
                code = None if erased else self._why_absent()
                return await self._end(StepResult.ERASED if erased else StepResult.ABSENT, code=code, detail=detail)

    async def _accepted(self, call: Call, answer: Answer, *, detail: str) -> timedelta:
        """The service works on it: keep the place to ask, so that no crash makes us ask for the work again."""
        assert self.step.poll is not None
        try:
            named = evaluate(self.step.poll.url, {**call.context, **answer.values})
        except RenderingError as error:
            await self._give_way(Transient(code=error.code, touched=True), detail=detail)
        url = self.action.place_to_ask(call, url=named)
        if url is None:
            await self._give_way(Permanent(code="status_url_foreign", touched=True), detail=detail)
        self.saved = {**self.saved, PLACE: {"url": url, "since": now().isoformat()}}
        await self._keep_saved()
        return self._later(detail=detail)

    async def _ask_progress(self, place: dict[str, Any]) -> StepOutcome | timedelta:
        poll = self.step.poll
        if poll is None:
            # Today's plan (a resume took it) doesn't ask any more: begin afresh.
            self.saved = {**self.saved, PLACE: None}
            return await self._call()
        if place.get("since") is None:
            place = {**place, "since": now().isoformat()}
            self.saved = {**self.saved, PLACE: place}
            await self._keep_saved()
        call = self._own_call()
        answer = await self.action.follow(call, url=str(place["url"]))
        detail = f"{_route(self.step)} → 202, then {answer.status if isinstance(answer, Answer) else answer.code}"
        rules = replace(reading_rules(call, succeeded_before=True), method="GET", polled=True)
        meaning = meaning_of(answer, rules)
        if isinstance(meaning, Done) and isinstance(answer, Answer):
            return await self._progress(call, answer, detail=detail)
        if isinstance(meaning, Working):
            return await self._still_working(detail=detail)
        if isinstance(meaning, Transient):
            await self._give_way(replace(meaning, touched=True), detail=detail)
        if isinstance(meaning, Held):
            await self._give_way(meaning, detail=detail)
        return await self._job_lost(code=f"poll_{getattr(meaning, 'code', IN_PROGRESS)}", detail=detail)

    async def _progress(self, call: Call, answer: Answer, *, detail: str) -> StepOutcome | timedelta:
        assert self.step.poll is not None
        context = {**call.context, **answer.values}
        try:
            has_failed = self.step.poll.failed is not None and holds(self.step.poll.failed, context)
            is_done = not has_failed and holds(self.step.poll.done, context)
        except RenderingError as error:
            await self._give_way(Transient(code=error.code, touched=True), detail=detail)
        if has_failed:
            return await self._job_lost(code="job_failed", detail=detail)
        if not is_done:
            return await self._still_working(detail=detail)
        self.saved = {**self.saved, PLACE: None}
        return await self._done(call, answer, detail=detail)

    async def _still_working(self, *, detail: str) -> timedelta:
        since = datetime.fromisoformat(self.saved[PLACE]["since"])
        if now() - since < self.step.patience:
            return self._later(detail=detail)
        # A resume goes on asking at the same place, with patience of its own.
        self.saved = {**self.saved, PLACE: {**self.saved[PLACE], "since": None}}
        await self.attempts.next_wait(self.trying, code=IN_PROGRESS, touched=True)
        await self.attempts.fail(self.trying, code=IN_PROGRESS, detail=detail, saved=self.saved)

    async def _job_lost(self, *, code: str, detail: str) -> StepOutcome:
        """The service gave the work up. A resume asks anew, under another key: the old one would replay the failure."""
        self.saved = {**self.saved, PLACE: None}
        if self.step.on_permanent is not None:
            return await self._scrub(self.step.on_permanent, refused=detail)
        await self.attempts.next_wait(self.trying, code=code, touched=True, lied=True)
        await self.attempts.fail(self.trying, code=code, detail=detail, saved=self.saved)

    def _later(self, *, detail: str) -> timedelta:
        assert self.step.poll is not None
        every = self.step.poll.every
        if every <= SHORT_POLL and time.monotonic() - self._started < _LONGEST_ATTEMPT:
            return every
        raise try_again(failure=Failure(code=IN_PROGRESS, step=self.step_id, detail=detail), after=every)

    async def _ask(self, probe: Probe) -> Seen:
        return await ask(self.action, call=self._probe_call(probe), probe=probe)

    async def _prove(self, call: Call, absent: Absent, *, detail: str) -> None:
        """Go on only if "not found" can be believed."""
        if absent.needs_proof and not self.present and not await self._is_known(call, detail=detail):
            await self._give_way(Permanent(code=ROUTE_UNPROVEN), detail=detail)

    async def _is_known(self, call: Call, *, detail: str) -> bool:
        if self.step.absent_unchecked is not None:
            return True
        known = await self.action.is_route_known(call)
        if known is None:
            await self._give_way(Transient(code="route_check_failed", touched=True), detail=detail)
        return known

    def _why_absent(self) -> str | None:
        return "absent_unchecked" if self.step.absent_unchecked is not None else None

    def _own_call(self, *, request: Request | None = None, suffix: str = "") -> Call:
        asked = request or self.step.request
        assert asked is not None
        key = f"{self.begun.ref.retirement_id}:{self.step_id}{suffix}"
        call = self.begun.call(
            step=self.step_id,
            service=self.service,
            request=asked,
            key=f"{key}:{self.lies}" if self.lies else key,
            more=self._takes_over,
        )
        return call if self.step.find is None else self._with_saved(call)

    def _probe_call(self, probe: Probe | None = None) -> Call:
        asked = probe or self.step.probe
        assert asked is not None
        call = self.begun.call(step=self.step_id, service=self.service, request=asked.request, more=self._takes_over)
        return self._with_saved(call)

    def _with_saved(self, call: Call) -> Call:
        """The same, with what this very attempt has saved: the call may ask for it."""
        saved = {**(self.begun.values or no_values())["saved"], self.step_id: self.saved}
        return replace(call, context={**call.context, "saved": saved})

    async def _give_way(self, trouble: Trouble, *, detail: str, lied: bool = False) -> NoReturn:
        trouble = await settled(
            self.ledger, trouble=trouble, retirement_id=self.begun.ref.retirement_id, service=self.service
        )
        await self.attempts.give_way(self.trying, trouble=trouble, detail=detail, lied=lied, row=self.begun.row)

    async def _end(self, result: StepResult, *, code: str | None = None, detail: str | None = None) -> StepOutcome:
        self.worked.add(self.begun.plan.services[self.service])
        outcome = StepOutcome(step=self.step_id, result=result, code=code, detail=detail, at=now())
        await self.ledger.record_outcome(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=self.trying.action,
            outcome=outcome,
            service=self.service,
            saved=self.saved if self.saved != self.begun.saved_by(self.step_id) else None,
            opens=work_of(self.step.follow_up, outcome=outcome, accepted_at=now()),
        )
        await self._succession.end()
        return outcome

    @property
    def _succession(self) -> Succession:
        return Succession(
            action=self.action, ledger=self.ledger, begun=self.begun, step_id=self.step_id, step=self.step
        )

    async def _keep_saved(self) -> None:
        await self.ledger.save_values(retirement_id=self.begun.ref.retirement_id, step=self.step_id, saved=self.saved)


def _route(step: Step) -> str:
    return "" if step.request is None else step.request.title

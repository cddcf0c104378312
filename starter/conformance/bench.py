"""The workbench of the checks: the step, the test users, and every way of asking. It remembers; it doesn't judge."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from activities.actions.action import Call
from activities.actions.answers import (
    Answer,
    Done,
    Rules,
    Transient,
    Working,
    meaning_of,
)
from activities.opening import pseudonym_of
from activities.probing import Gone, Seen, StillThere, ask
from activities.rendering import RenderingError, evaluate, holds
from activities.step_run import NOT_DONE
from ledger.cases import new_retirement_id
from plans.model import Identifiers
from plans.services import Service
from starter.conformance.deeds import Did, FirstDeed, Person
from starter.conformance.following import followed_to_its_end
from starter.conformance.leaves import Leaves, leaves_of
from starter.conformance.patience import until_next_look
from starter.conformance.scrubbing import LastResorts
from starter.conformance.target import Sight, Target
from starter.conformance.verdicts import DoesNotApply, LeftOut, SaveUnread
from starter.exchanges import Exchange, Exchanges
from starter.strangers import stranger_of


@dataclass(kw_only=True)
class Bench:
    """What check functions work with."""

    target: Target
    action: Exchanges
    people: list[Person]
    frozen: Person | None
    tenant: str | None
    within: timedelta
    taken: set[int] = field(default_factory=set)
    #: The first deed of the step, done once and looked at by many checks.
    first: FirstDeed | None = None
    #: What is seen otherwise of somebody who is frozen: names of lookup's fields, or the probe.
    visible: frozenset[str] | None = None
    last_resorts: LastResorts = field(init=False)

    def __post_init__(self) -> None:
        self.last_resorts = LastResorts(target=self.target, action=self.action, within=self.within)

    # Whom to ask about.

    @property
    def main(self) -> Person:
        """The first test user who is there.

        Raises:
            LeftOut: nobody is.
        """
        found = next((person for person in self.people if person.is_there), None)
        if found is None:
            raise LeftOut("none of the test users is there")
        return found

    @property
    def bystander(self) -> Person:
        """The second: nothing is done to them until the very end.

        Raises:
            LeftOut: there is none.
        """
        there = [person for person in self.people if person.is_there]
        if len(there) < 2:
            raise LeftOut("needs a second test user, who is only watched")
        return there[1]

    def take(self) -> Person:
        """A test user to whom nothing has been done. A freeze is given back, so there everybody serves again.

        Raises:
            LeftOut: there is none left.
        """
        if self.target.is_freeze:
            return self.main
        fresh = [person for person in self.people if person.is_there][2:]
        left = next((person for person in fresh if person.number not in self.taken), None)
        if left is None:
            raise LeftOut("needs another test user")
        self.taken.add(left.number)
        return left

    # What templates may name.

    def context(self, person: Person) -> dict[str, Any]:
        """About a test user."""
        known: dict[str, Any] = {
            "user_id": person.user_id,
            "tenant": self.tenant,
            "retirement_id": person.retirement_id,
            "pseudonym": pseudonym_of(person.retirement_id),
            "saved": {self.target.step_id: person.saved},
        }
        return known if person.subject is None else {**known, "subject": person.subject}

    def nobody(self) -> dict[str, Any]:
        """About somebody who doesn't exist."""
        id = new_retirement_id()
        about = {"retirement_id": id, "pseudonym": pseudonym_of(id), "saved": {}}
        return {**stranger_of(self.context(self.main)), **about}

    # Asking.

    @property
    def sight(self) -> Sight:
        """How a person is seen.

        Raises:
            DoesNotApply: nothing tells.
        """
        sight = self.target.sight
        if sight is None:
            raise DoesNotApply("the step has no probe that could be asked")
        return sight

    async def see(self, context: Mapping[str, Any], *, service: Service | None = None) -> tuple[Seen, Exchange]:
        """Ask whether a person is there."""
        sight = self.sight
        call = Call(service=service or sight.service, request=sight.probe.request, context=context)
        # Others may be asked at the same time: a list of its own tells which answer is whose.
        own = Exchanges(self.action)
        seen = await ask(own, call=call, probe=sight.probe)
        return seen, own.made[0]

    async def is_there(self, person: Person) -> bool:
        """Is the person seen? True where nothing tells."""
        if self.target.sight is None:
            return True
        seen, _ = await self.see(self.context(person))
        return isinstance(seen.verdict, StillThere)

    async def steady_answer(self, person: Person) -> Any:
        """What the probe answers about a person, where it answers so twice; None where it doesn't, or nothing tells.

        An answer with a clock in it tells nothing of whether somebody was touched.
        """
        if self.target.sight is None:
            return None
        both = [(await self.see(self.context(person)))[1].answer for _ in range(2)]
        first, second = (each.body if isinstance(each, Answer) else None for each in both)
        return first if first == second else None

    async def is_as_wanted(self, person: Person) -> tuple[bool, str]:
        """Does the probe say within the time what it must say after the step: gone, or taken for a name that is blocked?

        Of whoever the request was refused for, the last resort's probe has to say it.
        """
        if self.last_resorts.was_done_to(person.number):
            return await self.last_resorts.is_gone(person.number)
        wanted = StillThere if self.target.step.identifiers is Identifiers.BLOCKED else Gone
        deadline = time.monotonic() + self.within.total_seconds()
        while True:
            seen, exchange = await self.see(self.context(person))
            if isinstance(seen.verdict, wanted) or time.monotonic() > deadline:
                return isinstance(seen.verdict, wanted), exchange.said
            await until_next_look(deadline)

    async def look_up(self, person: Person) -> dict[str, Any] | None:
        """What the lookup finds; None where it finds nobody, or can't be read."""
        lookup = self.target.plan.subject.lookup
        service = self.target.plan.services[lookup.service]
        call = Call(service=service, request=lookup.request, context={**self.context(person), "subject": {}})
        answer = await self.action.call(call)
        if not isinstance(answer, Answer) or not 200 <= answer.status < 300:
            return None
        try:
            known = {**call.context, **answer.values}
            return {name: evaluate(text, known) for name, text in lookup.fields.items()}
        except RenderingError:
            return None

    # Doing.

    async def do(
        self,
        context: Mapping[str, Any],
        *,
        key: str,
        service: Service | None = None,
        to_its_end: bool = True,
    ) -> Did:
        """Send the step's request under a key, and follow it to its end where it is worked on."""
        target = self.target
        call = Call(service=service or target.service, request=target.request, context=context, key=key)
        exchange = await self._exchange(call)
        meaning = meaning_of(exchange.answer, self._rules(polled=target.step.poll is not None))
        if isinstance(meaning, Done) and isinstance(exchange.answer, Answer):
            meaning = self._unless_undone(meaning, {**context, **exchange.answer.values})
        did = Did(exchange=exchange, meaning=meaning)
        if to_its_end and isinstance(meaning, Working) and isinstance(exchange.answer, Answer):
            assert target.step.poll is not None
            ended, is_lost = await followed_to_its_end(
                self.action, call=call, accepted=exchange.answer, poll=target.step.poll, within=self.within
            )
            return replace(did, ended=ended, is_lost=is_lost)
        return did

    async def do_to(self, person: Person, *, key: str | None = None) -> Did:
        """The same to a test user, under the key that a retirement of theirs would send; `saved` is kept.

        Where it is refused for good and the plan names a last resort, that is done, as a retirement would.
        """
        key = key or self.key_of(person)
        did = await self.do(self.context(person), key=key)
        resort = self.target.step.on_permanent
        if resort is not None and did.is_refused:
            rules = self._rules(method=resort.request.verb)
            last = await self.last_resorts.do(person, self.context(person), key=key, rules=rules)
            return replace(did, last=last)
        answer = did.exchange.answer
        if isinstance(did.meaning, Done) and isinstance(answer, Answer) and not person.saved:
            try:
                known = {**self.context(person), **answer.values}
                person.saved = {name: evaluate(text, known) for name, text in self.target.step.save.items()}
            except RenderingError as error:
                raise SaveUnread(f"`save` can't be read from the answer ({error.code})") from None
        return did

    async def undo(self, person: Person) -> Did | None:
        """Restore, as a rescind would; None where `when` says that there is nothing to restore.

        Raises:
            DoesNotApply: the step has no undo.
        """
        undo = self.target.step.undo
        if undo is None:
            raise DoesNotApply("the step has no undo")
        context = self.context(person)
        if undo.when is not None and not holds(undo.when, context):
            return None
        key = f"{self.key_of(person)}:undo"
        call = Call(service=self.target.service, request=undo.request, context=context, key=key)
        exchange = await self._exchange(call)
        return Did(exchange=exchange, meaning=meaning_of(exchange.answer, self._rules(method=undo.request.verb)))

    async def give_back(self, person: Person) -> None:
        """Undo what a check has left of a freeze, as far as it goes, under a key that no answer is remembered for."""
        if self.target.step.undo is None:
            return
        again = person.in_another_retirement()
        again.saved = person.saved
        with contextlib.suppress(RenderingError):
            await self.undo(again)

    def key_of(self, person: Person) -> str:
        """The idempotency key that a retirement sends."""
        return f"{person.retirement_id}:{self.target.step_id}"

    async def state(self, person: Person) -> dict[str, Any]:
        """What can be seen of a person: the lookup's fields, and what the probe says."""
        found = dict(await self.look_up(person) or {})
        if self.target.step.probe is not None and self.target.sight is not None:
            seen, _ = await self.see(self.context(person))
            found["(probe)"] = type(seen.verdict).__name__
        return found

    async def own_answer(self, person: Person) -> Leaves:
        """What the step's own service answers of a person, as it stands; empty where nothing of it can be read."""
        sight = self.target.sight
        if sight is None or not sight.is_own:
            return {}
        _, exchange = await self.see(self.context(person))
        return leaves_of(exchange)

    def _unless_undone(self, done: Done, known: Mapping[str, Any]) -> Done | Transient:
        """What a 2xx means by the step's `done_when`."""
        try:
            if self.target.step.done_when is None or holds(self.target.step.done_when, known):
                return done
        except RenderingError as error:
            return Transient(code=error.code, touched=True)
        return Transient(code=NOT_DONE, touched=True)

    def _rules(self, *, polled: bool = False, method: str | None = None) -> Rules:
        step = self.target.step
        return Rules(
            method=method or self.target.request.verb,
            absent=step.absent,
            transient=step.transient,
            permanent=step.permanent,
            polled=polled,
            succeeded_before=True,
        )

    async def _exchange(self, call: Call) -> Exchange:
        own = Exchanges(self.action)
        await own.call(call)
        return own.made[0]

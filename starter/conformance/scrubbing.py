"""The last resort: what a plan does in place of a request that is refused for good, and whether that can be believed."""

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Done, Rules, Transient, meaning_of
from activities.probing import Gone, Seen, ask
from activities.rendering import RenderingError
from plans.model import LastResort, Probe
from starter.conformance.deeds import LastDeed, Person, consequence
from starter.conformance.leaves import Leaves, has_changed, leaves_of
from starter.conformance.patience import until_next_look
from starter.conformance.target import Target
from starter.exchanges import Exchange, Exchanges

_MAIL_KEYS = frozenset({"mail", "email", "emailaddress", "mailaddress"})
#: In YAML a text like any other, and meant as no value.
_WROTE_NONE = re.compile(r"\bNone\b")


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What could be read of a test user before anything was done."""

    #: Did the last resort's own probe see them? None: it has none, or could not be asked.
    seen: bool | None
    leaves: Leaves = field(repr=False)
    #: Did two readings agree? Only then does a third one that agrees mean that nothing was changed.
    is_steady: bool


@dataclass(kw_only=True)
class LastResorts:
    """Does the step's last resort as a retirement would, and remembers to whom."""

    target: Target
    action: Action
    within: timedelta
    _before: dict[int, _Before] = field(default_factory=dict)
    #: With the context in which it was done: what the probe looks for may name the retirement.
    _contexts: dict[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    deeds: list[LastDeed] = field(default_factory=list)

    async def meet(self, number: int, context: Mapping[str, Any]) -> None:
        """Look at a test user before anything is done, so that a change can be told."""
        resort = self.target.step.on_permanent
        if resort is None:
            return
        with contextlib.suppress(RenderingError):
            seen, first = await self._read(resort, context)
            _, second = await self._read(resort, context)
            self._before[number] = _Before(seen=seen, leaves=second, is_steady=first == second)

    def was_done_to(self, number: int) -> bool:
        """Was the request refused for this test user, and the last resort tried?"""
        return number in self._contexts

    @property
    def has_probe(self) -> bool:
        """Can its effect be seen?"""
        resort = self.target.step.on_permanent
        return resort is not None and resort.probe is not None

    async def do(self, person: Person, context: Mapping[str, Any], *, key: str, rules: Rules) -> LastDeed:
        """Send the last resort of a request that went under `key`, and see whether it was done."""
        resort = self.target.step.on_permanent
        assert resort is not None
        self._contexts[person.number] = context
        try:
            said, wrong = await self._do(person.number, resort, context, key=f"{key}:last_resort", rules=rules)
        except RenderingError as error:
            said = f"the last resort can't be made: it names a value that is missing or wrong ({error.code})"
            wrong = said
        deed = LastDeed(person=person, key=key, said=said, wrong=wrong)
        self.deeds.append(deed)
        return deed

    async def is_gone(self, number: int) -> tuple[bool, str]:
        """Does the last resort's probe say within the time that nothing of the person is seen? True where it has none."""
        resort = self.target.step.on_permanent
        assert resort is not None
        if resort.probe is None:
            return True, "the last resort has no probe"
        context = self._contexts[number]
        deadline = time.monotonic() + self.within.total_seconds()
        while True:
            seen, exchange = await self._see(resort.probe, context)
            if isinstance(seen.verdict, Gone) or time.monotonic() > deadline:
                return isinstance(seen.verdict, Gone), exchange.said
            await until_next_look(deadline)

    async def _do(
        self, number: int, resort: LastResort, context: Mapping[str, Any], *, key: str, rules: Rules
    ) -> tuple[str, str | None]:
        """What was said, and what is wrong with it; None where nothing is."""
        call = Call(service=self.target.service, request=resort.request, context=context, key=key)
        exchange = await self._exchange(call)
        meaning = meaning_of(exchange.answer, rules)
        if isinstance(meaning, Transient) and exchange.status is not None and exchange.status < 500:
            # The plan says that this passes: see that it does.
            exchange = await self._exchange(call)
            meaning = meaning_of(exchange.answer, rules)
        said = f"the last resort was answered {exchange.said}"
        if not isinstance(meaning, Done):
            means = consequence(meaning)
            return said, f"{said}: to a retirement that is {means}, where the request itself was refused"
        is_gone, probed = await self.is_gone(number)
        if not is_gone:
            return said, f"{said}, but its probe doesn't say that the person is gone ({probed})"
        return said, await self._doubt(number, resort, context, said=said)

    async def _doubt(self, number: int, resort: LastResort, context: Mapping[str, Any], *, said: str) -> str | None:
        """Why an accepted last resort is not to be believed; None where nothing speaks against it."""
        before = self._before.get(number)
        if before is None:
            return None
        if before.seen is False:
            return (
                f"{said}, and its probe says gone; but it said so before anything was done, so it proves nothing "
                "(if an earlier run has replaced this test user's data, take another one)"
            )
        _, after = await self._read(resort, context)
        if before.is_steady and before.leaves and not has_changed(before.leaves, after):
            return f"{said}, but nothing that can be read of the person has changed"
        if _addresses_in(after, context) & _addresses_in(before.leaves, context):
            return f"{said}, but the person's mail address can still be read"
        if any(_says_none(value) and not _says_none(before.leaves.get(path)) for path, value in after.items()):
            return f'{said}, but the word "None" was written (no value is `null` in YAML)'
        return None

    async def _read(self, resort: LastResort, context: Mapping[str, Any]) -> tuple[bool | None, Leaves]:
        """What the last resort's probe says, and all that its answer and that of the step's own probe hold."""
        seen: bool | None = None
        leaves: Leaves = {}
        if resort.probe is not None:
            found, exchange = await self._see(resort.probe, context)
            # Whoever gives no clear answer has not said gone.
            seen = not isinstance(found.verdict, Gone)
            leaves |= leaves_of(exchange, at="last resort")
        own = self.target.sight
        if own is not None and (resort.probe is None or own.probe.request != resort.probe.request):
            _, exchange = await self._see(own.probe, context)
            leaves |= leaves_of(exchange, at="step")
        return seen, leaves

    async def _see(self, probe: Probe, context: Mapping[str, Any]) -> tuple[Seen, Exchange]:
        own = Exchanges(self.action)
        seen = await ask(
            own, call=Call(service=self.target.service, request=probe.request, context=context), probe=probe
        )
        return seen, own.made[0]

    async def _exchange(self, call: Call) -> Exchange:
        own = Exchanges(self.action)
        await own.call(call)
        return own.made[0]


def _addresses_in(leaves: Leaves, context: Mapping[str, Any]) -> set[str]:
    """The person's mail addresses: what is called so, and what the lookup knows. Others' (an agent's) may well stay."""
    subject = context.get("subject") or {}
    known = {str(each).lower() for each in (context["user_id"], *subject.values()) if "@" in str(each)}
    texts = {path: value.lower() for path, value in leaves.items() if isinstance(value, str) and "@" in value}
    return {text for path, text in texts.items() if text in known or _is_mail_key(path)}


def _is_mail_key(path: tuple[str, ...]) -> bool:
    # As a member of the answer itself, or of the row of a database.
    is_own = path[1:-1] in ((), ("row",), ("rows", "0"))
    return is_own and re.sub(r"[^a-z]", "", path[-1].lower()) in _MAIL_KEYS


def _says_none(value: Any) -> bool:
    return isinstance(value, str) and _WROTE_NONE.search(value) is not None

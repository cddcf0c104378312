"""The seam between the steps of a plan and how a kind of service is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from activities.actions.answers import Answer, NoAnswer
from plans.requests import Request
from plans.services import Service


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to one service, with what its templates may name.

    `key` makes a repeat harmless where the service honours it.
    """

    service: Service
    request: Request
    context: Mapping[str, Any] = field(repr=False)
    key: str | None = None


class Action(Protocol):
    """A way to call services. Whoever adds one turns results into answers, and never raises for what a service did."""

    async def call(self, call: Call) -> Answer | NoAnswer:
        """Do it once. A repeat with the same key comes after a crash or a failed attempt.

        Raises:
            RenderingError: the request can't be made from the context.
            SecretMissing: a secret of the plan is not on this worker.
            BadAddress: the service's address is none.
        """
        ...

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """Ask the place that an earlier answer to `call` named."""
        ...

    async def is_route_known(self, call: Call) -> bool | None:
        """Does the place exist at all, so that its "not found" is about the person? None: can't be told right now.

        True where "not found" can't come from a wrong place.
        """
        ...

    def place_to_ask(self, call: Call, *, url: object) -> str | None:
        """The place that an answer named, if it belongs to the service itself: it may be stored and followed.

        None where it doesn't, or where this kind of service has no such places.
        """
        ...

    def describe(self, call: Call, answer: Answer | NoAnswer) -> str:
        """What was asked and what came back, for people and records. `told` says it for most."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...


def told(call: Call, answer: Answer | NoAnswer) -> str:
    """What was asked and what came back: the plan's own text and codes, never a value."""
    if isinstance(answer, Answer):
        return f"{call.request.title} → {answer.status}"
    kind = f" ({answer.kind})" if answer.kind is not None else ""
    return f"{call.request.title} → {answer.code}{kind}"


#: What `follow` answers where `place_to_ask` names no place.
NOTHING_TO_FOLLOW = NoAnswer(code="nothing_to_follow", touched=False, may_pass=False)


class WithoutRoutes:
    """What is the same in actions whose services have no routes (code, databases): a call has one answer, and that's all."""

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """There are no places to ask: code that isn't done waits, or asks to be called later."""
        return NOTHING_TO_FOLLOW

    async def is_route_known(self, call: Call) -> bool | None:
        """True: a wrong function, table or column is an error of its own, never "not there" or "no row"."""
        return True

    def place_to_ask(self, call: Call, *, url: object) -> str | None:
        """None: no answer names a place to ask."""
        return None

    def describe(self, call: Call, answer: Answer | NoAnswer) -> str:
        """The entry point's name or the statements, which hold no value, and what came back."""
        return told(call, answer)

"""The seam between the steps of a plan and how a kind of service is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from activities.actions.answers import Answer, NoAnswer
from plans.model import Request, Service


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
            BadAddress: the service's base URL is none.
        """
        ...

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """Ask the place that an earlier answer to `call` named."""
        ...

    async def is_route_known(self, call: Call) -> bool | None:
        """Does the place exist at all, so that its "not found" is about the person? None: can't be told right now."""
        ...

    def place_to_ask(self, call: Call, *, url: object) -> str | None:
        """The place that an answer named, if it belongs to the service itself: it may be stored and followed."""
        ...

    def describe(self, call: Call, answer: Answer | NoAnswer) -> str:
        """What was asked and what came back, for people and records: templates and codes, never a value."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...

"""Every action of a worker in one place: a service's type chooses the one that calls it."""

from collections.abc import Mapping

from activities.actions.action import Action, Call
from activities.actions.answers import Answer, NoAnswer
from activities.actions.http import HttpAction
from activities.actions.python import PythonAction
from activities.actions.sql import SqlAction


class Actions:
    """Calls services of every type. One for a worker: it holds their connections."""

    def __init__(self, *, version: str) -> None:
        #: By the `type` of a plan's service; the plan's check knows no others.
        self._by_type: Mapping[str, Action] = {
            "http": HttpAction(version=version),
            "sql": SqlAction(),
            "python": PythonAction(),
        }

    async def call(self, call: Call) -> Answer | NoAnswer:
        """As `Action.call`, by the action of the service's type."""
        return await self._of(call).call(call)

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """As `Action.follow`, by the action of the service's type."""
        return await self._of(call).follow(call, url=url)

    async def is_route_known(self, call: Call) -> bool | None:
        """As `Action.is_route_known`, by the action of the service's type."""
        return await self._of(call).is_route_known(call)

    def place_to_ask(self, call: Call, *, url: object) -> str | None:
        """As `Action.place_to_ask`, by the action of the service's type."""
        return self._of(call).place_to_ask(call, url=url)

    def describe(self, call: Call, answer: Answer | NoAnswer) -> str:
        """As `Action.describe`, by the action of the service's type."""
        return self._of(call).describe(call, answer)

    async def close(self) -> None:
        """Give the connections of all actions back."""
        for action in self._by_type.values():
            await action.close()

    def _of(self, call: Call) -> Action:
        return self._by_type[call.service.type]

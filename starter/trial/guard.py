"""What keeps a trial from changing anything: an action through which only reads pass."""

from activities.actions.action import Action, Call
from activities.actions.answers import Answer, NoAnswer
from plans.model import Plan
from plans.requests import Request
from starter.exchanges import Exchanges


class WouldChange(Exception):
    """A request that may change something was about to be sent. Holds the request's title, which names no value."""

    def __init__(self, *, title: str) -> None:
        super().__init__(f"a trial only reads, and {title} may change something")


class OnlyReads(Exchanges):
    """Lets through what changes nothing by its form and, with `ask_post`, what the plan declares to be a read.

    A declared read (lookup, fact, probe, list of assets …) that equals a request which changes something is never let through.
    """

    def __init__(self, action: Action, *, plan: Plan, ask_post: bool) -> None:
        super().__init__(action)
        self._changing = [request for _, _, request in changing_requests(plan)]
        self._vouched_for = declared_reads(plan) if ask_post else []

    def may_ask(self, request: Request) -> bool:
        """May this be sent in a trial?"""
        return request not in self._changing and (request.only_reads or request in self._vouched_for)

    async def call(self, call: Call) -> Answer | NoAnswer:
        """As `Action.call`.

        Raises:
            WouldChange: the request may change something; nothing was sent.
        """
        self._refuse_changes(call.request)
        return await super().call(call)

    async def follow(self, call: Call, *, url: str) -> Answer | NoAnswer:
        """As `Action.follow`, which reads, but only after a read.

        Raises:
            WouldChange: the request before it may change something; nothing was sent.
        """
        self._refuse_changes(call.request)
        return await super().follow(call, url=url)

    async def is_route_known(self, call: Call) -> bool | None:
        """As `Action.is_route_known`, which sends the request without credentials.

        Raises:
            WouldChange: the request may change something; nothing was sent.
        """
        self._refuse_changes(call.request)
        return await super().is_route_known(call)

    def _refuse_changes(self, request: Request) -> None:
        if not self.may_ask(request):
            raise WouldChange(title=request.title)


def declared_reads(plan: Plan) -> list[Request]:
    """The requests that may only read, as the plan's language says."""
    probes = [
        probe
        for step in plan.steps.values()
        for probe in (step.probe, step.on_permanent.probe if step.on_permanent else None)
        if probe is not None
    ]
    finds = [step.find.request for step in plan.steps.values() if step.find is not None]
    also = [asked.request for asked in plan.subject.also.values()]
    facts = [fact.request for fact in plan.facts.values()]
    return [
        plan.subject.lookup.request,
        *also,
        *facts,
        *_reads_of_ownership(plan),
        *finds,
        *(probe.request for probe in probes),
    ]


def _reads_of_ownership(plan: Plan) -> list[Request]:
    policies = plan.successors.values()
    assets = [step.assets for step in plan.steps.values() if step.assets is not None]
    return [
        *(listed.request for policy in policies for listed in policy.candidates),
        *(policy.suitable.request for policy in policies),
        *(each.request for each in assets),
        *(each.owner.request for each in assets if each.owner is not None),
    ]


def changing_requests(plan: Plan) -> list[tuple[str, str, Request]]:
    """The requests that change something: where each stands in the plan, of which service."""
    found: list[tuple[str, str, Request]] = []
    if plan.mirror is not None:
        found.append(("mirror.update", plan.mirror.service, plan.mirror.update))
        if plan.mirror.cancel is not None:
            found.append(("mirror.cancel", plan.mirror.service, plan.mirror.cancel))
    for id, step in plan.steps.items():
        service = step.service or ""
        if step.request is not None:
            found.append((f"steps.{id}", service, step.request))
        if step.undo is not None:
            found.append((f"steps.{id}.undo", service, step.undo.request))
        if step.on_permanent is not None:
            found.append((f"steps.{id}.on_permanent", service, step.on_permanent.request))
    return found

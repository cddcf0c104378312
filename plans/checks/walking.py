"""Every request of a plan, with what it is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from plans.model import Plan, Probe, Step
from plans.requests import KeyPath, Request


class Role(Enum):
    """What a request is for."""

    LOOKUP = auto()
    FACT = auto()
    #: What a step does.
    DEED = auto()
    PROBE = auto()
    UNDO = auto()
    LAST_RESORT = auto()

    @property
    def reads(self) -> bool:
        """May it only read?"""
        return self in (Role.LOOKUP, Role.FACT, Role.PROBE)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, where it stands, and who is asked. `step` is the step that it belongs to, if any."""

    role: Role
    path: KeyPath
    service: str | None
    request: Request
    step: Step | None = None

    @property
    def owner(self) -> KeyPath:
        """Where the lookup, fact or step stands that it belongs to."""
        return self.path[:2]


def requests_of(plan: Plan) -> Iterator[Asked]:
    """Every request of a plan, in reading order."""
    lookup = plan.subject.lookup
    yield Asked(role=Role.LOOKUP, path=("subject", "lookup", "request"), service=lookup.service, request=lookup.request)
    for id, fact in plan.facts.items():
        yield Asked(role=Role.FACT, path=("facts", id, "request"), service=fact.service, request=fact.request)
    for id, step in plan.steps.items():
        for role, place, request in _of_step(step):
            yield Asked(role=role, path=("steps", id, *place), service=step.service, request=request, step=step)


def probes_of(step: Step, at: KeyPath) -> Iterator[tuple[KeyPath, Probe]]:
    """The probes of a step that stands at `at`."""
    if step.probe is not None:
        yield (*at, "probe"), step.probe
    if step.on_permanent is not None and step.on_permanent.probe is not None:
        yield (*at, "on_permanent", "probe"), step.on_permanent.probe


def _of_step(step: Step) -> Iterator[tuple[Role, KeyPath, Request]]:
    if step.request is not None:
        yield Role.DEED, ("request",), step.request
    for place, probe in probes_of(step, ()):
        yield Role.PROBE, (*place, "request"), probe.request
    if step.undo is not None:
        yield Role.UNDO, ("undo", "request"), step.undo.request
    if step.on_permanent is not None:
        yield Role.LAST_RESORT, ("on_permanent", "request"), step.on_permanent.request

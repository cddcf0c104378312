"""Every request of a plan, with what it is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from plans.model import Plan, Probe, Step, SuccessorPolicy
from plans.requests import KeyPath, Request


class Role(Enum):
    """What a request is for."""

    LOOKUP = auto()
    #: One more value of the person.
    ALSO = auto()
    FACT = auto()
    #: Whom to ask, and whether one of them may take over.
    CANDIDATES = auto()
    SUITABLE = auto()
    #: What the person owns, and whose one of it is.
    ASSETS = auto()
    OWNER = auto()
    #: What is asked before a step does something.
    FIND = auto()
    #: What a step does.
    DEED = auto()
    PROBE = auto()
    #: What became of what a step did, asked after the retirement.
    FOLLOW_UP = auto()
    UNDO = auto()
    LAST_RESORT = auto()
    #: How a mirrored source is told how far it is, and that it is over.
    UPDATE = auto()
    CANCEL = auto()

    @property
    def reads(self) -> bool:
        """May it only read?"""
        return self not in (Role.DEED, Role.UNDO, Role.LAST_RESORT, Role.UPDATE, Role.CANCEL)


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
        """Where the lookup, fact, policy or step stands that it belongs to."""
        return self.path[:2]


def requests_of(plan: Plan) -> Iterator[Asked]:
    """Every request of a plan, in reading order."""
    lookup = plan.subject.lookup
    yield Asked(role=Role.LOOKUP, path=("subject", "lookup", "request"), service=lookup.service, request=lookup.request)
    for id, also in plan.subject.also.items():
        yield Asked(role=Role.ALSO, path=("subject", "also", id, "request"), service=also.service, request=also.request)
    if plan.mirror is not None:
        mirror = plan.mirror
        yield Asked(role=Role.UPDATE, path=("mirror", "update"), service=mirror.service, request=mirror.update)
        if mirror.cancel is not None:
            yield Asked(role=Role.CANCEL, path=("mirror", "cancel"), service=mirror.service, request=mirror.cancel)
    for id, fact in plan.facts.items():
        yield Asked(role=Role.FACT, path=("facts", id, "request"), service=fact.service, request=fact.request)
    for id, policy in plan.successors.items():
        yield from _of_policy(policy, ("successors", id))
    for id, step in plan.steps.items():
        for role, place, request in _of_step(step):
            yield Asked(role=role, path=("steps", id, *place), service=step.service, request=request, step=step)


def probes_of(step: Step, at: KeyPath) -> Iterator[tuple[KeyPath, Probe]]:
    """The probes of a step that stands at `at`."""
    if step.probe is not None:
        yield (*at, "probe"), step.probe
    if step.on_permanent is not None and step.on_permanent.probe is not None:
        yield (*at, "on_permanent", "probe"), step.on_permanent.probe


def services_of(plan: Plan) -> Iterator[tuple[KeyPath, str | None]]:
    """Every service that is named, with the place where it is."""
    yield ("subject", "lookup", "service"), plan.subject.lookup.service
    yield from ((("subject", "also", id, "service"), also.service) for id, also in plan.subject.also.items())
    if plan.mirror is not None:
        yield ("mirror", "service"), plan.mirror.service
    yield from ((("facts", id, "service"), fact.service) for id, fact in plan.facts.items())
    for id, policy in plan.successors.items():
        yield from _services_of_policy(policy, ("successors", id))
    yield from ((("steps", id, "service"), step.service) for id, step in plan.steps.items())


def asked_with_lookup(plan: Plan) -> Iterator[tuple[KeyPath, str, str]]:
    """What is asked along with the lookup, as workers there can: where its service is named, which one, and what it is."""
    for id, also in plan.subject.also.items():
        yield ("subject", "also", id, "service"), also.service, "also"
    for id, fact in plan.facts.items():
        yield ("facts", id, "service"), fact.service, "facts"
    for id, policy in plan.successors.items():
        for path, service in _services_of_policy(policy, ("successors", id)):
            yield path, service, "successors"


def _services_of_policy(policy: SuccessorPolicy, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for index, listed in enumerate(policy.candidates):
        yield (*at, "candidates", index, "service"), listed.service
    yield (*at, "suitable", "service"), policy.suitable.service


def _of_policy(policy: SuccessorPolicy, at: KeyPath) -> Iterator[Asked]:
    for index, listed in enumerate(policy.candidates):
        path: KeyPath = (*at, "candidates", index, "request")
        yield Asked(role=Role.CANDIDATES, path=path, service=listed.service, request=listed.request)
    suitable = policy.suitable
    path = (*at, "suitable", "request")
    yield Asked(role=Role.SUITABLE, path=path, service=suitable.service, request=suitable.request)


def _of_step(step: Step) -> Iterator[tuple[Role, KeyPath, Request]]:
    if step.find is not None:
        yield Role.FIND, ("find", "request"), step.find.request
    if step.request is not None:
        yield Role.DEED, ("request",), step.request
    if step.assets is not None:
        yield Role.ASSETS, ("assets", "request"), step.assets.request
        if step.assets.owner is not None:
            yield Role.OWNER, ("assets", "owner", "request"), step.assets.owner.request
    for place, probe in probes_of(step, ()):
        yield Role.PROBE, (*place, "request"), probe.request
    if step.follow_up is not None:
        yield Role.FOLLOW_UP, ("follow_up", "request"), step.follow_up.request
    if step.undo is not None:
        yield Role.UNDO, ("undo", "request"), step.undo.request
    if step.on_permanent is not None:
        yield Role.LAST_RESORT, ("on_permanent", "request"), step.on_permanent.request

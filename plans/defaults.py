"""A service's defaults, put where a step doesn't say otherwise: what is stored and executed says everything itself."""

from collections.abc import Mapping
from typing import Any, TypeVar

from plans.fields import PlanModel
from plans.model import Assets, Candidates, Fact, Owner, Plan, Probe, Step, SuccessorPolicy
from plans.requests import SqlRequest
from plans.services import HttpService, PythonService, Service, SqlService

M = TypeVar("M", bound=PlanModel)

#: Code and databases have no wrong path that answers like "nobody there": what they say outright is believed.
_SAID_OUTRIGHT = (404,)
#: Lists and values that may only be read, and need not be there.
_READ = (Fact, Candidates, Assets, Owner)
#: What a count finds when nobody is there.
_COUNTED_NOBODY = "body.value == 0"


def with_defaults(plan: Plan) -> Plan:
    """The same plan with its services' defaults written into lookup, values asked for besides, facts, successors and steps."""
    lookup = _inheriting(plan.subject.lookup, plan.services.get(plan.subject.lookup.service))
    also = {id: _inheriting(asked, plan.services.get(asked.service)) for id, asked in plan.subject.also.items()}
    facts = {id: _inheriting(fact, plan.services.get(fact.service)) for id, fact in plan.facts.items()}
    successors = {id: _successor(policy, plan.services) for id, policy in plan.successors.items()}
    steps = {id: _step(step, plan.services.get(step.service or "")) for id, step in plan.steps.items()}
    subject = plan.subject.model_copy(update={"lookup": lookup, "also": also})
    return plan.model_copy(update={"subject": subject, "facts": facts, "successors": successors, "steps": steps})


def _successor(policy: SuccessorPolicy, services: Mapping[str, Service]) -> SuccessorPolicy:
    """Its patience is that of the service which says who may take over."""
    candidates = tuple(_inheriting(listed, services.get(listed.service)) for listed in policy.candidates)
    inherited = _inheriting(policy, services.get(policy.suitable.service))
    return inherited.model_copy(update={"candidates": candidates})


def _step(step: Step, service: Service | None) -> Step:
    changes: dict[str, Any] = {}
    if step.probe is not None:
        changes["probe"] = _probe(step.probe)
    if step.on_permanent is not None and step.on_permanent.probe is not None:
        changes["on_permanent"] = step.on_permanent.model_copy(update={"probe": _probe(step.on_permanent.probe)})
    if step.assets is not None:
        changes["assets"] = _assets(step.assets, service)
    return _inheriting(step.model_copy(update=changes), service)


def _assets(assets: Assets, service: Service | None) -> Assets:
    owner = None if assets.owner is None else _inheriting(assets.owner, service)
    return _inheriting(assets.model_copy(update={"owner": owner}), service)


def _probe(probe: Probe) -> Probe:
    if isinstance(probe.request, SqlRequest) and probe.gone_when is None:
        return probe.model_copy(update={"gone_when": _COUNTED_NOBODY})
    return probe


def _inheriting(asked: M, service: Service | None) -> M:
    """What is said beats the service's default, and an empty list is said, too."""
    if service is None:
        return asked
    offered: dict[str, Any] = {"patience": service.patience} if service.patience is not None else {}
    if isinstance(service, HttpService) and isinstance(asked, Step):
        offered |= {"absent": service.absent, "transient": service.transient, "permanent": service.permanent}
    if isinstance(service, PythonService) or (isinstance(service, SqlService) and isinstance(asked, _READ)):
        offered["absent"] = _SAID_OUTRIGHT
    known = type(asked).model_fields
    missing = {name: value for name, value in offered.items() if name in known and name not in asked.model_fields_set}
    return asked.model_copy(update=missing)

"""A service's defaults, put where a step doesn't say otherwise: what is stored and executed says everything itself."""

from typing import Any, TypeVar

from plans.fields import PlanModel
from plans.model import Fact, Plan, Probe, Step
from plans.requests import SqlRequest
from plans.services import HttpService, PythonService, Service, SqlService

M = TypeVar("M", bound=PlanModel)

#: Code and databases have no wrong path that answers like "nobody there": what they say outright is believed.
_SAID_OUTRIGHT = (404,)
#: What a count finds when nobody is there.
_COUNTED_NOBODY = "body.value == 0"


def with_defaults(plan: Plan) -> Plan:
    """The same plan with its services' defaults written into lookup, facts and steps."""
    lookup = _inheriting(plan.subject.lookup, plan.services.get(plan.subject.lookup.service))
    facts = {id: _inheriting(fact, plan.services.get(fact.service)) for id, fact in plan.facts.items()}
    steps = {id: _step(step, plan.services.get(step.service or "")) for id, step in plan.steps.items()}
    subject = plan.subject.model_copy(update={"lookup": lookup})
    return plan.model_copy(update={"subject": subject, "facts": facts, "steps": steps})


def _step(step: Step, service: Service | None) -> Step:
    changes: dict[str, Any] = {}
    if step.probe is not None:
        changes["probe"] = _probe(step.probe)
    if step.on_permanent is not None and step.on_permanent.probe is not None:
        changes["on_permanent"] = step.on_permanent.model_copy(update={"probe": _probe(step.on_permanent.probe)})
    return _inheriting(step.model_copy(update=changes), service)


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
    if isinstance(service, PythonService) or (isinstance(service, SqlService) and isinstance(asked, Fact)):
        offered["absent"] = _SAID_OUTRIGHT
    known = type(asked).model_fields
    missing = {name: value for name, value in offered.items() if name in known and name not in asked.model_fields_set}
    return asked.model_copy(update=missing)

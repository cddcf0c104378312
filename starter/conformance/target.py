"""What is checked: one step of a plan, or a plan of one step that is made of a URL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from plans.defaults import with_defaults
from plans.model import Plan, Probe, Step, StepPhase
from plans.requests import Request
from plans.services import HttpService, Service
from plans.template_names import names_of

_USER = "{user_id}"
_TEMPLATE = "{{ user_id }}"


class BadTarget(Exception):
    """There is nothing to check in what was named; the text says what to name instead."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How a person is seen: by the step's probe or, at a freeze step without one, by the lookup."""

    service: Service
    probe: Probe
    is_own: bool


@dataclass(frozen=True, kw_only=True)
class Target:
    """A step with all that is asked for it."""

    plan: Plan
    step_id: str
    step: Step
    service_id: str
    service: Service
    request: Request

    @property
    def is_freeze(self) -> bool:
        """Does the step take something that can be given back?"""
        return self.step.phase is StepPhase.FREEZE

    @property
    def is_http(self) -> bool:
        """Are there statuses, credentials and connections to look at?"""
        return isinstance(self.service, HttpService)

    @property
    def sight(self) -> Sight | None:
        """How a person is seen; None where nothing tells."""
        if self.step.probe is not None:
            # What a freeze has saved is not known before it.
            if "saved" in _names(self.step.probe):
                return None
            return Sight(service=self.service, probe=self.step.probe, is_own=True)
        if not self.is_freeze:
            return None
        lookup = self.plan.subject.lookup
        service = self.plan.services[lookup.service]
        return Sight(service=service, probe=Probe(request=lookup.request), is_own=lookup.service == self.service_id)

    @property
    def needs_subject(self) -> bool:
        """Does anything that is asked name what the lookup finds?"""
        resort = self.step.on_permanent
        requests = [self.request, *([resort.request] if resort is not None else [])]
        texts = [text for request in requests for _, text in request.templates()]
        named = {name[0] for text in texts for name in names_of(text, is_expression=False)}
        for probe in (self.step.probe, resort.probe if resort is not None else None):
            named |= _names(probe) if probe is not None else set()
        return self.is_freeze or "subject" in named


def _names(probe: Probe) -> set[str]:
    named = {name[0] for _, text in probe.request.templates() for name in names_of(text, is_expression=False)}
    return named | {name[0] for name in names_of(probe.gone_when or "", is_expression=True)}


def _saved_by_others(request: Request, step_id: str) -> set[str]:
    names = (name for _, text in request.templates() for name in names_of(text, is_expression=False))
    return {name[1] for name in names if name[0] == "saved" and len(name) > 1 and name[1] != step_id}


def target_in(plan: Plan, *, step_id: str) -> Target:
    """A step of a plan.

    Raises:
        BadTarget: there is no such step, it asks nothing, or what it does can't be seen with test users alone.
    """
    step = plan.steps.get(step_id)
    if step is None:
        asking = ", ".join(id for id, each in plan.steps.items() if each.request is not None)
        raise BadTarget(f"the plan has no step of this name; those that ask something: {asking}.")
    if step.manual is not None:
        raise BadTarget(f"the step {step_id} is done by a person (manual), so there is nothing to check.")
    if step.request is None or step.service is None:
        raise BadTarget(f"the step {step_id} keeps its data (retain), so there is nothing to check.")
    if step.phase is StepPhase.TRANSFER or step.successor is not None:
        raise BadTarget(
            f"the step {step_id} hands something over, and checks with test users don't see what becomes of it. "
            "`retire plan try FILE --user ID` asks for the list and for who would take over; then retire a test user "
            "who owns something by `retire start ID --cool-off 0s --wait`, and look at whose it is."
        )
    if step.find is not None:
        raise BadTarget(
            f"the step {step_id} asks first by which id the person is known, and checks with test users don't. "
            "`retire plan try FILE --user ID` asks it; then retire a test user by `retire start ID --cool-off 0s --wait`."
        )
    resort = step.on_permanent
    asked = [step.request, *([resort.request] if resort is not None else [])]
    asked += [resort.probe.request] if resort is not None and resort.probe is not None else []
    others = sorted(set[str]().union(*(_saved_by_others(request, step_id) for request in asked)))
    if others:
        raise BadTarget(
            f"the step {step_id} can't be checked alone: it names what {', '.join(others)} saves. "
            "Check that step, and then retire a test user by `retire start --cool-off 0s --wait`."
        )
    service = plan.services[step.service]
    target = Target(
        plan=plan,
        step_id=step_id,
        step=step,
        service_id=step.service,
        service=service.model_copy(update={"timeout": step.timeout or service.timeout}),
        request=step.request,
    )
    if plan.subject.given and target.needs_subject:
        raise BadTarget(
            f"the step {step_id} knows a person by what is given beforehand ({', '.join(plan.subject.given)}), and test "
            "users are known by their ids alone. `retire plan try FILE --user ID --given FILE` asks what only reads; "
            "then retire a test user by `retire start ID --given FILE --cool-off 0s --wait`."
        )
    return target


def target_of_url(url: str, *, token_env: str | None, absent: Sequence[int]) -> Target:
    """DELETE erases and GET tells whether the person is there, both at this URL with the user id put in.

    Raises:
        BadTarget: it isn't such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadTarget("write a URL with http:// or https://, or name a plan's file and --step.")
    if _USER in parts.netloc or _USER not in f"{parts.path}?{parts.query}":
        raise BadTarget(f"write {_USER} into the URL where the id belongs: https://forum.example/authors/{_USER}.")
    if "{{" in url or "${" in url:
        raise BadTarget(f"templates and secrets belong into a plan; a URL only knows {_USER}.")
    request: dict[str, Any] = {
        "path": parts.path.replace(_USER, _TEMPLATE) or "/",
        "query": {name: value.replace(_USER, _TEMPLATE) for name, value in parse_qsl(parts.query)},
    }
    look = {"method": "GET", **request}
    auth = {"type": "none"} if token_env is None else {"type": "bearer", "token": f"${{env:{token_env}}}"}
    document = {
        "plan": "conformance",
        "subject": {"lookup": {"service": "service", "request": look}},
        "services": {"service": {"base_url": f"{parts.scheme}://{parts.netloc}", "auth": auth}},
        "steps": {
            "erase": {
                "phase": "erase",
                "service": "service",
                "request": {"method": "DELETE", **request},
                "absent": list(absent),
                "probe": {"request": look},
            }
        },
    }
    return target_in(with_defaults(Plan.model_validate(document)), step_id="erase")

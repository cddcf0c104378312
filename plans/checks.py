"""What must hold in a plan beyond its shape: names that exist, an order that can be kept, templates that compile."""

import re
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from plans.model import Plan, Request, Step
from plans.yaml_reading import KeyPath

#: Nobody means a longer time; a wrong unit does. It also keeps every date within the calendar.
LONGEST = timedelta(days=36_525)

_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_templates = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)

#: A place in the plan, and what is wrong there.
Finding = tuple[KeyPath, str]


def findings_in(plan: Plan) -> Iterator[Finding]:
    """Every problem of a plan whose shape is right."""
    yield from _unknown_services(plan)
    yield from _impossible_order(plan)
    yield from _times(plan)
    yield from _addresses(plan)
    for path, text, is_expression in _templates_of(plan):
        if (what := _template_problem(text, is_expression=is_expression)) is not None:
            yield path, what


def _unknown_services(plan: Plan) -> Iterator[Finding]:
    named: list[tuple[KeyPath, str | None]] = [(("subject", "lookup", "service"), plan.subject.lookup.service)]
    named += [(("steps", id, "service"), step.service) for id, step in plan.steps.items()]
    for path, service in named:
        if service is not None and service not in plan.services:
            yield path, f"unknown service '{service}'; known: {_listed(plan.services)}"


def _impossible_order(plan: Plan) -> Iterator[Finding]:
    for id, step in plan.steps.items():
        for index, before in enumerate(step.after):
            path: KeyPath = ("steps", id, "after", index)
            other = plan.steps.get(before)
            if other is None:
                yield path, f"unknown step '{before}'; known: {_listed(plan.steps)}"
            elif other.phase is not step.phase:
                yield (
                    path,
                    f"'{before}' is a step of the {other.phase} phase and this one of the {step.phase} phase, "
                    "and the phases have an order already; remove it",
                )
    for cycle in _cycles(plan.steps):
        yield (
            ("steps", cycle[0], "after"),
            f"the order runs in a circle: {' → '.join(cycle)}; remove one of these `after`",
        )


def _cycles(steps: dict[str, Step]) -> Iterator[list[str]]:
    """Each circle once, as the path that leads back to its beginning."""
    done: set[str] = set()
    for start in steps:
        trail: list[str] = []
        # Depth first without recursion: a plan may be a long chain.
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(steps[start].after))] if start not in done else []
        while stack:
            id, rest = stack[-1]
            if len(trail) < len(stack):
                trail.append(id)
            step = next(rest, None)
            if step is None:
                done.add(id)
                stack.pop()
                trail.pop()
            elif step in trail:
                yield [*trail[trail.index(step) :], step]
            elif step in steps and step not in done:
                stack.append((step, iter(steps[step].after)))


def _times(plan: Plan) -> Iterator[Finding]:
    for index, reminder in enumerate(plan.cool_off.reminders):
        if reminder > plan.cool_off.duration:
            yield (
                ("cool_off", "reminders", index),
                "is longer than the cool-off, so the reminder would come before the request; shorten it",
            )
    times: list[tuple[KeyPath, timedelta | None]] = [
        (("deadline",), plan.deadline if isinstance(plan.deadline, timedelta) else None),
        (("cool_off", "duration"), plan.cool_off.duration),
        (("cool_off", "max"), plan.cool_off.max),
        *((("steps", id, "patience"), step.patience) for id, step in plan.steps.items()),
        *((("steps", id, "retain", "for"), step.retain.duration) for id, step in plan.steps.items() if step.retain),
    ]
    for path, time in times:
        if time is not None and time > LONGEST:
            yield path, "is longer than a hundred years; check the unit"


def _addresses(plan: Plan) -> Iterator[Finding]:
    if plan.mail is None:
        return
    if not is_address(parseaddr(plan.mail.sender)[1]):
        yield ("mail", "from"), "isn't a mail address; write name@host, or Name <name@host>"
    others: list[tuple[KeyPath, str | None]] = [(("mail", "support"), plan.mail.support)]
    others += [(("mail", "operators", index), address) for index, address in enumerate(plan.mail.operators)]
    for path, address in others:
        if address is not None and not is_address(address):
            yield path, "isn't a mail address; write name@host"


def is_address(text: str) -> bool:
    """Whether this is a plain mail address in ASCII host spelling, without a display name or a line break."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def _templates_of(plan: Plan) -> Iterator[tuple[KeyPath, str, bool]]:
    """Each template with its place, and whether it is an expression, which may stand without its braces."""
    lookup = plan.subject.lookup
    yield from _in_request(lookup.request, ("subject", "lookup", "request"))
    yield from _in_data(lookup.fields, ("subject", "lookup", "fields"), True)
    for id, step in plan.steps.items():
        at: KeyPath = ("steps", id)
        yield from _in_request(step.request, (*at, "request"))
        yield from _in_data(step.save, (*at, "save"), True)
        if step.probe is not None:
            yield from _in_request(step.probe.request, (*at, "probe", "request"))
            yield from _in_data(step.probe.gone_when, (*at, "probe", "gone_when"), True)
        if step.poll is not None:
            for name in ("url", "done", "failed"):
                yield from _in_data(getattr(step.poll, name), (*at, "poll", name), True)
        if step.undo is not None:
            yield from _in_request(step.undo.request, (*at, "undo", "request"))
            yield from _in_data(step.undo.when, (*at, "undo", "when"), True)


def _in_request(request: Request | None, path: KeyPath) -> Iterator[tuple[KeyPath, str, bool]]:
    if request is not None:
        yield (*path, "path"), request.path, False
        yield from _in_data(request.query, (*path, "query"), False)
        yield from _in_data(request.headers, (*path, "headers"), False)
        yield from _in_data(request.body, (*path, "json"), False)


def _in_data(data: Any, path: KeyPath, is_expression: bool) -> Iterator[tuple[KeyPath, str, bool]]:
    if isinstance(data, str):
        yield path, data, is_expression
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _in_data(value, (*path, key), is_expression)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _in_data(value, (*path, index), is_expression)


def _template_problem(text: str, *, is_expression: bool) -> str | None:
    """Why a template doesn't compile. Jinja2's own message may quote it, so it is not passed on."""
    try:
        if is_expression and "{{" not in text:
            _templates.compile_expression(text)
        else:
            _templates.compile(text)
    except TemplateError as error:
        if (error.message or "").startswith(("No filter named", "No test named")):
            return "uses a filter or test that Jinja2 doesn't know; see the list in Jinja2's template documentation"
        kind = "expression" if is_expression else "template"
        return f"isn't a valid {kind} (Jinja2); check that each {{{{ has its }}}}, and the quotes and brackets inside"
    return None


def _listed(names: dict[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"

"""What names something else in the plan: services, and steps that come before."""

from collections.abc import Iterable, Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.language import nearest
from plans.checks.walking import requests_of, services_of
from plans.requests import HttpRequest, KeyPath, PythonRequest, Request, SqlRequest
from plans.step_order import cycles_in

_KIND_OF_REQUEST: dict[type[Request], str] = {HttpRequest: "http", SqlRequest: "sql", PythonRequest: "python"}
#: How a request of each kind begins.
_WRITTEN = {"http": "`method` and `path`", "sql": "`sql`", "python": "`call`"}


def unknown_services(draft: Draft) -> Iterator[Finding]:
    """Services that are named and not there, and services that are there and not named."""
    known, named = draft.names("services"), list(services_of(draft.written))
    for path, service in named:
        if service is not None and service not in known and draft.knows("services"):
            yield error(Check.UNKNOWN_SERVICE, path, unknown("service", service, known))
    # A service whose user couldn't be read may well be used.
    users = ("facts", "successors", "steps")
    is_used = all(draft.is_whole(*path) for path, _ in named) and all(draft.is_whole(each) for each in users)
    for id in known if is_used else ():
        if id not in {service for _, service in named}:
            yield warning(Check.UNUSED_SERVICE, ("services", id), "is used by nothing; remove it, or add its steps")


def unknown_successors(draft: Draft) -> Iterator[Finding]:
    """Policies that are named and not there, and policies that are there and not named."""
    known = draft.names("successors")
    named = {id: step.successor for id, step in draft.written.steps.items()}
    for id, successor in named.items():
        if successor is not None and successor not in known and draft.knows("successors"):
            path = ("steps", id, "successor")
            yield error(Check.UNKNOWN_SUCCESSOR, path, unknown("successor", successor, known))
    # Whoever is misspelt may well be meant.
    is_clear = draft.is_whole("steps") and all(each is None or each in known for each in named.values())
    for id in known if is_clear else ():
        if id not in named.values():
            what = "is named by no step, so nobody is ever chosen by it; name it as a step's successor, or remove it"
            yield warning(Check.UNUSED_SUCCESSOR, ("successors", id), what)


def unfit_requests(draft: Draft) -> Iterator[Finding]:
    """Requests of another kind than the service that is asked."""
    for asked in requests_of(draft.plan):
        service = draft.plan.services.get(asked.service or "")
        kind = _KIND_OF_REQUEST[type(asked.request)]
        if service is not None and kind != service.type and draft.is_whole(*asked.path):
            yield error(
                Check.UNFIT_REQUEST,
                asked.path,
                f"is a request of type {kind}, and '{asked.service}' is a service of type {service.type}; "
                f"write {_WRITTEN[service.type]}, or name another service",
            )


def unknown_steps(draft: Draft) -> Iterator[Finding]:
    """`after` that names no step, one of another phase, or one twice."""
    steps, known = draft.written.steps, draft.names("steps")
    for id, step in steps.items():
        for index, before in enumerate(step.after):
            path: KeyPath = ("steps", id, "after", index)
            other = steps.get(before)
            if before not in known:
                yield error(Check.UNKNOWN_STEP, path, unknown("step", before, known))
            elif before in step.after[:index]:
                yield warning(Check.AFTER_TWICE, path, f"'{before}' is there twice; remove one")
            elif (
                other is not None
                and other.phase is not step.phase
                and draft.is_whole("steps", id, "phase")
                and draft.is_whole("steps", before, "phase")
            ):
                yield error(
                    Check.AFTER_PHASE,
                    path,
                    f"'{before}' is a step of the {other.phase} phase and this one of the {step.phase} phase, "
                    "and the phases have an order already; remove it",
                )


def cycles(draft: Draft) -> Iterator[Finding]:
    """Steps that wait for each other."""
    for cycle in cycles_in(draft.written.steps):
        yield error(
            Check.CYCLE,
            ("steps", cycle[0], "after"),
            f"the order runs in a circle: {' → '.join(cycle)}; remove one of these `after`",
        )


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The words for a name that nothing has."""
    known = sorted(known)
    close = nearest(name, known)
    meant = f"; did you mean '{close}'?" if close is not None else f"; known: {', '.join(known) or 'none'}"
    return f"unknown {kind} '{name}'{meant}"

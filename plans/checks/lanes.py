"""What is asked along with the lookup, by the workers who look people up and at the pace of the lookup."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.walking import asked_with_lookup

#: The checks of what is asked there, and what is said of it.
_QUEUE_OF = {"also": Check.ALSO_QUEUE, "facts": Check.FACT_QUEUE, "successors": Check.SUCCESSOR_QUEUE}
_RATE_OF = {"also": Check.ALSO_RATE, "facts": Check.FACT_RATE, "successors": Check.SUCCESSOR_RATE}
_ASKED = {
    "also": "more values are asked for",
    "facts": "facts are asked",
    "successors": "successors are chosen",
}


def queues(draft: Draft) -> Iterator[Finding]:
    """Services that the workers who look people up don't reach."""
    plan = draft.written
    lookup = plan.services.get(plan.subject.lookup.service)
    for path, service, kind in asked_with_lookup(plan):
        asked = plan.services.get(service)
        if lookup is None or asked is None or lookup.queue == asked.queue:
            continue
        if draft.is_whole("services", service) and draft.is_whole("services", plan.subject.lookup.service):
            yield error(
                _QUEUE_OF[kind],
                path,
                f"is on the queue {_named(asked.queue)}, and {_ASKED[kind]} where the person is looked up, "
                f"on the queue {_named(lookup.queue)}; name a service there, or look the person up here",
            )


def rates(draft: Draft) -> Iterator[Finding]:
    """Services whose rate does not count what is asked of them there."""
    plan = draft.written
    for path, service, kind in asked_with_lookup(plan):
        asked = plan.services.get(service)
        if asked is not None and asked.limits.rate is not None and service != plan.subject.lookup.service:
            yield warning(
                _RATE_OF[kind],
                path,
                f"has a rate, and {_ASKED[kind]} along with the lookup, which that rate does not hold back; "
                f"leave room for them in the rate of {service}, or ask for this elsewhere",
            )


def updates(draft: Draft) -> Iterator[Finding]:
    """Mirrored steps whose workers don't reach the source, or make its updates at another service's pace."""
    plan = draft.written
    source = plan.services.get(plan.mirror.service) if plan.mirror is not None else None
    if plan.mirror is None or source is None or not draft.is_whole("services"):
        return
    elsewhere: list[str] = []
    for id, step in plan.steps.items():
        asked = plan.services.get(step.service or "")
        if step.mirrored is None or asked is None or step.service == plan.mirror.service:
            continue
        if asked.queue == source.queue:
            elsewhere.append(id)
            continue
        yield error(
            Check.MIRROR_QUEUE,
            ("steps", id, "service"),
            f"is on the queue {_named(asked.queue)}, and who does a mirrored step tells the source of it, which is on the "
            f"queue {_named(source.queue)}; name a service there, or leave mirrored out",
        )
    if elsewhere and source.limits.rate is not None:
        yield warning(
            Check.MIRROR_RATE,
            ("mirror", "service"),
            f"has a rate, which does not hold back what it is told of steps at other services ({', '.join(elsewhere)}); "
            "leave room for them in the rate",
        )


def _named(queue: str | None) -> str:
    return "of all workers" if queue is None else f"'{queue}'"

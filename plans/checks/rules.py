"""Facts and the rules that are made of them."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.templates import names_in


def facts(draft: Draft) -> Iterator[Finding]:
    """Facts that can't be asked where the person is looked up, or that nobody asks for."""
    plan = draft.written
    lookup = plan.services.get(plan.subject.lookup.service)
    for id, fact in plan.facts.items():
        asked = plan.services.get(fact.service)
        if lookup is not None and asked is not None and lookup.queue != asked.queue:
            if draft.is_whole("services", fact.service) and draft.is_whole("services", plan.subject.lookup.service):
                yield error(
                    Check.FACT_QUEUE,
                    ("facts", id, "service"),
                    f"is on the queue {_named(asked.queue)}, and facts are asked where the person is looked up, "
                    f"on the queue {_named(lookup.queue)}; name a service there, or look the person up here",
                )
        if asked is not None and asked.limits.rate is not None and fact.service != plan.subject.lookup.service:
            yield warning(
                Check.FACT_RATE,
                ("facts", id, "service"),
                f"has a rate, and facts are asked along with the lookup, which that rate does not hold back; "
                f"leave room for them in the rate of {fact.service}, or ask for this elsewhere",
            )
        if fact.items is not None and "value" in fact.model_fields_set:
            yield error(
                Check.FACT_VALUE, ("facts", id, "value"), "has no place beside items, which is the fact; remove one"
            )
    named = {name[1] for each in draft.texts for name in names_in(each) if name[0] == "facts" and len(name) > 1}
    is_any = any(name == ("facts",) for each in draft.texts for name in names_in(each))
    if draft.is_whole("eligibility") and not is_any:
        for id in plan.facts:
            if id not in named:
                yield warning(
                    Check.UNUSED_FACT, ("facts", id), "is asked for, and no rule names it; add the rule, or remove it"
                )


def codes(draft: Draft) -> Iterator[Finding]:
    """Rules that can't be told apart by what the person is told."""
    seen: set[str] = set()
    for index, rule in enumerate(draft.written.eligibility):
        if rule.code in seen:
            yield warning(
                Check.CODE_TWICE,
                ("eligibility", index, "code"),
                "is another rule's code already, so nobody can tell which one refused; give each its own",
            )
        seen.add(rule.code)


def _named(queue: str | None) -> str:
    return "of all workers" if queue is None else f"'{queue}'"

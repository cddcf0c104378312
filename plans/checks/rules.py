"""Facts and the rules that are made of them."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.templates import names_in


def facts(draft: Draft) -> Iterator[Finding]:
    """Facts that are two things at once, or that nobody asks for."""
    plan = draft.written
    for id, fact in plan.facts.items():
        if fact.items is not None and "value" in fact.model_fields_set:
            yield error(
                Check.FACT_VALUE, ("facts", id, "value"), "has no place beside items, which is the fact; remove one"
            )
    named = {name[1] for each in draft.texts for name in names_in(each) if name[0] == "facts" and len(name) > 1}
    is_any = any(name == ("facts",) for each in draft.texts for name in names_in(each))
    if draft.is_whole("eligibility") and draft.is_whole("mail", "admins") and not is_any:
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

"""Trying facts, rules and claims: what they find out, and whom they would refuse."""

from dataclasses import replace
from typing import Any

from activities.eligibility import EACH_NO_LIST, TOO_MANY_ITEMS, RuleBroken, claimed, refusals
from activities.facts import Unknown, find_out
from activities.rendering import VALUE_MISSING, RenderingError, evaluate
from plans.model import Claim, Fact, Rule
from plans.template_names import names_of
from starter.trial.asking import Trying
from starter.trial.doubts import slowness
from starter.trial.findings import Question, Reading, Remark, Ruling, problem, warning
from starter.trial.lists import unread_page, why_unreadable
from starter.trial.reading import kind_of

_FAILS = ("fails with these values", "Check the kinds of values it compares.")
#: What a rule or a claim suffers from, by the last part of its code, and how to mend it.
_WHY_BROKEN = {
    VALUE_MISSING: ("names a value that isn't there", "Check the names against lookup.fields and facts."),
    EACH_NO_LIST: (
        "has an `each` that is no list",
        "Name the list: `subject.teams`, or `[subject.team]` for one value.",
    ),
    TOO_MANY_ITEMS: ("has an `each` of more than 1000", "Claim something that they have in common."),
}


async def ask_fact(trying: Trying, id: str, fact: Fact) -> tuple[Question, Any, bool]:
    """Ask for a fact over all its pages: what was asked, its value, and whether it is known."""
    question, call = trying.begun(part=f"facts.{id}", service_id=fact.service, request=fact.request)
    if call is None:
        return question, None, False
    asked_before = len(trying.action.made)
    trying.on_asking(call.request.title)
    found = await find_out(trying.action, call=call, fact=fact)
    exchanges = trying.action.made[asked_before:]
    latest = exchanges[-1]
    question = replace(question, answer=latest.said, took=latest.took)
    if isinstance(found, Unknown):
        remark = _of_our_making(id, fact, answer=latest.answer, code=found.trouble.code)
        remark = remark or await trying.what_is_wrong(latest, service_id=fact.service)
        return replace(question, meaning="not known", remarks=(remark,)), None, False
    pages = "" if found.pages == 1 else f", over {found.pages} pages"
    value = repr(found.value) if trying.show_values else None
    reads = (Reading(name=id, kind=f"{kind_of(found.value)}{pages}", value=value),)
    more = unread_page(f"facts.{id}", latest.answer) if fact.next_page is None else ()
    slow = slowness(max(each.took for each in exchanges), service=call.service, service_id=fact.service)
    return replace(question, meaning="known", reads=reads, remarks=(*more, *slow)), found.value, True


def _of_our_making(id: str, fact: Fact, *, answer: object, code: str) -> Remark | None:
    expressions = {"value": fact.value} if fact.items is None else {"items": fact.items}
    if fact.next_page is not None:
        expressions["next_page"] = fact.next_page
    return why_unreadable(f"facts.{id}", expressions, answer=answer, code=code)


def judge(trying: Trying, facts: dict[str, Any]) -> list[Ruling]:
    """Work out every rule and every claim. What names an unknown fact says so."""
    context = {**trying.context, "facts": facts}
    rulings = [_rule(trying, rule, context) for rule in trying.plan.eligibility]
    for index, claim in enumerate(trying.plan.claims):
        part = f"claims.{index}"
        try:
            wanted = claimed((claim,), context)
        except RuleBroken as broken:
            rulings.append(Ruling(part=part, says="can't be worked out", remarks=(_broken(part, broken),)))
            continue
        says = f"would claim {_shown(trying, claim, wanted)}" if wanted else "would claim nothing"
        rulings.append(Ruling(part=part, says=says))
    return rulings


def _shown(trying: Trying, claim: Claim, wanted: tuple[str, ...]) -> str:
    if trying.show_values:
        return ", ".join(wanted)
    return claim.key if claim.each is None else f"{claim.key}, {len(wanted)} in all"


def _rule(trying: Trying, rule: Rule, context: dict[str, Any]) -> Ruling:
    part = f"eligibility.{rule.code}"
    missing = [
        ".".join(name)
        for name in sorted(names_of(rule.refuse_if, is_expression=True))
        if name[0] == "facts" and len(name) > 1 and name[1] in trying.plan.facts and name[1] not in context["facts"]
    ]
    if missing:
        return Ruling(part=part, says=f"can't be worked out without {', '.join(missing)}")
    if trying.subject is None:
        return Ruling(part=part, says="can't be worked out without the person")
    try:
        refused = refusals((rule,), context)
        value = evaluate(rule.refuse_if, context)
    except (RuleBroken, RenderingError) as broken:
        return Ruling(part=part, says="can't be worked out", remarks=(_broken(part, broken),))
    remarks: list[Remark] = []
    if not isinstance(value, bool):
        what = f"refuse_if is {kind_of(value)}, which counts as {'true' if value else 'false'}."
        remarks.append(warning("no_truth", what, mend="Write a comparison: the text 'false' counts as true."))
    if refused:
        what = f"This person would be refused: {rule.code}."
        remarks.append(warning("would_refuse", what, mend="Nothing, if that is meant."))
    return Ruling(part=part, says="would refuse" if refused else "would not refuse", remarks=tuple(remarks))


def _broken(part: str, broken: RuleBroken | RenderingError) -> Remark:
    what, mend = _WHY_BROKEN.get(broken.code.rpartition(":")[2], _FAILS)
    return problem("rule_broken", f"{part} {what}.", mend=mend)

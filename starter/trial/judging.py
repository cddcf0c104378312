"""Trying facts, rules and claims: what they find out, and whom they would refuse."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from activities.actions.answers import Answer
from activities.eligibility import RuleBroken, claimed, refusals
from activities.facts import Unknown, find_out
from activities.rendering import RenderingError, evaluate
from plans.model import Fact, Rule
from plans.template_names import names_of
from starter.trial.asking import Trying
from starter.trial.doubts import slowness
from starter.trial.findings import Question, Reading, Remark, Ruling, problem, warning
from starter.trial.reading import kind_of, read

#: How services call the next page in a body.
_NEXT_KEYS = (
    "next",
    "next_page",
    "nextPage",
    "next_url",
    "nextLink",
    "next_cursor",
    "nextPageToken",
    "@odata.nextLink",
)
#: What can be wrong with a fact besides its answer.
_FACT_CODES = {
    "items_no_list": ("`items` is no list in this answer.", "Name the list: `body.items`, or `body` where it is one."),
    "next_page_foreign": (
        "`next_page` names a place that isn't the service's own, or no address at all.",
        "It is never followed, as our credentials would go with it. Let it name an address of the same origin.",
    ),
    "pages_in_a_circle": ("`next_page` leads back to a page that was read.", "See that the last page names none."),
    "too_many_items": ("There are more pages than anybody needs.", "Let the request ask for less."),
    "route_unproven": (
        "Not found can't be told from a wrong path here.",
        "Check base_url and path; for `absent`, a service must be seen to tell them apart.",
    ),
    "route_check_failed": ("Whether the path exists could not be asked.", "Try it again."),
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
        remark = (
            _told(id, fact, answer=latest.answer, code=found.trouble.code) if _is_ours(found, latest.answer) else None
        )
        remark = remark or await trying.what_is_wrong(latest, service_id=fact.service)
        return replace(question, meaning="not known", remarks=(remark,)), None, False
    pages = "" if found.pages == 1 else f", over {found.pages} pages"
    value = repr(found.value) if trying.show_values else None
    reads = (Reading(name=id, kind=f"{kind_of(found.value)}{pages}", value=value),)
    more = _more(id, fact, latest.answer)
    slow = slowness(max(each.took for each in exchanges), service=call.service, service_id=fact.service)
    return replace(question, meaning="known", reads=reads, remarks=(*more, *slow)), found.value, True


def _more(id: str, fact: Fact, answer: object) -> tuple[Remark, ...]:
    """A remark where the answer names a next page, and the plan reads only the first."""
    if fact.next_page is not None or not isinstance(answer, Answer):
        return ()
    body = answer.body if isinstance(answer.body, Mapping) else {}
    key = next((key for key in _NEXT_KEYS if body.get(key)), None)
    if key is None and 'rel="next"' not in answer.headers.get("link", ""):
        return ()
    where = f"`{key}`" if key is not None else "a Link header"
    mend = f"Rules would count one page only: add facts.{id}.next_page, which reads the next page's address."
    return (warning("more_pages", f"facts.{id}: the answer names a next page ({where}), which isn't read.", mend=mend),)


def _is_ours(found: Unknown, answer: object) -> bool:
    """Is it what the plan makes of the answer that is wrong, and not the answer itself?"""
    usable = isinstance(answer, Answer) and 200 <= answer.status < 300
    return usable or found.trouble.code in _FACT_CODES


def _told(id: str, fact: Fact, *, answer: object, code: str) -> Remark | None:
    if code in _FACT_CODES:
        what, mend = _FACT_CODES[code]
        return problem(code, f"facts.{id}: {what}", mend=mend)
    assert isinstance(answer, Answer)
    expressions = {"value": fact.value} if fact.items is None else {"items": fact.items}
    if fact.next_page is not None:
        expressions["next_page"] = fact.next_page
    remarks = read(expressions, answer=answer, context={}, place=f"facts.{id}", show_values=False).remarks
    return remarks[0] if remarks else None


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
        shown = wanted[0] if wanted and trying.show_values else claim.key
        rulings.append(Ruling(part=part, says=f"would claim {shown}" if wanted else "would claim nothing"))
    return rulings


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
    is_missing = broken.code.endswith("value_missing")
    what = "names a value that isn't there" if is_missing else "fails with these values"
    mend = (
        "Check the names against lookup.fields and facts." if is_missing else "Check the kinds of values it compares."
    )
    return problem("rule_broken", f"{part} {what}.", mend=mend)

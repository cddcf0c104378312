"""Templates and expressions: that they compile, and don't come out the same every time."""

import re
from collections.abc import Iterator
from functools import lru_cache

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.secrets import split_references
from plans.template_names import DottedName, names_of
from plans.template_places import PlacedText

_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)

ANSWER = ("body", "headers", "status")
#: Every name that a template may begin with, in the order in which they are told.
OURS = (
    *("user_id", "tenant", "retirement_id", "pseudonym", "subject", "saved", "facts"),
    *("successor", "asset", "item", "mirror", *ANSWER),
)
_ITEM = ("item",)
#: What a condition or a value has to name, so that it isn't the same every time.
_VARIES_BY = {
    "subject.lookup.absent_when": ANSWER,
    "subject.lookup.fields.*": OURS,
    "subject.also.*.value": ANSWER,
    "mirror.state": ANSWER,
    "mirror.moved_at": ANSWER,
    "mirror.same_when": ANSWER,
    "mirror.verified_when": ANSWER,
    "facts.*.value": ANSWER,
    "facts.*.items": ANSWER,
    "facts.*.next_page": ANSWER,
    "eligibility.refuse_if": ("subject", "facts"),
    "claims.key": ("user_id", "tenant", "subject"),
    "claims.each": ("user_id", "tenant", "subject"),
    "claims.when": ("user_id", "tenant", "subject"),
    "successors.*.candidates.items": ANSWER,
    "successors.*.candidates.id": _ITEM,
    "successors.*.candidates.next_page": ANSWER,
    "successors.*.suitable.when": ANSWER,
    "successors.*.suitable.fields.*": OURS,
    "mail.recipients.reference": ("user_id", "subject"),
    "steps.*.assets.items": ANSWER,
    "steps.*.assets.id": _ITEM,
    "steps.*.assets.title": _ITEM,
    "steps.*.assets.fields.*": _ITEM,
    "steps.*.assets.next_page": ANSWER,
    "steps.*.assets.settled_when": _ITEM,
    "steps.*.assets.owner.value": ANSWER,
    "steps.*.find.save.*": OURS,
    "steps.*.done_when": ANSWER,
    "steps.*.save.*": OURS,
    "steps.*.probe.gone_when": ANSWER,
    "steps.*.poll.url": OURS,
    "steps.*.poll.done": ANSWER,
    "steps.*.poll.failed": ANSWER,
    "steps.*.follow_up.done": ANSWER,
    "steps.*.follow_up.failed": ANSWER,
    "steps.*.undo.when": ("subject", "saved"),
    "steps.*.on_permanent.probe.gone_when": ANSWER,
}
#: Here a constant is a lie: gone, absent, done or failed whatever the service answers; a page that is always the next one;
#: assets that are all the same one, or all settled already; a role that everybody has; a row that is always everybody's.
_LIES = (
    *("gone_when", "absent_when", "done_when", "done", "failed"),
    *("next_page", "items", "value", "id", "settled_when"),
    *("state", "moved_at", "same_when", "verified_when"),
)
_SUITABLE = "successors.*.suitable.when"


def syntax(draft: Draft) -> Iterator[Finding]:
    """Templates and expressions that don't compile."""
    for each in draft.texts:
        if (what := template_problem(each.text, is_expression=each.is_expression)) is not None:
            yield error(Check.TEMPLATE, each.path, what)


@lru_cache(maxsize=4096)
def template_problem(text: str, *, is_expression: bool) -> str | None:
    """Why a template can't be used, None where it can. Jinja2's own message may quote it, so it is not passed on."""
    kind = "expression" if is_expression else "template"
    try:
        if not is_expression:
            for is_secret, part in split_references(text):
                if not is_secret:
                    _refuse_other_files(_JINJA.parse(part))
                    _JINJA.compile(part)
        elif (bare := _bare(text)) is not None:
            _JINJA.compile_expression(bare)
        else:
            return "mixes text and {{ }} where one expression is meant; write it without braces, and join texts by ~"
    except _OtherFile:
        return "takes in another template, and a plan has none; write it out"
    except TemplateError as refused:
        if (refused.message or "").startswith(("No filter named", "No test named")):
            return "uses a filter or test that Jinja2 doesn't know; see the list in Jinja2's template documentation"
        return f"isn't a valid {kind} (Jinja2); check that each {{{{ has its }}}}, and the quotes and brackets inside"
    return None


def constants(draft: Draft) -> Iterator[Finding]:
    """Conditions and values that come out the same whatever is answered, or whoever is asked about."""
    for each in draft.texts:
        needed = _needed(draft, each)
        names = {name[0] for name in names_in(each)}
        # A misspelt name has been told, as one out of place has; one that can't be read names nobody knows what.
        if needed is None or names & {*needed, *_ITEM} or names - each.allows or not is_valid(each):
            continue
        if needed is OURS:
            what = "is the same for everybody, as it names nothing; read it from the answer, or leave it out"
        elif needed is ANSWER:
            what = "is the same whatever is answered; name what decides it (body, headers, status), or leave it out"
        elif needed is _ITEM:
            what = "is the same for every item of the list; read it from item"
        else:
            what = f"is the same for everybody; name what decides it ({', '.join(needed)}), or leave it out"
        is_lie = each.place == _SUITABLE or each.place.rpartition(".")[2] in _LIES
        tell = error if is_lie else warning
        yield tell(Check.CONSTANT, each.path, what)


def _needed(draft: Draft, placed: PlacedText) -> tuple[str, ...] | None:
    if placed.place == "claims.key":
        at = placed.path[:2]
        if not draft.is_whole(*at, "each"):
            return None
        if draft.written.claims[int(at[1])].each is not None:
            # Otherwise the same thing is claimed again and again.
            return _ITEM
    return _VARIES_BY.get(placed.place)


def names_in(placed: PlacedText) -> frozenset[DottedName]:
    """The values that a text of the plan names."""
    return names_of(placed.text, is_expression=placed.is_expression)


def is_valid(placed: PlacedText) -> bool:
    """Does it compile? Of one that doesn't, nobody knows what it names."""
    return template_problem(placed.text, is_expression=placed.is_expression) is None


class _OtherFile(Exception):
    """A template that needs another one."""


def _refuse_other_files(template: nodes.Template) -> None:
    if next(template.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)), None) is not None:
        raise _OtherFile


_ALONE = re.compile(r"\s*\{\{[-+]?(.*?)[-+]?\}\}\s*", re.DOTALL)


def _bare(expression: str) -> str | None:
    """An expression without the `{{ }}` around it; None where text stands beside them."""
    if "{{" not in expression:
        return expression
    alone = _ALONE.fullmatch(expression)
    if alone is None:
        return None
    body = _JINJA.parse(expression.strip()).body
    is_one = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
    return alone.group(1) if is_one else None

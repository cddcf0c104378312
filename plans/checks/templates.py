"""Templates and expressions: that they compile, and that what they name is there."""

import re
from collections.abc import Iterator
from functools import lru_cache

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.language import nearest
from plans.secrets import split_references
from plans.template_names import DottedName, names_of
from plans.template_places import PlacedText

_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)

_ANSWER = ("body", "headers", "status")
#: Why a name has no place where it stands, though it is one of ours.
_WHY_NOT = {
    "subject": "the lookup is what finds it",
    "saved": "what steps save is for steps",
    "facts": "facts are only for eligibility",
    "retirement_id": "rules and claims are about the person",
} | dict.fromkeys(_ANSWER, "it is the service's answer, and there is none here")
_OURS = ("user_id", "tenant", "retirement_id", "subject", "saved", "facts", *_ANSWER)
#: What a condition or a value has to name, so that it isn't the same every time.
_VARIES_BY = {
    "subject.lookup.fields.*": _OURS,
    "facts.*.value": _ANSWER,
    "facts.*.items": _ANSWER,
    "facts.*.next_page": _ANSWER,
    "eligibility.refuse_if": ("subject", "facts"),
    "claims.key": ("user_id", "tenant", "subject"),
    "claims.when": ("user_id", "tenant", "subject"),
    "steps.*.save.*": _OURS,
    "steps.*.probe.gone_when": _ANSWER,
    "steps.*.poll.url": _OURS,
    "steps.*.poll.done": _ANSWER,
    "steps.*.poll.failed": _ANSWER,
    "steps.*.undo.when": ("subject", "saved"),
    "steps.*.on_permanent.probe.gone_when": _ANSWER,
}
#: Where the values of a name stand in a plan.
_HOLDERS: dict[str, tuple[str, ...]] = {
    "subject": ("subject", "lookup", "fields"),
    "facts": ("facts",),
    "saved": ("steps",),
}
#: Here a constant is a lie: gone, done or failed whatever the service answers; a page that is always the next one.
_LIES = ("gone_when", "done", "failed", "next_page", "items", "value")


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
        needed = _VARIES_BY.get(each.place)
        names = {name[0] for name in names_in(each)}
        # A misspelt name has been told, and one that can't be read names nobody knows what.
        if needed is None or names & set(needed) or names - set(_OURS) or not is_valid(each):
            continue
        if needed is _OURS:
            what = "is the same for everybody, as it names nothing; read it from the answer, or leave it out"
        elif needed is _ANSWER:
            what = "is the same whatever is answered; name what decides it (body, headers, status), or leave it out"
        else:
            what = f"is the same for everybody; name what decides it ({', '.join(needed)}), or leave it out"
        tell = error if each.place.rpartition(".")[2] in _LIES else warning
        yield tell(Check.CONSTANT, each.path, what)


def unknown_values(draft: Draft) -> Iterator[Finding]:
    """Values that nothing gives, and such as aren't to be had where they are named."""
    for each in draft.texts:
        names = sorted(names_in(each))
        dashed = {name: id for name in names if (id := _dashed(draft, name)) is not None}
        # `saved.my-lock` is read as `saved.my` less `lock`: one mistake.
        subtracted = {part for id in dashed.values() for part in id.split("-")[1:]}
        for name in names:
            if name in dashed:
                what = f"names {name[0]}.{dashed[name]}, whose dash is read as minus; write {name[0]}['{dashed[name]}']"
                yield error(Check.UNKNOWN_VALUE, each.path, what)
            elif name[0] not in subtracted and (unknown := _unknown(draft, each, name)) is not None:
                yield error(Check.UNKNOWN_VALUE, each.path, unknown)


def _dashed(draft: Draft, name: DottedName) -> str | None:
    """The id with a dash that a name is the beginning of."""
    known = draft.names(*_HOLDERS.get(name[0], ("",))) if len(name) > 1 and name[0] in _HOLDERS else []
    if len(name) < 2 or name[1] in known:
        return None
    return next((id for id in known if id.startswith(f"{name[1]}-")), None)


def names_in(placed: PlacedText) -> frozenset[DottedName]:
    """The values that a text of the plan names."""
    return names_of(placed.text, is_expression=placed.is_expression)


def is_valid(placed: PlacedText) -> bool:
    """Does it compile? Of one that doesn't, nobody knows what it names."""
    return template_problem(placed.text, is_expression=placed.is_expression) is None


def _unknown(draft: Draft, placed: PlacedText, name: DottedName) -> str | None:
    root, *rest = name
    if root not in placed.allows:
        return _out_of_place(draft, placed, name)
    if not rest or root not in _HOLDERS:
        return None
    known = draft.names(*_HOLDERS[root])
    if rest[0] not in known:
        return _missing(root, rest[0], known) if draft.knows(*_HOLDERS[root]) else None
    if root != "saved" or len(rest) < 2 or rest[0] not in draft.written.steps:
        return None
    at = ("steps", rest[0], "save")
    saves = draft.names(*at)
    return _missing(f"saved.{rest[0]}", rest[1], saves) if rest[1] not in saves and draft.knows(*at) else None


def _missing(root: str, name: str, known: list[str]) -> str:
    close = nearest(name, known)
    if close is not None:
        return f"unknown value '{root}.{name}'; did you mean '{root}.{close}'?"
    holder = {"subject": "subject.lookup.fields", "facts": "facts", "saved": "steps"}.get(root)
    where = holder or f"steps.{root.removeprefix('saved.')}.save"
    return f"unknown value '{root}.{name}'; {where} has {', '.join(known) or 'nothing'}: add it there, or name another"


def _out_of_place(draft: Draft, placed: PlacedText, name: DottedName) -> str:
    root = name[0]
    allowed = ", ".join(name for name in _OURS if name in placed.allows)
    if root in _WHY_NOT:
        return f"'{root}' can't be named here: {_WHY_NOT[root]}; what may stand here: {allowed}"
    if "body" in placed.allows:
        # A bare word is what people write for a field of the answer.
        return f"unknown value '{root}'; did you mean 'body.{'.'.join(name)}'? What may stand here: {allowed}"
    if "subject" in placed.allows and root in draft.names("subject", "lookup", "fields"):
        return f"unknown value '{root}'; did you mean 'subject.{root}'?"
    close = nearest(root, sorted(placed.allows))
    if close is not None:
        return f"unknown value '{root}'; did you mean '{close}'?"
    return f"unknown value '{root}'; what may stand here: {allowed}"


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

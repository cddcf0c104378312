"""What the model refuses, in words that say how to mend it. Pydantic's own words may quote the value."""

from collections.abc import Mapping, Sequence

from pydantic_core import ErrorDetails

from plans.checks.findings import Check, Finding, error
from plans.checks.language import Model, meant_by, places_below, places_of
from plans.requests import KeyPath

_NOT_A_NAME = "isn't a name; write lower-case letters, digits, - and _, a letter first, at most 63"
_NOT_A_MAPPING = "isn't a mapping; write `key: value` lines, indented"
_NOT_A_LIST = "isn't a list; write [one, another]"
_NOT_A_NUMBER = "isn't a whole number; write one without quotes"

_WORDS: Mapping[str, str] = {
    "string_type": "isn't text; put it in quotes",
    "string_too_short": "is empty; write something, or remove the key",
    "int_type": _NOT_A_NUMBER,
    "int_parsing": _NOT_A_NUMBER,
    "int_from_float": _NOT_A_NUMBER,
    "greater_than_equal": "is too small; write {ge} or more",
    "less_than_equal": "is too large; write {le} or less",
    "tuple_type": _NOT_A_LIST,
    "list_type": _NOT_A_LIST,
    "dict_type": _NOT_A_MAPPING,
    "model_type": _NOT_A_MAPPING,
    "model_attributes_type": _NOT_A_MAPPING,
    "union_tag_not_found": "has no `type`; add `type: none`, `bearer`, `basic`, `api_key` or `oauth2_client_credentials`",
    "union_tag_invalid": "has an unknown `type`; write one of {expected_tags}",
    "literal_error": "isn't accepted; write {expected}",
    "enum": "isn't accepted; write {expected}",
}
#: By the pattern that doesn't match.
_PATTERNS: Mapping[str, str] = {
    "^/": "doesn't begin with /; write the path below the service's base_url",
    r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$": "isn't a language; write a tag such as de or pt-BR",
    r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$": "isn't a header's name; write letters, digits and -",
}
#: By the key, where several shapes are accepted: pydantic tells of each, which is one problem to whoever writes a plan.
_SEVERAL_SHAPES: Mapping[str, str] = {
    "deadline": "isn't a deadline; write gdpr, ccpa, or a duration such as 30d",
    "sql": "isn't SQL; write one statement as text, or a list of statements",
}
_HTTP_STATUS = {"ge": 100, "le": 599}


def told(problem: ErrorDetails, *, path: KeyPath, models: Sequence[Model]) -> Finding:
    """An error of pydantic as a finding. `path` is its place in the file, `models` what may stand there."""
    kind = problem["type"]
    if kind == "extra_forbidden":
        return error(Check.UNKNOWN_FIELD, path, _unknown(str(path[-1]), models))
    if kind == "missing":
        return error(Check.MISSING, path, "is missing; add it")
    named = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    return error(Check.WRONG_VALUE, path, _SEVERAL_SHAPES.get(named) or _words(problem))


def _unknown(key: str, models: Sequence[Model]) -> str:
    if below := places_below(key, models):
        return f"isn't known here; write it as {' or '.join(below)}"
    if (meant := meant_by(key, models)) is not None:
        return f"isn't known here; did you mean '{meant}'?"
    if places := places_of(key):
        return f"isn't known here; it belongs to {' or '.join(places)}: move it there, or remove it"
    return "isn't known here; check its spelling and indentation, or remove it"


def _words(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        # Our own validators: their texts name no value.
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context.get("pattern")), _NOT_A_NAME)
    bound = {name: context[name] for name in ("ge", "le") if name in context}
    if bound and bound.items() <= _HTTP_STATUS.items():
        return f"{'is too small' if 'ge' in bound else 'is too large'}; an HTTP status is 100 to 599"
    return _WORDS.get(kind, "isn't accepted here; see the plan reference in docs/").format(**context)

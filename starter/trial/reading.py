"""What expressions read from an answer: of what kind it is, and where a missing value is missing."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from activities.actions.answers import Answer
from activities.rendering import VALUE_MISSING, RenderingError, evaluate
from plans.template_names import names_of
from starter.trial.findings import Reading, Remark, problem

#: Keys that are names. Others may be values of a person: a map by mail address.
_PLAIN_KEY = re.compile(r"(?!.*\d{3})[A-Za-z_$][A-Za-z0-9_$-]{0,40}")
_MOST_KEYS = 20
_LONGEST_SHOWN = 80


@dataclass(frozen=True, kw_only=True)
class Read:
    """What came of reading: the values by name, how they look, and what is wrong."""

    values: dict[str, Any]
    readings: tuple[Reading, ...]
    remarks: tuple[Remark, ...]


def read(
    expressions: Mapping[str, str], *, answer: Answer, context: Mapping[str, Any], place: str, show_values: bool
) -> Read:
    """Read every expression from an answer. `place` is where they stand in the plan."""
    return _read(
        expressions,
        context={**context, **answer.values},
        place=place,
        show_values=show_values,
        unreadable=lambda where, expression, code: _unreadable(where, expression, answer=answer, code=code),
    )


def read_item(
    expressions: Mapping[str, str], *, item: object, context: Mapping[str, Any], place: str, show_values: bool
) -> Read:
    """Read every expression from one item of a list."""
    return _read(
        expressions,
        context={**context, "item": item},
        place=place,
        show_values=show_values,
        unreadable=lambda where, expression, code: _unreadable_item(where, expression, item=item, code=code),
    )


def _read(
    expressions: Mapping[str, str],
    *,
    context: Mapping[str, Any],
    place: str,
    show_values: bool,
    unreadable: Callable[[str, str, str], Remark],
) -> Read:
    values: dict[str, Any] = {}
    readings: list[Reading] = []
    remarks: list[Remark] = []
    for name, expression in expressions.items():
        try:
            value = evaluate(expression, context)
        except RenderingError as error:
            readings.append(Reading(name=name, kind="can't be read"))
            remarks.append(unreadable(f"{place}.{name}", expression, error.code))
        else:
            values[name] = value
            readings.append(Reading(name=name, kind=kind_of(value), value=_shown(value) if show_values else None))
    return Read(values=values, readings=tuple(readings), remarks=tuple(remarks))


def kind_of(value: object) -> str:
    """Of what kind a value is, without telling it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return f"text, {_counted(len(value), 'character')}"
        case int() | float():
            return "number"
        case list() | tuple():
            return f"list of {len(value)}"
        case Mapping():
            return f"object with {_counted(len(value), 'key')}"
    return type(value).__name__


def kind_of_body(answer: Answer) -> str:
    """What an answer's body is, in words."""
    if answer.body is not None:
        return f"JSON: {kind_of(answer.body)}"
    sort = answer.headers.get("content-type", "").partition(";")[0].strip()
    if answer.headers.get("content-length") == "0" or (answer.status == 204 and not sort):
        return "no body"
    if sort and "json" not in sort:
        # A content type is the service's word, not a value; a strange one isn't repeated all the same.
        return f"{sort} instead of JSON" if re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,40}", sort) else "no JSON"
    return "no JSON that can be read (none, broken, compressed, or over 1 MiB)"


def _unreadable(place: str, expression: str, *, answer: Answer, code: str) -> Remark:
    if code == VALUE_MISSING and answer.body is None:
        return problem(
            "no_json",
            f"{place}: there is nothing to read from: the answer has {kind_of_body(answer)}.",
            mend="See that the path is the API's and not a page's, and that the answer is JSON.",
        )
    return _missing(place, expression, root="body", found=answer.body, whole="answer", code=code)


def _unreadable_item(place: str, expression: str, *, item: object, code: str) -> Remark:
    return _missing(place, expression, root="item", found=item, whole="item", code=code)


def _missing(place: str, expression: str, *, root: str, found: object, whole: str, code: str) -> Remark:
    """Why an expression can't be read from what it was found in. `whole` is what people call that."""
    if code != VALUE_MISSING:
        return problem(
            "expression_fails",
            f"{place}: the expression fails on this {whole}.",
            mend="Check the kinds of values it joins or compares (a text and a number?).",
        )
    for name in sorted(names_of(expression, is_expression=True)):
        if name[0] == root and (said := _where_missing(name, found)) is not None:
            what, mend = said
            return problem("field_missing", f"{place}: {what}", mend=mend)
    return problem("field_missing", f"{place}: names a value that isn't in the {whole}.", mend="Check its spelling.")


def _where_missing(name: tuple[str, ...], found: Any) -> tuple[str, str] | None:
    """At which part of its name a value is missing, and what there is instead; None where it is there."""
    for depth, part in enumerate(name[1:], start=1):
        above = ".".join(name[:depth])
        if isinstance(found, Mapping) and part in found:
            found = found[part]
            continue
        if not isinstance(found, Mapping):
            return f"there is no `{above}.{part}`, as `{above}` is {_article(found)}.", "Read it from where it is."
        near = difflib.get_close_matches(part, [key for key in found if isinstance(key, str)], n=1, cutoff=0.7)
        guess = f"Did you mean `{above}.{near[0]}`?" if near and _PLAIN_KEY.fullmatch(near[0]) else ""
        return f"there is no `{part}` in `{above}`, which has {_keys_of(found)}.", guess or "Name one of these."
    return None


def _keys_of(found: Mapping[str, Any]) -> str:
    plain = [key for key in found if isinstance(key, str) and _PLAIN_KEY.fullmatch(key)]
    others = len(found) - min(len(plain), _MOST_KEYS)
    if not found:
        return "no keys"
    listed = ", ".join(plain[:_MOST_KEYS])
    return f"{listed}{' and ' if listed and others else ''}{_counted(others, 'other key') if others else ''}"


def _article(value: object) -> str:
    kind = kind_of(value)
    return kind if kind == "null" else f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"

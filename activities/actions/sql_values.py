"""Values on their way into a database and out of it, and what a statement's first words say."""

import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import CursorResult, Row

from activities.rendering import UNSAFE_VALUE, RenderingError

#: More rows than anybody reads by a plan. Whether some were left out is said in `truncated`.
MOST_ROWS = 1000

#: Texts, quoted names and comments: words in them say nothing of what a statement does.
_NOT_WORDS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_FIRST_WORD = re.compile(r"[\s(]*(\w+)")
_WRITING = re.compile(r"\b(insert|update|delete|merge|replace)\b", re.IGNORECASE)


def writes(statement: str) -> bool:
    """Is it an INSERT, UPDATE, DELETE or MERGE? It may still answer rows: RETURNING."""
    words = _NOT_WORDS.sub(" ", statement)
    first = _FIRST_WORD.match(words)
    if first is None:
        return False
    # What a WITH is about comes later, and so may what it does.
    return bool(_WRITING.fullmatch(first[1]) or (first[1].lower() == "with" and _WRITING.search(words)))


def bindable(parameters: Mapping[str, Any], *, arrays: bool) -> dict[str, Any]:
    """Plain data as drivers take it: mappings as JSON text, lists as arrays where the database has `arrays`, else as JSON text.

    Raises:
        RenderingError: a text can't be encoded.
    """
    return {name: _bound(value, arrays=arrays) for name, value in parameters.items()}


def _bound(value: Any, *, arrays: bool) -> Any:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, list) and arrays and not any(isinstance(each, list | dict) for each in value):
        return [_bound(each, arrays=arrays) for each in value]
    if isinstance(value, list | dict):
        return json.dumps(value)
    return value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RenderingError(code=UNSAFE_VALUE) from None
    return text


def rows_of(result: CursorResult[Any]) -> tuple[list[Row[Any]], bool]:
    """The first rows of a result, and whether there are more."""
    rows = list(result.fetchmany(MOST_ROWS + 1))
    return rows[:MOST_ROWS], len(rows) > MOST_ROWS


def plain_row(row: Row[Any]) -> dict[str, Any]:
    """A row as JSON has it."""
    return {str(name): plain(value) for name, value in zip(row._fields, row, strict=True)}


def plain(value: Any) -> Any:
    """A value as JSON has it. Dates are in ISO 8601, bytes in hexadecimal; numbers that JSON would round are text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case dict():
            return {str(name): plain(each) for name, each in value.items()}
    # UUID, Decimal, addresses, intervals: as they are written.
    return str(value)

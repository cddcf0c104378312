"""The single values of an answer, so that two answers can be compared."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from activities.actions.answers import Answer
from starter.exchanges import Exchange

#: A value by the names that lead to it.
Leaves = dict[tuple[str, ...], Any]

#: Many services count or date every request that is accepted, whether it did anything or not.
_BOOKKEEPING = re.compile(r"updated|modified|changed|version|revision|etag", re.IGNORECASE)


def leaves_of(exchange: Exchange, *, at: str = "") -> Leaves:
    """What an answer holds; empty where none came."""
    answer = exchange.answer
    return dict(_walk(answer.body, (at,))) if isinstance(answer, Answer) else {}


def has_changed(before: Leaves, after: Leaves) -> bool:
    """Does anything differ that isn't bookkeeping?"""
    differ = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return any(not _BOOKKEEPING.search(path[-1]) for path in differ)


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _walk(each, (*path, str(key)))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _walk(each, (*path, str(number)))
    else:
        yield path, value

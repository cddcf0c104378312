"""What is noted at the source beside each state: codes, counts and the server's own words, never a value of the person."""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

LONGEST_NOTE = 1000
LONGEST_QUOTE = 500
_SMALLEST_ID = 10_000

#: Codes that say more in words than as they are.
_IN_WORDS = {"route_unproven": "route missing"}


def starting(state: str) -> str:
    """Before a step."""
    return f"Starting: {state}"


def ending(state: str, *, told: str) -> str:
    """After a step. `told`: what came back, as a code and counts."""
    return f"Ending: {state} with response:\n{told}"


def failing(state: str, *, code: str, detail: str | None, said: str | None) -> str:
    """A step that failed for good: why, where, and the server's own words."""
    lines = [f"Error in {state}: {_IN_WORDS.get(code, code)}", *([detail] if detail else []), *([said] if said else [])]
    return "\n".join(lines)


def quoted(said: str, *, values: Mapping[str, Any], mask: str, cut_at: int) -> str:
    """The beginning of what a service said, without any value of the person, numbers of theirs included.

    Masked first and cut then: half a name would be recognised by no mask. `cut_at`: where whoever kept it has cut it already.
    """
    texts = {*_texts(values.values()), *_numbers(values.values())}
    if len(said) >= cut_at:
        said = said[: max(0, len(said) - max(map(len, texts), default=0))]
    return _masked(said, texts, mask=mask)[:LONGEST_QUOTE]


def masked(note: str, *, values: Mapping[str, Any], mask: str) -> str:
    """The note without any value of the person, however it is written, and no longer than the source takes."""
    return _masked(note, set(_texts(values.values())), mask=mask)[:LONGEST_NOTE]


def _masked(text: str, values: AbstractSet[str], *, mask: str) -> str:
    # In one pass: the mask itself is never looked into.
    return _pattern(frozenset(values)).sub(lambda _: mask, text) if values else text


@lru_cache(maxsize=64)  # a step notes about the same person several times
def _pattern(values: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(values, key=len, reverse=True)
    return re.compile(
        "|".join(rf"(?<!\d){value}(?!\d)" if value.isdecimal() else re.escape(value) for value in longest_first),
        flags=re.IGNORECASE,
    )


def _numbers(values: Iterable[Any]) -> Iterable[str]:
    """Ids that are the person's. A short number may be anything."""
    return (str(value) for value in values if type(value) is int and value >= _SMALLEST_ID)


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        match value:
            case str() if value.strip():
                yield value.strip()
            case dict():
                yield from _texts(value.values())
            case list():
                yield from _texts(value)

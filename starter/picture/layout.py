"""Lays out words and what is said of them in two columns, no wider than asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from starter.output import show


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line, and what a terminal may stress in it."""

    text: str
    stress: Literal["", "title", "point"] = ""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A word and what is to be said of it."""

    key: str
    value: str


def laid_out(pairs: Iterable[Pair], *, indent: str, width: int) -> list[Line]:
    """Words in one column, what is said of them in the next; what is too long goes on below itself."""
    pairs = list(pairs)
    column = max((_cells(one_line(pair.key)) for pair in pairs if pair.key), default=0)
    lines = []
    for pair in pairs:
        key = one_line(pair.key) if pair.key else ""
        room = max(24, width - _cells(indent) - column - 2)
        for index, part in enumerate(_wrapped(one_line(pair.value), room)):
            first = key if index == 0 else ""
            lines.append(Line(text=f"{indent}{first}{' ' * (column - _cells(first))}  {part}".rstrip()))
    return lines


def one_line(text: str) -> str:
    """A text of the plan fit for print: its line breaks are spaces, and nothing in it can redraw a terminal."""
    return show(" ".join(text.split()))


def _wrapped(text: str, room: int) -> list[str]:
    """A text in lines of at most `room` cells, broken at spaces outside `{{ }}`; a longer word is left whole."""
    lines: list[str] = []
    for word in words_of(text):
        if lines and _cells(lines[-1]) + 1 + _cells(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def words_of(text: str) -> list[str]:
    """The words of a text between which a line may be broken: `{{ user_id }}` is one."""
    words: list[str] = []
    for word in text.split():
        if words and words[-1].count("{{") > words[-1].count("}}"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)

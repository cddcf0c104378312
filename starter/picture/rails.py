"""Draws who waits for whom as rails in the margin of a list:

    ╭── forum
    ├── newsletter
    │   invoices
    ╰─▶ profile          waits for forum and newsletter, and for nothing else

A rail begins at steps that the same others wait for, and ends at those; a line passes behind the rails it has no part in.
A row with an arrow hangs on every rail that it doesn't begin, a row without one begins or joins a rail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: More than these side by side help nobody; the list still says in words what each step waits for.
MOST_RAILS = 8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry of the list: what stands before its name, and before each further line of it."""

    id: str
    margin: str
    below: str


@dataclass(frozen=True, kw_only=True)
class _Rail:
    """From the row of its first source to the row of its last follower, in one column."""

    sources: tuple[int, ...]
    followers: tuple[int, ...]
    column: int

    @property
    def first(self) -> int:
        return self.sources[0]

    @property
    def last(self) -> int:
        return self.followers[-1]

    def crosses(self, row: int) -> bool:
        return self.first <= row <= self.last


def rows_of(after: Mapping[str, Sequence[str]]) -> list[Row]:
    """The entries, each below all it waits for, otherwise in the order given. Only names that are keys are drawn."""
    order = _in_order(after)
    rails = _rails(order, _without_detours(after))
    width = 1 + max((rail.column for rail in rails), default=-1)
    if width > MOST_RAILS:
        rails, width = [], 0
    return [
        Row(id=id, margin=_margin(row, rails, width), below=_below(row, rails, width)) for row, id in enumerate(order)
    ]


def _in_order(after: Mapping[str, Sequence[str]]) -> list[str]:
    order: list[str] = []
    waiting = list(after)
    while waiting:
        ready = [id for id in waiting if not any(before in waiting for before in after[id])]
        # A circle is refused by the plan's check; here it only must not last for ever.
        for id in ready or waiting:
            order.append(id)
        waiting = [id for id in waiting if id not in order]
    return order


def _without_detours(after: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """What each waits for, without what those wait for already: `c` after `a` and `b`, `b` after `a`, is drawn a, b, c."""
    direct = {id: {before for before in befores if before in after} for id, befores in after.items()}
    earlier: dict[str, set[str]] = {}
    for id in _in_order(after):
        earlier[id] = direct[id].union(*(earlier.get(before, set()) for before in direct[id]))
    return {
        id: befores - set().union(*(earlier.get(before, set()) for before in befores)) for id, befores in direct.items()
    }


def _rails(order: Sequence[str], after: Mapping[str, set[str]]) -> list[_Rail]:
    followers = {id: tuple(row for row, other in enumerate(order) if id in after[other]) for id in order}
    sources: dict[tuple[tuple[int, ...], int | None], list[int]] = {}
    for row, id in enumerate(order):
        if followers[id]:
            # One that waits itself begins a rail of its own: on another's it would seem to wait for that.
            sources.setdefault((followers[id], row if after[id] else None), []).append(row)
    rails: list[_Rail] = []
    for (waiting, _), rows in sources.items():
        taken = {rail.column for rail in rails if rail.last >= rows[0]}
        column = next(column for column in range(len(rails) + 1) if column not in taken)
        rails.append(_Rail(sources=tuple(rows), followers=waiting, column=column))
    return rails


def _margin(row: int, rails: Sequence[_Rail], width: int) -> str:
    if width == 0:
        return ""
    ours = {rail.column for rail in rails if row in rail.sources or row in rail.followers}
    leftmost = min(ours, default=width)
    signs = []
    for column in range(width):
        here = next((rail for rail in rails if rail.column == column and rail.crosses(row)), None)
        signs.append(_sign(row, here, is_ours=column in ours, has_line=column > leftmost))
        signs.append("─" if column >= leftmost else " ")
    is_waiting = any(row in rail.followers for rail in rails)
    return "".join(signs) + ("▶ " if is_waiting else "─ " if ours else "  ")


def _sign(row: int, rail: _Rail | None, *, is_ours: bool, has_line: bool) -> str:
    """What stands in one column. `has_line`: does a line come from the left?"""
    if rail is None:
        return "─" if has_line else " "
    if not is_ours:
        return "│"
    if row == rail.first:
        return "┬" if has_line else "╭"
    if row == rail.last:
        return "┴" if has_line else "╰"
    return "┼" if has_line else "├"


def _below(row: int, rails: Sequence[_Rail], width: int) -> str:
    if width == 0:
        return ""
    going_on = {rail.column for rail in rails if rail.crosses(row) and row < rail.last}
    return "".join("│ " if column in going_on else "  " for column in range(width)) + "  "

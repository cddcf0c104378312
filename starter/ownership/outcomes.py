"""What became of each asset of a transfer, as whoever asked for it is told."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode

if TYPE_CHECKING:
    from ledger.rows import AssetRow

#: Of two places where a named asset was looked for, the one that says more.
_TELLING = ("moved", "anonymised", "deleted", "already_owned", "retrying", "refused", "waiting", "not_found")
#: What whoever asked for it has to see to.
_PROBLEMS = ("refused", "not_found")
#: More lines are for a file.
_MOST_LINES = 50


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """The assets of a transfer, each once."""

    rows: tuple["AssetRow", ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many came to which result."""
        found = Counter(result_of(row) for row in self.rows)
        return {result: found[result] for result in _TELLING if found[result]}

    @property
    def has_problems(self) -> bool:
        """Was something refused, or not found?"""
        return any(result_of(row) in _PROBLEMS for row in self.rows)

    def shown(self) -> "tuple[AssetRow, ...]":
        """What people are shown: all where they are few, else what they have to see to, and of that the first."""
        if len(self.rows) <= _MOST_LINES:
            return self.rows
        return tuple(row for row in self.rows if result_of(row) in _PROBLEMS)[:_MOST_LINES]


def result_of(row: "AssetRow") -> str:
    """How it stands with an asset, in a word."""
    return row.result.value if row.result is not None else "waiting"


def outcomes_of(rows: "Iterable[AssetRow]", *, only_named: bool) -> Outcomes:
    """Named assets were looked for at every step: found at one of them is found. Others are where they were listed."""
    if not only_named:
        return Outcomes(rows=tuple(rows))
    best: dict[str, AssetRow] = {}
    for row in rows:
        known = best.get(row.asset.id)
        if known is None or _TELLING.index(result_of(row)) < _TELLING.index(result_of(known)):
            best[row.asset.id] = row
    return Outcomes(rows=tuple(best.values()))


def shredded(id: str) -> CommandError:
    """The assets of a case went with its vault."""
    return CommandError(
        f"The assets of {id} are not kept any more: its values are shredded.",
        do=f"See `retire report {id}` for how many there were.",
        code=ExitCode.NOT_FOUND,
    )


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """What a transfer does not do of its plan, and why, in words."""
    why = {
        "moves_nothing": "it only prepares a retirement",
        "no_successor": "nobody takes over there",
        "not_by_name": "who takes over there can't be named",
        "needs_another": "it needs what another step saves",
    }
    return [f"left out: {step} ({why[reason]})" for step, reason in left_out.items()]

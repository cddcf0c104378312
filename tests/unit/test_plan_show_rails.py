"""The rails of `retire plan show`: who waits for whom, as a person reads it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from starter.picture.rails import MOST_RAILS, rows_of


def drawn(after: dict[str, list[str]]) -> list[str]:
    return [f"{row.margin}{row.id}" for row in rows_of(after)]


def test_rails_of_a_diamond() -> None:
    assert drawn({"a": [], "b": ["a"], "c": ["a"], "d": ["a", "b", "c"], "e": []}) == [
        "╭────── a",
        "│       e",
        "├─┬───▶ b",
        "╰─│─┬─▶ c",
        "  ╰─┴─▶ d",
    ]


def test_steps_that_nothing_orders_have_no_rails() -> None:
    assert drawn({"a": [], "b": []}) == ["a", "b"]


def test_too_many_rails_are_not_drawn() -> None:
    many: dict[str, list[str]] = {f"s{number}": [] for number in range(MOST_RAILS + 1)}
    assert drawn({**many, **{f"t{number}": [f"s{number}"] for number in range(MOST_RAILS + 1)}})[0] == "s0"


graphs = st.integers(1, 9).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            f"s{n}": st.lists(st.sampled_from([f"s{m}" for m in range(n)]), unique=True) if n else st.just([])
            for n in range(size)
        }
    )
)


@given(after=graphs, order=st.randoms(use_true_random=False))
def test_rails_say_who_waits_for_whom(after: dict[str, list[str]], order: Any) -> None:
    """Read as a person reads it, the drawing gives back the order of the steps."""
    names = list(after)
    order.shuffle(names)
    rows = rows_of({name: after[name] for name in names})
    assert sorted(row.id for row in rows) == sorted(names)
    assert len({len(row.margin) for row in rows}) == 1
    if not rows[0].margin:
        # Nothing orders them, or it would take too many rails.
        return
    begun: dict[int, list[str]] = {}
    read: dict[str, set[str]] = {}
    for row in rows:
        waits = row.margin.endswith("▶ ")
        read[row.id] = set()
        for column, sign in enumerate(row.margin[:-2:2]):
            if sign in "╭┬":
                begun[column] = [row.id]
            elif sign in "├┼" and not waits:
                begun[column].append(row.id)
            elif sign in "├┼╰┴":
                read[row.id] |= set(begun[column])
    assert closure(read) == closure({name: set(befores) for name, befores in after.items()})


def closure(after: dict[str, set[str]]) -> dict[str, set[str]]:
    """All that each waits for, directly or not."""
    known = {name: set(befores) for name, befores in after.items()}
    for _ in known:
        known = {name: befores.union(*(known[before] for before in befores)) for name, befores in known.items()}
    return known

"""The source that keeps a row, and what is known or asked besides the lookup, in words for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from starter.output import show
from starter.picture.layout import Pair


def mirror_pairs(mirror: Mapping[str, Any]) -> Iterator[Pair]:
    """Who keeps the row, and what becomes of it."""
    same = f"; theirs where {mirror['same_when']}" if mirror["same_when"] else ""
    yield Pair(
        key="mirror",
        value=f"{mirror['service']} keeps a row with state {mirror['state']}, moved at {mirror['moved_at']}{same}",
    )
    yield Pair(
        key="",
        value=f"{mirror['waiting']} is waiting, {mirror['errored']} is for a person to look at, "
        f"{mirror['aborted']} was taken back, {mirror['complete']} is done ({mirror['complete_note']})",
    )
    yield Pair(key="", value=f"moved by {mirror['update']}; values of the person are {mirror['mask']} in its notes")
    if mirror["cancel"]:
        yield Pair(key="", value=f"taken back by {mirror['cancel']}")
    if mirror["cancel_by_hand"]:
        yield Pair(key="", value=f"taken back by hand: {mirror['cancel_by_hand']}")
    yield Pair(key="", value=f"left at work by others, it is taken over after {show(mirror['adopt_after'])}")
    if mirror["verified_when"]:
        yield Pair(key="", value=f"looked at once more at the end: nothing is left where {mirror['verified_when']}")


def given_pairs(given: list[str]) -> Iterator[Pair]:
    """What must be known before anybody is asked."""
    if given:
        yield Pair(key="given", value=f"{show(given)}: handed over sealed by whoever starts the retirement")


def also_pairs(asked: Mapping[str, Any]) -> Iterator[Pair]:
    """One more value of the person."""
    yield Pair(key=f"also {asked['value']}", value=f"{asked['service']}: {asked['request']}")
    absent = f"; null for {show(asked['absent'])}" if asked["absent"] else ""
    otherwise = ", and where it can't be had" if asked["otherwise_null"] else ""
    yield Pair(key="", value=f"reads {asked['reads']}{absent}{otherwise}; patience {show(asked['patience'])}")

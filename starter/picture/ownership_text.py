"""What becomes of what the person owned, in words for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from starter.output import show
from starter.picture.layout import Pair


def policy_pairs(policy: Mapping[str, Any]) -> Iterator[Pair]:
    """Who takes over, by one policy."""
    yield Pair(key=f"successor {policy['successor']}", value=f"named by the request: {policy['named']}")
    for listed in policy["candidates"]:
        yield Pair(key="", value=f"candidates of {listed['service']}: {_list(listed)}")
    suitable = policy["suitable"]
    asked = f"{suitable['service']}: {suitable['request']}"
    yield Pair(key="", value=f"suitable by {asked}, where {suitable['when']}")
    if suitable["fields"]:
        yield Pair(key="", value=f"reads into the vault: {show(suitable['fields'])}")
    yield Pair(key="", value=f"patience {show(policy['patience'])}")


def assets_pairs(assets: Mapping[str, Any]) -> Iterator[Pair]:
    """What a step lists, before what it does with each."""
    yield Pair(key="owned", value=_list(assets))
    named = [f"{name}: {assets[name]}" for name in ("type", "title") if assets[name]]
    more = [f"also read: {show(assets['fields'])}"] if assets["fields"] else []
    if named or more:
        yield Pair(key="", value="; ".join([*named, *more]))
    if assets["settled_when"]:
        yield Pair(key="settled", value=f"where {assets['settled_when']}")
    if owner := assets["owner"]:
        absent = f"; not there: {show(owner['absent'])}" if owner["absent"] else ""
        yield Pair(key="owner", value=f"{owner['request']}; reads {owner['value']}{absent}")


def _list(listed: Mapping[str, Any]) -> str:
    pages = f"; next page: {listed['next_page']}" if listed["next_page"] else ""
    absent = f"; none there: {show(listed['absent'])}" if listed["absent"] else ""
    return f"{listed['request']}; reads {listed['id']} of {listed['items']}{pages}{absent}"

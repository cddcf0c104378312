"""Facts: what the rules must know, asked page by page and kept by nobody."""

from dataclasses import dataclass, field
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Permanent, Transient
from activities.attempts import Trouble
from activities.paging import NotTold, pages, read
from activities.rendering import RenderingError, evaluate
from plans.model import Fact

#: Nobody's rules need more.
_MOST_PAGES = 1_000
_MOST_ITEMS = 100_000


@dataclass(frozen=True, kw_only=True)
class Known:
    """What was asked for, over how many pages."""

    value: Any = field(repr=False)
    pages: int = 1


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Why it can't be told, and where."""

    trouble: Trouble
    detail: str


async def find_out(action: Action, *, call: Call, fact: Fact) -> Known | Unknown:
    """Ask for a fact once, over all its pages."""
    try:
        if fact.items is not None:
            return await _all_items(action, call=call, fact=fact, items=fact.items)
        return await _one_value(action, call=call, fact=fact)
    except NotTold as untold:
        return Unknown(trouble=untold.trouble, detail=untold.detail)


async def _one_value(action: Action, *, call: Call, fact: Fact) -> Known:
    answer, detail = await read(action, call=call, absent=fact.absent)
    if answer is None:
        return Known(value=None)
    try:
        return Known(value=evaluate(fact.value, {**call.context, **answer.values}))
    except RenderingError as error:
        # An answer without the value may be an error page with a 200: it may pass.
        raise NotTold(Transient(code=error.code, touched=False), detail=detail) from None


async def _all_items(action: Action, *, call: Call, fact: Fact, items: str) -> Known:
    found: list[Any] = []
    number = 0
    listed = pages(action, call=call, items=items, next_page=fact.next_page, absent=fact.absent, most_pages=_MOST_PAGES)
    async for page in listed:
        number += 1
        found += page
        if len(found) > _MOST_ITEMS:
            raise NotTold(Permanent(code="too_many_items"), detail=call.request.title)
    return Known(value=found, pages=max(number, 1))

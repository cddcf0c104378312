"""Facts: what the rules must know, asked page by page and kept by nobody."""

from dataclasses import dataclass, field
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Absent, Answer, Done, Held, Meaning, Permanent, Transient, meaning_of
from activities.attempts import Trouble
from activities.probing import reading_rules
from activities.rendering import RenderingError, evaluate
from plans.model import Fact
from plans.requests import SqlRequest

#: Nobody's rules need more; a service that pages in a circle never ends.
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
        answer = await action.call(call)
    except RenderingError as error:
        return Unknown(trouble=Permanent(code=error.code), detail=call.request.title)
    detail = action.describe(call, answer)
    match meaning_of(answer, reading_rules(call, absent=fact.absent)):
        case Absent(needs_proof=needs_proof):
            return await _none(action, call, fact, needs_proof=needs_proof, detail=detail)
        case Done() if isinstance(answer, Answer):
            return await _read(action, call, fact, answer, detail=detail)
        case meaning:
            return Unknown(trouble=_trouble(meaning), detail=detail)


async def _none(action: Action, call: Call, fact: Fact, *, needs_proof: bool, detail: str) -> Known | Unknown:
    """The service says that there is none, unless the address is wrong."""
    known = await action.is_route_known(call) if needs_proof else True
    if known is None:
        return Unknown(trouble=Transient(code="route_check_failed", touched=False), detail=detail)
    if not known:
        return Unknown(trouble=Permanent(code="route_unproven"), detail=detail)
    return Known(value=None if fact.items is None else [])


async def _read(action: Action, call: Call, fact: Fact, answer: Answer, *, detail: str) -> Known | Unknown:
    try:
        if fact.items is None:
            return Known(value=evaluate(fact.value, {**call.context, **answer.values}))
        return await _all_pages(action, call, fact, answer, detail=detail)
    except RenderingError as error:
        # An answer without the value may be an error page with a 200: it may pass.
        return Unknown(trouble=Transient(code=error.code, touched=False), detail=detail)


async def _all_pages(action: Action, call: Call, fact: Fact, answer: Answer, *, detail: str) -> Known | Unknown:
    assert fact.items is not None
    found: list[Any] = []
    seen: set[str] = set()
    while True:
        items = evaluate(fact.items, {**call.context, **answer.values})
        if not isinstance(items, list):
            return Unknown(trouble=Permanent(code="items_no_list"), detail=detail)
        if isinstance(call.request, SqlRequest) and evaluate("body.truncated", answer.values):
            return Unknown(trouble=Permanent(code="too_many_items"), detail=detail)
        found += items
        named = evaluate(fact.next_page, {**call.context, **answer.values}) if fact.next_page is not None else None
        if not named:
            return Known(value=found, pages=len(seen) + 1)
        url = action.place_to_ask(call, url=named)
        if url is None:
            return Unknown(trouble=Permanent(code="next_page_foreign"), detail=detail)
        if url in seen:
            return Unknown(trouble=Permanent(code="pages_in_a_circle"), detail=detail)
        seen.add(url)
        if len(seen) >= _MOST_PAGES or len(found) > _MOST_ITEMS:
            return Unknown(trouble=Permanent(code="too_many_items"), detail=detail)
        page = await action.follow(call, url=url)
        detail = f"{action.describe(call, page)}, page {len(seen) + 1}"
        meaning = meaning_of(page, reading_rules(call))
        if not isinstance(meaning, Done) or not isinstance(page, Answer):
            return Unknown(trouble=_trouble(meaning), detail=detail)
        answer = page


def _trouble(meaning: Meaning) -> Trouble:
    # A read is never "working on it", and "absent" only where the plan says so.
    assert isinstance(meaning, Transient | Permanent | Held)
    return meaning

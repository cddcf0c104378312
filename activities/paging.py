"""Lists that services give page by page."""

from collections.abc import AsyncIterator
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Absent, Answer, Done, Held, Meaning, Permanent, Transient, meaning_of
from activities.attempts import Trouble
from activities.probing import reading_rules
from activities.rendering import RenderingError, evaluate
from plans.requests import SqlRequest

#: A service that pages in a circle never ends.
MOST_PAGES = 10_000


class NotTold(Exception):
    """A service did not tell what it was asked for: why, and where. Both hold no value."""

    def __init__(self, trouble: Trouble, *, detail: str) -> None:
        super().__init__(trouble.code)
        self.trouble, self.detail = trouble, detail


async def read(action: Action, *, call: Call, absent: tuple[int, ...]) -> tuple[Answer | None, str]:
    """Ask once; None where the service says that there is none. Gives also what may be told of the exchange.

    Raises:
        NotTold: there is no usable answer.
    """
    try:
        answer = await action.call(call)
    except RenderingError as error:
        raise NotTold(Permanent(code=error.code), detail=call.request.title) from None
    detail = action.describe(call, answer)
    match meaning_of(answer, reading_rules(call, absent=absent)):
        case Absent(needs_proof=needs_proof):
            await _believe(action, call, needs_proof=needs_proof, detail=detail)
            return None, detail
        case Done() if isinstance(answer, Answer):
            return answer, detail
        case meaning:
            raise NotTold(_trouble(meaning), detail=detail)


async def pages(
    action: Action,
    *,
    call: Call,
    items: str,
    next_page: str | None,
    absent: tuple[int, ...],
    most_pages: int = MOST_PAGES,
) -> AsyncIterator[list[Any]]:
    """The items of a list, page by page.

    Raises:
        NotTold: a page can't be had, or can't be read.
    """
    answer, detail = await read(action, call=call, absent=absent)
    seen: set[str] = set()
    while answer is not None:
        try:
            found = evaluate(items, {**call.context, **answer.values})
            is_cut = isinstance(call.request, SqlRequest) and evaluate("body.truncated", answer.values)
            is_paged = next_page is not None and isinstance(found, list)
            named = evaluate(next_page or "", {**call.context, **answer.values}) if is_paged else None
        except RenderingError as error:
            # An answer without the value may be an error page with a 200: it may pass.
            raise NotTold(Transient(code=error.code, touched=False), detail=detail) from None
        if not isinstance(found, list):
            raise NotTold(Permanent(code="items_no_list"), detail=detail)
        if is_cut or len(seen) >= most_pages:
            raise NotTold(Permanent(code="too_many_items"), detail=detail)
        yield found
        if not named:
            return
        url = action.place_to_ask(call, url=named)
        if url is None:
            raise NotTold(Permanent(code="next_page_foreign"), detail=detail)
        if url in seen:
            raise NotTold(Permanent(code="pages_in_a_circle"), detail=detail)
        seen.add(url)
        page = await action.follow(call, url=url)
        detail = f"{action.describe(call, page)}, page {len(seen) + 1}"
        meaning = meaning_of(page, reading_rules(call))
        if not isinstance(meaning, Done) or not isinstance(page, Answer):
            raise NotTold(_trouble(meaning), detail=detail)
        answer = page


async def _believe(action: Action, call: Call, *, needs_proof: bool, detail: str) -> None:
    """The service says that there is none, unless the address is wrong."""
    known = await action.is_route_known(call) if needs_proof else True
    if known is None:
        raise NotTold(Transient(code="route_check_failed", touched=False), detail=detail)
    if not known:
        raise NotTold(Permanent(code="route_unproven"), detail=detail)


def _trouble(meaning: Meaning) -> Trouble:
    # A read is never "working on it", and "absent" only where the plan says so.
    assert isinstance(meaning, Transient | Permanent | Held)
    return meaning

"""Trying a list that a service gives page by page: what came of it, and what is wrong with it where it can't be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from activities.actions.action import Call
from activities.actions.answers import Answer
from activities.paging import NotTold, pages
from starter.exchanges import Exchange
from starter.trial.asking import Trying
from starter.trial.doubts import slowness
from starter.trial.findings import Question, Remark, problem, warning
from starter.trial.reading import read

#: How services call the next page in a body.
_NEXT_KEYS = (
    "next",
    "next_page",
    "nextPage",
    "next_url",
    "nextLink",
    "next_cursor",
    "nextPageToken",
    "@odata.nextLink",
)
#: What can be wrong with a list besides its answer.
CODES = {
    "items_no_list": ("`items` is no list in this answer.", "Name the list: `body.items`, or `body` where it is one."),
    "next_page_foreign": (
        "`next_page` names a place that isn't the service's own, or no address at all.",
        "It is never followed, as our credentials would go with it. Let it name an address of the same origin.",
    ),
    "pages_in_a_circle": ("`next_page` leads back to a page that was read.", "See that the last page names none."),
    "too_many_items": ("There are more pages than anybody needs.", "Let the request ask for less."),
    "route_unproven": (
        "Not found can't be told from a wrong path here.",
        "Check base_url and path; for `absent`, a service must be seen to tell them apart.",
    ),
    "route_check_failed": ("Whether the path exists could not be asked.", "Try it again."),
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a list stands in the plan, and how it is read."""

    part: str
    service: str
    items: str
    next_page: str | None
    absent: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A list as far as it was read. `trouble` says why it can't be; `is_cut`: there are more pages than were asked for."""

    question: Question
    pages: tuple[list[Any], ...] = field(default=(), repr=False)
    trouble: Remark | None = None
    is_cut: bool = False

    @property
    def items(self) -> list[Any]:
        """The items of all pages."""
        return [item for page in self.pages for item in page]

    @property
    def told(self) -> str:
        """How many there are, page by page where there are several."""
        sizes = [len(page) for page in self.pages]
        number = f"{'at least ' if self.is_cut else ''}{sum(sizes)}"
        return number if len(sizes) < 2 else f"{number}, over {len(sizes)} pages ({', '.join(map(str, sizes))})"


async def ask_for_list(trying: Trying, question: Question, call: Call, source: Source, *, most_pages: int) -> Listed:
    """Read a list, up to so many pages."""
    asked_before = len(trying.action.made)
    trying.on_asking(call.request.title)
    found: list[list[Any]] = []
    is_cut = False
    listing = pages(trying.action, call=call, items=source.items, next_page=source.next_page, absent=source.absent)
    try:
        async for page in listing:
            if len(found) == most_pages:
                is_cut = True
                break
            found.append(page)
    except NotTold as untold:
        latest = trying.action.made[-1]
        question = replace(question, answer=latest.said, took=latest.took, meaning="not known")
        remark = _of_our_making(source, latest.answer, code=untold.trouble.code)
        remark = remark or await trying.what_is_wrong(latest, service_id=source.service)
        return Listed(question=replace(question, remarks=(remark,)), trouble=remark)
    exchanges = trying.action.made[asked_before:]
    question = replace(question, answer=exchanges[-1].said, took=exchanges[-1].took)
    remarks = (*_unread_page(source, exchanges[-1]), *_slowness(exchanges, source))
    return Listed(question=replace(question, remarks=remarks), pages=tuple(found), is_cut=is_cut)


def unread_page(part: str, answer: object) -> tuple[Remark, ...]:
    """A remark where an answer names a next page that the plan doesn't read. `part` is the list's place in the plan."""
    if not isinstance(answer, Answer):
        return ()
    body = answer.body if isinstance(answer.body, Mapping) else {}
    key = next((key for key in _NEXT_KEYS if body.get(key)), None)
    if key is None and 'rel="next"' not in answer.headers.get("link", ""):
        return ()
    where = f"`{key}`" if key is not None else "a Link header"
    mend = f"Only one page would count: add {part}.next_page, which reads the next page's address."
    return (warning("more_pages", f"{part}: the answer names a next page ({where}), which isn't read.", mend=mend),)


def why_unreadable(part: str, expressions: dict[str, str], *, answer: object, code: str) -> Remark | None:
    """Why what the plan reads from an answer can't be read; None where it is the answer itself that is of no use."""
    is_usable = isinstance(answer, Answer) and 200 <= answer.status < 300
    if code in CODES:
        what, mend = CODES[code]
        return problem(code, f"{part}: {what}", mend=mend)
    if not is_usable:
        return None
    assert isinstance(answer, Answer)
    remarks = read(expressions, answer=answer, context={}, place=part, show_values=False).remarks
    return remarks[0] if remarks else None


def _of_our_making(source: Source, answer: object, *, code: str) -> Remark | None:
    expressions = {"items": source.items} | ({"next_page": source.next_page} if source.next_page is not None else {})
    return why_unreadable(source.part, expressions, answer=answer, code=code)


def _unread_page(source: Source, latest: Exchange) -> tuple[Remark, ...]:
    return unread_page(source.part, latest.answer) if source.next_page is None else ()


def _slowness(exchanges: list[Exchange], source: Source) -> tuple[Remark, ...]:
    slowest = max(exchanges, key=lambda each: each.took)
    return slowness(slowest.took, service=slowest.call.service, service_id=source.service)

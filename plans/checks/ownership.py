"""Who takes over what the person owned: that somebody can, and that the requests say who, and what."""

import re
from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.sql import statements_of
from plans.checks.templates import is_valid, names_in
from plans.model import Assets, Becomes, Naming, Step, StepPhase
from plans.requests import HttpRequest, KeyPath, Method, Request, SqlRequest

#: Fields that have no place beside `assets`, and why. Others are told by their phase.
_NOT_OF_ASSETS = {
    "find": "the inventory tells which assets there are",
    "done_when": "an asset counts as moved once the inventory lists it no more",
    "timeout": "the request is made for each asset, in the time that the service gives any call",
    "longest_timeout": "the request is made for each asset, in the time that the service gives any call",
    "save": "the request is made for each asset, and nothing of an answer is kept",
    "probe": "the inventory is taken again until nothing is left",
    "poll": "an asset counts as moved once the inventory lists it no more",
    "absent_unchecked": "a wrong 404 is seen by the next inventory, which lists the asset again",
}
#: Phases in which somebody may take over.
_TAKEN_OVER = (StepPhase.TRANSFER, StepPhase.ERASE)
#: Fields that templates know anyway, which those of the plan don't replace.
_OF_ASSET, _OF_SUCCESSOR = ("id", "type", "title"), ("id",)
#: `LIMIT 1000`, `FETCH FIRST 1000 ROWS ONLY`, `SELECT TOP 1000`.
_LIMIT = re.compile(r"\b(limit|fetch\s+(first|next)|top)\b", re.IGNORECASE)
#: Names that say where an asset goes, if not to a successor.
_ELSEWHERE = frozenset({"pseudonym", "saved", "subject", "tenant"})


def policies(draft: Draft) -> Iterator[Finding]:
    """Policies by which nobody can be chosen."""
    for id, policy in draft.written.successors.items():
        at: KeyPath = ("successors", id)
        if policy.named is Naming.REFUSED and not policy.candidates and draft.is_whole(*at, "candidates"):
            yield error(
                Check.NOBODY_TO_CHOOSE,
                (*at, "named"),
                "is refused, and there are no candidates, so nobody can be chosen and every retirement of an owner is "
                "refused; add candidates, or write `named: allowed`",
            )
        yield from _taken(policy.suitable.fields, _OF_SUCCESSOR, "successor", (*at, "suitable", "fields"))


def places(draft: Draft) -> Iterator[Finding]:
    """Successors and assets in steps where they mean nothing, and what means nothing beside assets."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        if step.successor is not None and step.retain is None and draft.is_whole(*at, "phase"):
            if step.phase not in _TAKEN_OVER:
                yield error(
                    Check.WRONG_PHASE,
                    (*at, "successor"),
                    "is only for transfer and erase steps: before them the person may come back, after them nothing "
                    "is left; remove it",
                )
        if step.assets is None:
            continue
        yield from _taken(step.assets.fields, _OF_ASSET, "asset", (*at, "assets", "fields"))
        for name, why in _NOT_OF_ASSETS.items():
            if name in step.model_fields_set:
                yield error(Check.ASSETS_ALONE, (*at, name), f"has no place beside assets: {why}; remove it")


def destinations(draft: Draft) -> Iterator[Finding]:
    """Requests that don't say who takes over."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        names = _names_at(draft, (*at, "request")) | _names_at(draft, (*at, "on_permanent", "request"))
        is_whole = all(
            draft.is_whole(*at, name) for name in ("phase", "request", "on_permanent", "successor", "assets")
        )
        if step.request is None or not is_whole or not _is_clear(draft, (*at, "request")):
            continue
        if step.successor is not None:
            if step.phase in _TAKEN_OVER and "successor" not in names:
                yield error(
                    Check.SUCCESSOR_UNNAMED,
                    (*at, "successor"),
                    "is chosen, and then the request doesn't name them, so they get nothing; "
                    "write {{ successor.id }} where the service expects who takes over",
                )
        elif step.assets is not None and step.assets.becomes is Becomes.MOVED and not names & _ELSEWHERE:
            yield warning(
                Check.MOVED_WHERETO,
                (*at, "request"),
                "moves assets, and names neither a successor nor pseudonym, so all go to the same place; "
                "add `successor: …` and name {{ successor.id }}, or see that this place is meant",
            )


def settling(draft: Draft) -> Iterator[Finding]:
    """Assets of which nobody could tell that they are done with."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id, "assets")
        assets = step.assets
        if assets is None or assets.becomes is not Becomes.ANONYMISED or assets.settled_when is not None:
            continue
        if draft.is_whole(*at):
            yield warning(
                Check.NEVER_SETTLED,
                at,
                "has no settled_when: an asset whose name was replaced, and that is listed all the same, would be asked "
                "for until the patience is over; add settled_when, unless it is then listed no more",
            )


def comparing(draft: Draft) -> Iterator[Finding]:
    """Writes that would take an asset from somebody who got it in the meantime."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        if step.assets is None or step.request is None or not draft.is_whole(*at) or not _is_clear(draft, at):
            continue
        if step.assets.owner is None and not _compares(draft, step, step.assets, at):
            yield warning(
                Check.UNCOMPARED,
                (*at, "request"),
                "doesn't say whose the asset still has to be, so one that changed hands since it was listed is taken from "
                "its new owner; name user_id (or a version from assets.fields) where the service compares it, "
                "or say in assets.owner how it tells whose an asset is",
            )


def becoming(draft: Draft) -> Iterator[Finding]:
    """Requests that do something else with an asset than the plan says."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        if step.assets is None or step.request is None or not draft.is_whole(*at):
            continue
        becomes, is_said = step.assets.becomes, "becomes" in step.assets.model_fields_set
        place: KeyPath = (*at, "assets", "becomes") if is_said else (*at, "assets")
        if _deletes(step.request, (*at, "request")) and becomes is not Becomes.DELETED:
            said = f"says {becomes}" if is_said else f"says nothing of becomes, and so {becomes}"
            what = f"{said}, and the request is a DELETE; write `becomes: deleted`, or another request"
            yield warning(Check.BECOMES, place, what)
        elif becomes is Becomes.DELETED and _replaces(step.request):
            what = (
                "says deleted, and the request replaces something; write what becomes of an asset, or another request"
            )
            yield warning(Check.BECOMES, place, what)
        elif becomes is Becomes.DELETED and step.successor is not None:
            what = "says deleted, and the step names who takes over; write `becomes: moved`, or remove successor"
            yield warning(Check.BECOMES, place, what)


def limits(draft: Draft) -> Iterator[Finding]:
    """Lists of a database that end a retirement where they are long: a database gives no pages."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id, "assets", "request")
        if step.assets is None or not isinstance(step.assets.request, SqlRequest) or not draft.is_whole(*at):
            continue
        last = step.assets.request.statements[-1:]
        if last and _LIMIT.search(last[0]) is None:
            yield warning(
                Check.SQL_LIMIT,
                (*at, "sql"),
                "lists everything at once, and of more than 1000 rows the retirement would be refused; "
                "write LIMIT 1000: it is asked again until nothing is left",
            )


def _taken(fields: dict[str, str], known: tuple[str, ...], root: str, at: KeyPath) -> Iterator[Finding]:
    for name in fields:
        if name in known:
            where = "is the user id" if root == "successor" else f"is what assets.{name} reads"
            what = f"can't be read under this name, as {root}.{name} {where}; call it otherwise"
            yield error(Check.NAME_TAKEN, (*at, name), what)


def _names_at(draft: Draft, path: KeyPath) -> frozenset[str]:
    return frozenset(name[0] for each in draft.texts_at(path) for name in names_in(each))


def _is_clear(draft: Draft, path: KeyPath) -> bool:
    """Can all be read? What can't has been told, and may say what is missed."""
    return all(is_valid(each) for each in draft.texts_at(path))


def _compares(draft: Draft, step: Step, assets: Assets, at: KeyPath) -> bool:
    """Does the request tell the service what it expects: the person, or a version?"""
    for each in draft.texts_at((*at, "request")):
        for root, *rest in names_in(each):
            if root in ("user_id", "subject") or (root == "asset" and rest and rest[0] in assets.fields):
                return True
    return False


def _deletes(request: Request, at: KeyPath) -> bool:
    match request:
        case HttpRequest(method=Method.DELETE):
            return True
        case SqlRequest():
            changes = [change.verb for _, statement in statements_of(request, at) for change in statement.changes]
            return bool(changes) and all(verb == "delete" for verb in changes)
    return False


def _replaces(request: Request) -> bool:
    return isinstance(request, HttpRequest) and request.method in (Method.PUT, Method.PATCH)

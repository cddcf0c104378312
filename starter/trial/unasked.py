"""What a trial leaves unasked: requests that change something, and what needs an answer that nobody has yet."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from activities.rendering import RenderingError, holds
from plans.requests import Request
from plans.template_names import names_of
from starter.trial.asking import RENDERING, Trying
from starter.trial.findings import NotAsked, Remark, problem
from starter.trial.guard import changing_requests


def changing(trying: Trying) -> Iterator[NotAsked]:
    """Every request that changes something: made as the worker would make it, but not sent."""
    for part, service_id, request in changing_requests(trying.plan):
        is_step = part.startswith("steps.")
        context = trying.context_of(part.split(".")[1]) if is_step else _told_the_source(trying)
        needed = unknown_names(trying, request, context=context)
        asked = NotAsked(part=part, service=service_id, asks=request.title, changes=True)
        if needed:
            yield replace(asked, why=f"needs {', '.join(needed)}")
            continue
        place = f"{part}.request" if is_step else part
        told, remarks = trying.made(trying.call(service_id, request, context), part=place)
        yield replace(asked, sent_as=told, remarks=(*remarks, *_condition(trying, part)))


def _told_the_source(trying: Trying) -> dict[str, Any]:
    """What a source is told when a run moves its row for the last time."""
    mirror = trying.plan.mirror
    if mirror is None:
        return trying.context
    return {**trying.context, "mirror": {"state": mirror.complete, "note": mirror.complete_note}}


def unknown_names(trying: Trying, request: Request, *, context: Mapping[str, Any] | None = None) -> list[str]:
    """The values that a request names and that a trial can't know. `context`: what is known for this request."""
    known = trying.context if context is None else context
    unknown = {"saved", "subject", "asset", "successor"} - set(known)
    names = {name for _, text in request.templates() for name in names_of(text, is_expression=False)}
    saved, subject = known.get("saved", {}), known.get("subject", {})
    # Of what the lookup doesn't read nobody knows more; that is told where the request can't be made.
    awaited = set(trying.plan.subject.also)
    awaited |= set(trying.plan.subject.lookup.fields) if trying.subject is None else set()
    return sorted(
        ".".join(name)
        for name in names
        if name[0] in unknown
        or (name[0] == "saved" and name[1:] and name[1] not in saved)
        or (name[0] == "subject" and name[1:] and name[1] in awaited and name[1] not in subject)
    )


def not_asked_read(
    trying: Trying, *, part: str, service_id: str, request: Request, names: list[str]
) -> NotAsked | None:
    """Why a read can't be asked: it needs what nobody knows yet (`names`), or may be no read; None where it can."""
    asked = NotAsked(part=part, service=service_id, asks=request.title, changes=False)
    if names:
        return replace(asked, why=f"needs {', '.join(names)}")
    if not trying.may_ask(request):
        return replace(asked, why="by its form it may change something; --ask-post asks it, too")
    return None


def _condition(trying: Trying, part: str) -> tuple[Remark, ...]:
    """An undo's `when`, as far as it can be worked out by now."""
    step = trying.plan.steps.get(part.split(".")[1])
    undo = step.undo if step is not None else None
    if not part.endswith(".undo") or undo is None or undo.when is None:
        return ()
    names = names_of(undo.when, is_expression=True)
    if any(name[0] == "saved" or (name[0] == "subject" and trying.subject is None) for name in names):
        return ()
    try:
        holds(undo.when, trying.context)
    except RenderingError as error:
        what, mend = RENDERING[error.code]
        return (problem(error.code, f"{part}.when: {what}.", mend=mend),)
    return ()

"""The lookup: does the service that knows the person still know them, and what does it tell of them?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import (
    ROUTE_UNKNOWN,
    Absent,
    Answer,
    Held,
    Permanent,
    Transient,
    meaning_of,
)
from activities.attempts import Trouble
from activities.first_contact import Worked
from activities.mirroring.row import row_fields
from activities.opening import Begun
from activities.probing import reading_rules
from activities.rendering import RenderingError, evaluate, holds
from activities.step_run import ROUTE_UNPROVEN


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the lookup said. `values` is None where it does not know the person."""

    values: dict[str, Any] | None = field(repr=False)
    trouble: Trouble | None = None
    detail: str = ""


async def look_up(action: Action, *, begun: Begun, worked: Worked, step_id: str, again: bool = False) -> Found:
    """Ask once. `again`: it has answered before, so a "not found" of it is believed."""
    lookup = begun.plan.subject.lookup
    detail = lookup.request.title
    try:
        call = begun.call(step=step_id, service=lookup.service, request=lookup.request)
        answer = await action.call(call)
    except RenderingError as error:
        return Found(values=None, trouble=Permanent(code=error.code), detail=detail)
    detail = action.describe(call, answer)
    absent = tuple(sorted(ROUTE_UNKNOWN))
    rules = reading_rules(call, absent=absent, succeeded_before=worked.has(call.service))
    match meaning_of(answer, rules):
        case Absent():
            is_trusted = again or lookup.absent_unchecked is not None
            return await _unknown(action, call, is_trusted=is_trusted, detail=detail)
        case Transient() | Permanent() | Held() as trouble:
            return Found(values=None, trouble=trouble, detail=detail)
        case _:
            context = {**call.context, **(answer.values if isinstance(answer, Answer) else {})}
            fields = {**lookup.fields, **row_fields(begun.plan)}
            return _read(fields, absent_when=lookup.absent_when, context=context, detail=detail)


async def _unknown(action: Action, call: Call, *, is_trusted: bool, detail: str) -> Found:
    """Nobody of that id, unless the address is wrong."""
    known = True if is_trusted else await action.is_route_known(call)
    if known is None:
        trouble: Trouble | None = Transient(code="route_check_failed", touched=False)
    else:
        trouble = None if known else Permanent(code=ROUTE_UNPROVEN)
    return Found(values=None, trouble=trouble, detail=detail)


def _read(fields: Mapping[str, str], *, absent_when: str | None, context: Mapping[str, Any], detail: str) -> Found:
    """What the answer tells of the person, if it is about them."""
    try:
        if absent_when is not None and holds(absent_when, context):
            # The route has answered, so there is nothing to prove.
            return Found(values=None, detail=detail)
        values = {name: evaluate(expression, context) for name, expression in fields.items()}
    except RenderingError as error:
        return Found(values=None, trouble=Transient(code=error.code, touched=False), detail=detail)
    return Found(values=values)

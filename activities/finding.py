"""What a step asks before its request: by which id the service knows the person, if it does."""

from dataclasses import dataclass, field, replace
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Absent, Answer, Held, Permanent, Transient, meaning_of
from activities.attempts import Trouble
from activities.first_contact import Worked
from activities.probing import reading_rules
from activities.rendering import RenderingError, evaluate
from plans.model import Find


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of asking: values to be saved or, in their place, why there are none."""

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    instead: Absent | Trouble | None = None
    detail: str


async def look_for(action: Action, *, call: Call, find: Find, worked: Worked) -> Found:
    """Ask once. Whatever becomes of it, it only reads, so that nothing was touched."""
    answer = await action.call(call)
    detail = action.describe(call, answer)
    match meaning_of(answer, reading_rules(call, absent=find.absent, succeeded_before=worked.has(call.service))):
        case Transient() as passing:
            return Found(instead=replace(passing, touched=False), detail=detail)
        case (Absent() | Permanent() | Held()) as instead:
            return Found(instead=instead, detail=detail)
    context = {**call.context, **(answer.values if isinstance(answer, Answer) else {})}
    try:
        values = {name: evaluate(expression, context) for name, expression in find.save.items()}
    except RenderingError as error:
        return Found(instead=Transient(code=error.code, touched=False), detail=detail)
    return Found(values=values, detail=detail)

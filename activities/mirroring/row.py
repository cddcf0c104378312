"""The source's row of a retirement, as the lookup reads it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activities.actions.answers import Held, Permanent, Transient
from activities.rendering import BAD_TEMPLATE
from plans.model import Plan
from workflows.names import HeldCause

#: Names that no field of a lookup can have.
_STATE, _MOVED_AT, _SAME = "mirror.state", "mirror.moved_at", "mirror.same"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where the source says the retirement stands."""

    state: str
    moved_at: datetime
    #: Is it this very person's?
    is_same: bool


def row_fields(plan: Plan) -> dict[str, str]:
    """What is read from the lookup's answer beside the plan's own fields, by names that `take_row` takes out again."""
    if plan.mirror is None:
        return {}
    same = {} if plan.mirror.same_when is None else {_SAME: plan.mirror.same_when}
    return {_STATE: plan.mirror.state, _MOVED_AT: plan.mirror.moved_at, **same}


def take_row(values: dict[str, Any]) -> Row | None:
    """Take the row out of what the lookup found. None where its state or date can't be read."""
    state, moved_at, same = values.pop(_STATE, None), values.pop(_MOVED_AT, None), values.pop(_SAME, True)
    at = _instant(moved_at)
    if not isinstance(state, str) or at is None:
        return None
    return Row(state=state, moved_at=at, is_same=bool(same))


def unlimited(trouble: Transient | Permanent | Held) -> Transient | Held:
    """What trouble with reading the row means: an outage of the source is nobody's error, a refusal is for a person to mend."""
    if isinstance(trouble, Permanent):
        return Held(code=trouble.code, cause=HeldCause.CONFIGURATION)
    return trouble


def unreadable() -> Transient:
    """An answer without a row's state in it."""
    return Transient(code=BAD_TEMPLATE, touched=False)


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at

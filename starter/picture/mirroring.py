"""What a plan knows of a person before it asks, what it asks besides, and the source that keeps a row: as plain facts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plans.model import Plan, Step
    from plans.requests import Request


def mirror_of(plan: "Plan") -> dict[str, Any] | None:
    """Who keeps the row, how it is read and moved, and what its states are."""
    mirror = plan.mirror
    if mirror is None:
        return None
    return {
        "service": mirror.service,
        "state": mirror.state,
        "moved_at": mirror.moved_at,
        "same_when": mirror.same_when,
        "update": mirror.update.title,
        "cancel": mirror.cancel.title if mirror.cancel else None,
        "cancel_by_hand": mirror.cancel_by_hand,
        "waiting": mirror.waiting,
        "errored": mirror.errored,
        "aborted": mirror.aborted,
        "complete": mirror.complete,
        "complete_note": mirror.complete_note,
        "mask": mirror.mask,
        "adopt_after": mirror.adopt_after,
        "verified_when": mirror.verified_when,
    }


def also_of(plan: "Plan") -> list[dict[str, Any]]:
    """What is asked for besides the lookup."""
    return [
        {
            "value": id,
            "service": asked.service,
            "request": asked.request.title,
            "reads": asked.value,
            "absent": list(asked.absent),
            "otherwise_null": asked.otherwise_null,
            "patience": asked.patience,
        }
        for id, asked in plan.subject.also.items()
    ]


def states_of(step: "Step") -> dict[str, str] | None:
    """The source's states of a step."""
    return {"working": step.mirrored.working, "done": step.mirrored.done} if step.mirrored else None


def requests_at_the_source(plan: "Plan") -> "Iterator[tuple[str, str, str, Request]]":
    """What the source is told: for what, to which purpose, at which service."""
    if plan.mirror is not None:
        yield "mirror", "update", plan.mirror.service, plan.mirror.update
        if plan.mirror.cancel is not None:
            yield "mirror", "cancel", plan.mirror.service, plan.mirror.cancel

"""Deadline and reminder arithmetic of the cool-off: functions of dates, nothing else."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from workflows.messages import Extend

#: A reminder and the end may fall on one instant; a timer of no length would spin.
SHORTEST_WAIT = timedelta(milliseconds=1)


def ends_at(*, requested_at: datetime, cool_off: timedelta) -> datetime:
    """When the cool-off ends. It runs from the request, not from when somebody got round to it."""
    return requested_at + cool_off


def next_wake(*, now: datetime, ends_at: datetime, reminders: Sequence[timedelta]) -> datetime:
    """The next instant at which something is due: a reminder or the end."""
    return min([at for at in _instants(ends_at, reminders) if at > now] + [ends_at])


def due_reminder(
    *, since: datetime, now: datetime, ends_at: datetime, reminders: Sequence[timedelta]
) -> datetime | None:
    """The instant of the reminder that fell due after `since`, up to now.

    However many fell due meanwhile (no worker ran), one mail says it all; none is sent once the cool-off is over.
    """
    due = [at for at in _instants(ends_at, reminders) if since < at <= now]
    return max(due) if due and now < ends_at else None


def extended(
    *, wish: Extend, now: datetime, ends_at: datetime, requested_at: datetime, longest: timedelta
) -> datetime | str:
    """The new end of the cool-off, or the code of the refusal: `not_later` or `beyond_max`.

    `longest` counts from the request, as the plan's `max` does.
    """
    try:
        until = wish.until if wish.until is not None else ends_at + (wish.by_duration or timedelta(0))
        latest = requested_at + longest
    except OverflowError:
        return "beyond_max"
    if until <= ends_at or until <= now:
        return "not_later"
    return until if until <= latest else "beyond_max"


def _instants(ends_at: datetime, reminders: Sequence[timedelta]) -> list[datetime]:
    return [ends_at - reminder for reminder in reminders]

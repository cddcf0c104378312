"""When a held step is looked at again, and for how long at most."""

from datetime import datetime, timedelta

#: A run never waits for ever on a person. A plan may say otherwise.
LONGEST_HOLD = timedelta(days=7)
#: Within the first hour somebody is probably mending it; later, seven days of looking must fit into one history.
_SOON, _FIRST, _LATER = timedelta(hours=1), timedelta(minutes=5), timedelta(minutes=20)


def expires_at(*, since: datetime, hold_for: timedelta = LONGEST_HOLD) -> datetime:
    """When a hold that began at `since` gives up."""
    return since + hold_for


def next_look(*, since: datetime, now: datetime, hold_for: timedelta = LONGEST_HOLD) -> timedelta:
    """How long to wait before the cause of a hold is looked at again."""
    interval = _FIRST if now - since < _SOON else _LATER
    return max(timedelta(0), min(interval, expires_at(since=since, hold_for=hold_for) - now))

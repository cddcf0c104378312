"""Legal deadlines: pure arithmetic on dates."""

import calendar
from datetime import UTC, datetime, timedelta

from plans.model import LegalDeadline

#: CCPA §1798.130(a)(2)(A): 45 days from receipt of the request.
CCPA_DAYS = timedelta(days=45)


def due_at(*, requested_at: datetime, deadline: LegalDeadline) -> datetime:
    """When the retirement must be done: in UTC, counted from the request.

    `gdpr` is one calendar month (GDPR Art. 12(3) with Regulation 1182/71 Art. 3(2)(c)): the same day of the next month,
    or that month's last day where there is no such day.
    """
    if requested_at.tzinfo is None:
        raise ValueError("requested_at has no time zone; give an aware datetime")
    requested_at = requested_at.astimezone(UTC)
    if deadline == "gdpr":
        return _one_month_after(requested_at)
    if deadline == "ccpa":
        return requested_at + CCPA_DAYS
    return requested_at + deadline


def _one_month_after(day: datetime) -> datetime:
    year, month = (day.year, day.month + 1) if day.month < 12 else (day.year + 1, 1)
    last = calendar.monthrange(year, month)[1]
    return day.replace(year=year, month=month, day=min(day.day, last))

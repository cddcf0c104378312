"""Legal deadlines: worked examples, then properties."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.deadlines import due_at

instants = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)
)  # far enough for any request, short of the calendar's end


@pytest.mark.parametrize(
    ("requested", "due"),
    [
        ("2026-01-30", "2026-02-28"),
        ("2028-01-30", "2028-02-29"),
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-28"),
        ("2026-03-31", "2026-04-30"),
        ("2026-12-31", "2027-01-31"),
        ("2026-05-15", "2026-06-15"),
    ],
)
def test_gdpr_is_one_calendar_month(requested: str, due: str) -> None:
    requested_at = datetime.fromisoformat(f"{requested}T17:45:00+00:00")
    assert due_at(requested_at=requested_at, deadline="gdpr") == datetime.fromisoformat(f"{due}T17:45:00+00:00")


def test_ccpa_is_forty_five_days() -> None:
    assert due_at(requested_at=datetime(2026, 1, 1, tzinfo=UTC), deadline="ccpa") == datetime(2026, 2, 15, tzinfo=UTC)


def test_a_duration_is_counted_from_the_request() -> None:
    requested_at = datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert due_at(requested_at=requested_at, deadline=timedelta(days=7)) == datetime(2026, 1, 8, 8, tzinfo=UTC)


def test_the_month_is_counted_in_utc() -> None:
    """The 31st in Auckland may still be the 30th in UTC: one person's clock must not move a deadline."""
    auckland = timezone(timedelta(hours=13))
    due = due_at(requested_at=datetime(2026, 1, 31, 1, 0, tzinfo=auckland), deadline="gdpr")
    assert due == datetime(2026, 2, 28, 12, 0, tzinfo=UTC)
    assert due.utcoffset() == timedelta(0)


def test_a_request_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due_at(requested_at=datetime(2026, 1, 1), deadline="gdpr")


@given(instants)
def test_a_month_is_28_to_31_days_and_keeps_the_time_of_day(requested_at: datetime) -> None:
    due = due_at(requested_at=requested_at, deadline="gdpr")
    assert timedelta(days=28) <= due - requested_at <= timedelta(days=31)
    assert due.timetz() == requested_at.timetz()
    assert due.day in {requested_at.day, 28, 29, 30}


@given(instants, instants)
def test_who_asks_later_is_never_due_earlier(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    for deadline in ("gdpr", "ccpa"):
        assert due_at(requested_at=first, deadline=deadline) <= due_at(requested_at=second, deadline=deadline)

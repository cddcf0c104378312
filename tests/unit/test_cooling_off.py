"""The arithmetic of the cool-off and of holds: worked examples, then properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import cooling_off, holds
from workflows.messages import Extend

DAY = timedelta(days=1)
REQUESTED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ENDS = REQUESTED + 14 * DAY
REMINDERS = (7 * DAY, 1 * DAY)

instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
lengths = st.timedeltas(min_value=timedelta(0), max_value=60 * DAY)
reminder_lists = st.lists(lengths, max_size=6).map(tuple)


def reminded_at(
    *, begin: datetime, ends_at: datetime, reminders: tuple[timedelta, ...], late: timedelta = timedelta(0)
) -> list[tuple[datetime, datetime]]:
    """Live through a cool-off as the workflow does: (when, which) of every mail. `late`: how long after each wake."""
    mails, since, now = [], begin, begin
    while now < ends_at:
        due = cooling_off.due_reminder(since=since, now=now, ends_at=ends_at, reminders=reminders)
        if due is not None:
            mails.append((now, due))
        since = now
        wake = cooling_off.next_wake(now=now, ends_at=ends_at, reminders=reminders)
        now += max(wake - now, cooling_off.SHORTEST_WAIT) + late
    return mails


def test_it_runs_from_the_request() -> None:
    assert cooling_off.ends_at(requested_at=REQUESTED, cool_off=14 * DAY) == datetime(2026, 3, 16, 9, 30, tzinfo=UTC)


def test_reminders_come_seven_days_and_one_day_before_the_end() -> None:
    seventh, first = datetime(2026, 3, 9, 9, 30, tzinfo=UTC), datetime(2026, 3, 15, 9, 30, tzinfo=UTC)
    assert reminded_at(begin=REQUESTED, ends_at=ENDS, reminders=REMINDERS) == [(seventh, seventh), (first, first)]


def test_a_reminder_that_was_past_before_the_cool_off_began_is_not_sent() -> None:
    mails = reminded_at(begin=ENDS - 3 * DAY, ends_at=ENDS, reminders=REMINDERS)
    assert [due for _, due in mails] == [ENDS - DAY]


def test_reminders_missed_together_are_one_mail() -> None:
    due = cooling_off.due_reminder(since=REQUESTED, now=ENDS - timedelta(hours=2), ends_at=ENDS, reminders=REMINDERS)
    assert due == ENDS - DAY


def test_no_reminder_once_it_is_over() -> None:
    due = cooling_off.due_reminder(since=REQUESTED, now=ENDS, ends_at=ENDS, reminders=(*REMINDERS, timedelta(0)))
    assert due is None


def test_an_extended_cool_off_reminds_again_before_its_new_end() -> None:
    """Both reminders were sent; five days more, and only the one that lies ahead of now comes again."""
    now = ENDS - timedelta(hours=1)
    mails = reminded_at(begin=now, ends_at=ENDS + 5 * DAY, reminders=REMINDERS)
    assert [due for _, due in mails] == [ENDS + 4 * DAY]


@pytest.mark.parametrize(
    ("wish", "answer"),
    [
        (Extend(by_duration=3 * DAY), ENDS + 3 * DAY),
        (Extend(by_duration=7 * DAY), ENDS + 7 * DAY),
        (Extend(by_duration=7 * DAY + timedelta(milliseconds=1)), "beyond_max"),
        (Extend(by_duration=timedelta(0)), "not_later"),
        (Extend(by_duration=timedelta.max), "beyond_max"),
        (Extend(until=ENDS + DAY), ENDS + DAY),
        (Extend(until=ENDS), "not_later"),
        (Extend(until=REQUESTED), "not_later"),
        (Extend(until=REQUESTED + 21 * DAY), REQUESTED + 21 * DAY),
        (Extend(until=datetime.max.replace(tzinfo=UTC)), "beyond_max"),
        (Extend(), "not_later"),
    ],
)
def test_extending(wish: Extend, answer: datetime | str) -> None:
    extended = cooling_off.extended(
        wish=wish, now=REQUESTED + DAY, ends_at=ENDS, requested_at=REQUESTED, longest=21 * DAY
    )
    assert extended == answer


@given(begin=instants, length=lengths, reminders=reminder_lists, late=st.timedeltas(timedelta(0), 3 * DAY))
def test_reminders_are_each_sent_once_and_never_after_the_end(
    begin: datetime, length: timedelta, reminders: tuple[timedelta, ...], late: timedelta
) -> None:
    ends_at = begin + length
    mails = reminded_at(begin=begin, ends_at=ends_at, reminders=reminders, late=late)
    assert all(begin < due <= at < ends_at for at, due in mails)
    dues = [due for _, due in mails]
    assert dues == sorted(set(dues))
    assert {ends_at - due for due in dues} <= set(reminders)


@given(begin=instants, length=lengths, reminders=reminder_lists)
def test_a_worker_that_is_never_late_sends_every_reminder(
    begin: datetime, length: timedelta, reminders: tuple[timedelta, ...]
) -> None:
    ends_at = begin + length
    mails = reminded_at(begin=begin, ends_at=ends_at, reminders=reminders)
    # The shortest wait is a millisecond: reminders closer together than that are one mail.
    expected = {ends_at - reminder for reminder in reminders if begin < ends_at - reminder < ends_at}
    sent = {due for _, due in mails}
    assert sent <= expected
    assert all(
        any(abs(due - other) <= cooling_off.SHORTEST_WAIT for other in sent)
        for due in expected - sent
        if due < ends_at - cooling_off.SHORTEST_WAIT
    )


@given(now=instants, ahead=lengths, reminders=reminder_lists)
def test_the_next_wake_lies_ahead_and_never_after_the_end(
    now: datetime, ahead: timedelta, reminders: tuple[timedelta, ...]
) -> None:
    ends_at = now + ahead
    wake = cooling_off.next_wake(now=now, ends_at=ends_at, reminders=reminders)
    assert now <= wake <= ends_at
    assert not any(now < ends_at - reminder < wake for reminder in reminders)


@given(
    requested_at=instants,
    length=lengths,
    passed=lengths,
    longest=lengths,
    wish=st.one_of(
        st.builds(Extend, until=instants),
        st.builds(Extend, by_duration=st.timedeltas(min_value=timedelta(0))),
        st.builds(Extend),
    ),
)
def test_extending_never_shortens_and_never_exceeds_the_max(
    requested_at: datetime, length: timedelta, passed: timedelta, longest: timedelta, wish: Extend
) -> None:
    ends_at, now = requested_at + length, requested_at + passed
    extended = cooling_off.extended(wish=wish, now=now, ends_at=ends_at, requested_at=requested_at, longest=longest)
    if isinstance(extended, str):
        assert extended in {"not_later", "beyond_max"}
    else:
        assert max(ends_at, now) < extended <= requested_at + longest


@pytest.mark.parametrize(
    ("held_for", "wait"),
    [
        (timedelta(0), timedelta(minutes=5)),
        (timedelta(minutes=59), timedelta(minutes=5)),
        (timedelta(hours=1), timedelta(minutes=20)),
        (timedelta(days=6), timedelta(minutes=20)),
        (timedelta(days=7) - timedelta(minutes=3), timedelta(minutes=3)),
        (timedelta(days=7), timedelta(0)),
        (timedelta(days=9), timedelta(0)),
    ],
)
def test_a_hold_is_looked_at_often_at_first_and_gives_up_after_a_week(held_for: timedelta, wait: timedelta) -> None:
    assert holds.next_look(since=REQUESTED, now=REQUESTED + held_for) == wait
    assert holds.expires_at(since=REQUESTED) == REQUESTED + 7 * DAY


def test_a_week_of_looking_fits_into_one_history() -> None:
    """A look is a timer, a call and its workflow tasks: about a dozen events; the server ends a run at 51,200."""
    now, looks = REQUESTED, 0
    while (wait := holds.next_look(since=REQUESTED, now=now)) > timedelta(0):
        now, looks = now + wait, looks + 1
    assert now == holds.expires_at(since=REQUESTED)
    assert looks * 12 < 10_000

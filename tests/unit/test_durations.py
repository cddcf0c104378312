"""Durations as people write them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.durations import ACCEPTED, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(days=14)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        (0, timedelta(0)),
        (timedelta(days=3), timedelta(days=3)),
    ],
)
def test_accepted(text: object, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        " ",
        "14",
        14,
        1.5,
        "d",
        "-1d",
        "1.5h",
        "14 days",
        "1y",
        "1d-",
        "1d\n1h",
        "999999999999w",
        None,
        True,
        False,
        [],
        {},
        b"1d",
        float("nan"),
        "٣",
        "1M",
        "1000000000000s",
    ],
)
def test_anything_else_is_refused_with_the_accepted_form_and_without_the_value(nonsense: Any) -> None:
    with pytest.raises(ValueError, match=r"^not a duration; write ") as refused:
        parse_duration(nonsense)
    assert str(refused.value) == f"not a duration; write {ACCEPTED}"


@given(st.integers(min_value=0, max_value=10**14).map(lambda count: timedelta(milliseconds=count)))
def test_what_is_written_is_read_again(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.text() | st.from_regex(r"\A[0-9]{1,14}(ms|s|m|h|d|w)\Z"))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError as refused:
        assert str(refused) == f"not a duration; write {ACCEPTED}"

"""Durations as people write them: `10s`, `14d`, `1h30m`."""

import re
from datetime import timedelta

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d{1,12})(ms|s|m|h|d|w)")

#: How to write one, for error messages.
ACCEPTED = "a number and a unit (ms, s, m, h, d, w), for example 14d or 1h30m"


def parse_duration(value: object) -> timedelta:
    """Read `10s`, `14d`, `1h30m`; a `timedelta` is passed through, a bare 0 is no time at all.

    Raises:
        ValueError: anything else; the message says the accepted form.
    """
    if isinstance(value, timedelta):
        return value
    if value in (0, "0") and not isinstance(value, bool):
        return timedelta(0)
    if isinstance(value, str):
        text = value.replace(" ", "")
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            try:
                return timedelta(milliseconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
            except OverflowError:
                pass
    raise ValueError(f"not a duration; write {ACCEPTED}")


def format_duration(duration: timedelta) -> str:
    """Write a duration as plans do: `14d`, `1h30m`, `250ms`."""
    left = round(duration.total_seconds() * 1000)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

"""Reads what people and programs send, leniently, so that no message is lost and none blocks a run.

A typed handler that is sent the wrong shape drops the message or fails the workflow task for ever; both would erase
somebody who rescinded. So every handler takes anything, and what it means is decided here. No error says a value.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from workflows.durations import ACCEPTED, parse_duration
from workflows.messages import Decide, Extend, Skip, Start, Wish

#: What the data converter hands over in place of a payload that can't be decoded.
UNREADABLE = object()

_CODE = re.compile(r"[^\s@]{1,64}")
_REQUEST_ID = re.compile(r"[^\s@]{1,128}")
_FIELD = re.compile(r"[a-z_]{1,40}")
#: Begins like a date: pydantic would take "1.7e9" for seconds since 1970, and a cool-off from 1970 is over.
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*", re.ASCII)
#: Python refuses to write very long numbers, with an error of its own.
_LONGEST_NUMBER = 10**128
_ISO_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)
_ISO_INSTANT: TypeAdapter[datetime] = TypeAdapter(datetime)

CODE_FORM = "an opaque id or code of 1 to 64 characters without spaces or @"


class BadField(Exception):
    """A field of a message can't be used. Says which and what would be accepted, never the value."""

    def __init__(self, field: str, accepted: str) -> None:
        super().__init__(f"{field}: must be {accepted}")
        self.field = field


def is_code(value: object) -> bool:
    """Is this an opaque id or code that may be recorded in clear?"""
    return isinstance(value, str) and bool(_CODE.fullmatch(value)) and value.isprintable()


def read_start(raw: Sequence[Any]) -> Start:
    """Read the start message.

    Raises:
        BadField: naming the field that can't be used.
    """
    if len(raw) != 1 or not isinstance(raw[0], Mapping):
        raise BadField("input", 'one JSON object, for example {"user_id": "u-4711", "request_id": "7f0c"}')
    fields = {name: value for name, value in raw[0].items() if value is not None}
    for name in fields:
        if name not in Start.model_fields:
            known = ", ".join(sorted(Start.model_fields))
            shown = name if isinstance(name, str) and _FIELD.fullmatch(name) else "(a name not shown)"
            raise BadField(f"unknown field {shown}", f"one of {known}")
    return Start(
        user_id=_user_id(fields.get("user_id"), name="user_id"),
        tenant=_code(fields, "tenant"),
        plan=_code(fields, "plan"),
        request_id=_matching(fields, "request_id", _REQUEST_ID, "1 to 128 characters without spaces or @"),
        requested_by=_code(fields, "requested_by"),
        requested_at=_instant(fields, "requested_at"),
        cool_off=_duration(fields, "cool_off"),
        reason_code=_code(fields, "reason_code"),
        locale=_code(fields, "locale"),
        again=_flag(fields, "again"),
        resume=_code(fields, "resume"),
        current_plan=_flag(fields, "current_plan"),
        go_back=_flag(fields, "go_back"),
        skip=_skips(fields.get("skip", [])),
        successor=_user_id(fields["successor"], name="successor") if "successor" in fields else None,
    )


def read_wish(raw: Sequence[Any]) -> Wish:
    """Read a rescind or expedite. Whatever its shape, the wish counts; what can't be recorded in clear is dropped."""
    fields = _fields(raw)
    by, reason_code = fields.get("by"), fields.get("reason_code")
    return Wish(
        by=by if is_code(by) else None,
        reason_code=reason_code if is_code(reason_code) else None,
        unreadable=_is_unreadable(raw) or any(value is not None and not is_code(value) for value in (by, reason_code)),
    )


def read_extend(raw: Sequence[Any]) -> Extend:
    """Read an extend.

    Raises:
        BadField: an extend that can't be understood is refused, for guessing could shorten somebody's cool-off.
    """
    fields = _fields(raw)
    wish = read_wish(raw)
    if _is_unreadable(raw):
        raise BadField("input", 'one JSON object, for example {"by_duration": "7d", "by": "support-7"}')
    until, by_duration = _instant(fields, "until"), _duration(fields, "by_duration")
    if (until is None) == (by_duration is None):
        raise BadField("until or by_duration", "given, one of the two")
    return Extend(
        by=wish.by, reason_code=wish.reason_code, unreadable=wish.unreadable, until=until, by_duration=by_duration
    )


def read_decide(raw: Sequence[Any]) -> Decide:
    """Read an operator's decision about a held step; `step` and `decision` are None where they can't be understood."""
    fields = _fields(raw)
    wish = read_wish(raw)
    step, decision = fields.get("step"), fields.get("decision")
    return Decide(
        by=wish.by,
        reason_code=wish.reason_code,
        unreadable=wish.unreadable,
        step=step if is_code(step) else None,
        decision=decision if is_code(decision) else None,
    )


def _fields(raw: Sequence[Any]) -> Mapping[str, Any]:
    return raw[0] if raw and isinstance(raw[0], Mapping) else {}


def _is_unreadable(raw: Sequence[Any]) -> bool:
    """No argument, or null, is a message without fields; anything else but one object was meant to say something."""
    return len(raw) > 1 or bool(raw and raw[0] is not None and not isinstance(raw[0], Mapping))


def _text(value: object) -> object:
    """An id that was sent as a number; anything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LONGEST_NUMBER:
        return str(value)
    return value


def _user_id(value: object, *, name: str) -> str:
    value = _text(value)
    if isinstance(value, str) and 1 <= len(value) <= 512 and value.isprintable():
        return value
    raise BadField(name, "1 to 512 printable characters")


def _code(fields: Mapping[str, Any], name: str) -> str | None:
    value = _text(fields.get(name))
    if value is None:
        return None
    if isinstance(value, str) and is_code(value):
        return value
    raise BadField(name, CODE_FORM)


def _matching(fields: Mapping[str, Any], name: str, pattern: re.Pattern[str], accepted: str) -> str | None:
    value = _text(fields.get(name))
    if value is None or (isinstance(value, str) and pattern.fullmatch(value) and value.isprintable()):
        return value
    raise BadField(name, accepted)


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if isinstance(value, bool):
        return value
    raise BadField(name, "true or false")


def _instant(fields: Mapping[str, Any], name: str) -> datetime | None:
    """An ISO 8601 date or date and time; without an offset it is UTC."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            instant = _ISO_INSTANT.validate_python(value)
            return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            pass
    raise BadField(name, "a date and time as in 2026-12-24T18:00:00Z")


def _duration(fields: Mapping[str, Any], name: str) -> timedelta | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        iso = isinstance(value, str) and value.upper().startswith("P")
        duration = _ISO_DURATION.validate_python(value.upper()) if iso else parse_duration(value)
    except (ValueError, OverflowError):
        raise BadField(name, ACCEPTED) from None
    if duration < timedelta(0):
        raise BadField(name, ACCEPTED)
    return duration


def _skips(value: object) -> tuple[Skip, ...]:
    form = "a list of {step, by, reason_code}, each " + CODE_FORM
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise BadField("skip", form)
    skips = []
    for entry in value:
        if not isinstance(entry, Mapping) or not all(is_code(entry.get(key)) for key in ("step", "by", "reason_code")):
            raise BadField("skip", form)
        skips.append(Skip(step=entry["step"], by=entry["by"], reason_code=entry["reason_code"]))
    return tuple(skips)

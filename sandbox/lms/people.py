"""Whom a request is about, wherever in it that is said."""

from dataclasses import dataclass
from typing import Any

from sandbox.lms.calls import Call
from sandbox.lms.store import Store
from sandbox.lms.vendors import VID


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A learner by retirement id and original username, as far as they are known."""

    row_id: int | None = None
    username: str | None = None


def subject_of(call: Call, *, store: Store) -> Subject:
    """The learner of a request. Requests about several, or nobody, have none."""
    body: dict[str, Any] = call.json if isinstance(call.json, dict) else {}
    row = None
    username = next(
        (
            value
            for value in (call.arguments.get("username"), body.get("username"), body.get("original_username"))
            if isinstance(value, str)
        ),
        None,
    )
    if username is not None:
        row = store.row_named(username)
    elif isinstance(body.get("retirement_id"), int):
        row = store.row(body["retirement_id"])
    elif "email" in call.arguments:
        user = store.user_once_at(call.arguments["email"])
        row = None if user is None else store.row_of_user(user["id"])
    elif (user_id := _user_id(call, body=body)) is not None:
        row = store.row_of_user(user_id)
    if row is None:
        return Subject(username=username)
    return Subject(row_id=row["id"], username=row["original_username"])


def _user_id(call: Call, *, body: dict[str, Any]) -> int | None:
    """The LMS user id, be it a number or, as vendors have it, a text in a list."""
    lists = (body.get("external_ids"), body.get("user_ids"), _attributes(body).get("values"))
    listed = [values[0] for values in lists if isinstance(values, list) and values]
    vid = call.arguments.get("vid", "")
    for value in (
        call.arguments.get("user_id"),
        str(int(vid) - VID) if vid.isascii() and vid.isdigit() else None,
        body.get("lms_user_id"),
        body.get("edx_lms_user_id"),
        *listed,
    ):
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) < 16:
            return int(text)
    return None


def _attributes(body: dict[str, Any]) -> dict[str, Any]:
    attributes = body.get("attributes")
    return attributes if isinstance(attributes, dict) else {}

"""Somebody who certainly doesn't exist: with their ids, a request shows what a service says of nobody."""

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

Context = Mapping[str, Any]


def stranger_like(value: str) -> str:
    """A made-up id of the same form: a UUID, a number, a mail address, or a plain word.

    A service that checks the form of an id then looks for it, instead of refusing it.
    """
    if _is_uuid(value):
        made_up = str(uuid.uuid4())
        return made_up.upper() if value.isupper() else made_up if "-" in value else made_up.replace("-", "")
    if value.isascii() and value.isdigit():
        # Within 63 bits, and far beyond any number that is counted up to.
        return "9" + "".join(secrets.choice("0123456789") for _ in range(17))
    if "@" in value:
        return f"nobody-{secrets.token_hex(8)}@nobody.invalid"
    return f"nobody-{secrets.token_hex(8)}"


def stranger_of(context: Context) -> dict[str, Any]:
    """The same context, about nobody: the user id and every text that the lookup found are made up."""
    subject = context.get("subject")
    changed: dict[str, Any] = {**context, "user_id": stranger_like(str(context["user_id"]))}
    if isinstance(subject, Mapping):
        changed["subject"] = {
            name: stranger_like(value) if isinstance(value, str) and value else value for name, value in subject.items()
        }
    return changed


def _is_uuid(value: str) -> bool:
    try:
        return len(value) in (32, 36) and bool(uuid.UUID(value))
    except ValueError:
        return False

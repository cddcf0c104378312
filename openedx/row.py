"""One learner's row in the LMS (`UserRetirementStatus`), read from its status object."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


class Unreadable(Exception):
    """An answer that is not what it should be: as good as none."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A learner's retirement as the LMS keeps it. Its repr tells the id and the states, which are no personal data."""

    #: The retirement's id; two usernames that differ in case are two of them.
    id: int
    #: The LMS user id, the same after the retirement.
    user_id: int = field(repr=False)
    #: The original username, which goes on finding the row after the rename.
    username: str = field(repr=False)
    state: str
    #: The state before it.
    last_state: str
    created: datetime
    modified: datetime
    original_email: str = field(repr=False)
    original_name: str = field(repr=False)
    retired_username: str = field(repr=False)
    retired_email: str = field(repr=False)
    #: The status object as it came.
    current: dict[str, Any] = field(repr=False)


def read_row(body: Any) -> Row:
    """A status object.

    Raises:
        Unreadable: it is none.
    """
    try:
        row = Row(
            id=body["id"],
            user_id=body["user"]["id"],
            username=body["original_username"],
            state=body["current_state"]["state_name"],
            last_state=body["last_state"]["state_name"],
            created=_instant(body["created"]),
            modified=_instant(body["modified"]),
            original_email=body["original_email"],
            original_name=body["original_name"],
            retired_username=body["retired_username"],
            retired_email=body["retired_email"],
            current=body,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unreadable from None
    numbers, texts = (row.id, row.user_id), (row.username, row.state, row.last_state)
    if not all(type(number) is int for number in numbers) or not all(isinstance(text, str) for text in texts):
        raise Unreadable
    return row


def read_rows(body: Any) -> list[Row]:
    """A list of status objects.

    Raises:
        Unreadable: it is none, or one of them isn't.
    """
    if not isinstance(body, list):
        raise Unreadable
    return [read_row(item) for item in body]


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)

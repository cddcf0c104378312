"""How a sandbox service can be told to misbehave, for whom and how often."""

import sqlite3
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

_SCHEMA = """
create table if not exists sandbox_faults (
    number integer primary key, kind text not null, status integer not null, times integer, seconds real not null,
    retry_after text, method text, path_prefix text, user text, hits integer not null default 0);
"""


class FaultKind(StrEnum):
    """The ways to misbehave. `seconds` is always how long it takes."""

    #: Answers rightly, but late.
    SLOW = "slow"
    #: Answers `status` (with `retry_after`, where given) and does nothing. On the mailbox: an SMTP reply code.
    STATUS = "status"
    #: Does what it is asked to, then closes the connection without a word.
    LOST_ANSWER = "lost_answer"
    #: Answers as if it had done it. Reads are never lied to: set `status` for that.
    LIE = "lie"
    #: The credentials of the call stop being valid.
    TOKEN_EXPIRY = "token_expiry"
    #: Answers `status` and repeats all it knows of the person in body, header and reason phrase.
    ECHO = "echo"
    #: Closes the connection before doing anything.
    DROP = "drop"
    #: The newsletter vendor accepts a deletion, works `seconds` longer and ends it as failed.
    JOB_FAILS = "job_fails"
    #: The newsletter vendor accepts a deletion and works `seconds` longer than usual.
    JOB_LATE = "job_late"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to misbehave. What is left out (`None`) doesn't limit it; `times` null is for ever."""

    kind: FaultKind
    status: int = 500
    times: int | None = 1
    seconds: float = 0
    retry_after: str | None = None
    method: str | None = None
    path_prefix: str | None = None
    user: str | None = None

    @classmethod
    def read(cls, raw: Any) -> "Fault":
        """Read a fault from JSON.

        Raises:
            ValueError: not an object, an unknown field or kind; the message lists the known ones.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(raw, dict) or "kind" not in raw or not set(raw) <= set(known):
            raise ValueError(f"a fault is an object with kind and any of: {', '.join(known)}")
        try:
            return cls(**{**raw, "kind": FaultKind(raw["kind"])})
        except ValueError:
            raise ValueError(f"kind is one of: {', '.join(FaultKind)}") from None


class Faults:
    """The misbehaviour a service was told, kept in its database, so that a restart changes nothing."""

    def __init__(self, *, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_SCHEMA)

    def add(self, *, fault: Fault) -> int:
        """Misbehave from now on. The first fault that fits a request is taken."""
        row = self._database.execute(
            "insert into sandbox_faults (kind, status, times, seconds, retry_after, method, path_prefix, user)"
            " values (:kind, :status, :times, :seconds, :retry_after, :method, :path_prefix, :user)",
            asdict(fault),
        )
        return int(row.lastrowid or 0)

    def clear(self) -> None:
        """Behave again."""
        self._database.execute("delete from sandbox_faults")

    def listed(self) -> list[dict[str, Any]]:
        """Every fault with the number of requests it has hit."""
        return [dict(row) for row in self._database.execute("select * from sandbox_faults order by number")]

    def take(self, *, method: str, path: str, user_id: str | None, kinds: tuple[FaultKind, ...]) -> Fault | None:
        """The fault that applies to a request, if any; it is used up by one."""
        rows = self._database.execute(
            "select * from sandbox_faults where (times is null or hits < times)"
            " and (method is null or method = ?) and (user is null or user = ?)"
            " and (path_prefix is null or substr(?, 1, length(path_prefix)) = path_prefix) order by number",
            (method, user_id, path),
        ).fetchall()
        for row in rows:
            if row["kind"] in kinds:
                self._database.execute("update sandbox_faults set hits = hits + 1 where number = ?", (row["number"],))
                return Fault.read({field.name: row[field.name] for field in fields(Fault)})
        return None

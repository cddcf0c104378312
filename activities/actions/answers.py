"""What an answer means. One pure function decides it; whoever calls a service only does what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from workflows.names import HeldCause


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A service's answer. Headers and body may hold values of the person, so they are in no repr."""

    status: int
    #: Names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The JSON of a 2xx, None where there is none to be had.
    body: Any = field(default=None, repr=False)
    #: How the text of an answer that isn't 2xx begins, None where it has none. Somebody else's words, which may name the
    #: person: no expression, log, error or history ever gets it; whoever passes it on masks it first.
    said: str | None = field(default=None, repr=False)
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def values(self) -> dict[str, Any]:
        """What expressions over an answer may name."""
        return {"status": self.status, "headers": self.headers, "body": self.body}


@dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """Nothing usable came back. `touched`: may the service have done something all the same?"""

    code: str
    touched: bool
    #: False where asking again can't help: the request itself is wrong.
    may_pass: bool = True
    #: Set where the cause is ours to mend: credentials, configuration.
    held: HeldCause | None = None
    wait: timedelta | None = None
    #: What may be told beside the code: the name of a type, never a value or a text of somebody else's.
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the meaning of an answer depends on besides the answer. The plan's codes are those of the step."""

    method: str
    absent: tuple[int, ...] = ()
    permanent: tuple[int, ...] = ()
    transient: tuple[int, ...] = ()
    polled: bool = False
    #: A step of this service has succeeded with these credentials, so a 403 is about this request and not about them.
    succeeded_before: bool = False


@dataclass(frozen=True, kw_only=True)
class Done:
    """The service says it did it."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """There is nothing to do it to. `needs_proof`: a wrong URL answers the same."""

    code: str
    needs_proof: bool


@dataclass(frozen=True, kw_only=True)
class Working:
    """Accepted; the service names a place to ask."""


@dataclass(frozen=True, kw_only=True)
class Transient:
    """May be otherwise later. `wait` is the service's own wish."""

    code: str
    touched: bool
    wait: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Permanent:
    """Will be the same every time."""

    code: str
    touched: bool = False


@dataclass(frozen=True, kw_only=True)
class Held:
    """Somebody has to mend something first. `first_contact`: permanent, should this service have worked before."""

    code: str
    cause: HeldCause
    first_contact: bool = False


Meaning = Done | Absent | Working | Transient | Permanent | Held

_TRANSIENT_4XX = frozenset({408, 425, 429})
_PERMANENT_5XX = frozenset({501, 505})
#: Codes that a route which doesn't exist answers as well.
ROUTE_UNKNOWN = frozenset({404, 410})


def meaning_of(answer: Answer | NoAnswer, rules: Rules) -> Meaning:
    """Decide what an answer means. Every status and every way of not answering has exactly one meaning.

    A 2xx is done, whatever the plan says. Of everything else the plan's word counts before the defaults, 401 and 403 not
    excepted; a code that it names twice is `absent` rather than `permanent`, and `permanent` rather than `transient`.
    """
    if isinstance(answer, NoAnswer):
        if answer.held is not None:
            return Held(code=answer.code, cause=answer.held)
        if answer.may_pass:
            return Transient(code=answer.code, touched=answer.touched, wait=answer.wait)
        return Permanent(code=answer.code, touched=answer.touched)

    status, code = answer.status, f"http_{answer.status}"
    if 200 <= status < 300:
        return Working() if status == 202 and rules.polled else Done()
    if status in rules.absent:
        return Absent(code=code, needs_proof=status in ROUTE_UNKNOWN)
    if status in rules.permanent:
        return Permanent(code=code, touched=_may_have_acted(status))
    if status in rules.transient:
        return Transient(code=code, touched=_may_have_acted(status), wait=retry_after(answer))
    return _by_default(answer, rules, code=code)


def _by_default(answer: Answer, rules: Rules, *, code: str) -> Meaning:
    """What a status means that the plan says nothing about."""
    status = answer.status
    if status == 410 and rules.method == "DELETE":
        return Absent(code=code, needs_proof=True)
    if status in _TRANSIENT_4XX or (status >= 500 and status not in _PERMANENT_5XX):
        return Transient(code=code, touched=_may_have_acted(status), wait=retry_after(answer))
    if status == 401:
        return Held(code=code, cause=HeldCause.CREDENTIALS)
    if status == 403 and not rules.succeeded_before:
        return Held(code=code, cause=HeldCause.CREDENTIALS, first_contact=True)
    return Permanent(code=code, touched=status not in _PERMANENT_5XX and _may_have_acted(status))


def _may_have_acted(status: int) -> bool:
    """Who answers 4xx refused and did nothing. A redirect may say that it was done (303); behind a 5xx all is possible."""
    return not 400 <= status < 500


def retry_after(answer: Answer) -> timedelta | None:
    """The `Retry-After` of an answer (RFC 9110 §10.2.3): seconds, or a date, read against the service's own `Date`."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    until = _http_date(text)
    if until is None:
        return None
    return max(timedelta(0), until - (_http_date(answer.headers.get("date", "")) or answer.received_at))


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date

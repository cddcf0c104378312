"""The answer function as a table: every answer has exactly one meaning."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from activities.actions.answers import (
    Absent,
    Answer,
    Done,
    Held,
    Meaning,
    NoAnswer,
    Permanent,
    Rules,
    Transient,
    Working,
    meaning_of,
    retry_after,
)
from activities.actions.wire import NO_ANSWERS, no_answer
from workflows.names import HeldCause

DELETE = Rules(method="DELETE")
POST = Rules(method="POST")
CREDENTIALS = HeldCause.CREDENTIALS


def transient(status: int, *, touched: bool) -> Transient:
    return Transient(code=f"http_{status}", touched=touched)


TABLE: list[tuple[int, Rules, Meaning]] = [
    (200, DELETE, Done()),
    (201, POST, Done()),
    (202, POST, Done()),
    (202, Rules(method="POST", polled=True), Working()),
    (200, Rules(method="POST", polled=True), Done()),
    (204, DELETE, Done()),
    (404, Rules(method="DELETE", absent=(404,)), Absent(code="http_404", needs_proof=True)),
    (409, Rules(method="POST", absent=(409,)), Absent(code="http_409", needs_proof=False)),
    (410, DELETE, Absent(code="http_410", needs_proof=True)),
    (410, POST, Permanent(code="http_410")),
    (404, DELETE, Permanent(code="http_404")),
    (408, DELETE, transient(408, touched=False)),
    (425, DELETE, transient(425, touched=False)),
    (429, DELETE, transient(429, touched=False)),
    *[(status, DELETE, transient(status, touched=True)) for status in (500, 502, 503, 504, 507, 511, 599)],
    (501, DELETE, Permanent(code="http_501")),
    (505, DELETE, Permanent(code="http_505")),
    (401, DELETE, Held(code="http_401", cause=CREDENTIALS)),
    (403, DELETE, Held(code="http_403", cause=CREDENTIALS, first_contact=True)),
    (403, Rules(method="DELETE", succeeded_before=True), Permanent(code="http_403")),
    (401, Rules(method="DELETE", succeeded_before=True), Held(code="http_401", cause=CREDENTIALS)),
    *[(status, POST, Permanent(code=f"http_{status}", touched=True)) for status in (301, 302, 303, 307, 308)],
    *[(status, POST, Permanent(code=f"http_{status}")) for status in (400, 405, 409, 413, 414, 422, 451)],
]


@pytest.mark.parametrize(("status", "rules", "meaning"), TABLE)
def test_an_answer_means(status: int, rules: Rules, meaning: Meaning) -> None:
    assert meaning_of(Answer(status=status), rules) == meaning


ALL_THREE = (409, 410, 401)
#: What the plan says counts before the defaults: absent, then permanent, then transient.
BY_PLAN: list[tuple[int, Rules, Meaning]] = [
    # A refusal that may be otherwise later; behind anything else something may have happened.
    (409, Rules(method="POST", transient=(409,)), transient(409, touched=False)),
    (404, Rules(method="POST", transient=(404,)), transient(404, touched=False)),
    (501, Rules(method="POST", transient=(501,)), transient(501, touched=True)),
    (303, Rules(method="POST", transient=(303,)), transient(303, touched=True)),
    (503, Rules(method="POST", permanent=(503,)), Permanent(code="http_503", touched=True)),
    (429, Rules(method="POST", permanent=(429,)), Permanent(code="http_429")),
    (410, Rules(method="DELETE", permanent=(410,)), Permanent(code="http_410")),
    (410, Rules(method="DELETE", transient=(410,)), transient(410, touched=False)),
    # Credentials are held for unless the plan knows better.
    (401, Rules(method="POST", permanent=(401,)), Permanent(code="http_401")),
    (401, Rules(method="POST", transient=(401,)), transient(401, touched=False)),
    (403, Rules(method="POST", permanent=(403,)), Permanent(code="http_403")),
    (403, Rules(method="POST", transient=(403,)), transient(403, touched=False)),
    (403, Rules(method="POST", transient=(403,), succeeded_before=True), transient(403, touched=False)),
    (403, Rules(method="POST", absent=(403,)), Absent(code="http_403", needs_proof=False)),
    # Named twice.
    *[
        (status, Rules(method="POST", absent=ALL_THREE, permanent=ALL_THREE, transient=ALL_THREE), meaning)
        for status, meaning in (
            (409, Absent(code="http_409", needs_proof=False)),
            (410, Absent(code="http_410", needs_proof=True)),
            (401, Absent(code="http_401", needs_proof=False)),
        )
    ],
    (409, Rules(method="POST", permanent=(409,), transient=(409,)), Permanent(code="http_409")),
    # What is done is done.
    (200, Rules(method="POST", absent=(200,), permanent=(200,), transient=(200,)), Done()),
    (202, Rules(method="POST", transient=(202,), polled=True), Working()),
    # Others are not concerned.
    (404, Rules(method="POST", transient=(409,), permanent=(429,), absent=(410,)), Permanent(code="http_404")),
]


@pytest.mark.parametrize(("status", "rules", "meaning"), BY_PLAN)
def test_a_plan_moves_a_code(status: int, rules: Rules, meaning: Meaning) -> None:
    assert meaning_of(Answer(status=status), rules) == meaning


def test_a_code_that_a_plan_calls_transient_has_its_wish_heeded() -> None:
    rules = Rules(method="POST", transient=(409,))
    meaning = meaning_of(Answer(status=409, headers={"retry-after": "7"}), rules)
    assert meaning == Transient(code="http_409", touched=False, wait=timedelta(seconds=7))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_every_status_has_a_meaning_that_names_it(method: str) -> None:
    for status in range(200, 600):
        meaning = meaning_of(Answer(status=status), Rules(method=method))
        assert isinstance(meaning, Done) or meaning.code == f"http_{status}"  # type: ignore[union-attr]


def exceptions_of_httpx() -> Iterator[type[Exception]]:
    """All of them, by name: those that can't arise here as well."""
    for _, kind in sorted(vars(httpx).items()):
        if isinstance(kind, type) and issubclass(kind, Exception):
            yield kind


@pytest.mark.parametrize("kind", list(exceptions_of_httpx()))
def test_every_exception_of_httpx_has_a_line_of_its_own(kind: type[Exception]) -> None:
    assert kind in NO_ANSWERS, f"httpx has grown {kind.__name__}: say in NO_ANSWERS what it means"
    assert no_answer(kind.__new__(kind)) == NO_ANSWERS[kind]


def test_the_walk_over_httpx_finds_its_exceptions() -> None:
    found = set(exceptions_of_httpx())
    assert {httpx.ConnectError, httpx.InvalidURL, httpx.StreamClosed, httpx.HTTPStatusError} <= found
    assert len(found) >= 25


def test_only_what_never_left_counts_as_untouched() -> None:
    untouched = {kind for kind, answer in NO_ANSWERS.items() if not answer.touched}
    assert untouched == {
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
    }


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (NoAnswer(code="timeout", touched=True), Transient(code="timeout", touched=True)),
        (NoAnswer(code="bad_url", touched=False, may_pass=False), Permanent(code="bad_url")),
        (
            NoAnswer(code="token_http_401", touched=False, held=CREDENTIALS),
            Held(code="token_http_401", cause=CREDENTIALS),
        ),
    ],
)
def test_no_answer_means(answer: NoAnswer, meaning: Meaning) -> None:
    assert meaning_of(answer, DELETE) == meaning


RECEIVED = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, timedelta(seconds=7)),
        ({"retry-after": " 0 "}, timedelta(0)),
        ({"retry-after": "Tue, 01 Jan 2030 12:01:00 GMT"}, timedelta(minutes=1)),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, timedelta(0)),
        # The service's own clock counts, not ours.
        (
            {"retry-after": "Fri, 01 Jan 2027 00:00:30 GMT", "date": "Fri, 01 Jan 2027 00:00:00 GMT"},
            timedelta(seconds=30),
        ),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, timedelta(seconds=10**8)),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], wait: timedelta | None) -> None:
    assert retry_after(Answer(status=503, headers=headers, received_at=RECEIVED)) == wait
    assert meaning_of(Answer(status=503, headers=headers, received_at=RECEIVED), DELETE) == Transient(
        code="http_503", touched=True, wait=wait
    )


def test_an_answer_shows_nothing_of_what_the_service_said() -> None:
    answer = Answer(status=200, headers={"x-name": "Ada"}, body={"email": "ada@example.com"})
    assert "Ada" not in repr(answer) and "ada@" not in repr(answer)

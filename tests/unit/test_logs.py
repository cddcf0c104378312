"""Logs hold ids, codes and places: never a text that somebody else wrote."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from worker.logs import IdsOnlyFormatter, set_up_logs

CANARY = "ada.lovelace@person.example"


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    """The line as it is written, which is one line."""
    text = IdsOnlyFormatter().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def a_record(
    name: str, message: Any, *arguments: Any, error: BaseException | None = None, **extra: Any
) -> logging.LogRecord:
    """A record as a logger makes it."""
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    return logging.getLogger(name).makeRecord(
        name, logging.WARNING, "some/module.py", 7, message, arguments, exc_info, "some_function", extra
    )


def test_our_events_are_written_with_the_fields_that_may_be() -> None:
    line = line_of(
        a_record("retirement.steps", "step failed", retirement_id="r-1", step="forum", code="http_500", email=CANARY)
    )
    assert {name: line[name] for name in ("level", "logger", "event", "retirement_id", "step", "code")} == {
        "level": "WARNING",
        "logger": "retirement.steps",
        "event": "step failed",
        "retirement_id": "r-1",
        "step": "forum",
        "code": "http_500",
    }
    assert set(line) == {"at", "level", "logger", "event", "retirement_id", "step", "code"}


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (f"to {CANARY}", ()),
        ("to %s", (CANARY,)),
        (ValueError(CANARY), ()),
        ({"to": CANARY}, ()),
        ("%d", (CANARY,)),
    ],
)
@pytest.mark.parametrize("logger", ["httpx", "aiosmtplib.smtp", "root", "sqlalchemy.engine", "retirementlike"])
def test_a_librarys_text_is_withheld_and_its_place_written(
    logger: str, message: Any, arguments: tuple[Any, ...]
) -> None:
    line = line_of(a_record(logger, message, *arguments))
    assert line["event"] == "(text withheld) module:7 some_function"
    assert CANARY not in json.dumps(line)


def test_temporals_events_are_written_without_their_values() -> None:
    line = line_of(
        a_record("temporalio.activity", "Completing activity %s as failed", CANARY, temporal_activity=CANARY)
    )
    assert line["event"] == "Completing activity %s as failed"
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize("logger", ["retirement.worker", "httpx", "temporalio.worker"])
def test_an_exception_is_its_type_and_where_it_went(logger: str) -> None:
    def fail() -> None:
        try:
            raise KeyError(CANARY)
        except KeyError:
            raise ValueError(CANARY) from None

    try:
        fail()
    except ValueError as error:
        line = line_of(a_record(logger, "it broke", error=error))
    assert line["exception"] == "ValueError"
    assert line["frames"][-1].startswith("test_logs.py:")
    assert line["frames"][-1].endswith(" fail")
    assert CANARY not in json.dumps(line)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The worker's log set up for real; logging is given back afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    monkeypatch.setattr(sys, "stderr", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up_logs(level="INFO")
        try:
            yield stream
        finally:
            logging.captureWarnings(False)
            root.handlers, root.level = handlers, level


def test_every_logger_of_the_process_goes_through_it(log: io.StringIO) -> None:
    logging.getLogger("retirement.worker").info("polling", extra={"queue": "retirement"})
    logging.getLogger("httpx").info("GET http://host/users/%s", CANARY)
    logging.getLogger("somebody.else").warning("sent to %s", CANARY)
    warnings.warn_explicit(CANARY, UserWarning, CANARY, 1)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["logger"] for line in lines] == ["retirement.worker", "somebody.else", "py.warnings"]
    assert lines[0]["queue"] == "retirement"
    assert CANARY not in log.getvalue()

"""Logs without personal data: ids, codes and places in the code, never a text that somebody else wrote.

A library's message may hold an address, a name or a workflow id, so only our own events are written as they are.
Temporal's are written as templates, without their values; everybody else's as the place they come from. Exceptions are
written as types and frames.
"""

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from workflows.names import WORKFLOW_ID_PREFIX

OWN = "retirement"
#: The only fields a line of ours may carry besides its event.
FIELDS = ("retirement_id", "step", "code", "attempt", "address", "queue", "count", "problem")


class IdsOnlyFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write what may be written of a record."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": _event(record),
        }
        line.update((name, record.__dict__[name]) for name in FIELDS if name in record.__dict__)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = [
                f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(line)


def set_up_logs(*, level: str) -> None:
    """Send every logger of the process through the formatter, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(IdsOnlyFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # Each request would be a line, with its address in it.
    for name in ("httpx", "httpcore", "aiosmtplib", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # A failed attempt is logged by worker/attempt_log.py, with the retirement and the step.
    logging.getLogger("temporalio.activity").addFilter(_is_not_about_a_failure)
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


def log_uncaught_exceptions() -> None:
    """Log what Python would print with its text: exceptions that end the process or a thread, or that nobody can catch."""
    logger = logging.getLogger(f"{OWN}.worker")

    def of_thread(ended: threading.ExceptHookArgs) -> None:
        logger.error("a thread ended by an exception", exc_info=ended.exc_value)

    def of_process(_type: type[BaseException], error: BaseException, _frames: TracebackType | None) -> None:
        logger.critical("the process ended by an exception", exc_info=error)

    threading.excepthook = of_thread
    sys.excepthook = of_process
    sys.unraisablehook = lambda lost: logger.error("an exception was lost", exc_info=lost.exc_value)


def _event(record: logging.LogRecord) -> str:
    if record.name.split(".")[0] == OWN:
        return record.getMessage()
    if record.name.split(".")[0] == "temporalio" and isinstance(record.msg, str):
        # Some of the SDK's templates have the workflow id filled in, and with it the user's.
        return record.msg.partition("\n")[0].partition(WORKFLOW_ID_PREFIX)[0]
    return f"(text withheld) {record.module}:{record.lineno} {record.funcName}"


def _is_not_about_a_failure(record: logging.LogRecord) -> bool:
    return not (isinstance(record.msg, str) and record.msg.startswith("Completing activity as failed")) or (
        record.exc_info is not None and not isinstance(record.exc_info[1], ApplicationError)
    )

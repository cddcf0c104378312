"""Alerts: what somebody must hear of although nobody looks, as one record of the log beside the command's own words."""

import logging
import sys

_logger = logging.getLogger("retirement.openedx")


def alert(event: str, *, count: int | None = None, problem: str | None = None) -> None:
    """Log an event, a constant name, with fields that hold nothing personal.

    A command has no log of its own, so the record goes to stderr in the workers' form, where nothing else was set up.
    """
    if not logging.root.handlers and not _logger.handlers:
        from worker.logs import IdsOnlyFormatter

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(IdsOnlyFormatter())
        _logger.addHandler(handler)
    fields = {name: value for name, value in (("count", count), ("problem", problem)) if value is not None}
    _logger.error(event, extra=fields)

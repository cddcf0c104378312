"""Results to stdout, notes and progress to stderr; colours only on a terminal; `--json` the same facts."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from workflows.durations import format_duration

#: Words that carry a colour on a terminal.
_STYLES = {
    **dict.fromkeys(("COMPLETE", "erased", "absent", "done", "made", "ok"), "green"),
    **dict.fromkeys(
        ("ABORTED", "skipped", "scrubbed", "unverified", "retained", "held", "overdue", "warning"), "yellow"
    ),
    **dict.fromkeys(("ERRORED", "failed", "refused", "problem"), "red"),
}


def show(value: object) -> str:
    """A value as people read it; characters that could redraw a terminal are written out."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case timedelta():
            return format_duration(value)
        case list() | tuple():
            return ", ".join(show(item) for item in value) or "-"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def reason_of(facts: Mapping[str, Any]) -> str | None:
    """Why a retirement was aborted, as people read it: `not_eligible: sole_admin`."""
    return ": ".join(show(facts[name]) for name in ("reason", "code") if facts[name]) or None


def _to_json(value: object) -> Any:
    from pydantic import BaseModel

    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return show(value)
        case BaseModel():
            return {name: getattr(value, name) for name in type(value).model_fields}
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def columns(rows: Iterable[Sequence[object]], *, heading: Sequence[str] | None = None) -> list[str]:
    """Rows aligned in columns, without trailing spaces."""
    from rich.cells import cell_len

    cells = [[show(value) for value in row] for row in rows]
    if heading is not None:
        cells.insert(0, list(heading))
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]))] if cells else []
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


class Output:
    """Where a command's words go. Streams are looked up at each use, so that tests may replace them."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def result(self, facts: Mapping[str, Any], lines: Sequence[str]) -> None:
        """Print the result: `facts` with --json, else `lines`, which tell the same."""
        if self._as_json:
            sys.stdout.write(json.dumps(facts, indent=2, default=_to_json, ensure_ascii=False) + "\n")
            return
        _write(sys.stdout, lines)

    def note(self, text: str) -> None:
        """Print a note or a sign of life."""
        _write(sys.stderr, [text])

    def error(self, text: str, *, code: int) -> None:
        """Print an error; with --json also as the result, so that a script finds it where it looks."""
        _write(sys.stderr, [f"Error: {text}"])
        if self._as_json:
            sys.stdout.write(json.dumps({"error": text, "exit_code": code}, indent=2, ensure_ascii=False) + "\n")


def _write(stream: TextIO, lines: Sequence[str]) -> None:
    if not stream.isatty():
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    for line in lines:
        text = Text(line)
        for word, style in _STYLES.items():
            text.highlight_regex(rf"\b{word}\b", style)
        console.print(text, soft_wrap=True)

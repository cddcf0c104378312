"""The assets that somebody names: on the command line, or in a file of ids or a table. What is wrong is told by its line."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starter.errors import CommandError
from starter.exit_codes import ExitCode

#: More are handed over by several commands: all of them are kept in one transaction.
MOST_NAMED = 100_000
_LONGEST = 512
_COLUMN = "id"
_SEPARATORS = (",", ";", "\t")
_MOST_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A line of a file, or an option, that names no asset."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class BadNames(Exception):
    """Assets are named in a way that can't be used. Each problem says where and what; no value."""

    def __init__(self, problems: Sequence[BadLine]) -> None:
        super().__init__(f"{len(problems)} can't be used")
        self.problems = tuple(problems)


def read_named(*, options: Sequence[str], file: Path | None) -> tuple[str, ...] | None:
    """The ids of the assets that somebody names, each once; None where nobody names any: all are meant.

    Raises:
        BadNames: some can't be used.
        CommandError: the file can't be read.
    """
    if not options and file is None:
        return None
    named = [(f"--asset {number}", id) for number, id in enumerate(options, start=1)]
    if file is not None:
        named += _in_file(_text_of(file), name=str(file))
    problems = [BadLine(where=where, what=what) for where, id in named if (what := _problem(id)) is not None]
    if problems:
        raise BadNames(problems)
    ids = tuple(dict.fromkeys(id for _, id in named))
    if not ids:
        raise BadNames([BadLine(where=str(file), what="holds no id; write one a line, or a table with a column `id`")])
    if len(ids) > MOST_NAMED:
        what = f"names {len(ids):,} assets; name at most {MOST_NAMED:,} at a time"
        raise BadNames([BadLine(where=str(file), what=what)])
    return ids


def told(bad: BadNames) -> list[str]:
    """The problems, line by line, as many as a person reads."""
    lines = [str(problem) for problem in bad.problems[:_MOST_TOLD]]
    more = len(bad.problems) - len(lines)
    return [*lines, f"… and {more:,} more"] if more else lines


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{file} is no UTF-8 text.", do="Save it as UTF-8.", code=ExitCode.USAGE) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"{file} can't be read ({why}).", do="Check the path.", code=ExitCode.USAGE) from None


def _in_file(text: str, *, name: str) -> list[tuple[str, str]]:
    lines = text.splitlines()
    column = _column_of(lines[0]) if lines else None
    if column is None:
        return [(f"{name}:{number}", line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    return list(_in_table(text, name=name, separator=column[0], position=column[1]))


def _column_of(first: str) -> tuple[str, int] | None:
    """Where a table's ids stand, if the first line is a table's: its separator, and the column's position."""
    for separator in _SEPARATORS:
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
        if _COLUMN in names:
            return separator, names.index(_COLUMN)
    return None


def _in_table(text: str, *, name: str, separator: str, position: int) -> Iterator[tuple[str, str]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    next(rows)
    before = rows.line_num
    for row in rows:
        where, before = f"{name}:{before + 1}", rows.line_num
        if row:
            yield where, row[position].strip() if position < len(row) else ""


def _problem(id: str) -> str | None:
    """Why this is no asset's id; None where it may be one."""
    if not id:
        return "has no id"
    if len(id) > _LONGEST:
        return f"the id is longer than {_LONGEST} characters"
    return None if id.isprintable() else "the id holds a character that can't be printed"

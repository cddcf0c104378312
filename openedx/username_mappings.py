"""The CSV of a username replacement: `current,desired` on each line, without a header."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: More are replaced by several files.
MOST_MAPPINGS = 100_000
#: As much as a username can be anywhere in Open edX.
_LONGEST = 255
_MOST_TOLD = 20
#: What spreadsheets and scripts write above such columns.
_WHICH = ("current", "desired", "old", "new", "original", "from", "to")
_HEADINGS = frozenset(
    {*_WHICH, "username", "user", "name"}
    | {
        f"{which}{between}{what}"
        for which in _WHICH
        for between in ("", " ", "_", "-")
        for what in ("username", "name")
    }
)


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """One line: who is to be called what. Neither name is in its repr."""

    line: int
    current: str = field(repr=False)
    desired: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Renamings:
    """A file's lines, in order, and what tells this file from others."""

    digest: str
    all: tuple[Renaming, ...]


class MappingsError(Exception):
    """The file can't be used. Each problem says file, line and how to mend it, and no name."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = len(problems) - _MOST_TOLD
        told = [*problems[:_MOST_TOLD], *([f"… and {more:,} more"] if more > 0 else [])]
        super().__init__("\n".join(told))
        self.problems = tuple(problems)


def read_renamings(path: Path) -> Renamings:
    """Every line of the file; blank ones are passed over.

    Raises:
        MappingsError: it can't be used as a whole. Nothing is replaced from a part of a file.
    """
    rows: list[Renaming] = []
    problems: list[str] = []
    for line, cells in _rows(path):
        problem = _problem(cells, is_first=not rows)
        if problem is None:
            rows.append(Renaming(line=line, current=cells[0], desired=cells[1]))
        else:
            problems.append(f"{path}:{line}: {problem}")
    problems += [f"{path}:{line}: {problem}" for line, problem in sorted(_clashes(rows))]
    if not rows and not problems:
        problems = [f"{path}: names nobody; write `current,desired` on each line"]
    if len(rows) > MOST_MAPPINGS:
        problems = [f"{path}: {len(rows):,} lines; replace at most {MOST_MAPPINGS:,} at a time"]
    if problems:
        raise MappingsError(problems)
    told = "\n".join(f"{row.current},{row.desired}" for row in rows)
    return Renamings(digest=hashlib.sha256(told.encode()).hexdigest(), all=tuple(rows))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        # The byte order mark of a spreadsheet would become a part of the first name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            before = 0
            for cells in reader:
                line, before = before + 1, reader.line_num
                if any(cell.strip() for cell in cells):
                    yield line, cells
                elif len(cells) > 1:
                    raise MappingsError([f"{path}:{line}: two empty names; delete the line"])
    except UnicodeDecodeError:
        raise MappingsError([f"{path}: no UTF-8 text; save it as UTF-8"]) from None
    except csv.Error:
        where = f"{path}:{reader.line_num}"
        raise MappingsError([f"{where}: no CSV (a quote that is never closed?); mend the line"]) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise MappingsError([f"{path}: can't be read ({why}); check the path"]) from None


def _problem(cells: list[str], *, is_first: bool) -> str | None:
    """What is wrong with a line by itself."""
    if len(cells) != 2:
        return f"{len(cells)} cells; write `current,desired`"
    if is_first and all(cell.strip().lower() in _HEADINGS for cell in cells):
        return "looks like a header; delete it: the first line is replaced like all others"
    for name, cell in (("current", cells[0]), ("desired", cells[1])):
        if not cell:
            return f"the {name} name is empty; write both names"
        if cell != cell.strip():
            return f"a blank before or after the {name} name; remove it"
        if not cell.isprintable():
            return f"the {name} name holds a character that can't be printed; remove it"
        if len(cell) > _LONGEST:
            return f"the {name} name is longer than {_LONGEST} characters"
    return "both names are the same; delete the line" if cells[0] == cells[1] else None


def _clashes(rows: Sequence[Renaming]) -> Iterator[tuple[int, str]]:
    """Lines that get into each other's way: what comes of them would depend on the order in which a service takes them."""
    current: dict[str, int] = {}
    desired: dict[str, int] = {}
    for row in rows:
        if (line := current.setdefault(row.current, row.line)) != row.line:
            yield row.line, f"the current name of line {line} again; keep one of them"
        if (line := desired.setdefault(row.desired, row.line)) != row.line:
            yield row.line, f"the desired name of line {line} again; give each user a name of their own"
    for row in rows:
        if (line := current.get(row.desired, row.line)) != row.line:
            yield (
                row.line,
                f"the desired name is still the current one of line {line}; replace that one first, by another file",
            )

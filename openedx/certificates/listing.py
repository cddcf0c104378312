"""The listing of certificates: a CSV that the operator exports from the LMS database, as no call of the LMS offers it."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = ("certificate_id", "user_id", "retired", "download_url", "download_uuid", "verify_uuid")
#: More problems than this are only counted: a person mends a file by its first ones.
MOST_TOLD = 20
#: What an id may be in a database.
_LARGEST_ID = 2**63 - 1
_RETIRED = {"0": False, "1": True}


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One line of the listing. Where its files are is nobody's business, so neither that nor whose it is stands in its repr."""

    id: int
    #: Of the LMS. It does not change when its user is retired.
    user_id: int = field(repr=False)
    is_retired: bool
    download_url: str = field(repr=False)
    download_uuid: str = field(repr=False)
    verify_uuid: str = field(repr=False)

    @property
    def is_purged(self) -> bool:
        """Has the LMS forgotten already where its file was?"""
        return not self.download_url and not self.download_uuid


class ListingError(Exception):
    """The listing can't be used. Each problem says file, line and how to mend it, and no value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(_at_most(problems)))
        self.problems = tuple(problems)


def read_listing(path: Path) -> tuple[Certificate, ...]:
    """All certificates of the listing, in its order.

    Raises:
        ListingError: it can't be read, or a line of it can't: nothing is chosen from half a listing.
    """
    problems: list[str] = []
    certificates: dict[int, Certificate] = {}
    lines: dict[int, int] = {}
    for line, cells in _rows(path):
        read = _certificate(cells)
        if isinstance(read, str):
            problems.append(f"{path}:{line}: {read}")
        elif read.id in certificates:
            problems.append(f"{path}:{line}: the certificate of line {lines[read.id]} again; export each once")
        else:
            certificates[read.id], lines[read.id] = read, line
    if problems:
        raise ListingError(problems)
    return tuple(certificates.values())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines below the header, each with its number and its cells by column."""
    try:
        # What a spreadsheet puts in front of a file is not part of its first column's name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            # Without strictness a quote that is never closed swallows the certificates behind it.
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, path=path)
            before = reader.line_num
            for cells in reader:
                line, before = before + 1, reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise ListingError(
                        [f"{path}:{line}: {len(cells)} cells under {len(header)} columns; export it again"]
                    )
                yield line, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except UnicodeDecodeError:
        raise ListingError([f"{path}: no UTF-8 text; export it as UTF-8"]) from None
    except csv.Error:
        raise ListingError(
            [f"{path}:{reader.line_num}: no CSV (a quote that is never closed?); export it again"]
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ListingError([f"{path}: can't be read ({why}); check the path"]) from None


def _check_header(header: list[str], *, path: Path) -> None:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ListingError([f"{path}:1: no column {', '.join(missing)}; the first line is {','.join(COLUMNS)}"])
    if len(set(header)) != len(header):
        raise ListingError([f"{path}:1: a column is there twice; the first line is {','.join(COLUMNS)}"])


def _certificate(values: dict[str, str]) -> Certificate | str:
    """The certificate of a line, or what is wrong with the line."""
    for name in ("certificate_id", "user_id"):
        if not _is_id(values[name]):
            return f"{name} is no number from 1 upward; export it again"
    if values["retired"] not in _RETIRED:
        return "retired is neither 0 nor 1; export it again"
    return Certificate(
        id=int(values["certificate_id"]),
        user_id=int(values["user_id"]),
        is_retired=_RETIRED[values["retired"]],
        download_url=values["download_url"],
        download_uuid=values["download_uuid"],
        verify_uuid=values["verify_uuid"],
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= _LARGEST_ID


def _at_most(problems: Sequence[str]) -> list[str]:
    more = len(problems) - MOST_TOLD
    return [*problems[:MOST_TOLD], f"… and {more:,} more"] if more > 0 else list(problems)

"""What partners are told, as files: who hears of which learner, and how a file reads. No I/O.

One file a partner. A partner with two sets of columns gets two; a learner is in each of them once.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

#: The columns where an organisation has none of its own.
HEADINGS = ("user_id", "original_username", "original_email", "original_name", "deletion_completed")
#: What spreadsheets take for the beginning of a formula, also as wide letters.
_FORMULA = tuple("=+-@＝＋－＠\t\r\n")


@dataclass(frozen=True, kw_only=True)
class Share:
    """A partner and the columns it is to get: one file."""

    partner: str
    headings: tuple[str, ...]


def prefix_of(platform: str) -> str:
    """How the names of all reports of a platform begin, and those of no other platform."""
    return f"user_retirement_{platform}_"


def name_of(*, platform: str, partner: str, day: date, number: int = 1) -> str:
    """A report's file name; `number` tells several of a partner and day apart."""
    return f"{prefix_of(platform)}{partner}_{day.isoformat()}{'' if number == 1 else f'_{number}'}.csv"


def is_readable(learner: Mapping[str, Any]) -> bool:
    """Does it name a learner and their organisations?"""
    orgs = learner.get("orgs")
    return (
        isinstance(learner.get("original_username"), str)
        and isinstance(orgs, list)
        and all(isinstance(org, str) for org in orgs)
    )


def shares_of(
    learner: Mapping[str, Any], *, partners: Mapping[str, Sequence[str]]
) -> tuple[tuple[Share, ...], tuple[str, ...]]:
    """Who must hear of a learner, and the learner's organisations of which nobody knows the partners."""
    headings = _headings_by_org(learner)
    orgs = dict.fromkeys([*learner["orgs"], *headings])
    shares = {
        Share(partner=partner, headings=headings.get(org, HEADINGS)): None
        for org in orgs
        for partner in partners.get(org, ())
    }
    return tuple(shares), tuple(org for org in orgs if org not in partners)


def content_of(learners: Iterable[Mapping[str, Any]], *, headings: Sequence[str]) -> bytes:
    """A file: header, then a line a learner. Commas, CRLF, quotes where they are needed, UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    for learner in learners:
        known = {**learner, "deletion_completed": learner.get("created")}
        writer.writerow([_cell(known.get(heading), heading=heading) for heading in headings])
    # Half of a surrogate pair is all that can't be written.
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any, *, heading: str) -> str:
    """A value as text. Who writes `=…` as their name must not have it run where the file is opened.

    A username can't hold a formula that does anything, and has to stay one that can be found.
    """
    text = "" if value is None else str(value)
    risky = isinstance(value, str) and not heading.endswith("username") and text.lstrip(" ").startswith(_FORMULA)
    return f"'{text}" if risky else text


def _headings_by_org(learner: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns of organisations that have some of their own."""
    found = {}
    for entry in learner.get("orgs_config") or ():
        match entry:
            case {"org": str(org), "field_headings": [*headings]} if headings:
                found[org] = tuple(str(heading) for heading in headings)
            case {"org": str(org)}:
                found[org] = HEADINGS
    return found

"""What mails tell of assets: counts, order, and a file that opens as a table anywhere, whatever a title holds."""

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.mail_assets import (
    LONGEST_FILE,
    OTHERS,
    WAITING,
    AssetLine,
    asset_file,
    harmless,
    lines_of,
    shown_in_body,
    tallies,
    tally,
)
from activities.mail_templates import MailTemplates
from activities.ownership.moving import NOT_OWNER
from ledger.rows import Asset, AssetRow, no_values
from tests.support.post import GRACE, a_team_plan
from workflows.names import AssetResult

PLAN = a_team_plan()
VALUES = {**no_values(), "successors": {"colleague": GRACE}}
ENGLISH: Any = MailTemplates(overrides=None).words("en")
FORMULAS = "=+-@＝＋－＠"


def a_row(
    number: int = 1,
    *,
    title: str | None = "Plan B",
    id: str | None = None,
    result: AssetResult | None = None,
    code: str | None = None,
) -> AssetRow:
    return AssetRow(
        step="documents",
        key=str(number),
        position=number,
        inventory=1,
        asset=Asset(id=id or f"d-{number}", type="page", title=title),
        result=result,
        code=code,
    )


def lines(*rows: AssetRow) -> list[AssetLine]:
    return lines_of(PLAN, rows, values=VALUES)  # type: ignore[arg-type]  # A TypedDict spread is a dict to mypy.


def cells(content: bytes, *, separator: str = ",") -> list[list[str]]:
    """The file, as a spreadsheet reads it."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator, strict=True))


def test_what_is_left_comes_first_then_what_was_not_found() -> None:
    rows = [
        a_row(1, result=AssetResult.MOVED),
        a_row(2, result=AssetResult.NOT_FOUND),
        a_row(3, result=AssetResult.REFUSED, code="http_409"),
        a_row(4, result=AssetResult.REFUSED, code=NOT_OWNER),
        a_row(5),
        a_row(6, result=AssetResult.RETRYING, code="http_503"),
        a_row(7, result=AssetResult.ALREADY_OWNED),
    ]
    told = [(line.id, line.result, line.code, line.owner, line.is_left) for line in lines(*rows)]
    assert told == [
        ("d-3", "refused", "http_409", None, True),
        ("d-5", WAITING, None, None, True),
        ("d-6", WAITING, "http_503", None, True),
        ("d-2", "not_found", None, None, False),
        ("d-1", "moved", None, "Grace Hopper", False),
        ("d-4", OTHERS, None, None, False),
        ("d-7", "already_owned", None, "Grace Hopper", False),
    ]
    in_order = [("moved", 1), ("already_owned", 1), ("not_found", 1), ("refused", 1), (OTHERS, 1), (WAITING, 2)]
    assert tallies(lines(*rows)) == {"documents": in_order}


def test_the_ledger_s_counts_have_their_order_too() -> None:
    counts: dict[AssetResult | None, int] = {
        None: 2,
        AssetResult.RETRYING: 3,
        AssetResult.REFUSED: 1,
        AssetResult.MOVED: 0,
    }
    assert tally(counts) == [("refused", 1), (WAITING, 5)]


def test_a_file_says_everything_in_plain_words() -> None:
    rows = (
        a_row(1, result=AssetResult.MOVED),
        a_row(2, title=None, result=AssetResult.REFUSED, code="http_409"),
        a_row(3, result=AssetResult.REFUSED, code="odd"),
    )
    file = asset_file(lines(*rows), words=ENGLISH, with_results=True)
    assert file.content.startswith(b"\xef\xbb\xbf") and file.content.endswith(b"\r\n")
    assert cells(file.content) == [
        ["Service", "Id", "Type", "Title", "Result", "Reason", "New owner"],
        ["Documents", "d-2", "page", "d-2", "not handed over", "the service answered 409", ""],
        ["Documents", "d-3", "page", "Plan B", "not handed over", "code odd", ""],
        ["Documents", "d-1", "page", "Plan B", "handed over", "", "Grace Hopper"],
    ]
    listed = asset_file(lines(*rows), words=ENGLISH, with_results=False)
    assert cells(listed.content)[0] == ["Service", "Id", "Type", "Title"]


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_a_file_opens_in_the_spreadsheets_of_its_language(language: str) -> None:
    words: Any = MailTemplates(overrides=None).words(language)
    row = a_row(1, title="Größe, Länge; ميزانية", result=AssetResult.REFUSED, code="odd_code")
    file = asset_file(lines(row), words=words, with_results=True)
    [head, first] = cells(file.content, separator="," if language == "en" else ";")
    assert head == list(words.columns.values())
    assert first[3] == "Größe, Länge; ميزانية"
    # The marks that keep directions apart belong into a mail; in a table each cell stands alone.
    assert not {"\u2066", "\u2067", "\u2068", "\u2069"} & set(file.content.decode())


titles = st.text(
    alphabet=st.sampled_from([*FORMULAS, *",;|\t\"' \r\n\x00", "a", "é", "\u202e", "\ud800", "😀"]), max_size=40
)


@given(title=titles, id=titles.filter(lambda text: bool(text.strip(" \r\n\t\x00"))))
@example(title='=HYPERLINK("http://evil.example","x")', id="\t+1")
@example(title="harmless;=cmd|'/c calc'!A0", id="a,@SUM(1)")
def test_no_spreadsheet_computes_a_title_wherever_it_takes_the_line_apart(title: str, id: str) -> None:
    file = asset_file(lines(a_row(title=title, id=id)), words=ENGLISH, with_results=True)
    rows = cells(file.content)
    assert [len(row) for row in rows] == [7, 7]
    for separator in ",;|\t":
        for line in file.content.decode("utf-8-sig").split("\r\n"):
            for cell in line.split(separator):
                assert (
                    not cell.strip("\"' ").startswith(tuple(FORMULAS))
                    or "'" in cell[: cell.index(cell.strip("\"' ")[0])]
                )
    assert not any(cell.startswith(tuple(FORMULAS)) for row in rows for cell in row)
    assert "\u202e" not in file.content.decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(("=1+1", "'=1+1"), ("-5", "'-5"), ("@x", "'@x"), ("＝1", "'＝1"), ("a;=1", "a;'=1"), ('a,"=1', "a,\"'=1")),
        *(("1-1=0", "1-1=0"), ("a@b.example", "a@b.example"), ("C++", "C++"), ("", "")),
    ],
)
def test_only_what_begins_a_cell_is_marked(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_ten_thousand_long_titles_stay_one_file_with_all_of_them() -> None:
    rows = [a_row(number, title=f"{number} " + "Donaudampfschifffahrt, 年度 " * 12) for number in range(10_000)]
    file = asset_file(lines(*rows), words=ENGLISH, with_results=True)
    assert len(file.content) <= LONGEST_FILE
    table = cells(file.content)
    assert file.lines == len(table) - 1 == 10_000
    assert [row[1] for row in table[1:]] == [f"d-{number}" for number in range(10_000)]
    assert all(row[3].startswith(f"{number} Donau") and row[3].endswith("…") for number, row in enumerate(table[1:]))


def test_what_still_is_too_long_ends_with_a_whole_line() -> None:
    rows = [a_row(number, id=f"{number}-" + "😀" * 190, title='"' * 400) for number in range(3_000)]
    file = asset_file(lines(*rows), words=ENGLISH, with_results=True)
    assert len(file.content) <= LONGEST_FILE
    table = cells(file.content)
    assert 0 < file.lines == len(table) - 1 < 3_000
    assert table[-1][1].startswith(f"{file.lines - 1}-")


def test_a_mail_shows_fifty_and_cuts_what_is_long() -> None:
    long = "x" * 10_000_000
    shown = shown_in_body(lines(*(a_row(number, title=long) for number in range(60))))
    assert len(shown) == 50
    assert {len(line["title"]) for line in shown} == {120}

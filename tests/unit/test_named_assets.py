"""Assets that somebody names: options, a file of ids, a table. What is wrong is told by its line, without its value."""

from pathlib import Path

import pytest

from starter.errors import CommandError
from starter.ownership import named_assets
from starter.ownership.named_assets import BadNames, read_named, told


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "assets.csv"


def test_nobody_names_any() -> None:
    assert read_named(options=(), file=None) is None


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("d-1\nd-2\n", ("d-1", "d-2")),
        ("\ufeffd-1\r\n\r\n  d-2  \r\nd-1", ("d-1", "d-2")),
        ("a, b; c\n../x\n=1+1", ("a, b; c", "../x", "=1+1")),
        ("id\nd-1\n", ("d-1",)),
        ('title,ID\n"a, b",d-1\n\nc,d-2\n', ("d-1", "d-2")),
        ("Id;title\nd-1;x\n", ("d-1",)),
        ("title\tid\nx\td-1\n", ("d-1",)),
        ('id,title\nd-1,"two\nlines"\nd-2,x\n', ("d-1", "d-2")),
    ],
)
def test_a_file_is_a_list_or_a_table_with_a_column_id(file: Path, text: str, ids: tuple[str, ...]) -> None:
    file.write_text(text, encoding="utf-8")
    assert read_named(options=(), file=file) == ids


def test_options_and_a_file_name_each_once(file: Path) -> None:
    file.write_text("d-2\nd-3\n")
    assert read_named(options=("d-1", "d-2"), file=file) == ("d-1", "d-2", "d-3")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("d-1\n" + "x" * 513, [(2, "the id is longer than 512 characters")]),
        ("d-1\n\x07bell\n", [(2, "the id holds a character that can't be printed")]),
        ('title,id\na,d-1\nb\n"c\nd",\n', [(3, "has no id"), (4, "has no id")]),
        ("", [None]),
        ("id\n", [None]),
    ],
)
def test_a_bad_line_is_told_by_its_place(file: Path, text: str, where: list[tuple[int, str] | None]) -> None:
    file.write_text(text)
    with pytest.raises(BadNames) as bad:
        read_named(options=(), file=file)
    empty = f"{file}: holds no id; write one a line, or a table with a column `id`"
    assert told(bad.value) == [empty if each is None else f"{file}:{each[0]}: {each[1]}" for each in where]
    assert "bell" not in "".join(told(bad.value))


def test_a_bad_option_is_told_by_its_number(file: Path) -> None:
    with pytest.raises(BadNames) as bad:
        read_named(options=("d-1", ""), file=None)
    assert told(bad.value) == ["--asset 2: has no id"]


def test_of_many_bad_lines_the_first_are_told(file: Path) -> None:
    file.write_text("\x07\n" * 1_234)
    with pytest.raises(BadNames) as bad:
        read_named(options=(), file=file)
    lines = told(bad.value)
    assert len(lines) == 21 and lines[-1] == "… and 1,214 more"


def test_too_many_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_assets, "MOST_NAMED", 2)
    file.write_text("a\nb\na\n")
    assert read_named(options=(), file=file) == ("a", "b")
    file.write_text("a\nb\nc\n")
    with pytest.raises(BadNames) as bad:
        read_named(options=(), file=file)
    assert told(bad.value) == [f"{file}: names 3 assets; name at most 2 at a time"]


def test_a_file_that_can_t_be_read_is_told_with_what_to_do(file: Path) -> None:
    with pytest.raises(CommandError, match="can't be read"):
        read_named(options=(), file=file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CommandError, match="no UTF-8 text"):
        read_named(options=(), file=file)

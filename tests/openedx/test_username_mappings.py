"""The CSV of a username replacement: every mistake by file and line, and no name in what is told."""

import re
from pathlib import Path

import pytest

from openedx.username_mappings import MOST_MAPPINGS, MappingsError, Renaming, read_renamings


def read(folder: Path, content: bytes) -> tuple[Renaming, ...]:
    """Read a file of this content."""
    path = folder / "names.csv"
    path.write_bytes(content)
    return read_renamings(path).all


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", [": names nobody"]),
        (b"\n\n", [": names nobody"]),
        (b"current,desired\nquinn,nadia\n", [":1: looks like a header"]),
        (b"Original Username,New Username\nquinn,nadia\n", [":1: looks like a header"]),
        (b"quinn\n", [":1: 1 cells"]),
        (b"quinn,nadia,oscar\n", [":1: 3 cells"]),
        (b"quinn;nadia\n", [":1: 1 cells"]),
        (b"quinn,nadia\n,\n", [":2: two empty names"]),
        (b"quinn,\n", [":1: the desired name is empty"]),
        (b",nadia\n", [":1: the current name is empty"]),
        (b"quinn, nadia\n", [":1: a blank before or after the desired name"]),
        (b"quinn,na\tdia\n", [":1: the desired name holds a character"]),
        (b"quinn,na\x00dia\n", [":1: the desired name holds a character"]),
        (b"quinn," + b"n" * 256 + b"\n", [":1: the desired name is longer than 255"]),
        (b"quinn,quinn\n", [":1: both names are the same"]),
        (
            b"quinn,nadia\nquinn,nadia\n",
            [":2: the current name of line 1 again", ":2: the desired name of line 1 again"],
        ),
        (b"quinn,nadia\n\nquinn,oscar\n", [":3: the current name of line 1 again"]),
        (b"quinn,nadia\noscar,nadia\n", [":2: the desired name of line 1 again"]),
        (b"quinn,oscar\noscar,nadia\n", [":1: the desired name is still the current one of line 2"]),
        (
            b"quinn,oscar\noscar,quinn\n",
            [
                ":1: the desired name is still the current one of line 2",
                ":2: the desired name is still the current one of line 1",
            ],
        ),
        (b'quinn,"nadia\noscar,omar\n', [": no CSV"]),
        ("quinn,n\xe4dia\n".encode("latin-1"), [": no UTF-8 text"]),
        (b"x\n" * 21, [":1: 1 cells", "… and 1 more"]),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_file_and_line(
    tmp_path: Path, content: bytes, problems: list[str]
) -> None:
    with pytest.raises(MappingsError) as refused:
        read(tmp_path, content)

    told = str(refused.value)
    for problem in problems:
        assert problem in told
    for name in ("quinn", "oscar", "nadia"):
        assert name not in told.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffquinn,nadia\noscar,ömar\n",
        'quinn,nadia\r\n\r\n"oscar","ömar"\r\n',
        "\nquinn,nadia\noscar,ömar",
    ],
)
def test_what_spreadsheets_and_editors_add_is_no_mistake(tmp_path: Path, content: str) -> None:
    assert [(each.current, each.desired) for each in read(tmp_path, content.encode())] == [
        ("quinn", "nadia"),
        ("oscar", "ömar"),
    ]


def test_names_that_differ_in_case_are_different_people(tmp_path: Path) -> None:
    assert [each.line for each in read(tmp_path, b"Ann,anna\nann,anne\n")] == [1, 2]


def test_a_line_below_the_first_is_no_header(tmp_path: Path) -> None:
    assert [each.current for each in read(tmp_path, b"quinn,nadia\nuser,name\n")] == ["quinn", "user"]


def test_ten_thousand_lines_are_read_and_more_than_can_be_followed_are_not(tmp_path: Path) -> None:
    assert len(read(tmp_path, b"".join(b"o%d,n%d\n" % (number, number) for number in range(10_000)))) == 10_000
    with pytest.raises(MappingsError, match=re.escape(f"at most {MOST_MAPPINGS:,}")):
        read(tmp_path, b"".join(b"o%d,n%d\n" % (number, number) for number in range(MOST_MAPPINGS + 1)))


def test_no_name_is_in_a_repr() -> None:
    assert repr(Renaming(line=3, current="quinn", desired="nadia")) == "Renaming(line=3)"

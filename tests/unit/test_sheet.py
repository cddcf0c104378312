"""Findings are read at a glance: wrapped beside their labels on a terminal, one line a paragraph elsewhere."""

import io

import pytest

from starter.sheet import Line, print_sheet


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LINE = Line(margin="  mend   ", text="Give the final address, as none is followed.", margin_style="dim")


def test_on_a_terminal_a_paragraph_is_wrapped_to_the_right_of_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    print_sheet(stream, [LINE])
    assert stream.getvalue().splitlines() == ["  mend   Give the final address, as none", "         is followed."]


def test_elsewhere_a_paragraph_is_one_line_without_colours() -> None:
    stream = io.StringIO()
    print_sheet(stream, [LINE, Line(), Line(margin="  ✓ ", text="a\x1b[2Jb")])
    assert stream.getvalue() == "  mend   Give the final address, as none is followed.\n\n  ✓ a\\u001b[2Jb\n"

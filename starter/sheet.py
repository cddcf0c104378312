"""A page of findings: marks and labels to the left, sentences that are wrapped to the terminal to the right of them."""

import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

from starter.output import show

#: Longer lines are hard to follow back to their beginning.
_WIDEST = 110
_NARROWEST = 40


@dataclass(frozen=True, kw_only=True)
class Line:
    """One paragraph. `margin` is printed once; what is wrapped goes on to the right of it."""

    margin: str = ""
    text: str = ""
    #: Styles of rich (`green`, `bold red`), used on a terminal only.
    margin_style: str = ""
    style: str = ""


def print_sheet(stream: TextIO, lines: Iterable[Line]) -> None:
    """Print: wrapped and coloured on a terminal, one line a paragraph elsewhere, so that it can be searched."""
    if not stream.isatty():
        stream.write("".join(f"{plain(line)}\n" for line in lines))
        stream.flush()
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    for line in lines:
        for number, part in enumerate(_wrapped(line, width=width)):
            margin = line.margin if number == 0 else " " * len(line.margin)
            text = Text().append(margin, style=line.margin_style).append(part, style=line.style)
            console.print(text, soft_wrap=True)


def plain(line: Line) -> str:
    """A paragraph as text. Characters that could redraw a terminal are written out."""
    return f"{line.margin}{_printable(line.text)}".rstrip()


def _wrapped(line: Line, *, width: int) -> list[str]:
    room = max(width - len(line.margin), _NARROWEST // 2)
    return textwrap.wrap(_printable(line.text), room, break_long_words=False, break_on_hyphens=False) or [""]


def _printable(text: str) -> str:
    return show(text) if text else ""

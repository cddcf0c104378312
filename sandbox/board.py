"""What the demo shows while it runs and at its end: a live table on a terminal, plain lines elsewhere."""

import textwrap
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

#: In lines: a longer mail is shown by its beginning.
_LONGEST_MAIL = 14
_BEGINNING = 12
#: In columns: how far what is quoted stands in, and how narrow it may become.
_QUOTED, _NARROWEST = 4, 30


@dataclass(kw_only=True)
class Line:
    """One person's line."""

    person: str
    shows: str
    now: str = "waiting for the curtain"
    ended_well: bool | None = None


class Board:
    """The demo's lines. `with board:` shows them live."""

    def __init__(self, *, out: TextIO) -> None:
        # Without a terminal rich assumes 80 columns, which would cut the closing table off.
        self.console = Console(file=out, highlight=False, width=None if out.isatty() else 140)
        self._lines: dict[str, Line] = {}
        self._began = time.monotonic()
        self._open = ExitStack()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        if self.console.is_terminal:
            live = Live(get_renderable=self._live_table, console=self.console, refresh_per_second=8, transient=True)
            self._live = self._open.enter_context(live)
        return self

    def __exit__(self, *exception: object) -> None:
        """Take the live table away."""
        self._live = None
        self._open.close()

    def add(self, *, person: str, shows: str) -> None:
        """Give a person a line."""
        self._lines[person] = Line(person=person, shows=shows)

    def tell(self, *, person: str, text: str) -> None:
        """Say what happens to a person now; said once."""
        line = self._lines[person]
        if line.now == text:
            return
        line.now = text
        if self._live is None:
            self.note(f"{person}: {text}")

    def glance(self, *, person: str, text: str) -> None:
        """Show what happens to a person now where the lines are shown live, and nowhere else."""
        if self._live is not None:
            self._lines[person].now = text

    def command(self, *, person: str, text: str) -> None:
        """Say which command is given about a person. It stays to be read, also where the lines are shown live."""
        self.note(f"{person}: {text}")
        self._lines[person].now = text

    def end(self, *, person: str, well: bool, text: str) -> None:
        """Say how a person's part ended."""
        self.tell(person=person, text=text)
        self._lines[person].ended_well = well

    def note(self, text: str) -> None:
        """Print a line of its own, with the seconds so far."""
        self.console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  ", Text(text), sep="", soft_wrap=True)

    def say(self, text: str = "") -> None:
        """Print a line as it is."""
        self.console.print(Text(text), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Begin another part."""
        self.console.print()
        self.console.print(Text(text, style="bold"), soft_wrap=True)

    def quote(self, lines: Iterable[str]) -> None:
        """Print what a command, a file or a service says."""
        for line in lines:
            indent, text = line[: len(line) - len(line.lstrip())], line.strip()
            width = max(_NARROWEST, self.console.width - _QUOTED - len(indent))
            for part in textwrap.wrap(text, width, break_on_hyphens=False):
                self.say(f"{' ' * _QUOTED}{indent}{part}")

    def show_table(self, title: str, headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
        """Print a table of texts."""
        table = Table(title=title, title_justify="left")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print()
        self.console.print(table)

    def show_results(self, rows: Iterable[tuple[str, str, str, Iterable[str], bool]]) -> None:
        """Print the closing table: person, what was shown, outcome, evidence, and whether it ended as it should."""
        table = Table(title="What happened", title_justify="left", show_lines=True)
        # Outcomes are long words: a column of their own would leave 80 columns little room for the evidence.
        for heading in ("", "person", "what was shown, how it ended", "evidence"):
            table.add_column(heading, overflow="fold")
        for person, shows, outcome, evidence, well in rows:
            how = Text.assemble(shows, "\n", (outcome, "bold"))
            table.add_row(_mark(well), Text(person), how, Text("\n".join(evidence)))
        self.console.print(table)

    def show_mails(self, title: str, mails: Iterable[Mapping[str, Any]]) -> None:
        """Print how a mailbox looks: each mail's subject, and how its text begins."""
        self.console.print()
        self.console.print(Text(title, style="italic"))
        listed = list(mails)
        if not listed:
            self._say_indented(Text("no mails"), by=2)
        for mail in listed:
            self._say_indented(Text(mail["subject"], style="bold"), by=2)
            lines = [line for line in mail["text"].splitlines() if line.strip()]
            if len(lines) > _LONGEST_MAIL:
                lines = [*lines[:_BEGINNING], f"… and {len(lines) - _BEGINNING} more lines"]
            for line in lines:
                self._say_indented(Text(line), by=4)

    def _say_indented(self, text: Text, *, by: int) -> None:
        self.console.print(Padding(text, (0, 0, 0, by), expand=False))

    def _live_table(self) -> Table:
        table = Table(title=f"{time.monotonic() - self._began:.0f} s", title_justify="left")
        for heading in ("", "person", "shows", "now"):
            table.add_column(heading)
        for line in self._lines.values():
            mark = Text("…", style="dim") if line.ended_well is None else _mark(line.ended_well)
            table.add_row(mark, line.person, line.shows, Text(line.now))
        return table


def _mark(well: bool) -> Text:
    return Text("✓", style="green") if well else Text("✗", style="red")

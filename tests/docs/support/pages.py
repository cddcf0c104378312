"""Pages of the documentation as what a test can use: their sections, and the code in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"

_HEADING = re.compile(r"#{1,6} (.+)")
_FENCE = re.compile(r"```(\w*)(?: (.*))?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of code. `name` is what stands behind the language: the file that it is."""

    language: str
    text: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What stands under one heading, up to the next."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def slug(self) -> str:
        """The heading as a link has it."""
        return re.sub(r"[^\w-]", "", self.title.lower().replace(" ", "-"))

    def block(self, language: str) -> str:
        """The one block of a language."""
        [text] = [block.text for block in self.blocks if block.language == language]
        return text


def sections_of(page: Path) -> list[Section]:
    """A page's sections, in order."""
    return list(_sections(page.read_text()))


def blocks_of(page: Path) -> list[Block]:
    """All code of a page, in order."""
    return [block for section in sections_of(page) for block in section.blocks]


def _sections(text: str) -> Iterator[Section]:
    title, blocks = "", list[Block]()
    lines = iter(text.splitlines())
    for line in lines:
        if fence := _FENCE.fullmatch(line):
            code = "".join(f"{inside}\n" for inside in iter(lambda: next(lines), "```"))
            blocks.append(Block(language=fence[1], text=code, name=fence[2] or ""))
        elif heading := _HEADING.fullmatch(line):
            yield Section(title=title, blocks=tuple(blocks))
            title, blocks = heading[1], []
    yield Section(title=title, blocks=tuple(blocks))

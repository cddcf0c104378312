"""`docs/add-your-service.md` is followed to the letter: its files are written, its commands typed, its output compared."""

import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.docs.support.pages import DOCS, Block, blocks_of
from tests.docs.support.shell import Shell, Typed, a_shell, typed_in
from tests.support.servers import free_port
from tests.support.waiting import eventually

PAGE = DOCS / "add-your-service.md"

#: Ports that the page names; others may have them here.
_PORT = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=port )|(?<=PORT=))\d{4,5}\b")
#: What is done to the page so that it can run anywhere, and soon: nothing else.
_HERE = {
    ". .venv/bin/activate": f'export PATH="{Path(sys.executable).parent}:$PATH"',
    "--cool-off 1m": "--cool-off 3s",
}
#: How commands may end that are meant to find something; all others with 0.
_FINDS = {"retire plan check": 1, "retire conformance": 11}


class Reader:
    """Somebody who does what the page says, and nothing else."""

    def __init__(self, shell: Shell, home: Path) -> None:
        self._shell = shell
        self._folder = home / "retire-library"

    async def follow(self, block: Block) -> None:
        """Write the file, mend it, or type the commands."""
        match block.language:
            case "console":
                for typed in typed_in(block.text):
                    await self._type(typed)
            case "diff":
                path = self._folder / block.name
                path.write_text(_mended(path.read_text(), block.text))
            case _:
                assert block.name, f"a block that is no file: {block.text}"
                (self._folder / block.name).write_text(block.text)

    async def _type(self, typed: Typed) -> None:
        # Whoever reads is slower than a worker that begins to poll.
        await (eventually(lambda: self._compared(typed)) if typed.command == "retire doctor" else self._compared(typed))
        if typed.is_in_background:
            await eventually(lambda: self._is_up(typed.command))

    async def _compared(self, typed: Typed) -> None:
        code, output = await self._shell.type(typed.command)
        has = "\n".join(typed.shown)
        assert typed.appears_in(output), f"$ {typed.command}\nappears:\n{output}\nthe page has:\n{has}"
        found = next((code for start, code in _FINDS.items() if typed.command.startswith(start)), 0)
        assert code == (found if "✗" in output or " errors in " in output else 0), f"$ {typed.command}\n{output}"

    def _is_up(self, command: str) -> None:
        ports = _PORT.findall(command)
        for port in ports:
            with socket.socket() as attempt:
                assert attempt.connect_ex(("127.0.0.1", int(port))) == 0, command
        if not ports:
            assert command.startswith("retire worker")
            log = self._folder / "worker.log"
            assert log.exists() and '"polling"' in log.read_text()


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    """A newcomer, at home in an empty folder."""
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    environment["TEMPORAL_CLI"] = os.environ["TEMPORAL_CLI"]
    # Results and notes then come in the order in which a terminal shows them.
    environment["PYTHONUNBUFFERED"] = "1"
    async with a_shell(folder=DOCS.parent, environment=environment) as shell:
        yield Reader(shell, tmp_path)


# Two dozen commands, each a process of its own.
@pytest.mark.timeout(300)
async def test_the_page_is_true_to_the_letter(reader: Reader, tmp_path: Path) -> None:
    blocks = [Block(language=b.language, text=text, name=b.name) for b, text in _made_to_run_here(blocks_of(PAGE))]
    commands = [typed.command for block in blocks if block.language == "console" for typed in typed_in(block.text)]
    for expected in ("plan check", "plan show", "plan try", "conformance", "setup", "doctor", "start", "report"):
        assert any(command.startswith(f"retire {expected}") for command in commands), expected
    for block in blocks:
        await reader.follow(block)

    plan = tmp_path / "retire-library" / "plans" / "library.yaml"
    [schema] = re.findall(r"\$schema=(\S+)", plan.read_text())
    assert json.loads((plan.parent / schema).read_text())["title"] == "Retirement plan"


def test_a_page_that_shows_what_does_not_appear_is_noticed() -> None:
    shown = Typed(command="retire doctor", shown=("ok  plan  2 steps", "…", "took 68 ms"))
    assert shown.appears_in("ok   plan  2 steps\nok  more\ntook 7 ms\n")
    assert not shown.appears_in("ok   plan  3 steps\nok  more\ntook 7 ms\n")
    assert not shown.appears_in("ok   plan  2 steps\nok  more\ntook 7 ms\none more\n")
    assert Typed(command="x", shown=("ledger  made  …",)).appears_in("ledger    made   sqlite:///x\n")


def _made_to_run_here(blocks: list[Block]) -> Iterator[tuple[Block, str]]:
    """Ports are replaced by free ones, the same port always by the same."""
    ports: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        return ports.setdefault(match[0], str(free_port()))

    used = set[str]()
    for block in blocks:
        text = _PORT.sub(other, block.text)
        for said, meant in _HERE.items():
            if said in text:
                text = text.replace(said, meant)
                used.add(said)
        yield block, text
    assert used == set(_HERE) and len(ports) == 4


def _mended(text: str, diff: str) -> str:
    """A text with a diff in it: lines with `-` go, lines with `+` come."""
    before = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line[0] in "- ")
    after = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line[0] in "+ ")
    assert text.count(before) == 1, f"what is to be mended is not there once:\n{before}"
    return text.replace(before, after)

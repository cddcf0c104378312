"""A shell in which the commands of a page are typed, one after the other, by somebody who reads it."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_WITHIN = 60.0
_SENTINEL = "the command has ended with"
#: What is another each time, and what stands for it.
_OTHER_EACH_TIME = (
    (re.compile(r"\b\d+ ms\b"), "… ms"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\b"), "(date)"),
    (re.compile(r"\b\d{1,2} [A-Z][a-z]+ \d{4}\b"), "(date)"),
    (re.compile(r"\br-[a-z2-7]{20,}"), "(retirement)"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "(digest)"),
    (re.compile(r" {2,}"), "  "),
)


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A command of a page, and what the page says that appears."""

    command: str
    shown: tuple[str, ...]

    @property
    def is_in_background(self) -> bool:
        """Does it go on while the next ones are typed?"""
        return self.command.endswith("&")

    def appears_in(self, output: str) -> bool:
        """Is this what came? `…` on the page stands for any lines, at the end of a line for its rest."""
        pattern = "".join(
            r"(?:.*\n)*?" if line == "…" else re.escape(_same(line.removesuffix("…"))) + _rest_of(line) + r"\n"
            for line in self.shown
        )
        return re.fullmatch(pattern, _same(output)) is not None


def typed_in(console: str) -> list[Typed]:
    """The commands of a console block, each with its output."""
    commands: list[Typed] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            commands.append(Typed(command=line[2:], shown=()))
        else:
            last = commands.pop()
            commands.append(Typed(command=last.command, shown=(*last.shown, line)))
    return commands


class Shell:
    """A bash that lives as long as the page; commands see what earlier ones have exported."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def type(self, command: str) -> tuple[int, str]:
        """Run a command to its end; its exit code, and all that appeared."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho {_SENTINEL} $?\n".encode())
        lines: list[str] = []
        async with asyncio.timeout(_WITHIN):
            while True:
                line = (await self._process.stdout.readline()).decode()
                assert line, f"the shell has ended: {''.join(lines)}"
                if line.startswith(_SENTINEL):
                    return int(line.split()[-1]), "".join(lines)
                lines.append(line)


@contextlib.asynccontextmanager
async def a_shell(*, folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Shell]:
    """A shell in a folder, until the block ends; whatever it has left running ends with it."""
    process = await asyncio.create_subprocess_exec(
        *_without_own_settings(),
        cwd=folder,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Shell(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _without_own_settings() -> Sequence[str]:
    return ("bash", "--noprofile", "--norc")


def _rest_of(line: str) -> str:
    return ".*" if line.endswith("…") else ""


def _same(text: str) -> str:
    for pattern, stands_for in _OTHER_EACH_TIME:
        text = pattern.sub(stands_for, text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines()) if "\n" in text else text.rstrip()

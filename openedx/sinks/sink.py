"""What archives and reports need of the place where they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

#: Of a file or folder, in bytes: file systems take 255, and a draft's name is longer.
_LONGEST_NAME = 240


class SinkError(Exception):
    """A place that can't be reached or used. The text says what, where and how to mend it; never what is in a file."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One file as it is listed."""

    #: Its path below the place, with `/` between folders.
    key: str
    size: int
    #: When it was made or, where one of the same key was there before, replaced.
    created_at: datetime

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def is_in_a_folder(self) -> bool:
        """Does it lie below a folder of the place?"""
        return "/" in self.key


class Sink(Protocol):
    """A place for files, by key.

    Keys are paths with `/`. Every method raises SinkError where the place doesn't do as it is asked.
    """

    @property
    def where(self) -> str:
        """The place, as people know it."""
        ...

    async def check(self, *, folders: Sequence[str] = ()) -> None:
        """Make sure, without changing anything, that the place and these of its folders can be reached and used."""
        ...

    async def put(self, *, key: str, content: bytes, content_type: str, expires_at: datetime | None = None) -> None:
        """Store a file, in place of one of the same key, and read it back: it returns once the place has all of it.

        One that is there already, byte for byte, is left alone, so that a repeat makes nothing twice. `expires_at` is
        written on the file where the place can do so; what is over, whoever put it there has to delete all the same.
        """
        ...

    async def read(self, *, key: str) -> bytes | None:
        """What is in a file; None where there is none."""
        ...

    async def exists(self, *, key: str) -> bool:
        """Is there a file of this key?"""
        ...

    async def list(self, *, prefix: str = "") -> list[Stored]:
        """All files at any depth whose key begins so, by key."""
        ...

    async def delete(self, *, key: str) -> bool:
        """Delete a file for good, with every older version of it; whether there was one."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


def check_name(name: str) -> str:
    """The name of one file or folder, if every place can take it.

    Raises:
        SinkError: as for a key.
    """
    return check_key(name.replace("/", "\\"))


def check_key(key: str) -> str:
    """The key, if it is one that means the same in every place.

    Raises:
        SinkError: it would leave the place, be hidden in it, or be too long for some.
    """
    for part in key.split("/"):
        fits = 0 < len(part.encode("utf-8", "replace")) <= _LONGEST_NAME
        if not fits or part.startswith(".") or "\\" in part or not part.isprintable():
            raise SinkError(
                "A file's path is none that every place can take. Names of partners and platforms have no / and no \\, "
                "don't begin with a dot, and are at most a hundred letters long."
            )
    return key

"""A folder as a place for files.

Who may read it is a matter of the folder: files are made for their owner alone (0600), folders below it likewise (0700), and
ones that are there keep their permissions. A folder encrypts nothing: put it on an encrypted file system (LUKS, ZFS or
a network share that encrypts at rest), and keep its backups as short as the files themselves. A deleted file is unlinked, in
no bin; its blocks are the file system's to overwrite.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from openedx.sinks.sink import SinkError, Stored, check_key

T = TypeVar("T")

#: Marks a file that is being written: one that a crash has left is replaced with the next try, and is never listed.
_PARTIAL = ".partial"


class DirectorySink:
    """Files in a folder of this machine, or one that is mounted there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def where(self) -> str:
        """The folder."""
        return f"the folder {self._root}"

    async def check(self, *, folders: Sequence[str] = ()) -> None:
        """The folder has to be there, as one that is made up would hide a share that isn't mounted."""
        await self._do(lambda: self._check(folders))

    async def put(self, *, key: str, content: bytes, content_type: str, expires_at: datetime | None = None) -> None:
        """Write beside, then rename: nobody ever reads half a file. A folder keeps no type and no expiry of a file."""

        def put() -> None:
            if self._read(key) == content:
                return
            self._check(())
            self._write(self._path(key), content)
            if self._read(key) != content:
                raise SinkError(
                    f"{self._told} did not keep what was written to it. See that its disk is sound and not full."
                )

        await self._do(put)

    async def read(self, *, key: str) -> bytes | None:
        """Read the file."""
        return await self._do(lambda: self._read(key))

    async def exists(self, *, key: str) -> bool:
        """Is there a plain file of this key?"""
        return await self._do(lambda: self._path(key).is_file())

    async def list(self, *, prefix: str = "") -> list[Stored]:
        """Plain files; links are not followed. A file was created when its content was written last."""
        return await self._do(lambda: sorted(self._walk(prefix), key=lambda stored: stored.key))

    async def delete(self, *, key: str) -> bool:
        """Unlink the file; an empty folder stays."""

        def delete() -> bool:
            path = self._path(key)
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
            _sync(path.parent)
            return True

        return await self._do(delete)

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def _told(self) -> str:
        return self.where[0].upper() + self.where[1:]

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _check(self, folders: Sequence[str]) -> None:
        if not self._root.is_dir():
            raise SinkError(f"{self._told} isn't there. Mount or make it, or name another one.")
        for folder in (self._root, *(self._root / check_key(folder) for folder in folders)):
            if folder.exists() and not (folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
                raise SinkError(
                    f"{folder} is no folder that we may write to. Give this process's user that right, or move it away."
                )

    def _read(self, key: str) -> bytes | None:
        try:
            with os.fdopen(os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _write(self, path: Path, content: bytes) -> None:
        self._make(path.parent)
        draft = path.with_name(f".{path.name}{_PARTIAL}")
        try:
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync(path.parent)

    def _make(self, folder: Path) -> None:
        """The folder and those above it, up to ours, for their owner alone."""
        if folder != self._root and not folder.is_dir():
            self._make(folder.parent)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            _sync(folder.parent)

    def _walk(self, prefix: str) -> Iterator[Stored]:
        self._check(())
        # Only what can hold such keys is looked through: the rest may be large, or not ours to read.
        top = self._root / prefix.rpartition("/")[0]
        for folder, _, names in os.walk(top, onerror=_raise):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                found = path.lstat()
                if key.startswith(prefix) and stat.S_ISREG(found.st_mode) and not name.endswith(_PARTIAL):
                    created_at = datetime.fromtimestamp(found.st_mtime, UTC)
                    yield Stored(key=key, size=found.st_size, created_at=created_at)

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise SinkError(
                f"{self._told} can't be used ({why}). See that it is mounted, writable for this process's user, "
                "and not full."
            ) from None


def _sync(folder: Path) -> None:
    """Let a power cut not undo what was done in the folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _raise(error: OSError) -> None:
    # A folder that is not there (yet) has no files in it; one that we may not read might.
    if not isinstance(error, FileNotFoundError):
        raise error

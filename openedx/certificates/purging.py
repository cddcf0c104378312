"""Purging certificates: their four files are deleted, that is confirmed, and only then the LMS blanks its links.

The links are the only way to find the files again. So a certificate whose files are not certainly gone keeps them, and what has
been begun is on record: a crash before the links are blank is made good by running this again.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from openedx.certificates.blanking import MOST_AT_ONCE, Blanking
from openedx.certificates.listing import Certificate
from openedx.certificates.one_by_one import blank_all
from openedx.certificates.outcomes import Outcome, Result
from openedx.certificates.paths import CertificatePaths, NoPath, files_of
from openedx.certificates.records import Known, Records, fingerprint
from openedx.sinks import Sink, SinkError

#: Certificates at work in the store at a time.
_AT_A_TIME = 8


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """A certificate, and how many of its four files are there."""

    certificate: Certificate
    keys: tuple[str, ...] = field(repr=False)
    place: str = field(repr=False)
    files: int

    def ended(self, result: Result, code: str | None = None) -> Outcome:
        """What became of it."""
        return Outcome(id=self.certificate.id, result=result, code=code, files=self.files)


class Purging:
    """The certificates of a site, in its store and its LMS."""

    def __init__(
        self,
        *,
        store: Sink,
        paths: CertificatePaths,
        records: Records,
        blanking: Blanking,
        accept_missing: bool = False,
    ) -> None:
        self._store = store
        self._paths = paths
        self._records = records
        self._blanking = blanking
        self._accept_missing = accept_missing
        self._slots = asyncio.Semaphore(_AT_A_TIME)
        #: Set once what failed would fail for all others, too.
        self._is_stopped = False

    async def purge(
        self, certificates: Sequence[Certificate], *, tell: Callable[[int], None] = lambda done: None
    ) -> list[Outcome]:
        """Purge them; gives what became of each, in their order. `tell` hears how many are through.

        Raises:
            SinkError: the store can't be used from the beginning. Later it is told of those that are left.
        """
        ended: dict[int, Outcome] = {}
        code = "not_tried"
        for batch in _batches(certificates):
            try:
                outcomes = await self._purge(batch)
            except SinkError:
                if not ended:
                    raise
                code = "store_lost"
                break
            ended |= {outcome.id: outcome for outcome in outcomes}
            tell(len(ended))
            if self._is_stopped:
                break
        left = Outcome(id=0, result=Result.FAILED, code=code)
        return [ended.get(certificate.id, replace(left, id=certificate.id)) for certificate in certificates]

    async def forecast(self, certificates: Sequence[Certificate]) -> list[Outcome]:
        """What `purge` would do, as far as can be told without doing anything.

        Raises:
            SinkError: the store can't be used at all.
        """
        ended: list[Outcome] = []
        for batch in _batches(certificates):
            outcomes, ready = await self._look(batch)
            ended += [*outcomes, *(looked.ended(Result.TO_BE_PURGED) for looked in ready)]
        return ended

    async def _purge(self, batch: Sequence[Certificate]) -> list[Outcome]:
        outcomes, ready = await self._look(batch)
        # On record before the first file goes: afterwards nobody could tell a crash from a wrong place.
        await self._records.begin({looked.certificate.id: looked.place for looked in ready})
        gone: list[_Looked] = []
        for looked, code in zip(ready, await asyncio.gather(*map(self._delete, ready)), strict=True):
            if code is None:
                gone.append(looked)
            else:
                outcomes.append(looked.ended(Result.FAILED, code))
        blanked = await blank_all(self._blanking, [looked.certificate.id for looked in gone])
        await self._records.finish(blanked.done)
        self._is_stopped = blanked.is_general
        for looked in gone:
            code = blanked.failed.get(looked.certificate.id)
            outcomes.append(looked.ended(Result.PURGED if code is None else Result.FAILED, code))
        return outcomes

    async def _look(self, batch: Sequence[Certificate]) -> tuple[list[Outcome], list[_Looked]]:
        """Find the files; gives what has ended already, and those whose files may be deleted."""
        # A share that isn't mounted has no files, either.
        await self._store.check()
        found = await asyncio.gather(*map(self._find, batch))
        # Read after looking: whoever deleted files before we looked has put that on record before.
        known = await self._records.read([certificate.id for certificate in batch])
        outcomes = [each for each in found if isinstance(each, Outcome)]
        ready: list[_Looked] = []
        for looked in found:
            if isinstance(looked, Outcome):
                continue
            if looked.files or self._accept_missing or _has_begun(looked, known):
                ready.append(looked)
            elif looked.certificate.id in known.finished:
                outcomes.append(looked.ended(Result.PURGED_BEFORE))
            else:
                outcomes.append(looked.ended(Result.FAILED, "none_found"))
        return outcomes, ready

    async def _find(self, certificate: Certificate) -> _Looked | Outcome:
        try:
            keys = files_of(certificate, paths=self._paths)
        except NoPath as why:
            return Outcome(id=certificate.id, result=Result.FAILED, code=why.code)
        try:
            async with self._slots:
                files = sum([await self._store.exists(key=key) for key in keys])
        except SinkError:
            return Outcome(id=certificate.id, result=Result.FAILED, code="not_deleted")
        place = fingerprint(where=self._store.where, keys=keys)
        return _Looked(certificate=certificate, keys=keys, place=place, files=files)

    async def _delete(self, looked: _Looked) -> str | None:
        """Delete all four and see that they are gone; why they may not be, or None."""
        async with self._slots:
            # Also those that were not found: an object store may keep older versions of them.
            if not all([await self._is_deleted(key) for key in looked.keys]):
                return "not_deleted"
            try:
                return "still_there" if any([await self._store.exists(key=key) for key in looked.keys]) else None
            except SinkError:
                return "not_deleted"

    async def _is_deleted(self, key: str) -> bool:
        try:
            await self._store.delete(key=key)
        except SinkError:
            return False
        return True


def _has_begun(looked: _Looked, known: Known) -> bool:
    """Was the deletion begun, in this very place?"""
    return known.begun.get(looked.certificate.id) == looked.place


def _batches(certificates: Sequence[Certificate]) -> Iterator[Sequence[Certificate]]:
    for at in range(0, len(certificates), MOST_AT_ONCE):
        yield certificates[at : at + MOST_AT_ONCE]

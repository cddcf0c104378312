"""Whose deletion has begun: on record before the first file goes, until the LMS has forgotten the links.

A certificate without files may be one whose deletion a crash has cut off, or one that was looked for in a wrong place. Only the
record tells them apart: it holds, sealed, a fingerprint of the place and the four paths.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ledger.errors import LedgerConflict
from ledger.jobs import Job, JobKind
from ledger.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is on record of some certificates, by their ids."""

    #: Fingerprints of where their files were when the deletion began.
    begun: Mapping[int, str]
    #: The LMS has forgotten their links.
    finished: frozenset[int]


class Records:
    """The records of a site in the ledger: a job a certificate, of which only the id can be read without the keys."""

    def __init__(self, *, ledger: Ledger, site: str) -> None:
        self._ledger = ledger
        self._site = site

    async def read(self, ids: Collection[int]) -> Known:
        """What is on record of these."""
        jobs = await self._jobs(ids)
        finished = await self._ledger.finished_jobs(site=self._site, kind=JobKind.CERTIFICATES, keys=_keys(ids))
        return Known(
            begun={id: str(job.values["place"]) for id, job in jobs.items()},
            finished=frozenset(int(key) for key in finished),
        )

    async def begin(self, places: Mapping[int, str]) -> None:
        """Open a job for each; one that a crash has left open is taken over."""
        try:
            known = await self._begin(places)
        except LedgerConflict:
            # Another run has begun the same ones since we looked: what it noted serves as well.
            known = await self._begin(places)
        for id, job in known.items():
            if job.values["place"] != places[id]:
                await self._ledger.keep_job(id=job.id, values={"place": places[id]})

    async def _begin(self, places: Mapping[int, str]) -> dict[int, Job]:
        """Open the jobs that are not there; gives those that were."""
        known = await self._jobs(places)
        new = {str(id): {"place": place} for id, place in places.items() if id not in known}
        if new:
            await self._ledger.open_jobs(site=self._site, kind=JobKind.CERTIFICATES, values=new, now=datetime.now(UTC))
        return known

    async def finish(self, ids: Collection[int]) -> None:
        """End their jobs."""
        now = datetime.now(UTC)
        for job in (await self._jobs(ids)).values():
            await self._ledger.end_job(id=job.id, now=now)

    async def _jobs(self, ids: Collection[int]) -> dict[int, Job]:
        wanted = _keys(ids)
        jobs = await self._ledger.jobs(site=self._site, kind=JobKind.CERTIFICATES)
        return {int(job.key): job for job in jobs if job.key in wanted}


def fingerprint(*, where: str, keys: Sequence[str]) -> str:
    """Tells one place and its paths from another, and nothing else about them."""
    return hashlib.sha256("\0".join((where, *keys)).encode()).hexdigest()


def _keys(ids: Collection[int]) -> frozenset[str]:
    return frozenset(str(id) for id in ids)

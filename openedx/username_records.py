"""How far each replacement is: sealed in the ledger before the LMS is asked, until the name is replaced everywhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from ledger.jobs import JobKind
from ledger.ledger import Ledger
from openedx.username_mappings import Renaming
from openedx.username_services import LMS

#: Asked, and nobody knows what came of it.
UNKNOWN = "unknown"
DONE = "done"
#: What isn't settled after this long is settled by hand, and the names are no longer kept.
LONGEST_KEPT = timedelta(days=90)


class Status(StrEnum):
    """What is told of a name in the end."""

    SUCCESS = "SUCCESS"
    PARTIALLY_FAILED = "PARTIALLY FAILED"
    FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one replacement is."""

    current: str = field(repr=False)
    desired: str = field(repr=False)
    #: What the LMS has called them; until then what is desired.
    new: str = field(repr=False)
    #: The service that is next, or that failed; `DONE` behind the last.
    at: str = LMS
    #: Why it did not get further.
    code: str | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """What tells it from others: who wants to be called what."""
        return (self.current, self.desired)

    @property
    def status(self) -> Status:
        """What it comes to."""
        if self.at == DONE:
            return Status.SUCCESS
        return Status.FAILED if self.at == LMS else Status.PARTIALLY_FAILED

    @property
    def is_unknown(self) -> bool:
        """Was the LMS asked, and nobody knows what it did?"""
        return self.at == LMS and self.code == UNKNOWN

    def moved(self, *, at: str, code: str | None = None, new: str | None = None) -> "Standing":
        """The same replacement, elsewhere."""
        return replace(self, at=at, code=code, new=self.new if new is None else new)


def standing_of(renaming: Renaming) -> Standing:
    """A replacement of which nothing is on record."""
    return Standing(current=renaming.current, desired=renaming.desired, new=renaming.desired)


class Record:
    """Replacements of one file that are on record together. `key` tells it from the others of its site."""

    def __init__(self, *, ledger: Ledger, site: str, file: str, key: str, standings: Iterable[Standing] = ()) -> None:
        self._ledger = ledger
        self._site = site
        self._key = key
        self.job_id: str | None = None
        self.file = file
        self.standings = {standing.pair: standing for standing in standings}

    async def keep(self, standings: Sequence[Standing]) -> None:
        """Note how far these are.

        Raises:
            LedgerConflict: somebody else is replacing usernames of this site at this moment.
        """
        self.standings |= {standing.pair: standing for standing in standings}
        values = {"file": self.file, "names": [_row(standing) for standing in self.standings.values()]}
        if self.job_id is None:
            job = await self._ledger.open_job(
                site=self._site, kind=JobKind.USERNAMES, key=self._key, values=values, now=datetime.now(UTC)
            )
            self.job_id = job.id
        else:
            await self._ledger.keep_job(id=self.job_id, values=values)

    @property
    def is_done(self) -> bool:
        """Are all replaced everywhere?"""
        return all(standing.at == DONE for standing in self.standings.values())


class RecordBook:
    """What is on record of a site's replacements. A file's records go together, when the last name of it is replaced.

    For as long as the file may be run again it must be known which of its names the LMS has replaced: whoever has such an old
    name by then is somebody else.
    """

    def __init__(self, *, ledger: Ledger, site: str) -> None:
        self._ledger = ledger
        self._site = site
        self._last = 0
        self.records: list[Record] = []

    async def read(self) -> None:
        """Read what is not settled; what is older than `LONGEST_KEPT` is forgotten."""
        now = datetime.now(UTC)
        for job in await self._ledger.jobs(site=self._site, kind=JobKind.USERNAMES):
            if job.created_at < now - LONGEST_KEPT:
                await self._ledger.end_job(id=job.id, now=now)
                continue
            self._last = max(self._last, int(job.key))
            record = Record(
                ledger=self._ledger,
                site=self._site,
                file=job.values["file"],
                key=job.key,
                standings=[Standing(**row) for row in job.values["names"]],
            )
            record.job_id = job.id
            self.records.append(record)

    def add(self, *, file: str) -> Record:
        """A record that is to be. Two runs that add the same one get in each other's way, which the ledger tells."""
        self._last += 1
        record = Record(ledger=self._ledger, site=self._site, file=file, key=str(self._last))
        self.records.append(record)
        return record

    async def end_finished(self) -> None:
        """Forget the files of which every name is replaced everywhere."""
        now = datetime.now(UTC)
        begun = [record for record in self.records if record.job_id is not None]
        unfinished = {record.file for record in begun if not record.is_done}
        for record in begun:
            if record.file not in unfinished and record.job_id is not None:
                await self._ledger.end_job(id=record.job_id, now=now)


def _row(standing: Standing) -> dict[str, Any]:
    return {
        "current": standing.current,
        "desired": standing.desired,
        "new": standing.new,
        "at": standing.at,
        "code": standing.code,
    }

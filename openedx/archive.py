"""Archive and cleanup: learners that are complete go into an object, and once that is confirmed the LMS forgets them.

Which learners are in which object is frozen, sealed, before anything is made. After a crash anywhere the same batches
are finished: the same key, the same content, and a learner is never cleaned up without being in an object.
"""

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from ledger.errors import LedgerConflict
from ledger.jobs import Job, JobKind
from ledger.ledger import Ledger
from openedx.lms import Lms, LmsRefused, LmsUnreachable
from openedx.row import Row
from openedx.sinks import Sink, Stored

#: The state that cleanup is allowed in.
COMPLETE = "COMPLETE"
#: Before it, no site retired anybody.
FIRST_DAY = date(2018, 1, 1)

_FOLDER = "raw/"
_NAME = re.compile(r"retirement_archive_(\d{4}_\d{2}_\d{2}_\d{2}_\d{2}_\d{2})_\d+\.json\.gz")
_STAMP = "%Y_%m_%d_%H_%M_%S"
_CONTENT_TYPE = "application/gzip"
#: Somebody else may move learners between our look at them and the cleanup; not more often than this.
_ROUNDS = 3

Fields = Literal["full", "minimal"]


class ArchiveRefused(Exception):
    """What was asked for is refused, and nothing was done about it. The text says why and how to mend it."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which days' requests are looked at, both included (UTC)."""

    start: date
    end: date


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an archive run is to do."""

    site: str
    window: Window
    batch_size: int = 100
    pause: timedelta = timedelta(seconds=10)
    fields: Fields = "full"
    retention_days: int | None = None


@dataclass(kw_only=True)
class Archived:
    """What came of it. `left_out`: retirement ids of learners that are archived, but not COMPLETE any more."""

    #: Complete learners that the LMS listed.
    found: int = 0
    #: Batches of an earlier run that were finished first.
    taken_up: int = 0
    batches: int = 0
    archived: int = 0
    cleaned: int = 0
    left_out: list[int] = field(default_factory=list)
    #: Objects that were deleted because their time was over.
    expired: int = 0


def window_of(*, start: date, end: date | None, cool_off_days: int, today: date) -> Window:
    """The days to look at.

    Raises:
        ArchiveRefused: they reach into the cool-off, or there are none.
    """
    last = today - timedelta(days=cool_off_days)
    end = last if end is None else end
    if end > last:
        raise ArchiveRefused(
            f"The end date {end} is inside the cool-off of {cool_off_days} days, in which learners may still be needed. "
            f"Give {last} or an earlier one, or another --cool-off-days."
        )
    if start >= end:
        raise ArchiveRefused(f"The start date {start} is not before the end date {end}. Give an earlier start.")
    return Window(start=start, end=end)


def record_of(row: Row, *, fields: Fields) -> dict[str, Any]:
    """One line of an object."""
    original = {
        "original_username": row.username,
        "original_email": row.original_email,
        "original_name": row.original_name,
    }
    return {
        "user_id": row.user_id,
        **(original if fields == "full" else {}),
        "retired_username": row.retired_username,
        "retired_email": row.retired_email,
        "retirement_request_date": _instant(row.created),
        "last_modified_date": _instant(row.modified),
    }


def lines_of(records: Iterable[dict[str, Any]]) -> bytes:
    """One JSON object a line. ASCII, so that no reader takes a letter for the end of one."""
    return b"".join(json.dumps(record).encode("ascii") + b"\n" for record in records)


def key_of(*, begun: datetime, batch: int) -> str:
    """An object's key: the run's beginning and the batch's number."""
    return f"{_FOLDER}{begun:%Y/%m}/retirement_archive_{begun.strftime(_STAMP)}_{batch}.json.gz"


def is_over(stored: Stored, *, retention_days: int, now: datetime) -> bool:
    """Is it one of our objects whose time is over? Counted from the run that its name tells."""
    name = _NAME.fullmatch(stored.name)
    return name is not None and datetime.strptime(name[1], _STAMP).replace(tzinfo=UTC) < now - timedelta(
        days=retention_days
    )


class Archiving:
    """An archive run of one site."""

    def __init__(
        self,
        *,
        order: Order,
        lms: Lms,
        sink: Sink,
        ledger: Ledger,
        clock: Callable[[], datetime],
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        self._order = order
        self._lms = lms
        self._sink = sink
        self._ledger = ledger
        self._clock = clock
        self._progress = progress
        self._done = Archived()

    async def look(self) -> Archived:
        """What a run would find now; nothing is changed anywhere."""
        await self._sink.check()
        self._done.taken_up = len(await self._open())
        self._done.found = len(await self._complete())
        self._done.batches = -(-self._done.found // self._order.batch_size)
        if self._order.retention_days is not None:
            self._done.expired = len(await self._over(self._order.retention_days))
        return self._done

    async def run(self) -> Archived:
        """Finish what an earlier run has begun, then archive who is complete now.

        Raises:
            ArchiveRefused: another run is at work.
            SinkError, LmsRefused, LmsUnreachable: the batch at hand stays as it is; the next run goes on with it.
        """
        await self._sink.check()
        jobs = await self._open()
        self._done.taken_up = len(jobs)
        await self._finish(jobs)
        rows = await self._complete()
        self._done.found = len(rows)
        if rows:
            await self._finish(await self._freeze(rows))
        if self._order.retention_days is not None:
            for stored in await self._over(self._order.retention_days):
                self._done.expired += await self._sink.delete(key=stored.key)
        return self._done

    async def _open(self) -> list[Job]:
        return await self._ledger.jobs(site=self._order.site, kind=JobKind.ARCHIVE)

    async def _complete(self) -> list[Row]:
        window = self._order.window
        return await self._lms.by_status_and_date(state=COMPLETE, start=window.start, end=window.end)

    async def _over(self, retention_days: int) -> list[Stored]:
        listed = await self._sink.list(prefix=_FOLDER)
        return [stored for stored in listed if is_over(stored, retention_days=retention_days, now=self._clock())]

    async def _freeze(self, rows: Sequence[Row]) -> list[Job]:
        """All batches at once: of two runs that begin together, one has them."""
        begun = self._clock().astimezone(UTC)
        days = self._order.retention_days
        expires_at = None if days is None else (begun + timedelta(days=days)).isoformat()
        parts = [rows[at : at + self._order.batch_size] for at in range(0, len(rows), self._order.batch_size)]
        values = {
            str(batch): {
                "key": key_of(begun=begun, batch=batch),
                "expires_at": expires_at,
                "records": [record_of(row, fields=self._order.fields) for row in part],
                "learners": [[row.id, row.username] for row in part],
            }
            for batch, part in enumerate(parts, start=1)
        }
        try:
            return await self._ledger.open_jobs(
                site=self._order.site, kind=JobKind.ARCHIVE, values=values, now=self._clock()
            )
        except LedgerConflict:
            raise ArchiveRefused(
                "Another run is archiving this site's learners at this moment. Run this again when it has ended."
            ) from None

    async def _finish(self, jobs: Sequence[Job]) -> None:
        for number, job in enumerate(jobs):
            if number:
                await asyncio.sleep(self._order.pause.total_seconds())
            await self._upload(job)
            await self._clean_up({username: row_id for row_id, username in job.values["learners"]})
            await self._ledger.end_job(id=job.id, now=self._clock())
            self._done.batches += 1
            self._done.archived += len(job.values["learners"])
            self._progress(number + 1, len(jobs))

    async def _upload(self, job: Job) -> None:
        """Returns once the object is there as it was meant, whoever of us has put it there."""
        key, lines = job.values["key"], lines_of(job.values["records"])
        there = await self._sink.read(key=key)
        if there is not None:
            if _unpacked(there) == lines:
                return
            raise ArchiveRefused(
                f"{self._sink.where} holds another object with the key of this batch, so nothing was stored or cleaned "
                "up. Give each site that archives there a prefix or folder of its own."
            )
        expires_at = job.values["expires_at"]
        await self._sink.put(
            key=key,
            content=gzip.compress(lines, mtime=0),
            content_type=_CONTENT_TYPE,
            expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        )

    async def _clean_up(self, learners: dict[str, int]) -> None:
        """Have the LMS forget the learners: those that it still knows, and that are COMPLETE there."""
        rest, left_out = learners, 0
        for round in range(_ROUNDS):
            if not rest:
                break
            try:
                await self._lms.cleanup(list(rest))
                break
            except LmsRefused as refused:
                if refused.status != 400 or round == _ROUNDS - 1:
                    raise
            except LmsUnreachable as lost:
                if not lost.outcome_unknown or round == _ROUNDS - 1:
                    raise
            rest, moved = await self._still_complete(rest)
            left_out += len(moved)
            self._done.left_out += moved
        self._done.cleaned += len(learners) - left_out

    async def _still_complete(self, learners: dict[str, int]) -> tuple[dict[str, int], list[int]]:
        """Who can be cleaned up, and the ids of those who can't; somebody without a row was cleaned up already."""
        rest: dict[str, int] = {}
        moved = []
        for username, row_id in learners.items():
            row = await self._lms.status(username)
            if row is not None and (row.state != COMPLETE or row.id != row_id):
                moved.append(row_id)
            elif row is not None:
                rest[username] = row_id
        return rest, moved


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _unpacked(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None

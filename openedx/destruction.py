"""Destruction of partner reports that are old enough. Only ours: other platforms' reports and other files stay."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from openedx.report_files import prefix_of
from openedx.sinks import Sink, SinkError, Stored


@dataclass(kw_only=True)
class Destroyed:
    """What came of it, in counts."""

    #: Reports of the platform, of any age.
    reports: int = 0
    #: Those old enough.
    due: int = 0
    destroyed: int = 0
    #: What went wrong with single files, each with how to mend it.
    failed: list[str] = field(default_factory=list)


def is_due(stored: Stored, *, platform: str, age_in_days: int, now: datetime) -> bool:
    """Is it a report of the platform, in a partner's folder, that was made more than so many days ago?"""
    return _is_report(stored, platform=platform) and stored.created_at < now - timedelta(days=age_in_days)


async def destroy(sink: Sink, *, platform: str, age_in_days: int, now: datetime, dry_run: bool = False) -> Destroyed:
    """Delete the reports that are due, for good. One that can't be deleted is told and keeps no other.

    Raises:
        SinkError: the place can't be looked through; nothing was deleted.
    """
    await sink.check()
    reports = [stored for stored in await sink.list() if _is_report(stored, platform=platform)]
    due = [stored for stored in reports if is_due(stored, platform=platform, age_in_days=age_in_days, now=now)]
    done = Destroyed(reports=len(reports), due=len(due))
    for stored in [] if dry_run else due:
        try:
            await sink.delete(key=stored.key)
            done.destroyed += 1
        except SinkError as error:
            done.failed.append(str(error))
    return done


def _is_report(stored: Stored, *, platform: str) -> bool:
    name = stored.name
    return stored.is_in_a_folder and name.startswith(prefix_of(platform)) and name.lower().endswith(".csv")

"""Partner reports: the LMS' answer is kept sealed, files are delivered, and who was told of is taken off the LMS' queue.

The LMS gives each learner out once. So its answer is sealed before anything is made of it, and is finished from there:
whoever has an organisation without a partner waits, the others don't.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.errors import LedgerConflict
from ledger.jobs import Job, JobKind
from ledger.ledger import Ledger
from openedx.lms import Lms, LmsRefused, LmsUnreachable
from openedx.report_files import Share, content_of, is_readable, name_of, shares_of
from openedx.sinks import Sink, SinkError
from openedx.sinks.sink import check_name
from plans.model import Plan
from plans.requests import HttpRequest, Method

_CONTENT_TYPE = "text/csv"
_QUEUE_PATH = "/retirement_partner_report/"
#: The LMS is asked again after an answer that got lost; not more often than this.
_TRIES = 3


class ReportsRefused(Exception):
    """The site's settings of reports can't be used; nothing was asked. The text says why and how to mend it."""


@dataclass(frozen=True, kw_only=True)
class ReportOrder:
    """What a site's reports are."""

    site: str
    #: The plan's name, and its step that queues learners for partners; None where it has none.
    plan: str
    step: str | None
    platform: str
    partners: Mapping[str, Sequence[str]]


@dataclass(kw_only=True)
class Reported:
    """What came of it: counts, organisations and retirement ids, nothing of a learner."""

    #: Was the LMS asked for new learners?
    asked: bool = False
    new: int = 0
    #: Learners of earlier answers that were not finished.
    stored: int = 0
    files: int = 0
    #: Learners of whom every partner has been told, and whom the LMS has taken off its queue.
    finished: int = 0
    #: How many learners wait for each organisation that has no partner in the settings.
    held_back: dict[str, int] = field(default_factory=dict)
    #: Learners whom the LMS describes in no way that can be told.
    unreadable: int = 0
    #: What went wrong with single files, each with how to mend it.
    failed: list[str] = field(default_factory=list)
    #: Retirements whose learners the LMS may have given out without anybody having seen them.
    unseen: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Is there nothing that a person has to see to?"""
        return not (self.held_back or self.unreadable or self.failed or self.unseen)


def partner_step_of(plan: Plan) -> str | None:
    """The plan's step that queues a learner for partners."""
    for name, step in plan.steps.items():
        request = step.request
        if isinstance(request, HttpRequest) and request.method is Method.PUT and request.path.endswith(_QUEUE_PATH):
            return name
    return None


class PartnerReports:
    """The partner reports of one site."""

    def __init__(
        self, *, order: ReportOrder, lms: Lms, sink: Sink, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        self._order = order
        self._lms = lms
        self._sink = sink
        self._ledger = ledger
        self._clock = clock
        self._done = Reported()

    async def look(self) -> Reported:
        """What is stored and not finished. The LMS isn't asked: it would mark whom it tells of."""
        await self._check()
        for job in await self._jobs():
            self._done.stored += len(job.values.get("learners", ()))
            self._count_held_back(job.values)
        return self._done

    async def run(self, *, and_new: bool = False) -> Reported:
        """Finish what is stored; where there was nothing to finish, or with `and_new`, ask for new learners and finish those.

        Raises:
            ReportsRefused, SinkError: the settings or the sink can't be used; nothing was asked.
            LmsRefused, LmsUnreachable: what is stored stays; the next run goes on with it.
        """
        await self._check()
        jobs = await self._jobs()
        answered = [job for job in jobs if "learners" in job.values]
        self._done.stored = sum(len(job.values["learners"]) for job in answered)
        advanced = [await self._finish(job.id, job.values) for job in answered]
        if self._done.failed or (any(advanced) and not and_new):
            return self._done
        id, values = await self._ask(unanswered=[job for job in jobs if "learners" not in job.values], stored=answered)
        self._done.asked = True
        self._done.new = len(values["learners"])
        await self._finish(id, values)
        return self._done

    async def _check(self) -> None:
        """Everything that delivering takes, before the LMS marks anybody."""
        if not self._order.partners:
            raise ReportsRefused(
                "The site's reports name no partner, so nobody could be told. Add `reports.partners`: each organisation "
                "with the names of its partners."
            )
        partners = sorted({partner for names in self._order.partners.values() for partner in names})
        for partner in partners:
            check_name(partner)
            check_name(self._name(partner, number=99))
        await self._sink.check(folders=partners)

    async def _jobs(self) -> list[Job]:
        return await self._ledger.jobs(site=self._order.site, kind=JobKind.PARTNER_REPORT)

    async def _ask(self, *, unanswered: Sequence[Job], stored: Sequence[Job]) -> tuple[str, dict[str, Any]]:
        """Have the LMS give out new learners, and seal its answer.

        That it is being asked is on record before. Whoever finds such a record without an answer knows that one got lost.
        """
        kind = JobKind.PARTNER_REPORT
        last = await self._ledger.last_job_begun(site=self._order.site, kind=kind)
        since: str | None = None if last is None else last.isoformat()
        if unanswered:
            since = unanswered[0].values["since"]
        now = self._clock()
        values: dict[str, Any] = {"since": since}
        job = await self._ledger.open_job(site=self._order.site, kind=kind, key=now.isoformat(), values=values, now=now)
        learners, got_lost = await self._answer(job)
        values |= {"learners": learners, "files": []}
        try:
            await self._ledger.keep_job(id=job.id, values=values)
        except LedgerConflict:
            # Another run took this one for dead. What it was given is in nobody else's hands.
            now = self._clock()
            job = await self._ledger.open_job(
                site=self._order.site, kind=kind, key=now.isoformat(), values=values, now=now
            )
        if unanswered or got_lost:
            seen = [*learners, *(learner for each in stored for learner in each.values["learners"])]
            self._done.unseen = await self._unseen(seen, since=since)
        for lost in unanswered:
            await self._ledger.end_job(id=lost.id, now=self._clock())
        return job.id, values

    async def _answer(self, job: Job) -> tuple[list[dict[str, Any]], bool]:
        """The learners, and whether an answer before that one got lost."""
        got_lost = 0
        while True:
            try:
                return await self._lms.partner_queue(), got_lost > 0
            except (LmsRefused, LmsUnreachable) as error:
                is_lost = isinstance(error, LmsUnreachable) and error.outcome_unknown
                got_lost += is_lost
                if is_lost and got_lost < _TRIES:
                    continue
                if not got_lost:
                    # Nobody was marked: there is nothing to remember.
                    await self._ledger.drop_job(id=job.id)
                raise

    async def _unseen(self, seen: Iterable[Mapping[str, Any]], *, since: str | None) -> list[str]:
        """Whose step has queued them since the last report, and who is in no answer that we have."""
        if self._order.step is None:
            return []
        rows = [await self._lms.status(learner["original_username"]) for learner in seen if is_readable(learner)]
        return await self._ledger.unseen_since(
            plan=self._order.plan,
            step=self._order.step,
            since=None if since is None else datetime.fromisoformat(since),
            seen=[f"{self._order.site}-{row.id}" for row in rows if row is not None],
        )

    async def _finish(self, id: str, values: dict[str, Any]) -> bool:
        """Deliver what can be, and have the LMS forget whom everybody has been told of; whether that got us on."""
        await self._allot(id, values)
        before = self._done.files + self._done.finished
        for file in values["files"]:
            if not file["delivered"]:
                await self._deliver(file, values=values)
                await self._ledger.keep_job(id=id, values=values)
        told = [learner["original_username"] for learner in values["learners"] if self._is_told(learner, values=values)]
        if told:
            await self._take_off(told)
            self._done.finished += len(told)
        _forget(set(told), values=values)
        self._count_held_back(values)
        if values["learners"]:
            await self._ledger.keep_job(id=id, values=values)
        else:
            await self._ledger.end_job(id=id, now=self._clock())
        return self._done.files + self._done.finished > before

    async def _allot(self, id: str, values: dict[str, Any]) -> None:
        """Give every learner a place in a file of each partner, under a name that nobody else's file has.

        The names are kept before a file is made, so that one that a crash has left is replaced and not doubled.
        """
        members: dict[Share, list[str]] = {}
        for learner in filter(is_readable, values["learners"]):
            username = learner["original_username"]
            for share in shares_of(learner, partners=self._order.partners)[0]:
                if not any(_is_of(file, share) and username in file["usernames"] for file in values["files"]):
                    members.setdefault(share, []).append(username)
        for share, usernames in members.items():
            values["files"].append(
                {
                    "partner": share.partner,
                    "headings": list(share.headings),
                    "key": await self._free_key(share.partner, taken={file["key"] for file in values["files"]}),
                    "usernames": usernames,
                    "delivered": False,
                }
            )
        if members:
            await self._ledger.keep_job(id=id, values=values)

    async def _free_key(self, partner: str, *, taken: set[str]) -> str:
        """A second report of the same day must not replace the first."""
        there = await self._sink.list(prefix=f"{partner}/{self._name(partner).removesuffix('.csv')}")
        taken = taken | {stored.key for stored in there}
        number = 1
        while (key := f"{partner}/{self._name(partner, number=number)}") in taken:
            number += 1
        return key

    def _name(self, partner: str, *, number: int = 1) -> str:
        return name_of(platform=self._order.platform, partner=partner, day=self._clock().date(), number=number)

    async def _deliver(self, file: dict[str, Any], *, values: Mapping[str, Any]) -> None:
        """One that fails is told, and holds nobody else back."""
        members = set(file["usernames"])
        learners = [learner for learner in values["learners"] if learner.get("original_username") in members]
        try:
            await self._sink.put(
                key=file["key"],
                content=content_of(learners, headings=file["headings"]),
                content_type=_CONTENT_TYPE,
            )
        except SinkError as error:
            self._done.failed.append(str(error))
            return
        file["delivered"] = True
        self._done.files += 1

    def _is_told(self, learner: Mapping[str, Any], *, values: Mapping[str, Any]) -> bool:
        """Has every partner of this learner got their file?"""
        if not is_readable(learner):
            return False
        _, without_partner = shares_of(learner, partners=self._order.partners)
        username = learner["original_username"]
        return not without_partner and all(
            file["delivered"] for file in values["files"] if username in file["usernames"]
        )

    async def _take_off(self, usernames: Sequence[str]) -> None:
        """Have the LMS take learners off its queue. One that it refuses alone was taken off already."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return await self._lms.partner_cleanup(usernames)
            except LmsUnreachable as lost:
                if not lost.outcome_unknown or not tries_left:
                    raise
            except LmsRefused as refused:
                if refused.status != 400:
                    raise
                break
        if len(usernames) > 1:
            for username in usernames:
                await self._take_off([username])

    def _count_held_back(self, values: Mapping[str, Any]) -> None:
        for learner in values.get("learners", ()):
            if not is_readable(learner):
                self._done.unreadable += 1
                continue
            for org in shares_of(learner, partners=self._order.partners)[1]:
                self._done.held_back[org] = self._done.held_back.get(org, 0) + 1


def _is_of(file: Mapping[str, Any], share: Share) -> bool:
    return file["partner"] == share.partner and tuple(file["headings"]) == share.headings


def _forget(usernames: set[str], *, values: dict[str, Any]) -> None:
    """Leave out who is finished, so that no more is kept than is still needed."""
    values["learners"] = [each for each in values["learners"] if each.get("original_username") not in usernames]
    for file in values["files"]:
        file["usernames"] = [username for username in file["usernames"] if username not in usernames]
    values["files"] = [file for file in values["files"] if file["usernames"]]

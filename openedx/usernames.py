"""Replacing usernames: first in the LMS, then, with the names that succeeded so far, in each service that knows them.

The LMS can't be asked twice: a name that it has replaced is gone, so that a repeat is answered "failed", or hits somebody who
took the name meanwhile. So it is on record before it is asked, and where no answer came the outcome is told as unknown.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from itertools import islice

from ledger.ledger import Ledger
from openedx.site import Site
from openedx.username_mappings import Renaming, Renamings
from openedx.username_records import DONE, UNKNOWN, Record, RecordBook, Standing, standing_of
from openedx.username_services import LMS, ORDER, Reply, UsernameServices
from plans.services import HttpService

#: Names in one call: what is unknown after a lost answer is no more than this.
BATCH = 100
_MOST_TOLD = 20
_NOT_LET_IN = (
    "it does not let the service account in: see that client id and secret are right, and that it may replace names"
)
_CODES = {
    "refused": "it says that it could not replace them: see its log",
    "not_told": "its answer does not name them: see its log",
    "not_asked": "they were not sent, as the LMS had failed before",
    "secret_missing": "its credentials are not on this machine: set the variable or mount the file",
    "bad_address": "its address is no http or https address: correct it in the plan or the site's file",
    "http_400": "it refuses the request: see its log and its version",
    "http_401": _NOT_LET_IN,
    "http_403": _NOT_LET_IN,
    "http_404": "there is no such route: see its address, and whether this service replaces names at all",
}
#: The LMS was not asked, as it had stopped answering before.
NOT_ASKED = "not_asked"
#: The service says that it failed.
REFUSED = "refused"
#: The service says nothing of it.
NOT_TOLD = "not_told"


class Unknown(StrEnum):
    """What a person found in the LMS about names whose outcome is unknown."""

    #: They did not look, so those names are left alone.
    LEAVE = "leave"
    #: The old names are still there: ask the LMS once more.
    REPEAT = "repeat"
    #: The new names are there: go on with the other services.
    REPLACED = "replaced"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a line of the file."""

    renaming: Renaming
    standing: Standing


class Replacement:
    """One run over a file's lines."""

    def __init__(
        self, *, services: UsernameServices, ledger: Ledger, site: str, unknown: Unknown = Unknown.LEAVE
    ) -> None:
        self._services = services
        self._book = RecordBook(ledger=ledger, site=site)
        self._unknown = unknown
        #: Services that failed as such: the next names would fare the same.
        self._down: dict[str, str] = {}

    async def run(self, renamings: Renamings, *, tell: Callable[[int], None] = lambda done: None) -> list[Outcome]:
        """Replace them all; gives what became of each line, in the file's order. `tell` hears how many are through.

        What is on record from an earlier run goes on from where it was, whichever file it is in now.

        Raises:
            LedgerConflict: somebody else is replacing usernames of this site at this moment.
        """
        await self._book.read()
        ended: dict[tuple[str, str], Standing] = {}
        for record, batch in self._batches(renamings):
            ended |= {standing.pair: standing for standing in await self._replace(batch, record=record)}
            tell(len(ended))
        await self._book.end_finished()
        return [Outcome(renaming=each, standing=ended[each.current, each.desired]) for each in renamings.all]

    def _batches(self, renamings: Renamings) -> list[tuple[Record, list[Standing]]]:
        """What is on record already, as it was recorded; then the others."""
        wanted = {(renaming.current, renaming.desired): renaming for renaming in renamings.all}
        doubtful: set[str] = set()
        known: list[tuple[Record, list[Standing]]] = []
        for record in self._book.records:
            ours = [standing for pair, standing in record.standings.items() if wanted.pop(pair, None) is not None]
            if ours:
                known.append((record, ours))
            doubtful |= {standing.current for standing in record.standings.values() if standing.is_unknown}
        new = [standing_of(renaming) for renaming in wanted.values()]
        if self._unknown is Unknown.LEAVE:
            # Nor is the LMS asked by another file to call somebody otherwise of whom nobody knows what they are called.
            new = [each.moved(at=LMS, code=UNKNOWN) if each.current in doubtful else each for each in new]
        return known + [(self._book.add(file=renamings.digest), batch) for batch in _in_batches(new)]

    async def _replace(self, batch: Sequence[Standing], *, record: Record) -> list[Standing]:
        """Take a batch through all services, in their order."""
        standings = [self._decided(standing) for standing in batch]
        for service, following in zip(ORDER, (*list(ORDER)[1:], DONE), strict=True):
            here = [standing for standing in standings if standing.at == service and not standing.is_unknown]
            if not here:
                continue
            if service not in self._services.names:
                moved = [standing.moved(at=following) for standing in here]
            elif service in self._down:
                code = NOT_ASKED if service == LMS else self._down[service]
                moved = [standing.moved(at=service, code=code) for standing in here]
            else:
                moved = await self._asked(service, here, following=following, record=record)
            by_current = {standing.current: standing for standing in moved}
            standings = [by_current.get(standing.current, standing) for standing in standings]
        return standings

    async def _asked(self, service: str, here: Sequence[Standing], *, following: str, record: Record) -> list[Standing]:
        """Ask one service about those who have come this far."""
        if service == LMS:
            # On record before it is asked: whoever comes after a crash must know that it may have been done.
            await record.keep([standing.moved(at=LMS, code=UNKNOWN) for standing in here])
        reply = await self._services.replace(service, {standing.current: standing.new for standing in here})
        if reply.is_general:
            self._down[service] = reply.code or NOT_TOLD
        moved = [_after(standing, reply, service=service, following=following) for standing in here]
        await record.keep(moved)
        return moved

    def _decided(self, standing: Standing) -> Standing:
        """What a person has found out about an unknown outcome."""
        if not standing.is_unknown or self._unknown is Unknown.LEAVE:
            return standing
        at = LMS if self._unknown is Unknown.REPEAT else list(ORDER)[1]
        return standing.moved(at=at)


@asynccontextmanager
async def open_replacement(
    lms: HttpService, *, site: Site, ledger: Ledger, unknown: Unknown = Unknown.LEAVE
) -> AsyncIterator[Replacement]:
    """A run over a site's services. `lms`: the LMS of its plan, whose credentials all of them take."""
    services = UsernameServices(lms=lms, others=site.usernames, version=version("account-retirement"))
    try:
        yield Replacement(services=services, ledger=ledger, site=site.site, unknown=unknown)
    finally:
        await services.close()


def _after(standing: Standing, reply: Reply, *, service: str, following: str) -> Standing:
    """Where a name stands after a service's answer."""
    new = reply.replaced.get(standing.current)
    if new is not None:
        # Only the LMS chooses names: what another service calls them, they are called as in the LMS.
        return standing.moved(at=following, new=new if service == LMS else None)
    if standing.current in reply.refused:
        return standing.moved(at=service, code=REFUSED)
    is_unknown = service == LMS and (reply.is_unknown or reply.code is None)
    return standing.moved(at=service, code=UNKNOWN if is_unknown else reply.code or NOT_TOLD)


def _in_batches(standings: Sequence[Standing]) -> Iterator[list[Standing]]:
    rest = iter(standings)
    while batch := list(islice(rest, BATCH)):
        yield batch


def by_code(outcomes: Sequence[Outcome]) -> Mapping[tuple[str, str], list[int]]:
    """The lines that did not succeed, by service and code."""
    lines: dict[tuple[str, str], list[int]] = {}
    for outcome in outcomes:
        standing = outcome.standing
        if standing.at != DONE:
            lines.setdefault((standing.at, standing.code or NOT_TOLD), []).append(outcome.renaming.line)
    return lines


def what_to_do(code: str) -> str:
    """What a code means, and what to do before the file is run again."""
    return _CODES.get(code, "it gave no usable answer: see that it runs and is reachable from here, and its log")


def lines_told(lines: Sequence[int]) -> str:
    """Numbers of lines as people write them: `lines 1-100, 205`."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:_MOST_TOLD]]
    more = f" and {len(runs) - _MOST_TOLD:,} more" if len(runs) > _MOST_TOLD else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {', '.join(told)}{more}"

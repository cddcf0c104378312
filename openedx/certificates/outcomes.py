"""What became of each certificate."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How it went with a certificate."""

    PURGED = "purged"
    #: Of a dry run: it would be.
    TO_BE_PURGED = "to_be_purged"
    #: Its links are blank, or an earlier run has purged it and the listing is older than that.
    PURGED_BEFORE = "purged_before"
    REFUSED = "refused"
    FAILED = "failed"


#: What each code means, and what to do about it. Codes that begin so have what came back behind it.
CODES = {
    "not_listed": "the listing has no such certificate: see that the id is right, or export the listing again",
    "not_retired": "its user is not retired by the listing: it was left alone",
    "no_download_uuid": "the listing has no download_uuid, and its URL has no /downloads/<uuid>/: delete its files by hand",
    "no_verify_uuid": "the listing has no verify_uuid, so that its files can't be named: delete them by hand",
    "unsafe_download_uuid": "its download_uuid could lead out of its folder: it was left alone; correct the listing",
    "unsafe_verify_uuid": "its verify_uuid could lead out of its folder: it was left alone; correct the listing",
    "none_found": "none of its four files is there: wrong bucket, folder or path? --accept-missing purges it all the same",
    "not_deleted": "a file could not be deleted or looked for: its links stay, and running this again goes on",
    "still_there": "a file can be read although it was deleted: its links stay; see what else writes there, then run this again",
    "not_tried": "it was left for later, as what stopped this run would have stopped it, too: mend that and run this again",
    "store_lost": "the place of the files was gone before its turn: see that it is mounted or reachable, then run this again",
    "not_processed": "the site's endpoint does not name it as processed: see the site's log, then run this again",
    "command_not_found": "certificates.blank.command names no program that is there: correct it, then run this again",
    "command_not_startable": "certificates.blank.command can't be started: see its permissions, then run this again",
    "command_took_too_long": "the LMS command ran over its time limit and was ended: see `timeout`, then run this again",
    "command_exit_": "the LMS command failed: run it by hand with this id and see what it says, then run this again",
    "command_signal_": "the LMS command was ended from outside: run this again",
    "secret_missing": "the endpoint's credentials are not on this machine: set the variable or mount the file",
    "bad_url": "certificates.blank.url is no http or https address: correct it, then run this again",
    "http_": "the site's endpoint refused it: see the site's log, then run this again",
}
_OTHERWISE = (
    "the site's endpoint gave no usable answer: see that it runs and is reachable from here, then run this again"
)


def meaning_of_code(code: str) -> str:
    """What a code means and what to do about it."""
    if code in CODES:
        return CODES[code]
    return next((text for start, text in CODES.items() if start.endswith("_") and code.startswith(start)), _OTHERWISE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one certificate. Nothing of it but its id is told."""

    id: int
    result: Result
    code: str | None = None
    #: How many of its four files were there; None where nobody looked.
    files: int | None = None

    @property
    def is_bad(self) -> bool:
        """Is there something left to do for somebody?"""
        return self.result in (Result.REFUSED, Result.FAILED)


def count(outcomes: Iterable[Outcome]) -> dict[Result, int]:
    """How many went how; all results, in their order."""
    counted = Counter(outcome.result for outcome in outcomes)
    return {result: counted[result] for result in Result}

"""What purges the certificates of a site, put together from the site's file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from ledger.ledger import Ledger
from openedx.certificates.blanking import Blanking, ByCommand, ByUrl
from openedx.certificates.purging import Purging
from openedx.certificates.records import Records
from openedx.sinks import sink_at
from openedx.site import BlankByCommand, BlankByUrl, Certificates


@asynccontextmanager
async def open_purging(
    certificates: Certificates, *, site: str, ledger: Ledger, accept_missing: bool = False
) -> AsyncIterator[Purging]:
    """Open the store and the way into the LMS.

    Raises:
        SinkError: the store can't be used from this machine.
    """
    store = sink_at(certificates.files)
    blanking = blanking_of(certificates.blank)
    try:
        yield Purging(
            store=store,
            paths=certificates.paths,
            records=Records(ledger=ledger, site=site),
            blanking=blanking,
            accept_missing=accept_missing,
        )
    finally:
        await blanking.close()
        await store.close()


def blanking_of(how: BlankByCommand | BlankByUrl) -> Blanking:
    """The site's way to blank links."""
    if isinstance(how, BlankByCommand):
        return ByCommand(command=how.command, within=how.timeout)
    return ByUrl(url=how.url, auth=how.auth, within=how.timeout, version=version("account-retirement"))

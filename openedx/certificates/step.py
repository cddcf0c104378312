"""Purging one learner's certificates as a step of a plan: the call `purge_pdf_certificates` of a `python` service.

```yaml
services:
  certificates:
    type: python
    settings:
      site: /etc/retirement/site.yaml
      database_url: "${env:RETIREMENT_DATABASE_URL}"
      keys_file: "${env:RETIREMENT_KEYS_FILE}"
    timeout: 5m
steps:
  certificates:
    phase: erase
    service: certificates
    mirrored: {working: RETIRING_CERTIFICATES, done: CERTIFICATES_COMPLETE}
    request: {call: purge_pdf_certificates, arguments: {user_id: "{{ subject.lms_user_id }}"}}
    patience: 48h
    unprobed: "the purge confirms by itself that the files are gone"
```

The listing tells who is retired, and counts a learner as that only once the pipeline has begun. So the step waits for the next
export: give it a patience that is longer than the time between two exports. A try that runs into the service's time limit is cut
off, with the LMS command if that is running, and the next one goes on.
"""

from pathlib import Path

from activities.actions.python_call import PythonCall, Refused
from ledger.keys import Keys
from ledger.ledger import Ledger
from openedx.certificates.listing import Certificate, read_listing
from openedx.certificates.opening import open_purging
from openedx.certificates.outcomes import Outcome, Result
from openedx.certificates.selection import select_user
from openedx.site import Certificates, load_site

#: What is the same every time, whoever looks again.
_FOR_GOOD = ("no_", "unsafe_", "none_found")


class NoCertificatesSettings(Exception):
    """The site's file has no `certificates`, or these name no listing."""


class ListingOlderThanRetirement(Exception):
    """The listing doesn't show the learner as retired yet: the next export will."""


class CertificatesLeft(Exception):
    """Some are not purged yet, and may be later."""


async def purge_pdf_certificates(call: PythonCall) -> dict[str, int]:
    """Purge the certificates of the learner of the LMS user id `user_id`; gives how many.

    A repeat goes on where the try before was cut off. What it raises besides `Refused` is tried again by the step's patience,
    under the exception's name; `Refused` carries the code of a certificate that can't be purged without a person.
    """
    site = load_site(Path(call.settings["site"]))
    certificates = site.certificates
    if certificates is None or certificates.listing is None:
        raise NoCertificatesSettings
    selection = select_user(read_listing(certificates.listing), user_id=int(call.arguments["user_id"]))
    if selection.refused:
        raise ListingOlderThanRetirement
    if not selection.chosen:
        return {"purged": 0, "purged_before": len(selection.purged)}
    ledger = Ledger(url=call.settings["database_url"], keys=Keys.load(Path(call.settings["keys_file"])))
    try:
        outcomes = await _purge(certificates, selection.chosen, site=site.site, ledger=ledger)
    finally:
        ledger.close()
    purged = sum(outcome.result is Result.PURGED for outcome in outcomes)
    failed = [outcome.code or "" for outcome in outcomes if outcome.is_bad]
    for_good = [code for code in failed if code.startswith(_FOR_GOOD)]
    # A refusal means that nothing was done; where something was, the next try finds that and only that to say.
    if for_good and len(for_good) == len(failed) and not purged:
        raise Refused(for_good[0])
    if failed:
        raise CertificatesLeft
    return {"purged": purged, "purged_before": len(selection.purged) + len(outcomes) - purged}


async def _purge(
    certificates: Certificates, chosen: tuple[Certificate, ...], *, site: str, ledger: Ledger
) -> list[Outcome]:
    async with open_purging(certificates, site=site, ledger=ledger) as purging:
        return await purging.purge(chosen)

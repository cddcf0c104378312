"""What can be imported of a driver's file, and is likely not meant."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openedx.methods import LAST, PARTNERS, SERVICES, Kind, Method
from openedx.pipeline import Row
from plans.yaml_reading import KeyPath


def doubts_about(rows: Sequence[Row], data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Where it stands, what is doubtful, and how to mend it."""
    yield from _about_the_last(rows)
    partner_rows = [row for row in rows if (row.method.service, row.method.name) == PARTNERS]
    lacking = [key for key in ("partner_report_platform_name", "org_partner_mapping") if not data.get(key)]
    if partner_rows and lacking:
        yield (
            ("retirement_pipeline", partner_rows[0].index),
            f"queues learners for partners, and {' and '.join(lacking)} is missing, so nobody can report to them; "
            "add it here, or `reports` to the site's file",
        )
    if data.get("drive_partners_folder") is not None:
        yield (
            ("drive_partners_folder",),
            "names a folder of Google Drive, where this product can't deliver; "
            "name a directory or a bucket in the site's file (reports.to)",
        )
    if any(row.method.service == "HUBSPOT" for row in rows) and data.get("hubspot_alert_email") is not None:
        yield (
            ("hubspot_alert_email",),
            "is where the driver sent a mail about each deleted contact, and none is sent here; "
            "the retirement's record tells it (`retire report`)",
        )


def _about_the_last(rows: Sequence[Row]) -> Iterator[tuple[KeyPath, str]]:
    """The account goes last: what comes after it at the site's own services no longer finds the learner by name."""
    if not rows:
        return
    own = [row for row in rows if _is_own(row.method)]
    last = next((row for row in own if (row.method.service, row.method.name) == LAST), None)
    if last is None:
        yield (
            ("retirement_pipeline",),
            f"has no {LAST[1]}, so that the account itself stays; add a row of it as the last of the site's own services",
        )
    elif own[-1] is not last:
        yield (
            ("retirement_pipeline", last.index),
            f"renames the account before line {own[own.index(last) + 1].line} is done at the site's own services; "
            "put this row behind them",
        )


def _is_own(method: Method) -> bool:
    """Is it done at the LMS or another service of the site's?"""
    service = SERVICES.get(method.service)
    return service is None or service.kind in (Kind.LMS, Kind.OPEN_EDX)

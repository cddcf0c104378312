"""Driver files for the stand-in, and the plans that an import makes of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from openedx.driver_file import read_driver_file
from openedx.importing import Options, import_site

#: The site's id, with which user ids begin.
SITE = "courses"
#: What the driver's rows are written as: states, service, method.
DriverRow = tuple[str, str, str, str]

FOUR: tuple[DriverRow, ...] = (
    ("RETIRING_EMAIL_LISTS", "EMAIL_LISTS_COMPLETE", "LMS", "retirement_retire_mailings"),
    ("RETIRING_ENROLLMENTS", "ENROLLMENTS_COMPLETE", "LMS", "retirement_unenroll"),
    ("RETIRING_LMS_MISC", "LMS_MISC_COMPLETE", "LMS", "retirement_lms_retire_misc"),
    ("RETIRING_LMS", "LMS_COMPLETE", "LMS", "retirement_lms_retire"),
)

THIRTEEN: tuple[DriverRow, ...] = (
    ("RETIRING_CREDENTIALS", "CREDENTIALS_COMPLETE", "CREDENTIALS", "retire_learner"),
    ("RETIRING_ECOM", "ECOM_COMPLETE", "ECOMMERCE", "retire_learner"),
    ("RETIRING_DEMOGRAPHICS", "DEMOGRAPHICS_COMPLETE", "DEMOGRAPHICS", "retire_learner"),
    ("RETIRING_LICENSE_MANAGER", "LICENSE_MANAGER_COMPLETE", "LICENSE_MANAGER", "retire_learner"),
    ("RETIRING_FORUMS", "FORUMS_COMPLETE", "LMS", "retirement_retire_forum"),
    FOUR[0],
    FOUR[1],
    ("RETIRING_NOTES", "NOTES_COMPLETE", "LMS", "retirement_retire_notes"),
    ("RETIRING_PROCTORING", "PROCTORING_COMPLETE", "LMS", "retirement_retire_proctoring_data"),
    ("RETIRING_PARTNERS", "PARTNERS_COMPLETE", "LMS", "retirement_partner_queue"),
    ("RETIRING_SEGMENT", "SEGMENT_COMPLETE", "SEGMENT", "delete_and_suppress_learner"),
    FOUR[2],
    FOUR[3],
)

#: What the thirteen need besides the LMS' address.
THIRTEEN_SETTINGS: Mapping[str, Any] = {
    "segment_auth_token": "in-the-environment",
    "segment_workspace_slug": "stand-in",
    "partner_report_platform_name": "edx",
    "org_partner_mapping": {"edX": ["edX partner"]},
}


def thirteen_urls(url: str) -> dict[str, str]:
    """Where the thirteen's services are at the stand-in."""
    others = ("credentials", "ecommerce", "demographics", "license_manager", "segment")
    return {"lms": url, **{name: f"{url}/{name}" for name in others}}


Change = Callable[[dict[str, Any]], None]


def driver_document(url: str, rows: Sequence[DriverRow] = FOUR, **more: Any) -> dict[str, Any]:
    """A driver's configuration for the stand-in at `url`."""
    return {
        "client_id": "retirement",
        "client_secret": "in-the-environment",
        "base_urls": {"lms": url},
        "retirement_pipeline": [list(row) for row in rows],
        **more,
    }


def write_plan(
    folder: Path, name: str, *, document: Mapping[str, Any], cool_off_days: int = 7, change: Change | None = None
) -> str:
    """Import a driver's file, and put the plan where workers find it. `change` is what a site then changes by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = yaml.safe_dump(dict(document), sort_keys=False).encode()
    file, problems = read_driver_file(raw, prefix="OPENEDX")
    assert file is not None, problems
    imported = import_site(file, options=Options(plan=name, site=SITE, cool_off_days=cool_off_days))
    plan = yaml.safe_load(imported.plan)
    if change is not None:
        change(plan)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    return name

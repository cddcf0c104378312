"""Destruction of partner reports: the old ones of this platform go for good, all else stays."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from openedx.destruction import is_due
from openedx.sinks import Stored
from tests.openedx.office import Office
from tests.support.s3 import Bucket

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "days", "due"),
    [
        ("MIT/user_retirement_edx_MIT_2026-02-28.csv", 31, True),
        ("MIT/2026/02/user_retirement_edx_MIT_2026-02-28_2.csv", 31, True),
        ("MIT/user_retirement_edx_MIT_2026-02-28.CSV", 31, True),
        ("MIT/user_retirement_edx_MIT_2026-03-02.csv", 29, False),
        ("MIT/user_retirement_edx_MIT_2026-03-02.csv", 30, False),
        ("MIT/user_retirement_edx-edge_MIT_2026-02-28.csv", 31, False),
        ("MIT/user_retirement_edge_MIT_2026-02-28.csv", 31, False),
        ("MIT/my_user_retirement_edx_MIT_2026-02-28.csv", 31, False),
        ("MIT/user_retirement_edx_MIT_2026-02-28.csv.gz", 31, False),
        ("MIT/user_retirement_edx_notes.txt", 31, False),
        ("user_retirement_edx_MIT_2026-02-28.csv", 31, False),
    ],
)
def test_only_old_reports_of_the_platform_in_a_partners_folder_are_due(key: str, days: int, due: bool) -> None:
    stored = Stored(key=key, size=1, created_at=NOW - timedelta(days=days))
    assert is_due(stored, platform="edx", age_in_days=30, now=NOW) is due


def add(office: Office, key: str, *, days: int) -> None:
    """A file that was made so many days ago."""
    path = office.place / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))


async def test_35_a_31_day_old_report_goes_and_all_else_stays(office: Office) -> None:
    kept = [
        "MIT/notes_of_edx.csv",
        "MIT/user_retirement_edx-edge_MIT_2026-01-01.csv",
        "MIT/user_retirement_edx_MIT_2026-01-01.txt",
        "MIT/user_retirement_edx_MIT_2026-01-30.csv",
    ]
    gone = ["MIT/user_retirement_edx_MIT_2026-01-01.csv", "edX/deep/er/user_retirement_edx_edX_2026-01-01.csv"]
    for key in kept:
        add(office, key, days=29 if key.endswith("30.csv") else 31)
    for key in gone:
        add(office, key, days=31)
    office.write_site(reports={"platform": "edx", "to": {"directory": str(office.place)}})
    dry = await office.retire("destroy-reports", "--age-in-days", "30", "--dry-run", "--json")
    assert (dry.code, dry.facts["due"], dry.facts["destroyed"]) == (0, 2, 0)
    assert sorted(office.files()) == sorted(kept + gone)
    ended = await office.retire("destroy-reports", "--age-in-days", "30")
    assert (ended.code, ended.stdout) == (0, "2 of 3 reports destroyed, as they are older than 30 days\n")
    assert sorted(office.files()) == kept and ended.stderr == ""
    assert office.lms.requests() == []


async def test_35_in_a_bucket_no_version_of_it_is_left(office: Office, bucket: Bucket) -> None:
    bucket.keep_versions()
    bucket.put("reports/MIT/user_retirement_edx_MIT_2026-01-01.csv")
    bucket.put("reports/MIT/user_retirement_edx_MIT_2026-01-01.csv", b"again")
    to = bucket.place(prefix="reports/").model_dump(mode="json")
    office.write_site(reports={"platform": "edx", "retention_days": 30, "to": to})
    ended = await office.retire("destroy-reports", "--json")
    assert (ended.code, ended.facts["reports"], ended.facts["destroyed"]) == (0, 1, 0)
    assert bucket.versions() == 2, "what was stored just now is not old"


async def test_one_that_cannot_be_destroyed_is_told_and_the_others_go(office: Office) -> None:
    old = [f"MIT/user_retirement_edx_MIT_2026-01-0{day}.csv" for day in (1, 2)]
    for key in old:
        add(office, key, days=31)
    sticky = "MIT/user_retirement_edx_.hidden\\_MIT.csv"
    add(office, sticky, days=31)
    office.write_site(reports={"platform": "edx", "to": {"directory": str(office.place)}})
    ended = await office.retire("destroy-reports", "--age-in-days", "30", "--json")
    assert (ended.code, ended.facts["due"], ended.facts["destroyed"]) == (11, 3, 2)
    assert list(office.files()) == [sticky]


@pytest.mark.parametrize("arguments", [(), ("--age-in-days", "0"), ("--file-id", "abc")])
async def test_without_a_usable_age_nothing_is_destroyed(office: Office, arguments: tuple[str, ...]) -> None:
    add(office, "MIT/user_retirement_edx_MIT_2026-01-01.csv", days=400)
    office.write_site(reports={"platform": "edx", "to": {"directory": str(office.place)}})
    ended = await office.retire("destroy-reports", *arguments)
    assert ended.code == 2 and len(office.files()) == 1
    if "--file-id" in arguments:
        assert "There is no sink for Google Drive. Name a `directory`" in ended.stderr

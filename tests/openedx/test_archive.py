"""Archive and cleanup: what is stored, in which order, and what is left after a crash."""

import asyncio
import gzip
import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ledger.jobs import JobKind
from openedx.archive import ArchiveRefused, is_over, key_of, lines_of, record_of, window_of
from openedx.row import read_row
from openedx.sinks import Stored
from tests.openedx.office import Office
from tests.openedx.pipelines import SITE
from tests.support.s3 import Bucket
from tests.support.waiting import eventually

FIELDS = [
    "user_id",
    "original_username",
    "original_email",
    "original_name",
    "retired_username",
    "retired_email",
    "retirement_request_date",
    "last_modified_date",
]
ORIGINAL = ("original_username", "original_email", "original_name")
KEY = re.compile(r"raw/(\d{4})/(\d{2})/retirement_archive_\1_\2_\d{2}_\d{2}_\d{2}_\d{2}_(\d+)\.json\.gz")
TODAY = date(2026, 3, 31)


def a_row(**changes: Any) -> Any:
    """A status object, read."""
    state = {"id": 4, "state_name": "COMPLETE", "state_execution_order": 1}
    return read_row(
        {
            "id": 46,
            "user": {"id": 5213599, "username": "retired__user_1", "email": "x", "profile": {"id": 1, "name": ""}},
            "current_state": state,
            "last_state": state,
            "created": "2026-01-18T20:35:52.349757Z",
            "modified": "2026-01-18T20:35:52Z",
            "original_username": "u",
            "original_email": "u@example.org",
            "original_name": "Zoë\u2028Z",
            "retired_username": "retired__user_1",
            "retired_email": "retired__user_1@retired.invalid",
            **changes,
        }
    )


def records(content: bytes) -> list[dict[str, Any]]:
    """What is in an object."""
    return [json.loads(line) for line in gzip.decompress(content).decode("ascii").splitlines()]


def stored(office: Office) -> list[list[dict[str, Any]]]:
    """The contents of all objects, in the order of their keys."""
    return [records(content) for content in office.files().values()]


async def open_batches(office: Office) -> int:
    """How many batches are begun and not finished."""
    return len(await office.ledger.jobs(site=SITE, kind=JobKind.ARCHIVE))


def to_folder(office: Office, **more: Any) -> None:
    """Have the site archive into the office's folder, without pauses."""
    office.write_site(archive={"to": {"directory": str(office.place)}, "pause": "0s", **more})


async def killed_before_the_cleanup(office: Office) -> None:
    """Kill an archive run when it has stored its batch, before the cleanup is done."""
    hold = office.lms.hold(route="cleanup")
    async with office.running("archive") as running:

        def is_at_the_cleanup() -> None:
            assert office.lms.holding(hold) == 1

        await eventually(is_at_the_cleanup)
        await running.kill()
    office.lms.release(hold, done=False)


async def frozen_without_a_place(office: Office) -> None:
    """Have a run freeze its batches, and fail to store them; then let there be room."""
    to_folder(office)
    (office.place / "raw").write_text("a file where a folder should be")
    assert (await office.retire("archive")).code == 11
    (office.place / "raw").unlink()


def test_a_line_has_exactly_the_eight_fields_with_dates_that_databases_read() -> None:
    record = record_of(a_row(), fields="full")
    assert list(record) == FIELDS
    assert record["user_id"] == 5213599
    assert record["retirement_request_date"] == "2026-01-18 20:35:52.349757"
    assert record["last_modified_date"] == "2026-01-18 20:35:52.000000"
    elsewhere = record_of(a_row(created="2026-01-18T22:35:52.5+02:00"), fields="full")
    assert elsewhere["retirement_request_date"] == "2026-01-18 20:35:52.500000"
    lines = lines_of([record, record])
    assert lines.count(b"\n") == 2 and lines.endswith(b"}\n")
    assert json.loads(lines.splitlines()[0])["original_name"] == "Zoë\u2028Z"


def test_the_key_tells_when_the_run_began_with_the_month_before_the_day() -> None:
    begun = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert key_of(begun=begun, batch=12) == "raw/2026/03/retirement_archive_2026_03_04_05_06_07_12.json.gz"


def test_the_window_ends_before_the_cool_off() -> None:
    window = window_of(start=date(2018, 1, 1), end=None, cool_off_days=37, today=TODAY)
    assert window.end == date(2026, 2, 22)
    with pytest.raises(ArchiveRefused, match=r"2026-02-23 is inside the cool-off of 37 days.*Give 2026-02-22"):
        window_of(start=date(2018, 1, 1), end=date(2026, 2, 23), cool_off_days=37, today=TODAY)
    for start in (date(2026, 2, 22), date(2026, 2, 23)):
        with pytest.raises(ArchiveRefused, match="is not before the end date"):
            window_of(start=start, end=date(2026, 2, 22), cool_off_days=37, today=TODAY)


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("retirement_archive_2026_02_28_11_59_59_1.json.gz", True),
        ("retirement_archive_2026_03_01_12_00_01_1.json.gz", False),
        ("retirement_archive_2026_02_28_11_59_59_1.json.gz.txt", False),
        ("other_archive_2020_01_01_00_00_00_1.json.gz", False),
    ],
)
def test_an_archive_is_over_by_the_run_that_its_name_tells(name: str, over: bool) -> None:
    now = datetime(2026, 3, 31, 12, tzinfo=UTC)
    # When it was stored doesn't matter: it may have been moved here since.
    there = Stored(key=f"raw/2026/02/{name}", size=1, created_at=now)
    assert is_over(there, retention_days=30, now=now) is over


async def test_30_archive_of_250_learners_in_batches_of_100(office: Office, bucket: Bucket) -> None:
    names = office.complete(250)
    rows = {name: office.lms.row(name) for name in names}
    office.write_site(archive={"to": bucket.place().model_dump(mode="json"), "pause": "0s"})
    ended = await office.retire("archive", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.facts == {
        "dry_run": False,
        "found": 250,
        "taken_up": 0,
        "batches": 3,
        "archived": 250,
        "cleaned": 250,
        "left_out": [],
        "expired": 0,
    }
    keys = sorted(bucket.keys())
    assert [match[3] for key in keys if (match := KEY.fullmatch(key))] == ["1", "2", "3"]
    contents = [records(bucket.content(key)) for key in keys]
    assert [len(content) for content in contents] == [100, 100, 50]
    assert all(list(record) == FIELDS for content in contents for record in content)
    assert [record["original_username"] for content in contents for record in content] == names
    first, row = contents[0][0], rows[names[0]]
    assert row is not None
    assert first["user_id"] == row["user"]["id"]
    assert first["retirement_request_date"] == row["created"].replace("T", " ").rstrip("Z")
    cleanups = office.lms.requests(route="cleanup")
    assert [request.json for request in cleanups] == [
        {"usernames": names[:100]},
        {"usernames": names[100:200]},
        {"usernames": names[200:]},
    ]
    assert [request.status for request in cleanups] == [204, 204, 204]
    assert all(office.lms.row(name) is None for name in (names[0], names[249]))
    assert await open_batches(office) == 0


async def test_30_without_a_confirmed_upload_nobody_is_cleaned_up(office: Office) -> None:
    office.complete(3)
    to_folder(office)
    (office.place / "raw").write_text("a file where a folder should be")
    ended = await office.retire("archive")
    assert ended.code == 11
    assert "can't be used" in ended.stderr and "Nobody without a stored batch was cleaned up." in ended.stderr
    assert "cleanup" not in office.calls()
    (office.place / "raw").unlink()
    ended = await office.retire("archive", "--json")
    assert (ended.code, ended.facts["taken_up"], ended.facts["cleaned"]) == (0, 1, 3)
    assert [len(content) for content in stored(office)] == [3]


async def test_30_one_who_is_no_longer_complete_is_reported_and_the_others_are_cleaned_up(office: Office) -> None:
    names = office.complete(100)
    row = office.lms.row(names[41])
    assert row is not None
    hold = office.lms.hold(route="cleanup")
    to_folder(office)
    async with office.running("archive", "--json") as running:

        def is_at_the_cleanup() -> None:
            assert office.lms.holding(hold) == 1

        await eventually(is_at_the_cleanup)
        office.lms.change_row(names[41], state="PENDING")
        office.lms.release(hold)
        stdout, stderr = await running.process.communicate()
    assert running.process.returncode == 11
    facts = json.loads(stdout)
    assert (facts["archived"], facts["cleaned"], facts["left_out"]) == (100, 99, [row["id"]])
    assert f"Retirement ids: {row['id']}" in stderr.decode() and names[41] not in stderr.decode()
    assert office.lms.state(names[41]) == "PENDING"
    assert [request.status for request in office.lms.requests(route="cleanup")] == [400, 204]
    assert all(office.lms.row(name) is None for name in names if name != names[41])


async def test_31_killed_between_upload_and_cleanup(office: Office) -> None:
    office.complete(3)
    to_folder(office)
    await killed_before_the_cleanup(office)
    before = office.files()
    assert len(before) == 1 and await open_batches(office) == 1
    ended = await office.retire("archive", "--json")
    assert (ended.code, ended.facts["taken_up"], ended.facts["cleaned"], ended.facts["found"]) == (0, 1, 3, 0)
    assert office.files() == before
    assert [request.status for request in office.lms.requests(route="cleanup")].count(204) == 1
    assert await open_batches(office) == 0


async def test_31_killed_after_the_cleanup_was_done(office: Office) -> None:
    names = office.complete(3)
    to_folder(office)
    hold = office.lms.hold(route="cleanup", answer=True)
    async with office.running("archive") as running:

        def is_cleaned_up() -> None:
            assert office.lms.holding(hold) == 1

        await eventually(is_cleaned_up)
        await running.kill()
    office.lms.behave()
    ended = await office.retire("archive", "--json")
    assert (ended.code, ended.facts["cleaned"], ended.facts["left_out"]) == (0, 3, [])
    assert len(office.files()) == 1 and all(office.lms.row(name) is None for name in names)
    assert [effect.effect for effect in office.lms.effects()].count("cleanup") == 3


async def test_31_an_answer_that_got_lost_is_looked_after(office: Office) -> None:
    office.complete(3)
    to_folder(office)
    office.lms.misbehave("lost_answer", route="cleanup")
    ended = await office.retire("archive", "--json")
    assert (ended.code, ended.facts["cleaned"]) == (0, 3)
    assert len(office.files()) == 1


async def test_31_nobody_found_makes_no_object_and_no_cleanup(office: Office) -> None:
    office.lms.add_learner("ann", state="PENDING")
    office.lms.add_learner("bob", state="COMPLETE", created=datetime.now(UTC) - timedelta(days=10))
    to_folder(office)
    ended = await office.retire("archive")
    assert (ended.code, ended.stdout) == (0, "0 learners archived in 0 batches, 0 of them cleaned up\n")
    assert office.files() == {} and office.calls() == ["by_date"]


async def test_31_the_dry_run_changes_nothing_and_tells_nobodys_name(office: Office) -> None:
    names = office.complete(25)
    to_folder(office, batch_size=10)
    for arguments in ((), ("--json",)):
        ended = await office.retire("archive", "--dry-run", *arguments)
        assert ended.code == 0
        assert not any(name in ended.stdout + ended.stderr for name in names)
    assert ended.facts["found"] == 25 and ended.facts["batches"] == 3
    assert office.files() == {} and set(office.calls()) == {"by_date"} and await open_batches(office) == 0


async def test_32_an_end_date_inside_the_cool_off_is_refused_before_any_request(office: Office) -> None:
    to_folder(office)
    office.lms.forget_requests()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    for arguments in (("--end-date", str(yesterday)), ("--start-date", "2018-02-01", "--end-date", "2018-02-01")):
        ended = await office.retire("archive", *arguments)
        assert ended.code == 5, ended.stderr
    assert office.lms.requests() == []
    assert (await office.retire("archive", "--end-date", str(yesterday), "--cool-off-days", "1")).code == 0


async def test_what_lies_in_the_ledger_meanwhile_names_nobody_and_goes_at_the_end(office: Office) -> None:
    names = office.complete(3)
    await frozen_without_a_place(office)
    [job] = await office.ledger.jobs(site=SITE, kind=JobKind.ARCHIVE)
    assert [username for _, username in job.values["learners"]] == names and names[0] not in repr(job)
    for file in office.folder.glob("ledger.db*"):
        assert names[0].encode() not in file.read_bytes()
    assert (await office.retire("archive")).code == 0
    assert await open_batches(office) == 0


async def test_minimal_fields_leave_the_originals_out_and_the_cleanup_still_names_them(office: Office) -> None:
    names = office.complete(2)
    to_folder(office, fields="minimal")
    assert (await office.retire("archive")).code == 0
    [content] = stored(office)
    assert [list(record) for record in content] == [[name for name in FIELDS if name not in ORIGINAL]] * 2
    assert [request.json for request in office.lms.requests(route="cleanup")] == [{"usernames": names}]


async def test_archives_go_when_their_time_is_over(office: Office) -> None:
    to_folder(office, retention_days=30)
    old, young = datetime.now(UTC) - timedelta(days=31), datetime.now(UTC) - timedelta(days=29)
    kept = [key_of(begun=young, batch=1), "raw/2020/01/notes.txt"]
    for key in (key_of(begun=old, batch=1), *kept):
        (office.place / key).parent.mkdir(parents=True, exist_ok=True)
        (office.place / key).write_bytes(b"x")
    assert (await office.retire("archive", "--dry-run", "--json")).facts["expired"] == 1
    assert len(office.files()) == 3
    assert (await office.retire("archive", "--json")).facts["expired"] == 1
    assert sorted(office.files()) == sorted(kept)


async def test_an_object_of_somebody_else_under_the_key_is_never_overwritten(office: Office) -> None:
    office.complete(3)
    await frozen_without_a_place(office)
    [job] = await office.ledger.jobs(site=SITE, kind=JobKind.ARCHIVE)
    path = office.place / job.values["key"]
    path.parent.mkdir(parents=True)
    theirs = gzip.compress(b'{"user_id": 1}\n')
    path.write_bytes(theirs)
    ended = await office.retire("archive")
    assert ended.code == 5 and "holds another object with the key of this batch" in ended.stderr
    assert path.read_bytes() == theirs and office.lms.state("learner-000") == "COMPLETE"


async def test_of_two_runs_that_begin_together_one_archives(office: Office) -> None:
    office.complete(3)
    to_folder(office)
    hold = office.lms.hold(route="by_date", answer=True)
    running = asyncio.create_task(office.retire("archive"))

    def has_the_list() -> None:
        assert office.lms.holding(hold) == 1

    await eventually(has_the_list)
    # The other one was faster.
    await office.ledger.open_job(site=SITE, kind=JobKind.ARCHIVE, key="1", values={}, now=datetime.now(UTC))
    office.lms.release(hold)
    ended = await running
    assert ended.code == 5 and "Another run is archiving this site's learners" in ended.stderr
    assert office.files() == {} and office.calls() == ["by_date"]


async def test_a_site_without_archive_is_told_what_to_add(office: Office) -> None:
    office.write_site()
    ended = await office.retire("archive")
    assert ended.code == 10 and "Add `archive: {to: {bucket: …}}`" in ended.stderr

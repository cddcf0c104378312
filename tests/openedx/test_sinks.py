"""Places for archives and reports: a folder, and a bucket of a real object store. What holds in one holds in the other."""

import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openedx.sinks import Sink, SinkError, sink_at
from openedx.site import BucketPlace, DirectoryPlace
from tests.support.s3 import ID, SECRET, Bucket

CSV = "text/csv"


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> BucketPlace | DirectoryPlace:
    """An empty place of each kind; the object store is started when the first test asks for it."""
    if request.param == "directory":
        return DirectoryPlace(directory=tmp_path)
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket.place(prefix="reports/")


@pytest.fixture
async def sink(place: BucketPlace | DirectoryPlace) -> AsyncIterator[Sink]:
    """The same, opened."""
    sink = sink_at(place)
    yield sink
    await sink.close()


async def put(sink: Sink, key: str, content: bytes = b"one") -> None:
    await sink.put(key=key, content=content, content_type=CSV)


async def test_what_was_put_can_be_read_and_is_listed_at_any_depth(sink: Sink) -> None:
    for key in ("Zoë's/b.csv", "MIT/2026/11/a b.csv", "top.csv"):
        await put(sink, key, content=key.encode())
    listed = await sink.list()
    assert [(stored.key, stored.size) for stored in listed] == [
        ("MIT/2026/11/a b.csv", 19),
        ("Zoë's/b.csv", 12),
        ("top.csv", 7),
    ]
    assert all(abs(stored.created_at - datetime.now(UTC)) < timedelta(minutes=1) for stored in listed)
    assert [stored.is_in_a_folder for stored in listed] == [True, True, False]
    assert await sink.read(key="MIT/2026/11/a b.csv") == b"MIT/2026/11/a b.csv"
    assert await sink.read(key="MIT/none.csv") is None
    assert await sink.exists(key="top.csv") and not await sink.exists(key="MIT/none.csv")
    assert [stored.key for stored in await sink.list(prefix="MIT/2026/11/a")] == ["MIT/2026/11/a b.csv"]
    assert await sink.list(prefix="MIT/none") == [] and await sink.list(prefix="nobody/x") == []


async def test_a_file_of_the_same_key_is_replaced_and_not_doubled(sink: Sink) -> None:
    await put(sink, "MIT/a.csv", b"one")
    await put(sink, "MIT/a.csv", b"two")
    assert await sink.read(key="MIT/a.csv") == b"two"
    assert [stored.key for stored in await sink.list()] == ["MIT/a.csv"]


async def test_what_is_deleted_is_gone_and_its_neighbours_stay(sink: Sink) -> None:
    await put(sink, "MIT/a.csv")
    await put(sink, "MIT/a.csv.gz")
    assert await sink.delete(key="MIT/a.csv") is True
    assert await sink.delete(key="MIT/a.csv") is False
    assert await sink.delete(key="nobody/a.csv") is False
    assert [stored.key for stored in await sink.list()] == ["MIT/a.csv.gz"]


@pytest.mark.parametrize(
    "key", ["../a.csv", "MIT/../../a.csv", "/a.csv", "MIT//a.csv", ".hidden", "a\nb", "x" * 241, ""]
)
async def test_a_key_that_would_leave_the_place_is_refused(sink: Sink, key: str) -> None:
    for attempt in (put(sink, key), sink.read(key=key), sink.delete(key=key), sink.exists(key=key)):
        with pytest.raises(SinkError, match="Names of partners and platforms have no /"):
            await attempt


async def test_a_place_that_is_not_there_is_told_before_anything_is_put(bucket: Bucket, tmp_path: Path) -> None:
    elsewhere = sink_at(DirectoryPlace(directory=tmp_path / "unmounted"))
    for attempt in (elsewhere.check(), put(elsewhere, "a.csv"), elsewhere.list()):
        with pytest.raises(SinkError, match=r"unmounted isn't there\. Mount or make it, or name another one\."):
            await attempt
    assert not (tmp_path / "unmounted").exists()
    async with AsyncExitStack() as stack:
        for details, told in (
            ({"bucket": "none"}, r"The bucket none isn't there\. Make it, or name another one\."),
            ({"endpoint": "http://127.0.0.1:9"}, "can't be reached"),
            ({"secret_access_key": "wrong"}, r"does not let us in \(SignatureDoesNotMatch\)"),
        ):
            sink = sink_at(bucket.place(**details))
            stack.push_async_callback(sink.close)
            with pytest.raises(SinkError, match=told) as refused:
                await sink.check()
            assert bucket.secret not in str(refused.value)


async def test_a_partners_folder_that_cannot_be_written_to_is_told_by_the_check(tmp_path: Path) -> None:
    (tmp_path / "MIT").write_text("a file, no folder")
    sink = sink_at(DirectoryPlace(directory=tmp_path))
    await sink.check(folders=["edX"])
    with pytest.raises(SinkError, match="MIT is no folder that we may write to"):
        await sink.check(folders=["edX", "MIT"])
    assert not (tmp_path / "edX").exists()


async def test_only_their_owner_reads_what_lies_in_a_folder(tmp_path: Path) -> None:
    sink = sink_at(DirectoryPlace(directory=tmp_path))
    await put(sink, "MIT/2026/a.csv")
    modes = [stat.S_IMODE(os.stat(tmp_path / path).st_mode) for path in ("MIT", "MIT/2026", "MIT/2026/a.csv")]
    assert modes == [0o700, 0o700, 0o600]


async def test_half_a_file_that_a_crash_left_is_never_listed_and_goes_with_the_next_try(tmp_path: Path) -> None:
    sink = sink_at(DirectoryPlace(directory=tmp_path))
    (tmp_path / "MIT").mkdir()
    (tmp_path / "MIT" / ".a.csv.partial").write_text("hal")
    assert await sink.list() == []
    await put(sink, "MIT/a.csv")
    assert sorted(path.name for path in (tmp_path / "MIT").iterdir()) == ["a.csv"]


async def test_links_lead_nowhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.csv").write_text("theirs")
    (tmp_path / "place" / "MIT").mkdir(parents=True)
    (tmp_path / "place" / "linked").symlink_to(elsewhere)
    (tmp_path / "place" / "MIT" / "a.csv").symlink_to(elsewhere / "a.csv")
    sink = sink_at(DirectoryPlace(directory=tmp_path / "place"))
    assert await sink.list() == []
    with pytest.raises(SinkError, match="can't be used"):
        await sink.read(key="MIT/a.csv")


async def test_a_store_that_does_not_confirm_encryption_keeps_nothing(bucket: Bucket) -> None:
    sink = sink_at(bucket.place(encryption="AES256"))
    with pytest.raises(SinkError, match=r"does not confirm that it encrypts objects \(AES256\)"):
        await put(sink, "a.csv")
    assert bucket.keys() == []
    await sink.close()


async def test_a_bucket_that_keeps_versions_keeps_none_of_what_is_deleted(bucket: Bucket) -> None:
    bucket.keep_versions()
    sink = sink_at(bucket.place())
    await put(sink, "MIT/a.csv", b"one")
    await put(sink, "MIT/a.csv", b"one")
    assert bucket.versions() == 1, "the same content again makes no other version"
    await put(sink, "MIT/a.csv", b"two")
    bucket.client.delete_object(Bucket=bucket.name, Key="MIT/a.csv")
    assert bucket.versions() == 3
    assert await sink.delete(key="MIT/a.csv") is True
    assert bucket.versions() == 0
    await sink.close()


async def test_an_object_bears_its_type_and_when_it_expires(bucket: Bucket) -> None:
    sink = sink_at(bucket.place(prefix="edx/"))
    until = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    await sink.put(key="raw/a.gz", content=b"one", content_type="application/gzip", expires_at=until)
    head = bucket.client.head_object(Bucket=bucket.name, Key="edx/raw/a.gz")
    assert (head["ContentType"], head["Expires"]) == ("application/gzip", until)
    await sink.close()


async def test_credentials_that_are_missing_are_told_by_name(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET)
    with pytest.raises(SinkError, match=r"\$\{env:AWS_SECRET_ACCESS_KEY\} can't be resolved"):
        sink_at(bucket.place(access_key_id=f"${{env:{ID}}}"))


async def test_without_named_credentials_those_of_the_machine_are_used(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (ID, SECRET):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {bucket.id}\naws_secret_access_key = {bucket.secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    sink = sink_at(bucket.place())
    await put(sink, "a.csv")
    assert bucket.content("a.csv") == b"one"
    await sink.close()

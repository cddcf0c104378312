"""Purging certificates whose files are in a bucket of a real object store, below a prefix, with older versions kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.lms.client import StandInLms
from tests.openedx.certificates import Archive, an_archive, results
from tests.support.s3 import Bucket


@pytest.fixture
async def archive(lms: StandInLms, tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive whose site has an endpoint that blanks."""
    async with an_archive(tmp_path, lms=lms) as archive:
        yield archive


async def test_no_version_of_a_file_is_left_in_a_bucket(archive: Archive, bucket: Bucket) -> None:
    bucket.keep_versions()
    files = {"bucket": bucket.name, "endpoint": bucket.url, "prefix": "old/", "encryption": "none"}
    archive.blank_by_url(files=files)
    user_id = archive.learner("ada")
    chosen, other = archive.certificate(user_id, files=0), archive.certificate(user_id, files=0)
    keys = {
        each["id"]: [f"old/{path.relative_to(archive.store)}" for path in archive.paths(each)]
        for each in (chosen, other)
    }
    for key in [*keys[chosen["id"]], *keys[other["id"]][:1]]:
        bucket.put(key, b"Ada Lovelace")
        bucket.put(key, b"Ada King")
    archive.export()

    dry = await archive.purge("--certificate-ids", str(chosen["id"]), "--dry-run", "--json")
    assert [each["files"] for each in dry.facts["certificates"]] == [4]
    assert bucket.versions() == 10
    ended = await archive.purge("--certificate-ids", str(chosen["id"]), "--json")

    assert (ended.code, results(ended)) == (0, {chosen["id"]: ("purged", None)})
    assert bucket.keys() == keys[other["id"]][:1] and bucket.versions() == 2
    assert archive.is_blank(chosen) and not archive.is_blank(other)


async def test_another_prefix_than_the_files_have_blanks_nothing(archive: Archive, bucket: Bucket) -> None:
    archive.blank_by_url(files={"bucket": bucket.name, "endpoint": bucket.url, "encryption": "none"})
    certificate = archive.certificate(archive.learner("ada"), files=0)
    for path in archive.paths(certificate):
        bucket.put(f"old/{path.relative_to(archive.store)}")
    archive.export()

    ended = await archive.purge("--all", "--json")

    assert (ended.code, results(ended)) == (11, {certificate["id"]: ("failed", "none_found")})
    assert len(bucket.keys()) == 4 and not archive.is_blank(certificate)

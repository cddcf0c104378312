"""Purging PDF certificates: the order, failures and crashes, and what is not touched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.jobs import JobKind
from openedx.certificates.listing import read_listing
from openedx.certificates.outcomes import Outcome, Result
from openedx.certificates.paths import CertificatePaths
from openedx.certificates.purging import Purging
from openedx.certificates.records import Records
from openedx.sinks.directory import DirectorySink
from sandbox.lms.client import StandInLms
from tests.openedx.certificates import HEADER, KEPT, PURGE, ROUTE, Archive, Forgetting, an_archive, results
from tests.openedx.pipelines import SITE
from tests.support.waiting import eventually


@pytest.fixture
async def archive(lms: StandInLms, tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive whose site has an endpoint that blanks."""
    async with an_archive(tmp_path, lms=lms) as archive:
        yield archive


# 37: the order.


async def test_37_all_four_files_are_gone_before_the_links_are_blanked(archive: Archive) -> None:
    user_id = archive.learner("ada")
    first, second = archive.certificate(user_id), archive.certificate(user_id, files=2)
    archive.export()
    before = {each["id"]: {name: each[name] for name in KEPT} for each in archive.lms.certificates()}
    held = archive.lms.hold(route=ROUTE)
    command = archive.desk.process(PURGE, "--all")
    await command.start()

    await eventually(lambda: _assert_equal(archive.lms.holding(held), 1))
    for certificate in (first, second):
        assert archive.files(certificate) == 0
        assert archive.now(certificate)["download_url"] == certificate["download_url"]
    archive.lms.release(held)

    assert await command.died() == 0, command.last_lines()
    assert archive.is_blank(first) and archive.is_blank(second)
    after = {each["id"]: {name: each[name] for name in KEPT} for each in archive.lms.certificates()}
    assert after == before
    assert archive.asked_to_blank() == [[first["id"], second["id"]]]
    archive.assert_untold(command.log.read_text())


async def test_37_the_same_by_the_command_of_the_lms(archive: Archive) -> None:
    archive.blank_by_command()
    user_id = archive.learner("ada")
    chosen, other = archive.certificate(user_id), archive.certificate(user_id)
    archive.export()

    ended = await archive.purge("--certificate-ids", str(chosen["id"]))

    assert (ended.code, ended.stdout) == (0, "1 purged\n")
    assert archive.is_blank(chosen) and archive.files(chosen) == 0
    assert not archive.is_blank(other) and archive.files(other) == 4
    assert {name: archive.now(chosen)[name] for name in KEPT} == {name: chosen[name] for name in KEPT}


async def test_two_hundred_and_fifty_are_blanked_a_hundred_at_a_time(archive: Archive) -> None:
    user_id = archive.learner("ada")
    certificates = [archive.certificate(user_id, files=1) for _ in range(250)]
    archive.export()

    ended = await archive.purge("--all")

    assert (ended.code, ended.stdout) == (0, "250 purged\n")
    assert [len(ids) for ids in archive.asked_to_blank()] == [100, 100, 50]
    assert all(map(archive.is_blank, certificates))


# 38: failing and crashing.


async def test_38_a_certificate_whose_file_cannot_be_deleted_keeps_its_links_and_the_others_are_finished(
    archive: Archive,
) -> None:
    user_id = archive.learner("ada")
    stuck, fine = archive.certificate(user_id, files=2), archive.certificate(user_id)
    # What can't be unlinked: a folder.
    archive.paths(stuck)[2].mkdir(parents=True)
    archive.export()

    ended = await archive.purge("--all", "--json")

    assert ended.code == 11
    assert results(ended) == {stuck["id"]: ("failed", "not_deleted"), fine["id"]: ("purged", None)}
    assert f"not_deleted: {stuck['id']}: a file could not be deleted" in ended.stderr
    assert not archive.is_blank(stuck) and archive.now(stuck) == stuck
    assert archive.is_blank(fine)

    archive.paths(stuck)[2].rmdir()
    again = await archive.purge("--all", "--json")

    # The listing is older than the purge of the other one.
    assert results(again) == {stuck["id"]: ("purged", None), fine["id"]: ("purged_before", None)}
    assert again.code == 0 and archive.is_blank(stuck)
    assert archive.asked_to_blank() == [[fine["id"]], [stuck["id"]]]


async def test_38_killed_between_deletion_and_blanking_the_rerun_blanks(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()
    held = archive.lms.hold(route=ROUTE)
    command = archive.desk.process(PURGE, "--all")
    await command.start()
    await eventually(lambda: _assert_equal(archive.lms.holding(held), 1))

    await command.kill()
    archive.lms.release(held, done=False)
    assert archive.files(certificate) == 0 and not archive.is_blank(certificate)

    dry = await archive.purge("--all", "--dry-run", "--json")
    assert results(dry) == {certificate["id"]: ("to_be_purged", None)}
    rerun = await archive.purge("--all", "--json")

    assert (rerun.code, results(rerun)) == (0, {certificate["id"]: ("purged", None)})
    assert archive.is_blank(certificate)


async def test_38_killed_between_deletion_and_blanking_what_is_on_record_is_sealed(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()
    archive.lms.misbehave("status", route=ROUTE, status=403, times=None)

    ended = await archive.purge("--all", "--json")

    assert (ended.code, results(ended)) == (11, {certificate["id"]: ("failed", "http_403")})
    with archive.desk.ledger() as ledger:
        [job] = await ledger.jobs(site=SITE, kind=JobKind.CERTIFICATES)
        assert (job.key, list(job.values)) == (str(certificate["id"]), ["place"])
    raw = b"".join(path.read_bytes() for path in archive.desk.folder.glob("ledger.db*"))
    for value in (certificate["download_uuid"], certificate["verify_uuid"], job.values["place"]):
        assert value.encode() not in raw


class _DiesAtOnce(BaseException):
    """As good as kill -9, for what runs in this process."""


class _DyingStore(DirectorySink):
    """A folder whose user dies as it deletes the `dies_at`-th file."""

    def __init__(self, root: Path, *, dies_at: int) -> None:
        super().__init__(root)
        self._left = dies_at

    async def delete(self, *, key: str) -> bool:
        """Delete it, or die after that."""
        deleted = await super().delete(key=key)
        self._left -= 1
        if self._left == 0:
            raise _DiesAtOnce
        return deleted


class _LyingStore(DirectorySink):
    """A folder that says it has deleted a file, and has not."""

    async def delete(self, *, key: str) -> bool:
        """Leave it as it is."""
        return True


async def test_38_files_that_can_still_be_read_keep_their_links(archive: Archive) -> None:
    archive.certificate(archive.learner("ada"), files=1)
    archive.export()
    forgetting = Forgetting()
    with archive.desk.ledger() as ledger:
        purging = Purging(
            store=_LyingStore(archive.store),
            paths=CertificatePaths(),
            records=Records(ledger=ledger, site=SITE),
            blanking=forgetting,
        )
        [outcome] = await purging.purge(read_listing(archive.listing))

    assert (outcome.result, outcome.code) == (Result.FAILED, "still_there")
    assert forgetting.runs == []


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
async def test_38_killed_in_the_middle_of_the_deletion_the_rerun_goes_on(archive: Archive, dies_at: int) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()
    listing = read_listing(archive.listing)
    with archive.desk.ledger() as ledger:
        records = Records(ledger=ledger, site=SITE)
        forgetting = Forgetting()
        dying = Purging(
            store=_DyingStore(archive.store, dies_at=dies_at),
            paths=CertificatePaths(),
            records=records,
            blanking=forgetting,
        )
        with pytest.raises(_DiesAtOnce):
            await dying.purge(listing)
        assert forgetting.runs == []
        assert archive.files(certificate) == 4 - dies_at

        purging = Purging(
            store=DirectorySink(archive.store), paths=CertificatePaths(), records=records, blanking=forgetting
        )
        [outcome] = await purging.purge(listing)

    assert outcome == Outcome(id=certificate["id"], result=Result.PURGED, files=4 - dies_at)
    assert forgetting.runs == [[certificate["id"]]]


async def test_two_runs_at_once_purge_every_certificate_and_fail_none(archive: Archive) -> None:
    user_id = archive.learner("ada")
    certificates = [archive.certificate(user_id) for _ in range(12)]
    archive.export()

    listing, forgetting = read_listing(archive.listing), Forgetting()
    with archive.desk.ledger() as one, archive.desk.ledger() as other:
        runs = [
            Purging(
                store=DirectorySink(archive.store),
                paths=CertificatePaths(),
                records=Records(ledger=ledger, site=SITE),
                blanking=forgetting,
            )
            for ledger in (one, other)
        ]
        ended = await asyncio.gather(*(run.purge(listing) for run in runs))
        assert await one.jobs(site=SITE, kind=JobKind.CERTIFICATES) == []

    assert {outcome.result for outcomes in ended for outcome in outcomes} <= {Result.PURGED, Result.PURGED_BEFORE}
    assert {id for run in forgetting.runs for id in run} == {certificate["id"] for certificate in certificates}
    assert not any(map(archive.files, certificates))


async def test_a_deletion_that_was_begun_elsewhere_is_no_excuse_for_a_wrong_folder(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()
    archive.lms.misbehave("status", route=ROUTE, status=403)
    assert (await archive.purge("--all")).code == 11
    (archive.desk.folder / "elsewhere").mkdir()
    site = archive.desk.site
    site.write_text(site.read_text().replace(str(archive.store), str(archive.desk.folder / "elsewhere")))

    ended = await archive.purge("--all", "--json")

    assert (ended.code, results(ended)) == (11, {certificate["id"]: ("failed", "none_found")})
    assert not archive.is_blank(certificate)


async def test_a_store_that_is_not_there_stops_everything_before_a_record_could_excuse_it(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()
    archive.lms.misbehave("status", route=ROUTE, status=403)
    assert (await archive.purge("--all")).code == 11
    archive.store.rename(archive.desk.folder / "unmounted")

    ended = await archive.purge("--all")

    assert ended.code == 9
    assert "The certificates' files can't be reached." in ended.stderr
    assert not archive.is_blank(certificate)


# 39: what is not touched.


async def test_39_a_dry_run_deletes_and_blanks_nothing(archive: Archive) -> None:
    user_id = archive.learner("ada")
    whole, half, none = (archive.certificate(user_id, files=files) for files in (4, 2, 0))
    archive.export()

    ended = await archive.purge("--all", "--dry-run")

    assert ended.code == 11
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["certificate", "files", "result", "code"],
        [str(whole["id"]), "4", "of", "4", "to_be_purged", "-"],
        [str(half["id"]), "2", "of", "4", "to_be_purged", "-"],
        [str(none["id"]), "0", "of", "4", "failed", "none_found"],
        ["2", "to", "be", "purged"],
        ["1", "failed"],
    ]
    assert [archive.files(each) for each in (whole, half, none)] == [4, 2, 0]
    assert archive.lms.requests() == []
    assert archive.lms.certificates() == [whole, half, none]
    with archive.desk.ledger() as ledger:
        assert await ledger.jobs(site=SITE, kind=JobKind.CERTIFICATES) == []


@pytest.mark.parametrize("arguments", [(), ("--all", "--certificate-ids", "1"), ("--certificate-ids", "one")])
async def test_39_neither_ids_nor_all_or_both_is_an_error(archive: Archive, arguments: tuple[str, ...]) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()

    ended = await archive.purge(*arguments)

    assert (ended.code, ended.stdout) == (2, "")
    assert "--certificate-ids" in ended.stderr or "1 2 3" in ended.stderr
    assert archive.files(certificate) == 4


@pytest.mark.parametrize("state", [None, "PENDING", "ABORTED"])
async def test_39_an_id_of_a_user_who_is_not_retired_is_refused_and_untouched(
    archive: Archive, state: str | None
) -> None:
    spared = archive.certificate(archive.learner("grace", state=state))
    purged = archive.certificate(archive.learner("ada"))
    archive.export()

    ended = await archive.purge("--certificate-ids", str(spared["id"]), str(purged["id"]), "999999", "--json")

    assert ended.code == 11
    assert results(ended) == {
        spared["id"]: ("refused", "not_retired"),
        purged["id"]: ("purged", None),
        999999: ("refused", "not_listed"),
    }
    assert archive.files(spared) == 4 and archive.now(spared) == spared
    assert archive.is_blank(purged)
    assert archive.asked_to_blank() == [[purged["id"]]]


async def test_39_all_leaves_those_who_are_not_retired_alone(archive: Archive) -> None:
    spared = archive.certificate(archive.learner("grace", state=None))
    archive.export()

    assert (await archive.purge("--all")).stdout == "0 purged\n"
    assert archive.files(spared) == 4 and archive.lms.requests() == []


async def test_39_none_of_four_files_fails_unless_that_is_accepted(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"), files=0)
    archive.export()

    refused = await archive.purge("--all", "--json")
    assert (refused.code, results(refused)) == (11, {certificate["id"]: ("failed", "none_found")})
    assert "wrong bucket, folder or path?" in refused.stderr
    assert not archive.is_blank(certificate) and archive.lms.requests() == []

    accepted = await archive.purge("--all", "--accept-missing", "--json")
    assert (accepted.code, results(accepted)) == (0, {certificate["id"]: ("purged", None)})
    assert archive.is_blank(certificate)


async def test_certificates_with_both_links_blank_are_passed_over(archive: Archive) -> None:
    archive.certificate(archive.learner("ada"), download_url="", download_uuid="", files=0)
    archive.export()

    assert (await archive.purge("--all")).stdout == "1 purged before\n"
    assert archive.lms.requests() == []


async def test_old_certificates_have_their_uuid_in_the_url_only(archive: Archive) -> None:
    user_id = archive.learner("ada")
    named = archive.certificate(user_id)
    uuid = named["download_uuid"]
    url = f"https://certificates.example/edx/downloads/{uuid}/Certificate.pdf?v=2"
    archive.listing.write_text(
        f"{HEADER}\n{named['id']},{user_id},1,{url},,{named['verify_uuid']}\n"
        f"{named['id'] + 1},{user_id},1,https://certificates.example/Certificate.pdf,,{named['verify_uuid']}\n"
    )

    ended = await archive.purge("--all", "--json")

    assert results(ended) == {named["id"]: ("purged", None), named["id"] + 1: ("failed", "no_download_uuid")}
    assert archive.files(named) == 0 and archive.asked_to_blank() == [[named["id"]]]


@pytest.mark.parametrize(
    ("uuid", "code"),
    [("../../x", "unsafe_download_uuid"), ("a/b", "unsafe_download_uuid"), ("..", "unsafe_download_uuid")],
)
async def test_a_value_that_could_leave_its_folder_is_refused(archive: Archive, uuid: str, code: str) -> None:
    victim = archive.desk.folder / "x"
    victim.mkdir()
    (victim / "Certificate.pdf").write_text("somebody else's")
    hostile = archive.certificate(archive.learner("ada"))
    archive.listing.write_text(f"{HEADER}\n{hostile['id']},1,1,https://h/,{uuid},{hostile['verify_uuid']}\n")

    ended = await archive.purge("--all", "--json")

    assert (ended.code, results(ended)) == (11, {hostile["id"]: ("failed", code)})
    assert (victim / "Certificate.pdf").exists() and archive.files(hostile) == 4
    assert archive.lms.requests() == []


async def test_a_listing_that_cannot_be_used_ends_the_command_before_anything_is_touched(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.listing.write_text(f"{HEADER}\n{certificate['id']},1,maybe,,a,b\n")

    ended = await archive.desk.retire(PURGE, "--all")

    assert (ended.code, ended.stdout) == (2, "")
    assert f"{archive.listing}:2: retired is neither 0 nor 1" in ended.stderr
    assert archive.files(certificate) == 4


def _assert_equal(value: object, expected: object) -> None:
    assert value == expected

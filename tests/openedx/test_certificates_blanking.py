"""Making the LMS forget: by its own command and by an endpoint of the site."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from openedx.certificates.blanking import Blanked, ByCommand
from openedx.certificates.listing import read_listing
from openedx.certificates.one_by_one import blank_all
from openedx.certificates.outcomes import Result
from openedx.certificates.paths import CertificatePaths
from openedx.certificates.purging import Purging
from openedx.certificates.records import Records
from openedx.sinks import SinkError
from openedx.sinks.directory import DirectorySink
from sandbox.lms.client import StandInLms
from tests.openedx.certificates import ROUTE, Archive, Forgetting, an_archive, results
from tests.openedx.pipelines import SITE
from tests.support.waiting import eventually


@pytest.fixture
async def archive(lms: StandInLms, tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive whose site has an endpoint that blanks."""
    async with an_archive(tmp_path, lms=lms) as archive:
        yield archive


async def test_ids_that_the_endpoint_does_not_name_as_processed_stay_unfinished(archive: Archive) -> None:
    user_id = archive.learner("ada")
    certificates = [archive.certificate(user_id) for _ in range(3)]
    first, second, third = (each["id"] for each in certificates)
    archive.export()
    body = {"processed": [first, second], "failed": [second]}
    archive.lms.misbehave("status", route=ROUTE, status=207, body=body)

    ended = await archive.purge("--all", "--json")

    assert ended.code == 11
    assert results(ended) == {
        first: ("purged", None),
        second: ("failed", "not_processed"),
        third: ("failed", "not_processed"),
    }
    again = await archive.purge("--certificate-ids", str(second), str(third))
    assert (again.code, archive.asked_to_blank()[-1]) == (0, [second, third])


async def test_a_lost_answer_of_the_endpoint_is_asked_for_again(archive: Archive) -> None:
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()
    archive.lms.misbehave("lost_answer", route=ROUTE)

    assert (await archive.purge("--all")).code == 0
    assert archive.asked_to_blank() == [[certificate["id"]]] * 2


async def test_one_certificate_that_the_command_refuses_keeps_no_other_from_being_blanked(archive: Archive) -> None:
    archive.blank_by_command()
    user_id = archive.learner("ada")
    good, bad, better = (archive.certificate(user_id) for _ in range(3))
    archive.lms.set(failing_certificates=[bad["id"]])
    archive.export()

    ended = await archive.purge("--all", "--json")

    assert results(ended) == {
        good["id"]: ("purged", None),
        bad["id"]: ("failed", "command_exit_1"),
        better["id"]: ("purged", None),
    }
    assert archive.is_blank(good) and archive.is_blank(better) and not archive.is_blank(bad)


async def test_halves_find_the_one_of_a_hundred() -> None:
    forgetting = Forgetting(failing=(17,))

    blanked = await blank_all(forgetting, range(1, 101))

    assert (blanked.failed, blanked.is_general) == ({17: "command_exit_1"}, False)
    assert blanked.done == frozenset(range(1, 101)) - {17}
    assert len(forgetting.runs) <= 15


async def test_a_command_that_refuses_everything_is_soon_given_up() -> None:
    forgetting = Forgetting(failing=tuple(range(1, 101)))

    blanked = await blank_all(forgetting, range(1, 101))

    assert (len(forgetting.runs), blanked.is_general, len(blanked.failed)) == (7, True, 100)


async def test_what_would_fail_for_all_others_leaves_their_files_alone(archive: Archive) -> None:
    user_id = archive.learner("ada")
    certificates = [archive.certificate(user_id, files=1) for _ in range(103)]
    archive.configure({"command": [str(archive.desk.folder / "no-such-program")]})
    archive.export()

    ended = await archive.purge("--all", "--json")

    codes = [results(ended)[each["id"]] for each in certificates]
    assert codes == [("failed", "command_not_found")] * 100 + [("failed", "not_tried")] * 3
    assert [archive.files(each) for each in certificates] == [0] * 100 + [1] * 3
    assert not any(map(archive.is_blank, certificates))


class _LosableStore(DirectorySink):
    """A folder that is looked at once, and then unmounted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._looks = 0

    async def check(self, *, folders: Sequence[str] = ()) -> None:
        """Look, and be gone at the second look."""
        self._looks += 1
        if self._looks == 2:
            raise SinkError("The folder isn't there.")


async def test_what_was_done_before_the_store_was_lost_is_told(archive: Archive) -> None:
    user_id = archive.learner("ada")
    certificates = [archive.certificate(user_id, files=1) for _ in range(101)]
    archive.export()
    with archive.desk.ledger() as ledger:
        purging = Purging(
            store=_LosableStore(archive.store),
            paths=CertificatePaths(),
            records=Records(ledger=ledger, site=SITE),
            blanking=Forgetting(),
        )
        outcomes = await purging.purge(read_listing(archive.listing))

    assert [each.result for each in outcomes] == [Result.PURGED] * 100 + [Result.FAILED]
    assert (outcomes[-1].id, outcomes[-1].code) == (certificates[-1]["id"], "store_lost")


async def test_the_command_gets_its_ids_as_arguments_and_shows_nothing(
    archive: Archive, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = archive.desk.folder / "seen.json"
    script = f"import json, sys; json.dump(sys.argv[1:], open({str(seen)!r}, 'w')); print('Ada'); print('Ada', file=sys.stderr)"
    archive.configure({"command": [sys.executable, "-c", script, "$(touch x); *"]})
    certificate = archive.certificate(archive.learner("ada"))
    archive.export()

    assert (await archive.purge("--all")).code == 0

    assert json.loads(seen.read_text()) == ["$(touch x); *", "--certificate_ids", str(certificate["id"])]
    assert capfd.readouterr() == ("", "")


async def test_a_command_that_never_ends_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    begun = f"sleep 60 & echo $! > {note}; wait"
    command = ByCommand(command=["sh", "-c", begun], within=timedelta(seconds=1))

    blanked = await command.blank([1])

    assert blanked == Blanked(code="command_took_too_long", is_general=True)
    await eventually(lambda: _assert_gone(int(note.read_text())))


@pytest.mark.parametrize(
    ("script", "code", "is_general"),
    [("exit 3", "command_exit_3", False), ("kill -9 $$", "command_signal_9", False)],
)
async def test_only_exit_code_zero_is_done(script: str, code: str, is_general: bool) -> None:
    command = ByCommand(command=["sh", "-c", script], within=timedelta(seconds=10))
    assert await command.blank([1, 2]) == Blanked(code=code, is_general=is_general)


def _assert_gone(pid: int) -> None:
    stat = Path(f"/proc/{pid}/stat")
    # One that nobody has buried yet is dead all the same.
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"

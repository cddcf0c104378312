"""`retire openedx retire-one`: starts, waits, and ends with the codes of the driver's script."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from starter.driver_codes import DriverCode, code_of_hold, code_of_result
from tests.openedx.retiring import Campus
from tests.openedx.sites import write_site
from tests.support.commands import Retire, a_door
from tests.support.waiting import eventually
from workflows.messages import Hold, Result
from workflows.names import HeldCause, Outcome, Reason

_ASKED = timedelta(days=10)


@pytest.fixture
def site(campus: Campus, tmp_path: Path) -> str:
    """A site of four steps."""
    return write_site(tmp_path, plan=campus.plan("one"))


@pytest.fixture
def retire(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Retire:
    """The command, with the settings of the campus."""
    return a_door(campus.stage, plan="one", patch=monkeypatch)


async def test_a_due_learner_is_retired(
    campus: Campus, retire: Retire, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = campus.learner("ada", ago=_ASKED)
    # Jobs of the driver name the learner so.
    monkeypatch.setenv("RETIREMENT_USERNAME", "ada")
    ended = await retire("openedx", "retire-one", "--site", site)
    assert (ended.code, ended.stdout) == (0, f"courses-{ada['id']}: COMPLETE\n"), ended
    assert campus.lms.state("ada") == "COMPLETE"
    again = await retire("openedx", "retire-one", "ada", "--site", site)
    assert (again.code, again.stdout) == (254, f"courses-{ada['id']}: COMPLETE in the LMS already\n")


async def test_a_run_that_is_going_on_is_waited_for(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", ago=_ASKED)
    held = campus.lms.hold(route="unenroll", username="ada")
    assert (await retire("openedx", "collect", "--site", site)).code == 0

    async def is_at_work() -> None:
        assert campus.lms.holding(held) == 1

    await eventually(is_at_work)
    waiting = asyncio.ensure_future(retire("openedx", "retire-one", "ada", "--site", site))

    async def has_looked() -> None:
        # One look of the sweep's run, one of the command.
        assert campus.calls("ada").count("status") == 2

    await eventually(has_looked)
    campus.lms.release(held)
    ended = await waiting
    assert (ended.code, ended.stdout) == (0, f"courses-{ada['id']}: COMPLETE\n")
    assert campus.calls("ada").count("unenroll") == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [("ERRORED", 254), ("ABORTED", 254), ("COMPLETE", 254), ("RETIRING_NOTES", 250), ("NOTES_COMPLETE", 250)],
)
async def test_what_can_not_begin_is_told_and_nothing_else_is_asked(
    campus: Campus, retire: Retire, site: str, state: str, code: int
) -> None:
    campus.learner("ada", ago=_ASKED, state=state)
    ended = await retire("openedx", "retire-one", "ada", "--site", site, "--json")
    assert (ended.code, ended.facts["exit_code"]) == (code, code)
    assert campus.calls("ada") == ["status"]


async def test_nobody_of_this_very_name_is_251(campus: Campus, retire: Retire, site: str) -> None:
    campus.learner("Ada", ago=_ASKED)
    assert (await retire("openedx", "retire-one", "nobody", "--site", site)).code == 251
    # Where the LMS's database does not tell letter case, it answers with somebody else's row.
    campus.lms.set(lookup_ignores_case=True)
    assert (await retire("openedx", "retire-one", "ada", "--site", site)).code == 251
    assert campus.lms.state("Ada") == "PENDING"


async def test_a_learner_at_whom_somebody_else_works_is_253(campus: Campus, retire: Retire, site: str) -> None:
    campus.learner("ada", ago=_ASKED, state="RETIRING_LMS", modified=datetime.now(UTC))
    ended = await retire("openedx", "retire-one", "ada", "--site", site)
    assert ended.code == 253, ended
    assert "held: another_driver" in ended.stdout
    assert campus.lms.state("ada") == "RETIRING_LMS"


async def test_what_is_wrong_with_settings_or_set_up_is_told_apart(
    campus: Campus, retire: Retire, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus.learner("ada", ago=_ASKED)
    assert (await retire("openedx", "retire-one", "ada")).code == 249
    missing = await retire("openedx", "retire-one", "ada", "--site", str(Path(site).with_name("missing.yaml")))
    assert missing.code == 249 and "there is no such file" in missing.stderr
    other = write_site(Path(site).parent, plan="no_such_plan")
    assert (await retire("openedx", "retire-one", "ada", "--site", other)).code == 249
    site = write_site(Path(site).parent, plan="one")
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", "not-it")
    refused = await retire("openedx", "retire-one", "ada", "--site", site, "--json")
    assert refused.code == 255 and "client id and secret" in refused.facts["error"]
    assert campus.lms.state("ada") == "PENDING"


async def test_a_dry_run_starts_nobody(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", ago=_ASKED)
    ended = await retire("openedx", "retire-one", "ada", "--site", site, "--dry-run")
    assert ended.stdout == f"courses-{ada['id']}: would be started; the LMS has it as PENDING\n"
    assert await campus.stage.ledger.find(user_id=f"courses-{ada['id']}", tenant=None) is None


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (Result(outcome=Outcome.COMPLETE), 0),
        (Result(outcome=Outcome.ERRORED), 252),
        (Result(outcome=Outcome.ABORTED, reason=Reason.NO_SUCH_SUBJECT, code="no_row"), 251),
        (Result(outcome=Outcome.ABORTED, reason=Reason.NOT_ELIGIBLE, code="state_not_in_plan"), 250),
        (Result(outcome=Outcome.ABORTED, reason=Reason.RESCINDED), 254),
    ],
)
def test_every_end_has_the_code_of_the_driver(result: Result, code: int) -> None:
    assert code_of_result(result) == code


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("another_driver", DriverCode.ANOTHER_DRIVER),
        ("moved_by_another", 253),
        ("http_401", 255),
        ("wrong_person", 255),
    ],
)
def test_every_hold_has_the_code_of_the_driver(code: str, ends: int) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert code_of_hold(Hold(step="s", cause=HeldCause.CONFLICT, code=code, since=now, expires_at=now)) == ends

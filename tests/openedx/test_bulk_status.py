"""`retire openedx bulk-status`: exactly the learners of a state and of dates, by force, and never under a run."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from openedx.collecting import Known
from openedx.resuming import BulkMove, NotMoved
from tests.openedx.retiring import Campus
from tests.openedx.sites import a_row, an_imported_plan, chain_in, write_site
from tests.support.commands import Retire, a_door
from tests.support.waiting import eventually

_TODAY = datetime.now(UTC).date()
_DAYS = ("--start-date", str(_TODAY - timedelta(days=12)), "--end-date", str(_TODAY - timedelta(days=8)))
_ASKED = timedelta(days=10)


@pytest.fixture
def site(campus: Campus, tmp_path: Path) -> str:
    """A site of four steps."""
    return write_site(tmp_path, plan=campus.plan("moved"))


@pytest.fixture
def retire(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Retire:
    """The command, with the settings of the campus."""
    return a_door(campus.stage, plan="moved", patch=monkeypatch)


async def test_29_learners_of_a_state_and_of_dates_are_put_back_and_nobody_else(
    campus: Campus, retire: Retire, site: str
) -> None:
    for name, last_state in (("first", "RETIRING_EMAIL_LISTS"), ("third", "RETIRING_LMS_MISC"), ("lost", "ERRORED")):
        campus.learner(name, ago=_ASKED, state="ERRORED", last_state=last_state)
    campus.learner("earlier", ago=3 * _ASKED, state="ERRORED", last_state="RETIRING_LMS")
    campus.learner("other", ago=_ASKED, state="LMS_COMPLETE", last_state="RETIRING_LMS")
    move = ("openedx", "bulk-status", "--site", site, "--initial-state", "ERRORED", *_DAYS, "--rewind", "--by", "ops-3")
    dry = await retire(*move, "--dry-run", "--json")
    assert (dry.code, dry.facts["moved"], dry.facts["failed"]) == (11, 2, 1)
    assert campus.lms.requests(route="update") == []
    ended = await retire(*move)
    assert ended.code == 11
    assert "1 failed, 2 moved\nThe next `retire openedx collect` goes on with those that were moved.\n" in ended.stdout
    states = {name: campus.lms.state(name) for name in ("first", "third", "lost", "earlier", "other")}
    assert states == {
        "first": "PENDING", "third": "ENROLLMENTS_COMPLETE", "lost": "ERRORED", "earlier": "ERRORED",
        "other": "LMS_COMPLETE",
    }  # fmt: skip
    assert all(request.json["force"] is True for request in campus.lms.requests(route="update"))
    assert "first" not in ended.stdout


async def test_29_one_failing_learner_does_not_stop_the_others(campus: Campus, retire: Retire, site: str) -> None:
    for number in range(3):
        campus.learner(f"learner-{number}", ago=_ASKED, state="ERRORED", last_state="RETIRING_LMS")
    campus.lms.misbehave("status", route="update", username="learner-1", times=None, status=400)
    ended = await retire(
        *("openedx", "bulk-status", "--site", site, "--initial-state", "ERRORED", *_DAYS),
        *("--new-state", "PENDING", "--json"),
    )
    assert (ended.code, ended.facts["moved"], ended.facts["failed"]) == (11, 2, 1)
    assert [campus.lms.state(f"learner-{number}") for number in range(3)] == ["PENDING", "ERRORED", "PENDING"]


async def test_everything_is_run_again_by_the_next_sweep(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", ago=_ASKED)
    assert (await retire("openedx", "retire-one", "ada", "--site", site)).code == 0
    first = await campus.stage.case_of(f"courses-{ada['id']}")
    ended = await retire(
        *("openedx", "bulk-status", "--site", site, "--initial-state", "COMPLETE", *_DAYS), *("--new-state", "PENDING")
    )
    assert ended.code == 0, ended
    keys = _keys(campus)
    campus.lms.forget_requests()
    assert (await retire("openedx", "collect", "--site", site)).stdout.startswith("started: 0 in cool-off, 1 due")

    async def look() -> None:
        assert campus.lms.state("ada") == "COMPLETE"

    await eventually(look)
    assert (await campus.stage.case_of(f"courses-{ada['id']}")).retirement_id != first.retirement_id
    assert keys and _keys(campus) and keys.isdisjoint(_keys(campus))


def _keys(campus: Campus) -> set[str]:
    keys = (request.headers.get("idempotency-key") for request in campus.lms.requests("ada"))
    return {key for key in keys if key is not None}


async def test_who_has_a_run_going_on_is_left_out(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", ago=_ASKED)
    held = campus.lms.hold(route="unenroll", username="ada")
    assert (await retire("openedx", "collect", "--site", site)).code == 0

    async def is_at_work() -> None:
        assert campus.lms.holding(held) == 1

    await eventually(is_at_work)
    ended = await retire(
        *("openedx", "bulk-status", "--site", site, "--initial-state", "RETIRING_ENROLLMENTS", *_DAYS),
        *("--new-state", "PENDING", "--json"),
    )
    [learner] = ended.facts["learners"]
    assert (ended.code, learner["learner"], learner["code"]) == (0, f"courses-{ada['id']}", "running")
    assert campus.lms.state("ada") == "RETIRING_ENROLLMENTS"
    campus.lms.release(held)

    async def look() -> None:
        assert campus.lms.state("ada") == "COMPLETE"

    await eventually(look)


async def test_29_both_or_neither_way_is_refused_and_no_request_made(campus: Campus, retire: Retire, site: str) -> None:
    for ways in ([], ["--rewind", "--new-state", "PENDING"]):
        ended = await retire("openedx", "bulk-status", "--site", site, "--initial-state", "ERRORED", *_DAYS, *ways)
        assert ended.code == 2 and "either --new-state or --rewind" in ended.stderr
    ended = await retire(
        *("openedx", "bulk-status", "--site", site, "--initial-state", "ERRORED", *_DAYS),
        *("--new-state", "RETIRING_LMS"),
    )
    assert ended.code == 2 and "--allow-working" in ended.stderr
    assert campus.lms.requests() == []


# What is refused, decided without anybody.

_DAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("changes", "allow_working", "told"),
    [
        ({}, False, None),
        ({"new_state": None}, False, None),
        ({"new_state": "COMPLETE"}, False, None),
        ({"new_state": "LMS_COMPLETE"}, False, None),
        ({"new_state": "RETIRING_LMS"}, True, None),
        ({"new_state": "RETIRING_LMS"}, False, "--allow-working"),
        ({"new_state": "COMPLETED"}, True, "--new-state is none of the plan's states"),
        # A state of an earlier pipeline: this is the way out of it.
        ({"initial_state": "NOTES_COMPLETE"}, False, None),
        ({"start": _DAY + timedelta(days=1)}, False, "--start-date is after --end-date"),
        ({"end": _DAY + timedelta(days=1)}, False, "in the future"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, changes: dict[str, object], allow_working: bool, told: str | None
) -> None:
    asked = {"initial_state": "ERRORED", "start": _DAY, "end": _DAY, "new_state": "PENDING", **changes}
    chain = chain_in(an_imported_plan(tmp_path))
    refusal = BulkMove(**asked).refusal(chain, today=_DAY, allow_working=allow_working)  # type: ignore[arg-type]
    assert refusal is None if told is None else told in str(refusal)


def test_who_is_there_already_is_left_out(tmp_path: Path) -> None:
    chain = chain_in(an_imported_plan(tmp_path))
    back = BulkMove(initial_state="PENDING", start=_DAY, end=_DAY, new_state=None)
    with pytest.raises(NotMoved) as left_out:
        back.target(a_row(state="PENDING", last_state="PENDING"), known=Known(), chain=chain)
    assert (left_out.value.code, left_out.value.is_error) == ("there_already", False)

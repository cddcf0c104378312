"""`retire openedx resume`: a stopped learner goes on at the step that stopped, whoever worked on them before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from openedx.collecting import Known
from openedx.resuming import NotMoved, Where, resumption_of
from tests.openedx.retiring import Campus
from tests.openedx.sites import a_row, an_imported_plan, chain_in, write_site
from tests.openedx.test_collect_deciding import a_case
from tests.support.commands import Retire, a_door
from tests.support.waiting import eventually
from workflows.names import Outcome

_ASKED = timedelta(days=10)


@pytest.fixture
def site(campus: Campus, tmp_path: Path) -> str:
    """A site of four steps, of which the third gives up soon."""

    def change(plan: dict[str, Any]) -> None:
        for step in plan["steps"].values():
            step["patience"] = "1s"

    return write_site(tmp_path, plan=campus.plan("resumed", change=change))


@pytest.fixture
def retire(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Retire:
    """The command, with the settings of the campus."""
    return a_door(campus.stage, plan="resumed", patch=monkeypatch)


async def _shows(campus: Campus, username: str, state: str) -> None:
    async def look() -> None:
        assert campus.lms.state(username) == state

    await eventually(look)


async def _has_ended(campus: Campus, row: dict[str, Any], outcome: Outcome) -> None:
    async def look() -> None:
        case = await campus.stage.ledger.find(user_id=f"courses-{row['id']}", tenant=None)
        assert case is not None and case.outcome is outcome

    await eventually(look)


async def test_22_it_goes_on_at_the_step_that_stopped(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", ago=_ASKED)
    campus.lms.misbehave("status", route="retire_misc", times=None, status=400)
    assert (await retire("openedx", "retire-one", "ada", "--site", site)).code == 252
    assert campus.lms.state("ada") == "ERRORED"
    campus.lms.behave()
    campus.lms.forget_requests()
    ended = await retire("openedx", "resume", "ada", "--site", site, "--by", "ops-3")
    assert (ended.code, ended.stdout) == (
        0,
        f"courses-{ada['id']}  ERRORED  → ENROLLMENTS_COMPLETE  resumed  -\n1 resumed\n",
    ), ended
    await _shows(campus, "ada", "COMPLETE")
    forced, *others = [request.json for request in campus.lms.requests("ada", route="update")]
    assert forced == {
        "username": "ada",
        "new_state": "ENROLLMENTS_COMPLETE",
        "response": "Resumed by ops-3 with `retire openedx resume`",
        "force": True,
    }
    assert not any("force" in other for other in others)
    assert campus.lms.effects_on(ada) == ["mailings", "unenroll", "misc", "retire"]


async def test_23_whom_other_scripts_left_is_resumed_from_the_lms_alone(
    campus: Campus, retire: Retire, site: str
) -> None:
    row = campus.learner("ann", ago=_ASKED, state="ERRORED", last_state="RETIRING_EMAIL_LISTS")
    assert await campus.stage.ledger.find(user_id=f"courses-{row['id']}", tenant=None) is None
    ended = await retire("openedx", "resume", "ann", "--site", site, "--json")
    [learner] = ended.facts["learners"]
    assert (learner["result"], learner["target"]) == ("resumed", "PENDING")
    await _shows(campus, "ann", "COMPLETE")
    assert campus.lms.effects_on(row) == ["mailings", "unenroll", "misc", "retire"]


async def test_all_errored_ones_of_some_days_are_resumed_and_one_that_can_not_be_stops_nobody(
    campus: Campus, retire: Retire, site: str
) -> None:
    for number in range(2):
        campus.learner(f"stopped-{number}", ago=_ASKED, state="ERRORED", last_state="RETIRING_LMS")
    lost = campus.learner("lost", ago=_ASKED, state="ERRORED", last_state="ERRORED")
    campus.learner("elsewhen", ago=4 * _ASKED, state="ERRORED", last_state="RETIRING_LMS")
    day = (datetime.now(UTC) - _ASKED).date()
    ended = await retire(
        *("openedx", "resume", "--site", site, "--json"),
        *("--start-date", str(day - timedelta(days=1)), "--end-date", str(day)),
    )
    assert (ended.code, ended.facts["resumed"], ended.facts["failed"]) == (11, 2, 1)
    [failed] = [learner for learner in ended.facts["learners"] if learner["result"] == "failed"]
    assert (failed["learner"], failed["code"]) == (f"courses-{lost['id']}", "no_target")
    for number in range(2):
        await _shows(campus, f"stopped-{number}", "COMPLETE")
    assert (campus.lms.state("lost"), campus.lms.state("elsewhen")) == ("ERRORED", "ERRORED")


async def test_a_step_may_be_named_or_left_out(campus: Campus, retire: Retire, site: str) -> None:
    plan = campus.stage.settings.plans_dir / "resumed.yaml"
    assert plan.exists()
    lost = campus.learner("lost", ago=_ASKED, state="ERRORED", last_state="ERRORED")
    unknown = await retire("openedx", "resume", "lost", "--site", site, "--from", "nowhere")
    assert unknown.code == 2 and "Write one of" in unknown.stderr
    steps = unknown.stderr.rpartition("Write one of ")[2].strip().rstrip(".").split(", ")
    ended = await retire("openedx", "resume", "lost", "--site", site, "--from", steps[3])
    assert ended.code == 0, ended
    await _shows(campus, "lost", "COMPLETE")
    assert campus.lms.effects_on(lost) == ["retire"]
    left = campus.learner(
        "left",
        email="left@example.org",
        name="Lefty Quill",
        ago=_ASKED,
        state="ERRORED",
        last_state="RETIRING_LMS_MISC",
    )
    nobody = await retire("openedx", "resume", "left", "--site", site, "--skip", steps[2])
    assert nobody.code == 2 and "give --reason and --by" in nobody.stderr
    why = "left@example.org (Lefty Quill, LEFT) has nothing there"
    ended = await retire(
        *("openedx", "resume", "left", "--site", site), *("--skip", steps[2], "--reason", why, "--by", "ops-3")
    )
    assert ended.code == 0, ended
    await _shows(campus, "left", "COMPLETE")
    assert campus.lms.effects_on(left) == ["retire"]
    [note] = [request.json["response"] for request in campus.lms.requests("left") if "force" in (request.json or {})]
    assert note.endswith(f"without the step {steps[2]}: [learner] ([learner], [learner]) has nothing there")


async def test_a_dry_run_moves_nobody(campus: Campus, retire: Retire, site: str) -> None:
    campus.learner("ann", ago=_ASKED, state="ERRORED", last_state="RETIRING_LMS")
    ended = await retire("openedx", "resume", "ann", "nobody", "--site", site, "--dry-run")
    assert ended.code == 11
    assert "ERRORED  → LMS_MISC_COMPLETE  resumed" in ended.stdout
    assert "#2" in ended.stdout and "would be: 1 failed, 1 resumed" in ended.stdout
    assert "nobody" not in ended.stdout
    assert campus.lms.state("ann") == "ERRORED"
    assert campus.lms.requests("ann", route="update") == []


async def test_somebody_else_of_nearly_the_same_name_is_left_alone(campus: Campus, retire: Retire, site: str) -> None:
    """An LMS whose database does not tell letter case answers with their row."""
    campus.lms.set(lookup_ignores_case=True)
    campus.learner("Ann", ago=_ASKED, state="ERRORED", last_state="RETIRING_LMS")
    ended = await retire("openedx", "resume", "ann", "--site", site)
    assert ended.code == 11 and "letter case counts" in ended.stdout
    assert campus.lms.state("Ann") == "ERRORED"


async def test_usernames_come_from_a_file_or_not_at_all(campus: Campus, retire: Retire, site: str) -> None:
    ann = campus.learner("ann with spaces", ago=_ASKED, state="ERRORED", last_state="RETIRING_LMS")
    names = Path(site).with_name("names.txt")
    # As a spreadsheet writes it.
    names.write_bytes(b"\xef\xbb\xbfann with spaces\r\n\r\nann with spaces\r\n")
    ended = await retire("openedx", "resume", "--file", str(names), "--site", site, "--dry-run", "--json")
    assert [learner["learner"] for learner in ended.facts["learners"]] == [f"courses-{ann['id']}"]
    for wrong in (
        [],
        ["ann", "--start-date", "2026-01-01", "--end-date", "2026-01-02"],
        ["--start-date", "2026-01-01"],
    ):
        assert (await retire("openedx", "resume", *wrong, "--site", site)).code == 2


# Who is resumed, and where; decided without anybody.

_ERRORED = Known(case=a_case(outcome=Outcome.ERRORED, state="past_return"))


@pytest.mark.parametrize(
    ("row", "known", "target"),
    [
        ({"state": "ERRORED", "last_state": "RETIRING_LMS"}, Known(), "LMS_MISC_COMPLETE"),
        ({"state": "ERRORED", "last_state": "RETIRING_LMS"}, _ERRORED, "LMS_MISC_COMPLETE"),
        # Its run stopped here, and the LMS was never told: the row stays, the run goes on where it says.
        ({"state": "RETIRING_LMS"}, _ERRORED, None),
        ({"state": "ENROLLMENTS_COMPLETE"}, _ERRORED, None),
        ({"state": "PENDING"}, Known(case=a_case(outcome=None, state="open")), None),
    ],
)
def test_the_row_tells_where_to_go_on(tmp_path: Path, row: dict[str, Any], known: Known, target: str | None) -> None:
    chain = chain_in(an_imported_plan(tmp_path))
    assert resumption_of(a_row(**row), known=known, chain=chain, where=Where()) == target


@pytest.mark.parametrize(
    ("row", "known", "code"),
    [
        ({"state": "ERRORED", "last_state": "RETIRING_LMS"}, Known(is_running=True), "running"),
        ({"state": "ERRORED", "last_state": "ERRORED"}, Known(), "no_target"),
        ({"state": "COMPLETE"}, Known(), "ended"),
        ({"state": "ABORTED"}, _ERRORED, "ended"),
        ({"state": "RETIRING_NOTES"}, _ERRORED, "state_not_in_plan"),
        ({"state": "PENDING"}, Known(), "not_stopped"),
        ({"state": "RETIRING_LMS"}, Known(case=a_case()), "not_stopped"),
    ],
)
def test_what_has_not_stopped_is_not_resumed(tmp_path: Path, row: dict[str, Any], known: Known, code: str) -> None:
    chain = chain_in(an_imported_plan(tmp_path))
    with pytest.raises(NotMoved) as not_moved:
        resumption_of(a_row(**row), known=known, chain=chain, where=Where())
    assert not_moved.value.code == code

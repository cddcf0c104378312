"""`retire openedx collect`: what a sweep asks the LMS, whom it starts, and what it tells."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openedx.collecting import Known, Sweep, look
from openedx.row import Row
from sandbox.lms.client import StandInLms, a_learner
from sandbox.lms.states import COMMON_STATES
from tests.openedx.retiring import Campus
from tests.openedx.sites import a_shell_on, a_site, an_imported_plan, asking, chain_in, write_site
from tests.support.commands import Retire, a_door
from tests.support.waiting import eventually

_DAY = timedelta(days=1)
_FULL = "cool_off_days=7&states=PENDING&states=EMAIL_LISTS_COMPLETE&states=ENROLLMENTS_COMPLETE"
_FULL += "&states=LMS_MISC_COMPLETE&states=LMS_COMPLETE"


@pytest.fixture
def site(campus: Campus, tmp_path: Path) -> str:
    """A site of four steps, whose file is the command's --site."""
    return write_site(tmp_path, plan=campus.plan("collected"))


@pytest.fixture
def retire(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Retire:
    """The command, with the settings of the campus."""
    return a_door(campus.stage, plan="collected", patch=monkeypatch)


async def test_a_sweep_starts_who_waits_who_is_due_and_who_was_left(campus: Campus, retire: Retire, site: str) -> None:
    cool = campus.learner("cool", ago=2 * _DAY)
    due = campus.learner("due", ago=10 * _DAY)
    between = campus.learner("between", ago=12 * _DAY, state="ENROLLMENTS_COMPLETE", last_state="RETIRING_ENROLLMENTS")
    stranded = campus.learner("stranded", ago=12 * _DAY, state="RETIRING_LMS", last_state="LMS_MISC_COMPLETE")
    ended = await retire("openedx", "collect", "--site", site)
    assert (ended.code, ended.stdout) == (0, "started: 1 in cool-off, 2 due, 1 adopted, 0 running already\n"), ended
    for name in ("due", "between", "stranded"):
        await _shows(campus.lms, name, "COMPLETE")
    assert campus.lms.effects_on(due) == ["mailings", "unenroll", "misc", "retire"]
    assert campus.lms.effects_on(between) == ["misc", "retire"]
    assert campus.lms.effects_on(stranded) == ["retire"]
    assert campus.lms.state("cool") == "PENDING"
    # A second one finds nothing to do, and tells of nobody by name.
    again = await retire("openedx", "collect", "--site", site, "--json")
    assert again.facts["running"] == 1
    assert [again.facts[name] for name in ("started_in_cool_off", "started_due", "adopted")] == [[], [], []]
    case = await campus.stage.ledger.find(user_id=f"courses-{cool['id']}", tenant=None)
    assert case is not None
    assert abs(case.cool_off_ends_at - (datetime.now(UTC) + 5 * _DAY)) < timedelta(minutes=1)
    for name in ("cool", "between", "stranded"):
        assert f"{name}@" not in again.stdout + ended.stdout


async def _shows(lms: StandInLms, username: str, state: str) -> None:
    async def look() -> None:
        assert lms.state(username) == state

    await eventually(look)


async def test_19_two_sweeps_at_once_make_one_set_of_requests(campus: Campus, site: str) -> None:
    campus.learner("ada", ago=10 * _DAY)
    retire = a_shell_on(campus)
    both = await asyncio.gather(*(retire("openedx", "collect", "--site", site, "--due-only") for _ in range(2)))
    assert [ended.code for ended in both] == [0, 0], both
    await _shows(campus.lms, "ada", "COMPLETE")
    assert campus.calls("ada").count("retire") == 1
    assert len(campus.calls("ada")) == 14


async def test_36_too_many_start_nobody_until_an_operator_accepts_their_number(
    campus: Campus, retire: Retire, tmp_path: Path
) -> None:
    site = write_site(tmp_path, plan=campus.plan("collected"), collect={"guard": 2, "batch": 2})
    for number in range(4):
        campus.learner(f"learner-{number}", ago=10 * _DAY)
    refused = await retire("openedx", "collect", "--site", site)
    assert refused.code == 5
    assert "There are 4 new learners, more than the 2" in refused.stderr
    assert "--accept 4" in refused.stderr
    wrong = await retire("openedx", "collect", "--site", site, "--accept", "3")
    assert wrong.code == 5 and "4 new learners, not 3 as accepted" in wrong.stderr
    assert {campus.lms.state(f"learner-{number}") for number in range(4)} == {"PENDING"}
    accepted = await retire("openedx", "collect", "--site", site, "--accept", "4")
    assert accepted.code == 0
    assert "2 due, 0 adopted, 2 due ones left for the next sweep" in accepted.stdout
    await eventually(lambda: _complete(campus, 2))
    # What is left is within the guard, and needs no word.
    assert (await retire("openedx", "collect", "--site", site)).code == 0
    await eventually(lambda: _complete(campus, 4))


async def _complete(campus: Campus, number: int) -> None:
    assert [campus.lms.state(f"learner-{each}") for each in range(4)].count("COMPLETE") == number


async def test_a_dry_run_and_a_paused_site_start_nobody(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", ago=10 * _DAY)
    dry = await retire("openedx", "collect", "--site", site, "--dry-run", "--json")
    assert (dry.code, dry.facts["started_due"]) == (0, [f"courses-{ada['id']}"])
    paused = write_site(Path(site).parent, plan="collected", collect={"paused": True})
    campus.lms.forget_requests()
    ended = await retire("openedx", "collect", "--site", paused)
    assert (ended.code, ended.stdout) == (0, "paused: nobody was started; what runs goes on\n")
    assert campus.lms.requests() == []
    assert await campus.stage.ledger.find(user_id=f"courses-{ada['id']}", tenant=None) is None
    assert campus.lms.state("ada") == "PENDING"


async def test_who_has_taken_it_back_is_never_collected_again(campus: Campus, retire: Retire, site: str) -> None:
    """An older LMS can't be told that somebody has changed their mind: their row stays as it was."""
    campus.lms.set(missing_routes=["cancel"])
    ada = campus.learner("ada", ago=2 * _DAY)
    assert (await retire("openedx", "collect", "--site", site)).code == 0
    user_id = f"courses-{ada['id']}"
    await eventually(lambda: campus.stage.case_of(user_id))
    rescinded = await retire("rescind", user_id)
    assert rescinded.code == 0, rescinded
    campus.lms.change_row("ada", created=datetime.now(UTC) - 10 * _DAY)
    ended = await retire("openedx", "collect", "--site", site, "--json")
    assert ended.facts["started_due"] == []
    assert campus.lms.state("ada") == "PENDING"


async def test_a_wrong_secret_starts_nobody_and_says_what_to_see_to(
    campus: Campus, retire: Retire, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus.learner("ada", ago=10 * _DAY)
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", "not-it")
    ended = await retire("openedx", "collect", "--site", site)
    assert ended.code == 10
    assert "See that client id and secret are right" in ended.stderr
    assert campus.lms.state("ada") == "PENDING"


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ({"missing_routes": ["unenroll"]}, "steps.enrollments.request.path"),
        (
            {"states": [state for state in COMMON_STATES if "LMS_MISC" not in state]},
            "compare with `retire openedx check`",
        ),
    ],
)
async def test_a_plan_that_its_site_does_not_fit_starts_nobody(
    campus: Campus, retire: Retire, site: str, lacks: dict[str, list[str]], told: str
) -> None:
    campus.learner("ada", ago=10 * _DAY)
    campus.lms.set(**lacks)
    ended = await retire("openedx", "collect", "--site", site, "--due-only")
    assert ended.code == 11 and told in ended.stderr, ended.stderr
    assert campus.lms.state("ada") == "PENDING"


# What a sweep asks the LMS.


async def _sweep(
    lms: StandInLms,
    folder: Path,
    *,
    known: Mapping[str, Known] | None = None,
    guard: int = 300,
    due_only: bool = False,
    accept: int | None = None,
) -> Sweep:
    plan = an_imported_plan(folder, url=lms.url)

    async def look_up(rows: Sequence[Row]) -> Mapping[int, Known]:
        return {row.id: (known or {}).get(row.username, Known()) for row in rows}

    async with asking(lms, folder=folder) as asked:
        return await look(
            asked,
            site=a_site(guard=guard),
            chain=chain_in(plan),
            look_up=look_up,
            now=datetime.now(UTC),
            due_only=due_only,
            accept=accept,
        )


@pytest.fixture
def secret(lms: StandInLms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's secret, where a plan looks for it."""
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", lms.settings().client_secret)


@pytest.mark.usefixtures("secret")
async def test_a_sweep_asks_for_three_lists(lms: StandInLms, tmp_path: Path) -> None:
    await _sweep(lms, tmp_path)
    today = datetime.now(UTC).date()
    seen = [(request.route, request.query) for request in lms.requests() if request.route != "token"]
    assert seen == [
        ("by_date", f"start_date={today - 8 * _DAY}&end_date={today}&state=PENDING"),
        ("queue", f"{_FULL}&limit=301"),
        (
            "queue",
            "cool_off_days=0&states=RETIRING_EMAIL_LISTS&states=RETIRING_ENROLLMENTS"
            "&states=RETIRING_LMS_MISC&states=RETIRING_LMS",
        ),
    ]


@pytest.mark.usefixtures("secret")
async def test_due_only_asks_for_the_due_ones_alone(lms: StandInLms, tmp_path: Path) -> None:
    await _sweep(lms, tmp_path, due_only=True)
    assert [request.query for request in lms.requests(route="queue")] == [f"{_FULL}&limit=301"]
    assert {request.route for request in lms.requests()} == {"token", "queue"}


@pytest.mark.usefixtures("secret")
async def test_behind_an_answer_full_of_known_ones_it_looks_further(lms: StandInLms, tmp_path: Path) -> None:
    """Otherwise those that wait for a person at the head of the queue would hide everybody behind them, for ever."""
    _due(lms, 5)
    at_work = {f"learner-{number}": Known(is_running=True) for number in range(3)}
    sweep = await _sweep(lms, tmp_path, guard=2, due_only=True, known=at_work)
    assert [beginning.row.username for beginning in sweep.due] == ["learner-3", "learner-4"]
    assert [request.query for request in lms.requests(route="queue")] == [f"{_FULL}&limit=3", _FULL]


@pytest.mark.usefixtures("secret")
async def test_a_full_answer_with_somebody_new_is_enough(lms: StandInLms, tmp_path: Path) -> None:
    _due(lms, 5)
    at_work = {f"learner-{number}": Known(is_running=True) for number in range(2)}
    sweep = await _sweep(lms, tmp_path, guard=2, due_only=True, known=at_work)
    assert [beginning.row.username for beginning in sweep.due] == ["learner-2"]
    assert len(lms.requests(route="queue")) == 1


@pytest.mark.usefixtures("secret")
async def test_an_operator_is_told_how_many_there_really_are(lms: StandInLms, tmp_path: Path) -> None:
    _due(lms, 9)
    sweep = await _sweep(lms, tmp_path, guard=2)
    assert (sweep.guarded, sweep.new, sweep.beginnings) == (True, 9, ())
    accepted = await _sweep(lms, tmp_path, guard=2, accept=9)
    assert (accepted.guarded, len(accepted.due)) == (False, 9)
    assert (await _sweep(lms, tmp_path, guard=2, accept=8)).guarded


def _due(lms: StandInLms, count: int) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=20)
    lms.add_learners(a_learner(f"learner-{number}", created=long_ago) for number in range(count))

"""`retire openedx status` and `stranded`: where learners stand, in the LMS and here, in words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from openedx.row import Row
from openedx.standing import Retry, phase_of
from tests.openedx.retiring import Campus
from tests.openedx.sites import a_row, an_imported_plan, chain_in, write_site
from tests.openedx.test_collect_deciding import a_case
from tests.support.commands import Retire, a_door
from tests.support.waiting import eventually
from workflows.messages import Hold, Status, StepStatus
from workflows.names import HeldCause, Outcome, Phase, Reason

_ASKED = timedelta(days=10)


@pytest.fixture
def site(campus: Campus, tmp_path: Path) -> str:
    """A site of four steps."""
    return write_site(tmp_path, plan=campus.plan("shown"))


@pytest.fixture
def retire(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Retire:
    """The command, with the settings of the campus."""
    return a_door(campus.stage, plan="shown", patch=monkeypatch)


async def test_a_learner_in_cool_off_is_shown_with_the_way_back(campus: Campus, retire: Retire, site: str) -> None:
    ada = campus.learner("ada", email="ada@example.org", ago=timedelta(days=2))
    user_id = f"courses-{ada['id']}"
    before = await retire("openedx", "status", "ada", "--site", site, "--json")
    assert before.facts["phase"] == "cooling-off, not collected yet"
    assert (await retire("openedx", "collect", "--site", site)).code == 0

    async def look() -> None:
        facts = (await retire("openedx", "status", "ada", "--site", site, "--json")).facts
        assert facts["phase"] == "cooling-off"
        assert (facts["lms_state"], facts["rescind"]) == ("PENDING", f"retire rescind {user_id}")
        assert facts["cool_off_ends_at"].startswith((datetime.now(UTC) + timedelta(days=5)).date().isoformat())

    await eventually(look)
    shown = await retire("openedx", "status", "ada", "--site", site)
    assert shown.code == 0
    assert f"take back by      retire rescind {user_id}\n" in shown.stdout
    assert "ada@" not in shown.stdout
    assert (await retire("rescind", user_id)).code == 0

    async def is_gone() -> None:
        gone = await retire("openedx", "status", "ada", "--site", site)
        assert gone.code == 3 and "`retire status courses-<id of the row>`" in gone.stderr

    await eventually(is_gone)


async def test_a_learner_at_work_and_one_who_is_done_are_shown(campus: Campus, retire: Retire, site: str) -> None:
    campus.learner("ada", ago=_ASKED)
    held = campus.lms.hold(route="unenroll", username="ada")
    assert (await retire("openedx", "collect", "--site", site)).code == 0

    async def is_at_work() -> None:
        assert campus.lms.holding(held) == 1

    await eventually(is_at_work)
    facts = (await retire("openedx", "status", "ada", "--site", site, "--json")).facts
    assert (facts["phase"], facts["lms_state"]) == ("retiring step 2 of 4", "RETIRING_ENROLLMENTS")
    campus.lms.release(held)

    async def is_complete() -> None:
        shown = (await retire("openedx", "status", "ada", "--site", site, "--json")).facts
        assert (shown["phase"], shown["outcome"]) == ("complete", "COMPLETE")

    await eventually(is_complete)


async def test_a_learner_whose_service_is_down_is_shown_as_retrying(campus: Campus, retire: Retire, site: str) -> None:
    campus.learner("ada", ago=_ASKED)
    campus.lms.misbehave("status", route="unenroll", username="ada", times=None, status=503)
    assert (await retire("openedx", "collect", "--site", site)).code == 0

    async def look() -> None:
        phase = (await retire("openedx", "status", "ada", "--site", site, "--json")).facts["phase"]
        assert phase.startswith("retrying since ") and "next try at" in phase

    await eventually(look)
    campus.lms.behave()


async def test_a_learner_who_is_held_is_shown_with_the_ways_out(campus: Campus, retire: Retire, site: str) -> None:
    campus.lms.set(missing_routes=["cancel"])
    ada = campus.learner("ada", ago=timedelta(days=2))
    user_id = f"courses-{ada['id']}"
    assert (await retire("openedx", "collect", "--site", site)).code == 0

    async def is_cooling_off() -> None:
        assert (await retire("openedx", "status", "ada", "--site", site, "--json")).facts["phase"] == "cooling-off"

    await eventually(is_cooling_off)
    assert (await retire("rescind", user_id)).code == 0

    async def look() -> None:
        facts = (await retire("openedx", "status", "ada", "--site", site, "--json")).facts
        assert facts["phase"].startswith("held: cancel_by_hand (step mirror)")
        assert facts["decide"] == [f"retire decide {user_id} --step mirror --decision retry|close"]

    await eventually(look)
    shown = await retire("openedx", "status", "ada", "--site", site)
    by_hand = "manage.py lms cancel_user_retirement_request <e-mail of the learner>"
    assert f"do by hand        {by_hand}\n" in shown.stdout
    # Somebody has run it.
    campus.lms.delete_row("ada")
    assert (await retire("decide", user_id, "--step", "mirror", "--decision", "retry")).code == 0


async def test_a_learner_who_has_stopped_is_shown_with_the_steps_in_their_order(
    campus: Campus, retire: Retire, site: str
) -> None:
    campus.learner("ada", ago=_ASKED)
    campus.lms.misbehave("status", route="retire", username="ada", times=None, status=400)
    assert (await retire("openedx", "retire-one", "ada", "--site", site)).code == 252
    facts = (await retire("openedx", "status", "ada", "--site", site, "--json")).facts
    assert (facts["phase"], facts["resume"]) == ("errored at step 4 of 4: http_400", "retire openedx resume USERNAME")
    assert [step["step"] for step in facts["steps"]] == ["email_lists", "enrollments", "lms_misc", "lms"]


async def test_the_stranded_are_listed_with_what_to_do(campus: Campus, retire: Retire, site: str) -> None:
    now = datetime.now(UTC)
    left = campus.learner("left", ago=_ASKED, state="RETIRING_LMS", modified=now - timedelta(hours=3))
    stopped = campus.learner("stopped", ago=_ASKED, state="ERRORED", modified=now - timedelta(days=3))
    campus.learner("fresh", ago=_ASKED, state="RETIRING_LMS", modified=now)
    campus.learner("waiting", ago=_ASKED)
    ended = await retire("openedx", "stranded", "--site", site, "--json")
    assert ended.code == 0
    assert [(each["learner"], each["state"], each["here"], each["do"]) for each in ended.facts["stranded"]] == [
        (f"courses-{left['id']}", "RETIRING_LMS", "unknown", "retire openedx collect"),
        (f"courses-{stopped['id']}", "ERRORED", "unknown", "retire openedx resume USERNAME"),
    ]
    assert '"left"' not in ended.stdout
    older = await retire("openedx", "stranded", "--site", site, "--age", "1d", "--show-usernames")
    assert "stopped" in older.stdout and older.stdout.endswith("1 found\n")


# The words, decided without anybody.

_NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
_HOLD = Hold(step="lms", cause=HeldCause.CREDENTIALS, code="http_401", since=_NOW, expires_at=_NOW)
_FAILED = StepStatus(step="lms", phase="erase", state="failed", code="http_400")


def _live(phase: Phase, **more: Any) -> dict[str, Any]:
    return {"case": a_case(outcome=None, state="open", closed_at=None), "status": Status(phase=phase, **more)}


@pytest.mark.parametrize(
    ("row", "known", "told"),
    [
        ({"created": "2026-03-19T00:00:00Z"}, {}, "cooling-off, not collected yet"),
        ({}, {}, "due, not collected yet"),
        ({"state": "LMS_MISC_COMPLETE"}, {}, "left between steps, not collected yet"),
        (
            {"state": "RETIRING_LMS", "modified": "2026-03-20T11:00:00Z"},
            {},
            "at step 4 of 4 since 2026-03-20 11:00:00 UTC, not by us",
        ),
        ({"state": "ERRORED", "last_state": "RETIRING_LMS_MISC"}, {}, "errored at step 3 of 4: by other scripts"),
        ({"state": "RETIRING_NOTES"}, {}, "in a state that is not in this plan: RETIRING_NOTES"),
        ({}, _live(Phase.COOL_OFF), "cooling-off"),
        ({"state": "RETIRING_ENROLLMENTS"}, _live(Phase.ERASE), "retiring step 2 of 4"),
        ({"state": "ENROLLMENTS_COMPLETE"}, _live(Phase.ERASE), "retiring step 3 of 4"),
        ({"state": "LMS_COMPLETE"}, _live(Phase.ERASE), "retiring step 4 of 4"),
        (
            {"state": "RETIRING_LMS"},
            _live(Phase.ERASE, held=(_HOLD,)),
            "held: http_401 (step lms), until 2026-03-20 12:00:00 UTC at the latest",
        ),
        (
            {"state": "RETIRING_LMS"},
            {**_live(Phase.ERASE), "retries": [Retry(since=_NOW, next_try_at=_NOW)]},
            "retrying since 2026-03-20 12:00:00 UTC, next try at 2026-03-20 12:00:00 UTC",
        ),
        # A step has failed for good, and the LMS doesn't take the news.
        (
            {"state": "RETIRING_LMS"},
            {**_live(Phase.ERASE, steps=(_FAILED,)), "retries": [Retry(since=None, next_try_at=_NOW)]},
            "errored (not yet mirrored); retrying, next try at 2026-03-20 12:00:00 UTC",
        ),
        ({"state": "RETIRING_LMS"}, _live(Phase.ERASE, steps=(_FAILED,)), "errored (not yet mirrored)"),
        ({}, {"case": a_case(outcome=None, state="open")}, "a run is going on; no worker answers just now"),
        (
            {"state": "ERRORED", "last_state": "RETIRING_LMS"},
            {"case": a_case(outcome=Outcome.ERRORED, state="past_return", code="http_400")},
            "errored at step 4 of 4: http_400",
        ),
        (
            {"state": "RETIRING_LMS"},
            {"case": a_case(outcome=Outcome.ERRORED, state="past_return")},
            "errored here, not in the LMS",
        ),
        ({"state": "COMPLETE"}, {"case": a_case(closed_at=_NOW)}, "complete"),
        (
            {},
            {"case": a_case(outcome=Outcome.ABORTED, reason=Reason.RESCINDED, closed_at=_NOW)},
            "aborted (rescinded)",
        ),
        # Put back in the LMS since: what was is over.
        ({"modified": "2026-03-20T11:00:00Z"}, {"case": a_case()}, "due, not collected yet"),
    ],
)
def test_where_a_learner_stands_is_told_in_words(
    tmp_path: Path, row: dict[str, Any], known: dict[str, Any], told: str
) -> None:
    shown: Row = a_row(**row)
    facts = {"case": None, "status": None, **known}
    chain = chain_in(an_imported_plan(tmp_path))
    assert phase_of(shown, chain=chain, cool_off=timedelta(days=7), now=_NOW, **facts) == told

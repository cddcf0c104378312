"""A step that a person does: the LMS sees it like any other, the record lists it as open until somebody says that it is done."""

from pathlib import Path
from typing import Any

import pytest

from starter.exit_codes import ExitCode
from tests.openedx.pipelines import FOUR, DriverRow
from tests.openedx.retiring import Campus
from tests.support.commands import Retire, a_door
from workflows.messages import Result
from workflows.names import Outcome, StepResult

SALESFORCE: DriverRow = ("RETIRING_EXTRA", "EXTRA_COMPLETE", "SALESFORCE", "retire_learner")
KEYS = ("user", "password", "token", "domain", "assignee")


@pytest.fixture
def retire(campus: Campus, monkeypatch: pytest.MonkeyPatch) -> Retire:
    """The command, with the settings of the campus."""
    settings: dict[str, Any] = {f"salesforce_{key}": "not-called" for key in KEYS}
    campus.plan("by-hand", (FOUR[1], SALESFORCE, FOUR[3]), **settings)
    monkeypatch.delenv("RETIREMENT_BY", raising=False)
    return a_door(campus.stage, plan="by-hand", patch=monkeypatch)


async def retired(campus: Campus) -> Result:
    """A learner for whom everything is done but what a person does."""
    ada = campus.learner("ada", email="ada@learner.example", name="Ada Lovelace")
    result = await (await campus.start(ada, plan="by-hand")).result()
    assert result.outcome is Outcome.COMPLETE
    return result


async def test_it_is_mirrored_like_any_step_and_stays_open_until_somebody_says_that_it_is_done(
    campus: Campus, retire: Retire
) -> None:
    result = await retired(campus)
    id = str(result.retirement_id)
    assert campus.calls("ada") == [
        *("status", "RETIRING_ENROLLMENTS", "unenroll", "ENROLLMENTS_COMPLETE"),
        *("RETIRING_EXTRA", "EXTRA_COMPLETE"),
        *("RETIRING_LMS", "retire", "LMS_COMPLETE", "COMPLETE"),
    ]
    [ending] = [request.json["response"] for request in campus.asked("ada") if request.new_state == SALESFORCE[1]]
    assert ending == "Ending: EXTRA_COMPLETE with response:\nmanual"
    assert {step.step: step.result for step in result.steps}["extra"] is StepResult.MANUAL
    report = (await retire("report", id, "--json")).facts
    assert "extra" not in [*report["erased"], *report["unverified"], *report["absent"]]
    assert [(work["step"], work["state"]) for work in report["work"]] == [("extra", "open")]
    status = (await retire("status", id)).stdout
    assert "work   kind    state  opened at" in status and "\nextra  manual  open " in status

    # What it takes to do it is shown to whoever asks for it, and to nobody else.
    shown = await retire("work", "show", id, "extra")
    assert "In Salesforce, look for a Lead" in shown.stdout and "subject.email" in shown.stdout
    assert "ada@learner.example" not in shown.stdout + shown.stderr
    assert "ada@learner.example" in (await retire("work", "show", id, "extra", "--show-values")).stdout
    listed = await retire("work", "--open")
    assert id in listed.stdout and "ada" not in listed.stdout

    done = await retire("work", "done", id, "extra", "--by", "ops-3")
    assert (done.code, done.stdout) == (ExitCode.OK, f"{id} extra: done, says ops-3\n")
    assert campus.stage.vault_rows(id) == 0
    assert id not in (await retire("work", "list", "--open")).stdout
    [work] = [each for each in (await retire("work", "--json")).facts["work"] if each["retirement_id"] == id]
    assert (work["state"], work["by"], work["code"]) == ("done", "ops-3", None)
    assert "ada@learner.example" not in (await retire("work", "show", id, "extra", "--show-values")).stdout
    again = await retire("work", "failed", id, "extra", "--by", "ops-4", "--reason", "no_access")
    assert again.code == ExitCode.REFUSED and again.stdout == ""
    assert f"{id} extra is done since " in again.stderr and "as ops-3 said. Nothing was changed." in again.stderr


async def test_somebody_who_can_t_do_it_says_so(campus: Campus, retire: Retire) -> None:
    id = str((await retired(campus)).retirement_id)
    nobody = await retire("work", "failed", id, "extra")
    assert nobody.code == ExitCode.USAGE and "--by" in nobody.stderr
    failed = await retire("work", "failed", id, "extra", "--by", "ops-3", "--reason", "no_access", "--json")
    assert (failed.code, failed.facts["state"], failed.facts["code"]) == (ExitCode.OK, "failed", "no_access")
    unknown = await retire("work", "done", id, "enrollments", "--by", "ops-3")
    assert (unknown.code, unknown.stdout) == (ExitCode.NOT_FOUND, "")
    assert unknown.stderr == f"Error: {id} has left nothing to do at step enrollments. It has at: extra.\n"


async def test_without_work_the_list_says_so(tmp_path: Path, campus: Campus, retire: Retire) -> None:
    for work in await campus.stage.ledger.all_work(left_only=True, limit=1000):
        said: dict[str, Any] = (
            await retire("work", "done", work.retirement_id, work.step, "--by", "ops", "--json")
        ).facts
        assert said["state"] == "done"
    assert (await retire("work", "--open")).stdout == "Nothing is left to do.\n"

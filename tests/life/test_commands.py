"""The `retire` command against a real Temporal server, a real worker and the sandbox's services."""

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from sandbox.faults import FaultKind
from starter.exit_codes import ExitCode
from tests.support.commands import Ended, Retire, a_shell, settings_in
from tests.support.plans import PlanDocument, a_plan, with_patience
from tests.support.stage import Stage, staged
from tests.support.waiting import eventually
from worker.converter import DATA_CONVERTER


@pytest.fixture(scope="module")
async def retire(stage: Stage) -> AsyncIterator[Retire]:
    """`retire` beside the stage's worker."""
    await stage.ledger.set_up()
    stage.plan("impatient", with_patience("2s"))
    folder = stage.settings.keys_file.parent
    address = stage.client.service_client.config.target_host
    yield a_shell(settings_in(folder, address=address, namespace=stage.client.namespace))


async def test_start_and_wait_shows_the_phases_and_ends_by_the_outcome(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    ended = await retire("start", ada.user_id, "--cool-off", "1s", "--wait", "--json")
    assert ended.code == ExitCode.OK, ended
    assert ended.facts["outcome"] == "COMPLETE"
    assert "cool-off until " in ended.stderr
    assert stage.sandbox.accounts.kept(ada) is None
    id = ended.facts["retirement_id"]
    for who in (ada.user_id, id, f"retire-user-{ada.user_id}"):
        status = await retire("status", who, "--json")
        assert (status.code, status.facts["outcome"], status.facts["retirement_id"]) == (ExitCode.OK, "COMPLETE", id)
    again = await retire("start", ada.user_id, "--wait", "--json")
    assert (again.code, again.facts["reason"]) == (ExitCode.ABORTED, "already_complete")
    rescinded = await retire("rescind", ada.user_id, "--json")
    assert (rescinded.code, rescinded.facts["code"]) == (ExitCode.REFUSED, "past_return")
    assert set(rescinded.facts["gone"]) == {"forum", "newsletter", "profile"}
    report = await retire("report", id, "--json")
    assert report.facts["retained"] == ["invoices"]
    assert ada.user_id not in report.stdout


def by_handle(document: PlanDocument) -> None:
    """The accounts service is asked by what the start hands over, and not by the id that Temporal knows."""
    subject, steps = document["subject"], document["steps"]
    subject["given"] = ["handle"]
    subject["lookup"]["request"]["path"] = "/users/{{ subject.handle }}"
    profile = steps["profile"]
    profile["request"]["path"] = profile["probe"]["request"]["path"] = "/users/{{ subject.handle }}"
    document["steps"] = {"profile": profile | {"after": []}}


async def test_what_is_given_reaches_the_services_and_neither_temporal_nor_the_output(
    stage: Stage, retire: Retire, tmp_path: Path
) -> None:
    ada, bob = stage.sandbox.add_person(), stage.sandbox.add_person()
    stage.plan("handles", by_handle)
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"handle": ada.user_id}))
    arguments = ("start", "row-46", "--plan", "handles", "--cool-off", "0", "--given", given, "--wait", "--json")
    ended = await retire(*map(str, arguments))
    assert (ended.code, ended.facts["outcome"]) == (ExitCode.OK, "COMPLETE"), ended
    assert stage.sandbox.accounts.kept(ada) is None and stage.sandbox.accounts.kept(bob) is not None
    history = await stage.client.get_workflow_handle("retire-user-row-46").fetch_history()
    kept = b"".join(event.SerializeToString() for event in history.events)
    assert b"row-46" in kept and ada.user_id.encode() not in kept
    assert ada.user_id not in ended.stdout + ended.stderr

    async def cooling_off() -> None:
        assert (await retire("status", "row-47", "--json")).facts["phase"] == "cool_off"

    # Beside one that is going on nobody would come for it.
    given.write_text(json.dumps({"handle": bob.user_id}))
    for code in (ExitCode.OK, ExitCode.ALREADY_RUNNING):
        assert (await retire("start", "row-47", "--plan", "handles", "--given", str(given))).code == code
        await eventually(cooling_off)
    with contextlib.closing(sqlite3.connect(stage.settings.database_url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT count(*) FROM intakes").fetchone() == (0,)


async def test_messages_are_answered_and_shown_in_status(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    assert (await retire("start", ada.user_id)).code == ExitCode.OK
    assert (await retire("start", ada.user_id)).code == ExitCode.ALREADY_RUNNING

    async def cooling_off() -> Ended:
        status = await retire("status", ada.user_id, "--json")
        assert status.facts["phase"] == "cool_off"
        return status

    await eventually(cooling_off)
    extended = await retire("extend", ada.user_id, "--by-duration", "3d", "--by", "support-7", "--json")
    assert (extended.code, extended.facts["accepted"]) == (ExitCode.OK, True)
    beyond = await retire("extend", ada.user_id, "--by-duration", "90d", "--json")
    assert (beyond.code, beyond.facts["code"]) == (ExitCode.REFUSED, "beyond_max")
    status = (await retire("status", ada.user_id, "--json")).facts
    assert (status["told_by"], status["cool_off_ends_at"]) == ("worker", extended.facts["cool_off_ends_at"])
    assert [(m["kind"], m["accepted"], m["by"]) for m in status["messages"]] == [
        ("extend", True, "support-7"),
        ("extend", False, None),
    ]
    rescinded = await retire("rescind", ada.user_id, "--by", "support-7", "--reason", "changed_mind", "--json")
    assert (rescinded.code, rescinded.facts["accepted"]) == (ExitCode.OK, True)

    async def given_back() -> Ended:
        status = await retire("status", ada.user_id, "--json")
        assert status.facts["outcome"] == "ABORTED"
        return status

    await eventually(given_back)
    assert stage.sandbox.accounts.can_log_in(ada)
    again = await retire("rescind", ada.user_id, "--json")
    assert (again.code, again.facts["code"]) == (ExitCode.OK, "already_rescinded")


async def test_expedite_ends_the_cool_off(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    await retire("start", ada.user_id)

    async def expedited() -> Ended:
        assert (await retire("expedite", ada.user_id, "--json")).code in (ExitCode.OK, ExitCode.REFUSED)
        status = await retire("status", ada.user_id, "--json")
        assert status.facts["outcome"] == "COMPLETE"
        return status

    await eventually(expedited)
    assert stage.sandbox.accounts.kept(ada) is None


async def test_errored_is_shown_and_resumed_with_a_skip_on_record(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=500, user=ada, method="DELETE", times=None)
    ended = await retire("start", ada.user_id, "--plan", "impatient", "--cool-off", "0", "--wait", "--json")
    assert (ended.code, ended.facts["failed"]) == (ExitCode.ERRORED, ["forum"])
    id = ended.facts["retirement_id"]
    plain = await retire("start", ada.user_id, "--wait", "--json")
    assert (plain.code, plain.facts["reason"]) == (ExitCode.ABORTED, "errored_before")
    assert id in (await retire("list", "--outcome", "ERRORED")).stdout
    back = await retire("resume", id, "--abort")
    assert back.code == ExitCode.REFUSED
    assert "newsletter" in back.stderr
    refused = await retire("rescind", ada.user_id, "--json")
    assert (refused.code, refused.facts["code"]) == (ExitCode.REFUSED, "past_return")
    resumed = await retire("resume", id, "--skip", "forum", "--reason", "closed", "--by", "ops-3", "--wait", "--json")
    assert (resumed.code, resumed.facts["skipped"]) == (ExitCode.OK, ["forum"]), resumed
    report = (await retire("report", id, "--json")).facts
    assert [(s["step"], s["by"], s["code"]) for s in report["steps"] if s["result"] == "skipped"] == [
        ("forum", "ops-3", "closed")
    ]
    assert [resume["direction"] for resume in report["resumes"]] == ["forward"]


async def test_a_rescind_of_what_errored_on_its_way_back_undoes_the_rest(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    unlock = f"/users/{ada.user_id}/unlock"
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=500, path_prefix=unlock, times=None)
    await retire("start", ada.user_id, "--plan", "impatient")

    async def rescinded() -> Ended:
        answer = await retire("rescind", ada.user_id)
        assert answer.code == ExitCode.OK, answer
        return answer

    async def errored() -> Ended:
        status = await retire("status", ada.user_id, "--json")
        assert (status.facts["outcome"], status.facts["direction"]) == ("ERRORED", "back"), status
        return status

    await eventually(rescinded)
    await eventually(errored)
    stage.sandbox.accounts.behave()
    back = await retire("rescind", ada.user_id, "--by", "support-7", "--json")
    assert (back.code, back.facts["accepted"], back.facts["code"]) == (ExitCode.OK, True, "going_back"), back

    async def given_back() -> Ended:
        status = await retire("status", ada.user_id, "--json")
        assert (status.facts["outcome"], status.facts["reason"]) == ("ABORTED", "rescinded"), status
        return status

    await eventually(given_back)
    assert stage.sandbox.accounts.can_log_in(ada)


async def test_interrupting_the_wait_leaves_the_retirement_alone(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    ended = await retire("start", ada.user_id, "--wait", interrupt_at="cool-off until")
    assert ended.code == ExitCode.INTERRUPTED
    assert (await retire("status", ada.user_id, "--json")).facts["run"]["status"] == "RUNNING"
    await retire("rescind", ada.user_id)


async def test_a_call_that_is_tried_again_is_shown_with_its_last_code(stage: Stage, retire: Retire) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=None)
    await retire("start", ada.user_id, "--cool-off", "0")

    async def shown() -> Ended:
        status = await retire("status", ada.user_id, "--json")
        calls = {call["call"]: call for call in status.facts["run"]["pending"]}
        assert calls.get("forum", {}).get("attempt", 0) > 1, status
        assert calls["forum"]["last_code"] == "http_503"
        return status

    await eventually(shown)
    stage.sandbox.forum.behave()


async def test_set_up_twice_at_once_and_a_rescind_while_no_worker_runs(stage: Stage, tmp_path: Path) -> None:
    address = stage.client.service_client.config.target_host
    namespace = f"commands-{os.getpid()}"
    retire = a_shell(settings_in(tmp_path, address=address, namespace=namespace))
    a_plan(tmp_path / "plans", "sandbox")
    both = await asyncio.gather(retire("setup"), retire("setup", "--json"))
    assert [ended.code for ended in both] == [ExitCode.OK, ExitCode.OK], both
    once_more = await retire("setup", "--json")
    assert {part["state"] for part in once_more.facts["parts"]} == {"already there"}
    assert oct((tmp_path / "keys.json").stat().st_mode & 0o777) == "0o600"

    ada = stage.sandbox.add_person()
    assert (await retire("start", ada.user_id)).code == ExitCode.OK
    waiting = await retire("status", ada.user_id, "--json")
    assert (waiting.code, waiting.facts["phase"]) == (ExitCode.OK, "not_opened_yet")
    later = await retire("extend", ada.user_id, "--by-duration", "1d")
    assert later.code == ExitCode.NOT_YET_ANSWERED
    rescinded = await retire("rescind", ada.user_id, "--by", "support-7", "--json")
    assert (rescinded.code, rescinded.facts["answered"]) == (ExitCode.NOT_YET_ANSWERED, False)

    client = await Client.connect(address, namespace=namespace, data_converter=DATA_CONVERTER)
    async with staged(client=client, sandbox=stage.sandbox, folder=tmp_path):

        async def given_back() -> Ended:
            status = await retire("status", ada.user_id, "--json")
            assert (status.facts["outcome"], status.facts["reason"]) == ("ABORTED", "rescinded"), status
            return status

        await eventually(given_back)
    assert stage.sandbox.accounts.can_log_in(ada)

"""Services in a network of their own: only workers that serve their queue ask them, and only those need their address."""

import os
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import pytest

from sandbox.client import Person
from starter.standing import Pending, look_at_run
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.plans import PlanDocument, a_plan, all_of, brisk, on_the_intranet
from tests.support.processes import a_killable_worker
from tests.support.stage import LONGEST_WAIT, Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Status
from workflows.names import HeldCause, Outcome, Phase, Reason

CALLS, INTRANET = names.CALLS_QUEUE, f"{names.CALLS_QUEUE}-intranet"


def at_an_address_of_its_own(document: PlanDocument) -> None:
    """The forum's part is played by a wiki, whose address not every worker knows."""
    on_the_intranet(document)
    document["services"]["forum"]["base_url"] = "${env:WIKI_URL}"


async def waits(stage: Stage, run: Retirement, call: str) -> Pending:
    """Wait until a call waits for a worker, as `retire status` shows it."""

    async def look() -> Pending:
        seen = await look_at_run(stage.client, workflow_id=run.handle.id)
        assert seen is not None
        pending = {each.call: each for each in seen.pending}
        assert call in pending and pending[call].waits_for_queue is not None, seen
        return pending[call]

    return await eventually(look, within=LONGEST_WAIT)


def states(status: Status) -> dict[str, str]:
    return {step.step: step.state for step in status.steps if step.phase == "erase"}


class Wiki:
    """Plays the forum for one person, and knows whose worker asked."""

    def __init__(self, service: HttpService, person: Person) -> None:
        self.service, self.is_there = service, True
        author = f"/authors/{person.user_id}"
        service.on("GET", author, lambda received: Reply(status=200 if self.is_there else 404))
        service.on("DELETE", author, self._delete)
        for method in ("PUT", "DELETE"):
            service.on(method, f"{author}/mutes/retirement", Reply(status=204))

    def _delete(self, received: Received) -> Reply:
        self.is_there = False
        return Reply(status=204)

    @property
    def asked_by(self) -> set[str]:
        """The programs that asked."""
        return {received.headers["user-agent"] for received in self.service.received}

    @property
    def asked(self) -> list[str]:
        """What was asked, in order: `["GET", "PUT", …]`."""
        return [received.method for received in self.service.received]


@pytest.fixture
async def service() -> AsyncIterator[HttpService]:
    async with http_service() as service:
        yield service


async def test_a_step_waits_for_a_worker_of_its_queue_and_delays_nothing_else(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    plan = stage.plan("on-the-intranet", all_of(on_the_intranet, brisk))
    async with stage.worker_for("intranet") as intranet:
        run = await stage.start(ada, plan=plan, running_clock=True)
        await run.reaches(Phase.COOL_OFF)
        await intranet.stop()
        await run.ask(names.EXPEDITE)

        async def others_have_ended() -> None:
            assert states(await run.status()) == {
                "forum": "running",
                "newsletter": "erased",
                "invoices": "retained",
                "profile": "waiting",
            }

        await eventually(others_have_ended, within=LONGEST_WAIT)
        pending = await waits(stage, run, "forum")
        assert (pending.waits_for_queue, pending.attempt, pending.last_code) == ("intranet", 1, None)
        assert stage.sandbox.forum.effects_on(ada) == ["mute"]
        await intranet.start()
        assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "erase"]
    assert {call: queue for call, queue in (await run.queues()).items() if queue.startswith(CALLS)} == {
        "check": CALLS,
        "check:intranet": INTRANET,
        "lock": CALLS,
        "mute": INTRANET,
        "recheck": CALLS,
        "forum": INTRANET,
        "newsletter": CALLS,
        "profile": CALLS,
        "verify": INTRANET,
        "verify:main": CALLS,
    }


async def test_a_rescind_does_not_wait_for_a_worker_that_is_not_there(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    plan = stage.plan("on-the-intranet", all_of(on_the_intranet, brisk))
    run = await stage.start(ada, plan=plan, running_clock=True)
    assert (await waits(stage, run, "check:intranet")).waits_for_queue == "intranet"
    status = await run.status()
    assert (status.phase, status.may_rescind) == (Phase.CHECK, True)
    assert (await run.ask(names.RESCIND)).accepted
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert stage.sandbox.forum.requests(ada) == []


async def test_whoever_was_seen_on_any_queue_is_asked_about_at_the_end(stage: Stage) -> None:
    """Lookup and facts on the queue, most probes beside it: what all lanes have seen is put together."""

    def accounts_on_the_intranet(document: PlanDocument) -> None:
        document["services"]["accounts"]["queue"] = "intranet"
        document["facts"] = {"members": {"service": "accounts", "request": {"method": "GET", "path": "/roles/x/users"}}}
        document["eligibility"] = [{"refuse_if": "facts.members.users", "code": "somebody"}]

    ada = stage.sandbox.add_person()
    plan = stage.plan("accounts-on-the-intranet", all_of(accounts_on_the_intranet, brisk))
    async with stage.worker_for("intranet"):
        run = await stage.start(ada, plan=plan, cool_off="0")
        result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps if step.step in ("forum", "newsletter", "profile")} == {
        "forum": "erased",
        "newsletter": "erased",
        "profile": "erased",
    }
    case = await stage.case_of(ada)
    assert set(case.present or ()) == {"forum", "newsletter", "profile"}
    queues = await run.queues()
    assert {call: queues[call] for call in ("check", "check:main", "verify", "verify:intranet")} == {
        "check": INTRANET,
        "check:main": CALLS,
        "verify": CALLS,
        "verify:intranet": INTRANET,
    }


async def test_only_a_worker_of_the_queue_asks_and_nobody_else_needs_the_address(
    stage: Stage, service: HttpService, tmp_path: Path
) -> None:
    assert "WIKI_URL" not in os.environ
    ada = stage.sandbox.add_person(at=("accounts", "newsletter", "invoices"))
    wiki = Wiki(service, ada)
    plan = stage.plan("wiki", all_of(at_an_address_of_its_own, brisk))
    a_plan(tmp_path / "plans", "wiki", all_of(at_an_address_of_its_own, brisk))
    worker = a_killable_worker(
        folder=tmp_path,
        environment={
            "WIKI_URL": service.url,
            "TEMPORAL_ADDRESS": stage.client.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": stage.client.namespace,
            "RETIREMENT_DATABASE_URL": stage.settings.database_url,
            "RETIREMENT_KEYS_FILE": str(stage.settings.keys_file),
            "RETIREMENT_PLANS_DIR": str(tmp_path / "plans"),
            "RETIREMENT_PLAN": "wiki",
            "RETIREMENT_QUEUES": "intranet",
        },
    )
    await worker.start()
    try:
        run = await stage.start(ada, plan=plan, cool_off="0")
        result = await run.result()
    except BaseException:
        print(worker.last_lines())
        raise
    finally:
        await worker.kill()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps}["forum"] == "erased"
    assert wiki.asked == ["GET", "PUT", "DELETE", "GET", "GET"], "probe, mute, erase with its probe, verify"
    installed = version("account-retirement")
    assert wiki.asked_by == {f"account-retirement/{installed}"}, "the process; the stage's own worker is called test"
    assert (await stage.case_of(ada)).hosts["forum"] == service.url


async def test_the_address_that_the_first_call_found_is_the_one_from_then_on(
    stage: Stage, service: HttpService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of another environment that serves the same queue must not erase there."""
    ada = stage.sandbox.add_person(at=("accounts", "newsletter", "invoices"))
    wiki = Wiki(service, ada)
    plan = stage.plan("wiki", all_of(at_an_address_of_its_own, brisk))
    run = await stage.start(ada, plan=plan, running_clock=True)
    await waits(stage, run, "check:intranet")
    assert "forum" not in (await stage.case_of(ada)).hosts
    async with stage.worker_for("intranet"):
        hold = await run.holds("check:intranet")
        assert (hold.cause, hold.code) == (HeldCause.CONFIGURATION, "secret_missing")
        monkeypatch.setenv("WIKI_URL", service.url)
        await run.ask(names.DECIDE, step="check:intranet", decision="retry", by="ops-3")
        await run.reaches(Phase.COOL_OFF)
        assert (await stage.case_of(ada)).hosts["forum"] == service.url
        monkeypatch.setenv("WIKI_URL", "http://127.0.0.1:1")
        await run.ask(names.EXPEDITE)
        hold = await run.holds("forum")
        assert (hold.cause, hold.code) == (HeldCause.CONFIGURATION, "other_host")
        assert wiki.is_there
        monkeypatch.setenv("WIKI_URL", service.url)
        await run.ask(names.DECIDE, step="forum", decision="retry", by="ops-3")
        assert (await run.result()).outcome is Outcome.COMPLETE
    assert wiki.asked_by == {"account-retirement/intranet"}

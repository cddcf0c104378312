"""Records one history of every kind of retirement, to be replayed by every later version of the workflow.

python -m tests.histories.record            # a folder named by the project's version; never over one that is there
python -m tests.histories.record --missing  # into one that is there, what it lacks
python -m tests.histories.record --again    # over one that no release has carried out into the world yet
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import re
import secrets
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from ledger.transfers import TransferWish
from sandbox.client import Person
from sandbox.faults import FaultKind
from sandbox.launch import Sandbox
from sandbox.lms.launch import running_lms
from tests.histories.learners import LEARNERS
from tests.openedx.retiring import Campus
from tests.support.plans import PlanDocument, admins_stay, all_of, on_the_intranet, with_patience
from tests.support.stage import LONGEST_WAIT, Retirement, Stage, staged, time_skipping_server
from tests.support.transfers import a_wish, run_transfer, start_transfer
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Phase

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent

Handle = WorkflowHandle[Any, Any]
Scenario = Callable[[Stage], Awaitable[Handle]]

SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    """What is recorded under the function's name."""
    SCENARIOS[play.__name__] = play
    return play


# --- ended ---------------------------------------------------------------------------------------------------------------


@scenario
async def complete(stage: Stage) -> Handle:
    """Two weeks of cool-off, with reminders."""
    return await _ended(await stage.start(stage.sandbox.add_person()))


@scenario
async def complete_at_once(stage: Stage) -> Handle:
    return await _ended(await stage.start(stage.sandbox.add_person(), cool_off="0s", tenant="acme"))


@scenario
async def complete_after_lost_answers(stage: Stage) -> Handle:
    """Calls that were tried again, in both phases."""
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.LOST_ANSWER, user=ada, method="POST")
    stage.sandbox.newsletter.misbehave(FaultKind.STATUS, status=503, user=ada, times=2)
    return await _ended(await stage.start(ada))


@scenario
async def absent_everywhere_but_in_accounts(stage: Stage) -> Handle:
    return await _ended(await stage.start(stage.sandbox.add_person(at=("accounts",))))


@scenario
async def extended_then_expedited(stage: Stage) -> Handle:
    run = await _cooling_off(stage)
    await run.ask(names.EXTEND, by_duration="3d", by="support-7")
    await run.ask(names.EXTEND, by_duration="90d", by="support-7")
    await run.handle.signal(names.EXPEDITE, {"by": "support-7"})
    return await _ended(run)


@scenario
async def rescinded_in_cool_off(stage: Stage) -> Handle:
    run = await _cooling_off(stage)
    await run.ask(names.RESCIND, by="support-7", reason_code="changed_mind")
    return await _ended(run)


@scenario
async def rescinded_by_signal(stage: Stage) -> Handle:
    run = await _cooling_off(stage)
    await run.handle.signal(names.RESCIND)
    return await _ended(run)


@scenario
async def rescinded_while_a_freeze_is_retried(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    mute = f"/authors/{ada.user_id}/mutes"
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="PUT", path_prefix=mute, times=3)
    run = await stage.start(ada)
    await _asked(stage, ada.user_id, "PUT")
    await run.ask(names.RESCIND)
    return await _ended(run)


@scenario
async def rescind_refused_past_the_point(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=2)
    run = await stage.start(ada, cool_off="0s")
    await _asked(stage, ada.user_id, "DELETE")
    await run.ask(names.RESCIND)
    await run.handle.cancel()
    return await _ended(run)


@scenario
async def cancelled_in_cool_off(stage: Stage) -> Handle:
    run = await _cooling_off(stage)
    await run.handle.cancel()
    return await _ended(run)


@scenario
async def messages_of_no_known_shape(stage: Stage) -> Handle:
    run = await _cooling_off(stage)
    unreadable = RawValue(DataConverter.default.payload_converter.to_payload("x"))
    unreadable.payload.data = b"\xff{"
    for message in (names.EXTEND, names.EXPEDITE, names.DECIDE):
        shapes: tuple[list[Any], ...] = ([], [None], ["text"], [7], [["a", "list"]], [{}, {}], [unreadable])
        for words in shapes:
            if message != names.EXPEDITE:
                await run.handle.signal(message, args=words)
    await run.handle.signal(names.RESCIND, args=["text", 7])
    return await _ended(run)


@scenario
async def no_such_subject(stage: Stage) -> Handle:
    return await _ended(await stage.start("u-nobody"))


@scenario
async def not_eligible(stage: Stage) -> Handle:
    """At the re-check: in the cool-off everybody else has gone."""
    ada, bob = _last_two(stage)
    plan = stage.plan("admins-stay", admins_stay)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await _ended(await stage.start(bob, plan=plan, cool_off="0s"))
    await run.skip()
    return await _ended(run)


@scenario
async def claim_lost(stage: Stage) -> Handle:
    """To a retirement that stopped past its point of no return; messages came meanwhile."""
    ada, bob = _last_two(stage)
    plan = stage.plan("admins-stay", admins_stay)
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=422, user=ada, method="DELETE")
    await _ended(await stage.start(ada, plan=plan, cool_off="0s"))
    run = await stage.start(bob, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.EXTEND, by_duration="1d")
    await run.handle.signal(names.EXPEDITE, {"by": "support-7"})
    return await _ended(run)


@scenario
async def queue_and_rate(stage: Stage) -> Handle:
    """Services asked on lanes of their own: the forum's queue, the rate of accounts."""

    def with_rate(document: PlanDocument) -> None:
        document["services"]["accounts"]["limits"] = {"rate": "1000/s"}

    plan = stage.plan("queue-and-rate", all_of(on_the_intranet, with_rate))
    async with stage.worker_for("intranet"):
        return await _ended(await stage.start(stage.sandbox.add_person(), plan=plan))


@scenario
async def lookup_failed(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=422, user=ada)
    return await _ended(await stage.start(ada))


@scenario
async def recheck_found_nobody(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=404, user=ada, method="GET", times=None)
    await run.skip()
    return await _ended(run)


@scenario
async def freeze_failed(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=422, user=ada, method="PUT")
    return await _ended(await stage.start(ada))


@scenario
async def already_complete(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    await _ended(await stage.start(ada, cool_off="0s"))
    return await _ended(await stage.start(ada, cool_off="0s"))


@scenario
async def bad_request(stage: Stage) -> Handle:
    return await _ended(await stage.start("u-bad", cool_of="1d"))


@scenario
async def errored_forward(stage: Stage) -> Handle:
    return await _ended(await _errored(stage))


@scenario
async def resumed_with_a_skip(stage: Stage) -> Handle:
    errored = await _errored(stage)
    progress = await errored.errored()
    skip = {"step": "forum", "by": "ops-3", "reason_code": "closed"}
    user_id = errored.handle.id.removeprefix(names.WORKFLOW_ID_PREFIX)
    return await _ended(await stage.start(user_id, resume=progress.retirement_id, skip=[skip]))


@scenario
async def errored_out_of_patience(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.LIE, user=ada, method="DELETE", times=None)
    return await _ended(await stage.start(ada, cool_off="0s", plan=stage.plan("impatient", with_patience("2s"))))


@scenario
async def errored_on_the_way_back(stage: Stage) -> Handle:
    return await _ended(await _errored_back(stage))


@scenario
async def resumed_on_the_way_back(stage: Stage) -> Handle:
    errored = await _errored_back(stage)
    progress = await errored.errored()
    user_id = errored.handle.id.removeprefix(names.WORKFLOW_ID_PREFIX)
    return await _ended(await stage.start(user_id, resume=progress.retirement_id))


@scenario
async def held_and_healed(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=401, user=ada, method="DELETE")
    return await _ended(await stage.start(ada, cool_off="0s"))


@scenario
async def held_and_skipped(stage: Stage) -> Handle:
    run = await _held(stage)
    await run.ask(names.DECIDE, step="forum", decision="skip", by="ops-3", reason_code="closed")
    return await _ended(run)


@scenario
async def held_and_closed(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=401, user=ada, method="PUT", times=None)
    run = await stage.start(ada, running_clock=True)
    await run.holds("mute")
    await run.ask(names.DECIDE, step="mute", decision="close", by="ops-3")
    return await _ended(run)


@scenario
async def told_later(stage: Stage) -> Handle:
    """The run of the last mail, which could not be sent at once."""
    ada = stage.sandbox.add_person()
    stage.sandbox.mailbox.misbehave(FaultKind.STATUS, status=451, user=ada.email, times=2)
    result = await (await stage.start(ada, cool_off="0s")).result()
    delivery = stage.client.get_workflow_handle(f"mail-{result.retirement_id}-complete")
    async with asyncio.timeout(LONGEST_WAIT):
        await delivery.result()
    return delivery


# --- transfers that stand alone ------------------------------------------------------------------------------------------


@scenario
async def transfer_complete(stage: Stage) -> Handle:
    return await _ended(await start_transfer(stage, _a_transfer(stage, documents=120)))


@scenario
async def transfer_of_named_assets(stage: Stage) -> Handle:
    """One of them is tried again, and one isn't there."""
    wish = _a_transfer(stage)
    first = stage.sandbox.documents.documents_of(wish.user_id)[0]
    path = f"/documents/{first.id}"
    stage.sandbox.documents.misbehave(FaultKind.LOST_ANSWER, method="PUT", path_prefix=path)
    named = dataclasses.replace(wish, assets=(first.id, "d-nowhere"))
    return await _ended(await start_transfer(stage, named))


@scenario
async def transfer_refused_no_successor(stage: Stage) -> Handle:
    return await _ended(await start_transfer(stage, _a_transfer(stage, roles=("member",))))


@scenario
async def transfer_rescinded(stage: Stage) -> Handle:
    wish = _a_transfer(stage)
    async with stage.crew.away():
        run = await start_transfer(stage, wish)
        await run.handle.signal(names.RESCIND, {"by": "support-7"})
    return await _ended(run)


@scenario
async def transfer_errored(stage: Stage) -> Handle:
    return await _ended(await _errored_transfer(stage, _a_transfer(stage)))


@scenario
async def transfer_resumed_with_another_successor(stage: Stage) -> Handle:
    wish = _a_transfer(stage)
    progress = await (await _errored_transfer(stage, wish)).errored()
    other = _a_transfer(stage).successor
    run = await run_transfer(stage, user_id=wish.user_id, resume=progress.retirement_id, successor=other)
    return await _ended(run)


@scenario
async def transfer_held_and_skipped(stage: Stage) -> Handle:
    run = await _held_transfer(stage)
    await run.ask(names.DECIDE, step="documents", decision="skip", by="ops-3", reason_code="by_hand")
    return await _ended(run)


@scenario
async def open_transfer_while_held(stage: Stage) -> Handle:
    return (await _held_transfer(stage)).handle


# --- still open ----------------------------------------------------------------------------------------------------------


@scenario
async def open_in_cool_off(stage: Stage) -> Handle:
    run = await _cooling_off(stage)
    await run.ask(names.EXTEND, by_duration="1d")
    return run.handle


@scenario
async def open_while_held(stage: Stage) -> Handle:
    return (await _held(stage)).handle


@scenario
async def open_while_erasing(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=None)
    run = await stage.start(ada, cool_off="0s", running_clock=True)
    await _asked(stage, ada.user_id, "DELETE")
    await run.reaches(Phase.ERASE)
    return run.handle


@scenario
async def open_on_the_way_back(stage: Stage) -> Handle:
    ada = stage.sandbox.add_person()
    unlock = f"/users/{ada.user_id}/unlock"
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=503, path_prefix=unlock, times=None)
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    await run.reaches(Phase.GOING_BACK)
    return run.handle


# --- on the way there ----------------------------------------------------------------------------------------------------


async def _ended(run: Retirement) -> Handle:
    with contextlib.suppress(Exception):  # an end as Failed is one, too
        async with asyncio.timeout(LONGEST_WAIT):
            await run.handle.result()
    assert not await run.is_running()
    return run.handle


def _last_two(stage: Stage) -> tuple[Person, Person]:
    role = f"admin-{secrets.token_hex(4)}"
    return stage.sandbox.add_person(roles=(role,)), stage.sandbox.add_person(roles=(role,))


async def _cooling_off(stage: Stage) -> Retirement:
    run = await stage.start(stage.sandbox.add_person(), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    return run


async def _asked(stage: Stage, user_id: str, method: str) -> None:
    async def look() -> None:
        asked = await asyncio.to_thread(stage.sandbox.forum.requests, user_id)
        assert [request for request in asked if request.method == method]

    await eventually(look, within=LONGEST_WAIT)


async def _errored(stage: Stage) -> Retirement:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=422, user=ada, method="DELETE")
    run = await stage.start(ada, cool_off="0s")
    await run.errored()
    return run


async def _errored_back(stage: Stage) -> Retirement:
    ada = stage.sandbox.add_person()
    unlock = f"/users/{ada.user_id}/unlock"
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=422, path_prefix=unlock)
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    await run.errored()
    return run


async def _held(stage: Stage) -> Retirement:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=401, user=ada, method="DELETE", times=None)
    run = await stage.start(ada, cool_off="0s", running_clock=True)
    await run.holds("forum")
    return run


def _a_transfer(stage: Stage, *, documents: int = 3, roles: tuple[str, ...] = ("author",)) -> TransferWish:
    owner = stage.sandbox.add_person(documents=documents)
    successor = stage.sandbox.add_person(roles=roles)
    return a_wish(stage, stage.team_plan("team"), owner=owner, successor=successor)


async def _errored_transfer(stage: Stage, wish: TransferWish) -> Retirement:
    stage.sandbox.documents.misbehave(FaultKind.STATUS, status=422, user=wish.user_id, method="GET")
    run = await start_transfer(stage, wish)
    await run.errored()
    return run


async def _held_transfer(stage: Stage) -> Retirement:
    wish = _a_transfer(stage)
    stage.sandbox.documents.misbehave(FaultKind.STATUS, status=401, user=wish.user_id, method="GET", times=None)
    run = await start_transfer(stage, wish, running_clock=True)
    await run.holds("documents")
    return run


#: The names of all that is recorded.
ALL = (*SCENARIOS, *LEARNERS)


# --- writing -------------------------------------------------------------------------------------------------------------


def scrubbed(history: str) -> dict[str, Any]:
    """A history without what tells where it was recorded."""
    scrubbed: dict[str, Any] = _scrubbed(json.loads(history))
    return scrubbed


def _scrubbed(part: Any, name: str = "") -> Any:
    if isinstance(part, dict):
        return {name: _scrubbed(value, name) for name, value in part.items()}
    if isinstance(part, list):
        return [_scrubbed(value, name) for value in part]
    # A worker and its own queue are called process@host; places in files are told in failures only, and payloads left alone.
    if name == "identity" or (isinstance(part, str) and re.fullmatch(r"\d+@.+", part)):
        return "scrubbed"
    if name in ("message", "stackTrace"):
        return str(part).replace(str(ROOT), "").replace(sys.prefix, "")
    return part


async def record(folder: Path, *, wanted: Sequence[str]) -> None:
    """Play scenarios and write their histories into the folder."""
    with tempfile.TemporaryDirectory() as scratch:
        async with (
            time_skipping_server() as server,
            Sandbox(folder=Path(scratch) / "sandbox") as sandbox,
            running_lms(folder=Path(scratch) / "lms") as lms,
        ):
            site = lms.settings()
            os.environ.update(
                sandbox.environment,
                OPENEDX_CLIENT_SECRET=site.client_secret,
                OPENEDX_SEGMENT_AUTH_TOKEN=site.segment_token,
            )
            async with staged(client=server.client, server=server, sandbox=sandbox, folder=Path(scratch)) as stage:
                for name in wanted:
                    lms.reset()
                    handle = await _play(name, campus=Campus(stage=stage, lms=lms))
                    history = await handle.fetch_history()
                    text = json.dumps(scrubbed(history.to_json()), indent=1)
                    (folder / f"{name}.json").write_text(text + "\n")
                    print(f"{name}: {len(history.events)} events")
                    if name.startswith("open_"):
                        await handle.terminate()


async def _play(name: str, *, campus: Campus) -> Handle:
    return await (LEARNERS[name](campus) if name in LEARNERS else SCENARIOS[name](campus.stage))


def main() -> None:
    """Record into the folder of this version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    folder, options = FOLDER / version, sys.argv[1:]
    if folder.exists() and not {"--missing", "--again"} & set(options):
        raise SystemExit(
            f"{folder} is there. Raise the version in pyproject.toml, or add --missing for the scenarios that it lacks; "
            "as long as no release carries these, --again records them all anew"
        )
    logging.disable(logging.WARNING)  # the services are told to misbehave, and each time is logged
    os.environ.setdefault("TEMPORAL_CLI", shutil.which("temporal") or "temporal")
    if "--missing" in options:
        asyncio.run(record(folder, wanted=[name for name in ALL if not (folder / f"{name}.json").exists()]))
        return
    with tempfile.TemporaryDirectory(dir=FOLDER) as fresh:
        asyncio.run(record(Path(fresh), wanted=ALL))
        shutil.rmtree(folder, ignore_errors=True)
        Path(fresh).rename(folder)
        Path(fresh).mkdir()  # for the clean-up to find


if __name__ == "__main__":
    main()

"""`retire transfer`, `assets` and `suggest` on a real server, with the sandbox's documents and a worker."""

import asyncio
import csv
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.rows import CaseKind
from sandbox.client import Document, Person
from sandbox.faults import FaultKind
from starter.exit_codes import ExitCode
from tests.support.commands import Ended, Retire, a_door
from tests.support.leaks import all_of, traces_of
from tests.support.plans import with_patience
from tests.support.stage import Retirement, Stage
from tests.support.transfers import a_wish, open_transfer, run_transfer, start_transfer
from tests.support.waiting import eventually
from workflows import names

_PLAN = "team_transfers"


@dataclass(frozen=True, kw_only=True)
class Team:
    """People of an org of their own, and the command."""

    stage: Stage
    retire: Retire
    org: str

    def person(self, *roles: str) -> Person:
        """Somebody of this org."""
        return self.stage.sandbox.add_person(org=self.org, roles=roles or ("author",))

    def pages(self, owner: Person, *titles: str, count: int = 1) -> list[Document]:
        """Documents of somebody."""
        return self.stage.sandbox.documents.add_documents(owner=owner, count=count, titles=titles)

    def owner_of(self, document: Document) -> str | None:
        """Whose a document is now."""
        known = self.stage.sandbox.documents.document(document.id)
        return None if known is None else known.owner

    async def transfer(self, owner: Person, successor: Person, *options: str) -> Ended:
        """Hand over."""
        return await self.retire("transfer", "--from", owner.user_id, "--to", successor.user_id, *options)


@pytest.fixture(scope="module")
async def door(stage: Stage) -> AsyncIterator[Retire]:
    """`retire` with the team's plan, which gives up soon."""
    plan = stage.team_plan(_PLAN, with_patience("2s"))
    with pytest.MonkeyPatch.context() as patch:
        yield a_door(stage, plan=plan, patch=patch)


@pytest.fixture
def team(stage: Stage, door: Retire) -> Team:
    return Team(stage=stage, retire=door, org=f"org-{secrets.token_hex(4)}")


async def test_all_that_somebody_owns_is_handed_over_and_nothing_of_it_is_told(team: Team) -> None:
    ada, bob, boss = team.person(), team.person(), team.person("admin")
    title = f"Plans of {secrets.token_hex(8)}"
    pages = team.pages(ada, title, "Minutes", "Budget")
    ended = await team.transfer(ada, bob, "--json", "--by", "support-7")
    assert (ended.code, ended.facts["outcome"], ended.facts["counts"]) == (ExitCode.OK, "COMPLETE", {"moved": 3}), ended
    assert {team.owner_of(page) for page in pages} == {bob.user_id}
    assert {each["asset"] for each in ended.facts["assets"]} == {page.id for page in pages}
    assert set(team.stage.sandbox.documents.transfers(ada).values()) == {1}
    id = ended.facts["transfer_id"]
    assert id.startswith("t-") and team.stage.vault_rows(id) == 0  # whoever asked was told: nobody needs it any more
    handle = team.stage.client.get_workflow_handle(names.transfer_workflow_id(user_id=ada.user_id))
    history = all_of(await handle.fetch_history())
    assert traces_of([title, ada.name, bob.name, ada.email, bob.user_id, pages[0].id], history) == set()
    assert traces_of([ada.user_id], history)  # where it looks, it finds
    printed = ended.stdout + ended.stderr
    assert title not in printed and ada.name not in printed
    [mail] = team.stage.sandbox.mailbox.mails(boss)
    assert "The account itself was not touched." in mail["text"] and title in mail["text"]
    report = (await team.retire("report", id, "--json")).facts
    assert (report["kind"], report["transferred"], report["requested_by"]) == ("transfer", ["documents"], "support-7")
    status = (await team.retire("status", id)).stdout
    assert f"transfer          {id}" in status and "cool-off" not in status
    assert id in (await team.retire("list", "--transfers")).stdout
    gone = await team.retire("assets", id)
    assert gone.code == ExitCode.NOT_FOUND and "shredded" in gone.stderr


async def test_each_named_asset_has_its_own_outcome(
    team: Team, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ada, bob, eve = team.person(), team.person(), team.person()
    mine, refused, kept = team.pages(ada, f"Mine {(title := secrets.token_hex(8))}", f"Refused {title}", "Not named")
    theirs, others = team.pages(bob)[0], team.pages(eve)[0]
    documents = team.stage.sandbox.documents
    documents.misbehave(
        FaultKind.STATUS, status=422, method="PUT", path_prefix=f"/documents/{refused.id}/owner", times=None
    )
    # Whose they are can't be told at first: that must not pass for moved by us.
    for unlisted in (theirs, others):
        documents.misbehave(FaultKind.STATUS, status=503, method="GET", path_prefix=f"/documents/{unlisted.id}")
    named = tmp_path / "named.csv"
    named.write_text(f"title,id\na,{mine.id}\nb,{refused.id}\nc,{theirs.id}\nd,{others.id}\ne,{mine.id}\n")
    outcomes = tmp_path / "outcomes.csv"
    ended = await team.transfer(ada, bob, "--file", str(named), "--asset", "d-nowhere", "--csv", str(outcomes))
    assert ended.code == ExitCode.PROBLEMS, ended
    assert "1 moved, 1 already_owned, 2 refused, 1 not_found" in ended.stdout
    with outcomes.open(newline="") as file:
        rows = {row["asset"]: (row["result"], row["code"]) for row in csv.DictReader(file)}
    assert rows == {
        mine.id: ("moved", ""),
        refused.id: ("refused", "http_422"),
        theirs.id: ("already_owned", ""),
        others.id: ("refused", "not_owner"),
        "d-nowhere": ("not_found", ""),
    }
    owners = [team.owner_of(page) for page in (mine, refused, kept, theirs, others)]
    assert owners == [bob.user_id, ada.user_id, ada.user_id, bob.user_id, eve.user_id]
    assert outcomes.stat().st_mode & 0o777 == 0o600
    ours = [vars(record) for record in caplog.records if record.name.startswith(("retirement", "temporalio"))]
    logged = repr(ours).encode()
    assert traces_of([title, mine.id, refused.id, others.id, ada.name, bob.user_id], logged) == set()
    assert b"'retirement_id': 't-" in logged  # where it looks, it finds


async def test_a_dry_run_says_the_same_and_changes_nothing(team: Team) -> None:
    ada, bob, eve = team.person(), team.person(), team.person("member")
    mine, theirs = team.pages(ada)[0], team.pages(bob)[0]
    before = await team.stage.ledger.cases(limit=100_000, kind=CaseKind.TRANSFER)
    named = ("--asset", mine.id, "--asset", theirs.id, "--asset", "d-nowhere")
    ended = await team.transfer(ada, bob, *named, "--dry-run", "--json")
    assert (ended.code, ended.facts["would_move"]) == (ExitCode.PROBLEMS, {"documents": 1}), ended
    assert {each["asset"]: each["forecast"] for each in ended.facts["assets"]} == {
        mine.id: "would_move",
        theirs.id: "already_owned",
        "d-nowhere": "not_found",
    }
    everything = await team.transfer(ada, bob, "--dry-run")
    assert everything.code == ExitCode.OK and "1 would be moved" in everything.stdout
    unsuitable = await team.transfer(ada, eve, "--dry-run")
    assert unsuitable.code == ExitCode.REFUSED and "named_unsuitable" in unsuitable.stdout
    assert team.owner_of(mine) == ada.user_id
    assert await team.stage.ledger.cases(limit=100_000, kind=CaseKind.TRANSFER) == before
    assert {request.method for request in team.stage.sandbox.documents.requests(ada)} == {"GET"}


async def test_whoever_may_not_take_over_is_refused_before_anything_is_moved(team: Team) -> None:
    ada, eve, zoe = team.person(), team.person("member"), team.person()
    page = team.pages(ada)[0]
    unsuitable = await team.transfer(ada, eve, "--json")
    assert (unsuitable.code, unsuitable.facts["reason"]) == (ExitCode.ABORTED, "no_successor"), unsuitable
    assert unsuitable.facts["code"] == "colleague:named_unsuitable"
    assert team.stage.vault_rows(unsuitable.facts["transfer_id"]) == 0
    leaving = await team.stage.start(zoe, plan=_PLAN, running_clock=True)
    await leaving.reaches(names.Phase.COOL_OFF)
    retiring = await team.transfer(ada, zoe)
    assert retiring.code == ExitCode.REFUSED and "Refused (retiring)" in retiring.stderr
    itself = await team.transfer(ada, ada)
    assert itself.code == ExitCode.USAGE
    assert team.owner_of(page) == ada.user_id
    await leaving.ask(names.RESCIND)


async def test_what_somebody_left_behind_is_handed_over_when_they_are_gone(team: Team) -> None:
    ada, bob = team.person(), team.person()
    page = team.pages(ada)[0]
    team.stage.sandbox.accounts.remove(ada)
    lacking = await team.transfer(ada, bob)
    assert lacking.code == ExitCode.ABORTED and "--subject org=…" in lacking.stdout, lacking
    ended = await team.transfer(ada, bob, "--subject", f"org={team.org}")
    assert ended.code == ExitCode.OK, ended
    assert team.owner_of(page) == bob.user_id


async def test_a_stopped_transfer_is_resumed_with_somebody_else(team: Team) -> None:
    ada, bob, eve = team.person(), team.person(), team.person()
    pages = team.pages(ada, count=3)
    # The first page is moved before they lose the role.
    documents, accounts = team.stage.sandbox.documents, team.stage.sandbox.accounts
    documents.misbehave(FaultKind.STATUS, status=503, method="PUT", path_prefix=f"/documents/{pages[2].id}", times=None)
    waiting = asyncio.create_task(team.transfer(ada, bob, "--json"))

    async def begun() -> None:
        assert documents.transfers(ada)

    await eventually(begun)
    accounts.set_roles(bob, ())
    stopped = await waiting
    assert stopped.code == ExitCode.ERRORED, stopped
    id = stopped.facts["transfer_id"]
    assert [step["code"] for step in stopped.facts["steps"]] == ["successor_lost"]
    written = team.stage.sandbox.mailbox.mails("operators@sandbox.example")
    [mail] = [mail["text"] for mail in written if id in mail["subject"]]
    assert "A transfer has stopped" in mail and f"retire resume {id} --successor USER" in mail
    again = await team.transfer(ada, bob)
    assert again.code == ExitCode.REFUSED and f"retire resume {id}" in again.stderr
    documents.behave()
    resumed = await team.retire("resume", id, "--successor", eve.user_id, "--wait", "--json")
    assert (resumed.code, resumed.facts["counts"]) == (ExitCode.OK, {"moved": 3}), resumed
    assert [team.owner_of(page) for page in pages] == [bob.user_id, bob.user_id, eve.user_id]
    assert set(documents.transfers(ada).values()) == {1}


async def test_a_command_that_was_cut_off_before_its_run_began_is_repeated(team: Team) -> None:
    ada, bob = team.person(), team.person()
    page = team.pages(ada)[0]
    opened = await open_transfer(team.stage, a_wish(team.stage, _PLAN, owner=ada, successor=bob))
    assert opened.case is not None
    other = await team.transfer(ada, bob, "--asset", page.id)
    assert other.code == ExitCode.ALREADY_RUNNING and opened.case.retirement_id in other.stderr
    same = await team.transfer(ada, bob, "--no-wait", "--json")
    assert (same.code, same.facts["transfer_id"]) == (ExitCode.OK, opened.case.retirement_id)

    async def moved() -> None:
        told = await team.retire("assets", opened.case.retirement_id if opened.case else "", "--json", "--show-values")
        assert [(each["result"], each["title"]) for each in told.facts["assets"]] == [("moved", page.title)]

    await eventually(moved)


async def test_ten_thousand_ids_are_read_from_a_file_and_none_goes_through_temporal(team: Team, tmp_path: Path) -> None:
    """No worker is there to take it up; then it is taken back before its point of no return."""
    ada, bob = team.person(), team.person()
    page = team.pages(ada)[0]
    named = tmp_path / "ids.txt"
    named.write_text("\n".join([page.id, *(f"d-none-{number:05}" for number in range(9_999))]))
    async with team.stage.crew.away():
        started = await team.transfer(ada, bob, "--file", str(named), "--no-wait", "--json")
        assert started.code == ExitCode.OK, started
        id = started.facts["transfer_id"]
        assert await team.stage.ledger.asset_counts(id) == {"documents": {None: 10_000}}
        handle = team.stage.client.get_workflow_handle(started.facts["workflow_id"])
        await handle.signal(names.RESCIND, {"by": "support-7"})
    result = await Retirement(stage=team.stage, handle=handle).result()
    assert (result.outcome, result.reason) == (names.Outcome.ABORTED, names.Reason.RESCINDED)
    assert team.owner_of(page) == ada.user_id and team.stage.vault_rows(id) == 0
    size = sum(event.ByteSize() for event in (await handle.fetch_history()).events)
    assert size < 20_000


async def test_a_held_step_is_skipped_by_an_operator(team: Team) -> None:
    ada, bob = team.person(), team.person()
    page = team.pages(ada)[0]
    documents = team.stage.sandbox.documents
    documents.misbehave(FaultKind.STATUS, status=401, method="PUT", path_prefix=f"/documents/{page.id}", times=None)
    wish = a_wish(team.stage, _PLAN, owner=ada, successor=bob)
    run = await start_transfer(team.stage, wish, running_clock=True)
    await run.holds("documents")
    refused = await run.ask(names.RESCIND)
    assert (refused.accepted, refused.code) == (False, "past_return")
    status = (await run.status()).retirement_id or ""
    decided = await team.retire(
        "decide", status, "--step", "documents", "--decision", "skip", "--by", "ops-3", "--reason", "by_hand"
    )
    assert decided.code == ExitCode.OK, decided
    result = await run.result()
    assert (result.outcome, result.skipped) == (names.Outcome.COMPLETE, ("documents",))
    assert team.owner_of(page) == ada.user_id


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"user_id": "u-1"}, "resume: must be the id of a transfer that `retire transfer` has opened"),
        ({"user_id": "u-1", "resume": "t-1", "assets": ["d-1"]}, "unknown field assets: must be one of "),
    ],
)
async def test_a_start_that_nobody_opened_is_refused(stage: Stage, message: dict[str, Any], error: str) -> None:
    refused = await (await run_transfer(stage, **message)).error()
    assert (refused.type, refused.message[: len(error)]) == (names.BAD_REQUEST_ERROR, error)


async def test_a_run_of_no_opened_transfer_touches_nothing(stage: Stage) -> None:
    result = await (await run_transfer(stage, user_id="u-nobody", resume="t-nothing")).result()
    assert (result.outcome, result.reason) == (names.Outcome.ABORTED, names.Reason.NOT_RESUMABLE)


async def test_a_retirement_hands_over_to_whom_its_start_names(team: Team) -> None:
    ada, bob = team.person(), team.person()
    team.person("admin")  # whom the plan would choose
    page = team.pages(ada)[0]
    ended = await team.retire(
        "start", ada.user_id, "--successor", bob.user_id, "--cool-off", "0", "--plan", _PLAN, "--wait", "--json"
    )
    assert (ended.code, ended.facts["outcome"]) == (ExitCode.OK, "COMPLETE"), ended
    assert team.owner_of(page) == bob.user_id


async def test_what_somebody_owns_is_listed_and_who_could_take_over_suggested(team: Team) -> None:
    ada, boss = team.person(), team.person("admin")
    pages = team.pages(ada, "Secret", "=cmd()")
    owned = await team.retire("assets", ada.user_id, "--json")
    assert (owned.code, owned.facts["steps"], owned.facts["total"]) == (ExitCode.OK, {"documents": {"page": 2}}, 2)
    assert "Secret" not in owned.stdout
    shown = await team.retire("assets", ada.user_id, "--show-values")
    assert "Secret" in shown.stdout and "'=cmd()" in shown.stdout and "2 (page 2)" in shown.stdout
    assert all(page.id in shown.stdout for page in pages)
    bosses = [boss, *(team.person("admin") for _ in range(6))]
    one, *_ = sorted(bosses, key=lambda each: each.user_id)
    leaving = await team.stage.start(one, plan=_PLAN, running_clock=True)
    await leaving.reaches(names.Phase.COOL_OFF)
    team.stage.sandbox.add_people([one], at=("accounts",))  # not locked any more: only the ledger knows that they go
    suggested = await team.retire("suggest", ada.user_id, "--json")
    found = [each["user_id"] for each in suggested.facts["policies"][0]["candidates"]]
    assert suggested.code == ExitCode.OK
    assert len(found) == 5 and set(found) <= {each.user_id for each in bosses} - {one.user_id}
    assert boss.name not in suggested.stdout
    await leaving.ask(names.RESCIND)

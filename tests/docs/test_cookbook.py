"""Every recipe of the cookbook is a plan without a problem, and does what the page says, on real servers."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from activities.opening import pseudonym_of
from plans.loading import check_plan, load_plan
from sandbox.launch import Sandbox
from starter.rates.held import held_rates, prepare_rates
from starter.rates.wanted import differences, wanted_rates
from tests.docs.support.cases import CASES, LEAD, Case
from tests.docs.support.kitchen import SHOP, Kitchen, a_kitchen
from tests.docs.support.pages import DOCS, sections_of
from tests.docs.support.recipes import COOKBOOK, PREFIX, recipes, written_plan
from tests.support.http_service import Received, Reply
from tests.support.postgresql import PostgreSQL
from tests.support.waiting import eventually
from workflows.messages import Result
from workflows.names import Outcome, Phase, Reason

#: Run by a test of their own, as what they are about is who may not be retired.
_BY_THEMSELVES = {"sole-admin", "sole-owner"}


@pytest.fixture(scope="module")
async def kitchen(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kitchen]:
    """Everything that is to be tasted, cooking at the same time."""
    async with a_kitchen(sandbox=sandbox, folder=tmp_path_factory.mktemp("kitchen")) as kitchen:
        yield kitchen


def test_every_recipe_is_run() -> None:
    assert {case.recipe for case in CASES} | _BY_THEMSELVES == set(recipes())


@pytest.mark.parametrize("page", [COOKBOOK, DOCS / "add-your-service.md"], ids=lambda page: page.name)
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\(([\w-]+\.md)?#([\w-]+)\)", page.read_text())
    assert links
    headings = {name: {section.slug for section in sections_of(DOCS / (name or page))} for name, _ in links}
    assert [(name, slug) for name, slug in links if slug not in headings[name]] == []


@pytest.mark.parametrize("recipe", recipes())
def test_a_recipe_is_a_plan_without_a_problem(recipe: str, tmp_path: Path) -> None:
    assert check_plan(written_plan(recipe, folder=tmp_path), secrets=False) == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.user_id)
async def test_a_recipe_does_what_the_page_says(kitchen: Kitchen, case: Case) -> None:
    result = await kitchen.retirements[case.user_id].result()
    assert result.outcome is Outcome.COMPLETE, result
    ended = {step.step: str(step.result) for step in result.steps if step.step not in ("lock", "account")}
    assert ended == case.results
    left = case.records(case.left, pseudonym=pseudonym_of(result.retirement_id or ""))
    touched = case.records(case.kept) | left
    assert {path: kept for path, kept in kitchen.company.kept.items() if path in touched} == left


async def test_a_vendor_that_only_gives_an_id_is_asked_at_a_place_put_together(kitchen: Kitchen) -> None:
    said = "'/deletions/' ~ body.id"
    assert said in COOKBOOK.read_text()
    meant = said.replace("/deletions/", "/analytics/deletions/")
    folder = kitchen.stage.settings.plans_dir
    written_plan("asynchronous-vendor", folder=folder, name="by-id", change=("headers.location", f'"{meant}"'))
    kitchen.add_user("u-by-id")
    kitchen.company.kept["analytics/users/u-by-id"] = {}
    result = await (await kitchen.retire("by-id", "u-by-id", cool_off="0")).result()
    assert _results(result)["analytics"] == "erased"


async def test_an_address_is_one_segment_of_the_path(kitchen: Kitchen) -> None:
    await kitchen.retirements["u-ids-that-are-addresses"].result()
    encoded = "/mailboxes/mailboxes/u-ids-that-are-addresses%2Bnews%2F1%40person.example"
    assert encoded in kitchen.company.targets


async def test_tables_keep_what_is_not_the_person_s(kitchen: Kitchen) -> None:
    await kitchen.retirements["u-sql-tables"].result()
    assert kitchen.rows("store", "select id from customers") == [("bob",)]
    assert kitchen.rows("store", "select * from orders order by number") == [
        (1, None, None),
        (2, "bob", "Bob, 2 Short Street"),
    ]
    assert kitchen.rows("store", "select customer_id from reviews") == [("bob",)]
    await kitchen.retirements["u-the-applications-own-ids-are-addresses"].result()
    assert kitchen.rows("people", "select opaque_id from people") == [("bob",)]


async def test_a_column_names_the_successor_afterwards(kitchen: Kitchen) -> None:
    await kitchen.retirements["u-owners-in-a-database"].result()
    owners = kitchen.rows("projects", "select id, owner from projects order by id")
    assert owners == [("p-1", LEAD), ("p-2", LEAD), ("p-3", "bob")]


async def test_whoever_owns_something_stays_where_nobody_takes_over(kitchen: Kitchen) -> None:
    kitchen.add_user("u-alone", org="nobody-else")
    owned = {"owner": "u-alone", "kind": "page", "title": "Notes"}
    kitchen.company.kept["documents/documents/alone-1"] = owned
    result = await (await kitchen.retire("documents-go-to-a-colleague", "u-alone", cool_off="0")).result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NO_SUCCESSOR)
    assert not kitchen.is_locked("u-alone")
    assert kitchen.company.kept["documents/documents/alone-1"] == {**owned, "owner": "u-alone"}


async def test_tables_are_the_same_in_postgresql(
    kitchen: Kitchen, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgresql.an_empty_database() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text(SHOP.format(ada="u-postgresql")))
        monkeypatch.setenv(f"{PREFIX}POSTGRESQL_URL", url)
        folder = kitchen.stage.settings.plans_dir
        written_plan("sql-tables", folder=folder, name="postgresql", change=("STORE_DATABASE_URL", "POSTGRESQL_URL"))
        kitchen.add_user("u-postgresql")
        result = await (await kitchen.retire("postgresql", "u-postgresql", cool_off="0")).result()
        assert (result.outcome, _results(result)["store"]) == (Outcome.COMPLETE, "erased")
        with engine.connect() as connection:
            assert connection.execute(text("select id from customers")).scalars().all() == ["bob"]
        engine.dispose()


async def test_a_revoked_token_is_renewed_once(kitchen: Kitchen) -> None:
    await kitchen.retirements["u-client-credentials"].result()
    assert (kitchen.company.tokens, kitchen.company.revoked) == (2, 1)


async def test_a_rate_is_held_by_the_server_and_a_429_waited_for(kitchen: Kitchen) -> None:
    await kitchen.retirements["u-rate-limit"].result()
    assert kitchen.company.refused_for_rate == 2
    plan = load_plan(kitchen.stage.settings.plans_dir / "rate-limit.yaml")
    [wanted] = wanted_rates([plan]).queues
    client = kitchen.stage.client
    assert differences(await held_rates(client, queue=wanted.queue), wanted) == ["helpdesk: 5/s is not held"]
    await prepare_rates(client, wanted=wanted_rates([plan]))

    async def hold() -> None:
        assert differences(await held_rates(client, queue=wanted.queue), wanted) == []

    await eventually(hold)  # the server tells its partitions one by one


async def test_the_first_of_two_steps_is_taken_back_by_a_rescind(kitchen: Kitchen) -> None:
    kitchen.add_user("u-rescinds")
    kitchen.company.kept["cloud/accounts/u-rescinds"] = {}
    retirement = await kitchen.retire("two-step-deletion", "u-rescinds", running_clock=True)
    await retirement.reaches(Phase.COOL_OFF)
    assert _deletion_requests(kitchen, "u-rescinds") == 1
    assert kitchen.is_locked("u-rescinds")
    assert (await retirement.ask("rescind")).accepted
    assert (await retirement.result()).reason is Reason.RESCINDED
    assert _deletion_requests(kitchen, "u-rescinds") == 0
    assert not kitchen.is_locked("u-rescinds")
    assert "cloud/accounts/u-rescinds" in kitchen.company.kept


async def test_calls_of_an_isolated_service_go_by_its_queue_alone(kitchen: Kitchen) -> None:
    retirement = kitchen.retirements["u-isolated-network"]
    await retirement.result()
    queues: dict[str, set[str]] = {}
    async for event in retirement.handle.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            queues.setdefault(scheduled.activity_id, set()).add(scheduled.task_queue.name)
    assert queues["payroll"] == {"retirement-calls-intranet"}
    assert queues["account"] == {"retirement-calls"}


async def test_python_erases_only_what_it_was_asked_for(kitchen: Kitchen) -> None:
    await kitchen.retirements["u-python"].result()
    assert [path.name for path in (kitchen.folder / "archive").iterdir()] == ["bob-1.txt"]


async def test_a_sole_admin_is_refused_and_of_the_last_two_one_goes(kitchen: Kitchen) -> None:
    for org, admins in (("solo", ["u-solo"]), ("duo", ["u-duo-1", "u-duo-2"])):
        for user_id in admins:
            kitchen.add_user(user_id, org=org, role="admin")
    solo = await (await kitchen.retire("sole-admin", "u-solo", cool_off="0")).result()
    assert (solo.outcome, solo.reason, solo.code) == (Outcome.ABORTED, Reason.NOT_ELIGIBLE, "sole_admin")
    assert not kitchen.is_locked("u-solo")

    _lock_together(kitchen, ("u-duo-1", "u-duo-2"))
    both = await asyncio.gather(*(kitchen.retire("sole-admin", id, cool_off="0") for id in ("u-duo-1", "u-duo-2")))
    ended = await asyncio.gather(*(each.result() for each in both))
    assert {(each.outcome, each.reason) for each in ended} == {
        (Outcome.COMPLETE, None),
        (Outcome.ABORTED, Reason.CLAIM_LOST),
    }
    [left] = [id for id in ("u-duo-1", "u-duo-2") if f"accounts/users/{id}" in kitchen.company.kept]
    assert not kitchen.is_locked(left)


async def test_a_sole_owner_is_refused_and_of_a_team_s_last_two_one_goes(kitchen: Kitchen) -> None:
    """The two own teams with others besides; whoever shares no team with them goes at the same instant."""
    owned = {
        "u-owner-alone": ["shared-1", "shared-2", "alone"],
        "u-owner-1": ["shared-1", "contested"],
        "u-owner-2": ["contested", "shared-2"],
        "u-owner-apart": ["apart-1", "apart-2"],
        "u-owner-stays": ["shared-1", "shared-2", "apart-1", "apart-2"],
    }
    for user_id, teams in owned.items():
        kitchen.add_user(user_id, owned_teams=teams)
    alone = await (await kitchen.retire("sole-owner", "u-owner-alone", cool_off="0")).result()
    assert (alone.outcome, alone.reason, alone.code) == (Outcome.ABORTED, Reason.NOT_ELIGIBLE, "sole_owner")
    assert not kitchen.is_locked("u-owner-alone")

    going = ("u-owner-1", "u-owner-2", "u-owner-apart")
    _lock_together(kitchen, going)
    started = await asyncio.gather(*(kitchen.retire("sole-owner", id, cool_off="0") for id in going))
    *contesting, apart = await asyncio.gather(*(each.result() for each in started))
    assert (apart.outcome, apart.reason) == (Outcome.COMPLETE, None)
    assert {(each.outcome, each.reason) for each in contesting} == {
        (Outcome.COMPLETE, None),
        (Outcome.ABORTED, Reason.CLAIM_LOST),
    }
    [left] = [id for id in going if f"accounts/users/{id}" in kitchen.company.kept]
    assert not kitchen.is_locked(left)


def _lock_together(kitchen: Kitchen, user_ids: Collection[str]) -> None:
    """All have been checked, and each has seen the others, before any gets further."""
    all_are_here = asyncio.Barrier(len(user_ids))

    async def lock(request: Received) -> Reply:
        await all_are_here.wait()
        return kitchen.company.answer(request)

    for user_id in user_ids:
        kitchen.service.on("POST", f"/accounts/users/{user_id}/lock", lock)


def _results(result: Result) -> dict[str, str]:
    return {step.step: str(step.result) for step in result.steps}


def _deletion_requests(kitchen: Kitchen, user_id: str) -> int:
    kept = kitchen.company.kept
    return sum(record.get("account") == user_id for path, record in kept.items() if "/deletion-requests/" in path)

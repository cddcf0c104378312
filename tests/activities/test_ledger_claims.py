"""Exclusive claims: one retirement at a time has them, from the point of no return to its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, insert, inspect, select

from ledger import Case, Ledger, migrate, schema
from ledger.database import engine_for, writing
from ledger.rows import CaseState
from ledger.vault import RUN, Vault
from tests.support.leaks import content_of, traces_of
from tests.support.ledgers import KEYS, NOW, Kind, a_case, a_migrated_database, a_stored_plan, an_empty_database
from workflows.messages import MessageRow, Moved, StepOutcome
from workflows.names import Direction, Outcome, Reason, StepResult

#: A claim may name an organisation, or a person.
WORDS = ("Kanarienvogel", "S\u00f6hne")
ADMIN = f"org-admin:{' & '.join(WORDS)}"


@pytest.fixture
async def database(kind: Kind, tmp_path: Path) -> AsyncIterator[str]:
    async with a_migrated_database(kind, folder=tmp_path) as url:
        yield url


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    ledger = Ledger(url=database, keys=KEYS)
    await ledger.set_up()
    yield ledger
    ledger.close()


@contextlib.contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """The database, not through the ledger."""
    engine = engine_for(url)
    try:
        with writing(engine).begin() as connection:
            yield connection
    finally:
        engine.dispose()


def everything_in(url: str) -> bytes:
    """All that the database holds, as its files or its tables say it."""
    if url.startswith("sqlite"):
        return content_of(Path(url.removeprefix("sqlite:///")).parent, "ledger.db*")
    with transaction(url) as connection:
        rows = [row for table in schema.metadata.sorted_tables for row in connection.execute(select(table))]
    return repr(rows).encode()


async def who_looked(ledger: Ledger, user_id: str, *claims: str, tenant: str | None = None) -> str:
    """A case that has asked the facts, and knows which claims it needs."""
    case = await a_case(ledger, user_id=user_id, run_key=f"run-{user_id}", tenant=tenant)
    await look(ledger, case.retirement_id, *claims, tenant=tenant)
    return case.retirement_id


async def look(ledger: Ledger, rid: str, *claims: str, tenant: str | None = None) -> None:
    """Ask the facts once more."""
    versions = await ledger.claim_versions(tenant=tenant, wanted=claims)
    await ledger.store_claims(retirement_id=rid, claims=versions)


async def passes(ledger: Ledger, rid: str, *, messages: tuple[MessageRow, ...] = ()) -> Moved:
    """Come to the point of no return."""
    return await ledger.move(
        retirement_id=rid, from_state="open", to_state="past_return", now=NOW + timedelta(hours=1), messages=messages
    )


async def ends(ledger: Ledger, rid: str, outcome: Outcome) -> Case:
    """A run comes to its end."""
    direction = Direction.FORWARD if outcome is Outcome.ERRORED else None
    return await ledger.close_case(
        retirement_id=rid, outcome=outcome, reason=None, direction=direction, now=NOW + timedelta(days=1), messages=()
    )


async def found(ledger: Ledger, rid: str) -> Case:
    case = await ledger.case(rid)
    assert case is not None
    return case


async def test_whoever_is_first_has_it_and_the_other_loses(ledger: Ledger) -> None:
    ada, bob = await who_looked(ledger, "ada", ADMIN), await who_looked(ledger, "bob", ADMIN)
    assert await passes(ledger, ada) == Moved(moved=True, state="past_return")
    assert await passes(ledger, bob) == Moved(moved=False, state="open", claim_lost=True)


async def test_of_two_at_the_same_instant_exactly_one_has_it(ledger: Ledger) -> None:
    for number in range(20):
        claim = f"org-admin:{number}"
        ada, bob = [await who_looked(ledger, f"{name}-{number}", claim) for name in ("ada", "bob")]
        moved = await asyncio.gather(passes(ledger, ada), passes(ledger, bob))
        assert sorted((each.moved, each.claim_lost) for each in moved) == [(False, True), (True, False)]
        states = sorted([(await found(ledger, rid)).state for rid in (ada, bob)])
        assert states == [CaseState.OPEN, CaseState.PAST_RETURN]


async def test_of_two_processes_at_the_same_instant_exactly_one_has_it(ledger: Ledger, database: str) -> None:
    other = Ledger(url=database, keys=KEYS)
    try:
        for number in range(10):
            # In opposite order: who needs several takes them in one order all the same.
            names = (f"a-{number}", f"b-{number}")
            ada = await who_looked(ledger, f"ada-{number}", *names)
            bob = await who_looked(other, f"bob-{number}", *reversed(names))
            moved = await asyncio.gather(passes(ledger, ada), passes(other, bob))
            assert sorted(each.moved for each in moved) == [False, True]
    finally:
        other.close()


async def test_a_lost_move_leaves_case_and_messages_as_they_were(ledger: Ledger) -> None:
    ada, bob = await who_looked(ledger, "ada", ADMIN), await who_looked(ledger, "bob", ADMIN)
    await passes(ledger, ada)
    before = await found(ledger, bob)
    message = MessageRow(kind="rescind", accepted=False, code="past_return", at=NOW)
    assert (await passes(ledger, bob, messages=(message,))).claim_lost
    assert await found(ledger, bob) == before
    assert await ledger.messages(bob) == []


async def test_a_repeated_move_counts_as_made_and_takes_nothing_twice(ledger: Ledger) -> None:
    ada = await who_looked(ledger, "ada", ADMIN)
    assert [(await passes(ledger, ada)).moved for _ in range(2)] == [True, True]
    assert list((await ledger.claim_versions(tenant=None, wanted=(ADMIN,))).values()) == [1]


@pytest.mark.parametrize("outcome", [Outcome.COMPLETE, Outcome.ABORTED])
async def test_it_is_given_back_at_the_end(ledger: Ledger, outcome: Outcome) -> None:
    ada = await who_looked(ledger, "ada", ADMIN)
    await passes(ledger, ada)
    if outcome is Outcome.ABORTED:  # resumed with --abort, while nothing was gone
        back = await ledger.move(retirement_id=ada, from_state="past_return", to_state="going_back", now=NOW)
        assert back.moved
        assert (await passes(ledger, await who_looked(ledger, "eve", ADMIN))).claim_lost, "held on the way back, too"
    await ends(ledger, ada, outcome)
    assert (await passes(ledger, await who_looked(ledger, "bob", ADMIN))).moved


async def test_an_errored_retirement_keeps_it_until_it_has_been_resumed_and_ended(ledger: Ledger) -> None:
    ada = await who_looked(ledger, "ada", ADMIN)
    await passes(ledger, ada)
    await ends(ledger, ada, Outcome.ERRORED)
    assert (await passes(ledger, await who_looked(ledger, "bob", ADMIN))).claim_lost
    await ends(ledger, ada, Outcome.COMPLETE)
    assert (await passes(ledger, await who_looked(ledger, "eve", ADMIN))).moved


async def test_whoever_looked_at_the_facts_before_it_was_given_back_loses(ledger: Ledger) -> None:
    before = await who_looked(ledger, "before", ADMIN)
    ada = await who_looked(ledger, "ada", ADMIN)
    await passes(ledger, ada)
    meanwhile = await who_looked(ledger, "meanwhile", ADMIN)
    await ends(ledger, ada, Outcome.COMPLETE)
    assert (await passes(ledger, before)).claim_lost, "saw ada among the facts"
    assert (await passes(ledger, meanwhile)).claim_lost, "may have seen ada among the facts"
    await look(ledger, meanwhile, ADMIN)
    assert (await passes(ledger, meanwhile)).moved, "has looked again"


async def test_a_retirement_that_ended_before_the_point_changes_nothing_for_others(ledger: Ledger) -> None:
    ada, bob = await who_looked(ledger, "ada", ADMIN), await who_looked(ledger, "bob", ADMIN)
    await ends(ledger, ada, Outcome.ABORTED)
    assert (await passes(ledger, bob)).moved


async def test_several_claims_are_taken_all_or_none(ledger: Ledger) -> None:
    # They are taken in the order of their hashes: the one that is held comes last.
    *free, held = sorted(("a", "b", "c"), key=lambda claim: KEYS.claim_key(claim=claim, tenant=None))
    ada = await who_looked(ledger, "ada", held)
    bob = await who_looked(ledger, "bob", "a", "b", "c")
    await passes(ledger, ada)
    assert (await passes(ledger, bob)).claim_lost
    for claim in free:
        assert (await passes(ledger, await who_looked(ledger, f"eve-{claim}", claim))).moved


async def test_a_claim_is_of_its_tenant_and_of_its_text_alone(ledger: Ledger) -> None:
    await passes(ledger, await who_looked(ledger, "ada", "admin:x", tenant="acme"))
    for user_id, claim, tenant in (("bob", "admin:x", "other"), ("eve", "admin:y", "acme"), ("joe", "admin:x", None)):
        assert (await passes(ledger, await who_looked(ledger, user_id, claim, tenant=tenant))).moved, user_id
    assert (await passes(ledger, await who_looked(ledger, "sue", "admin:x", tenant="acme"))).claim_lost


async def test_the_name_of_a_claim_is_no_subject_s(ledger: Ledger) -> None:
    """Both are hashed with one key: what is claimed must not be the ledger's name of a person."""
    names = [
        KEYS.claim_key(claim="u-1", tenant=None),
        KEYS.claim_key(claim="", tenant="u-1"),
        KEYS.claim_key(claim="u-1", tenant="claim"),
        KEYS.subject_key(user_id="u-1", tenant=None),
        KEYS.subject_key(user_id="u-1", tenant="claim"),
        KEYS.subject_key(user_id="", tenant="claim"),
    ]
    assert len(set(names)) == len(names)


async def test_a_look_that_ends_too_late_does_not_make_a_case_forget_what_it_holds(ledger: Ledger) -> None:
    """Its worker was thought dead; meanwhile another attempt has brought the case past the point."""
    ada = await who_looked(ledger, "ada", ADMIN)
    await passes(ledger, ada)
    await ledger.store_claims(retirement_id=ada, claims={})
    await ledger.store_subject(retirement_id=ada, values={}, present=("forum",), claims=None)
    case = await found(ledger, ada)
    assert case.claims == {KEYS.claim_key(claim=ADMIN, tenant=None): 0} and case.present is None
    await ends(ledger, ada, Outcome.COMPLETE)
    assert (await passes(ledger, await who_looked(ledger, "bob", ADMIN))).moved


async def test_a_new_look_replaces_what_the_case_needs(ledger: Ledger) -> None:
    ada = await who_looked(ledger, "ada", ADMIN)
    await look(ledger, ada)
    assert (await found(ledger, ada)).claims is None
    assert (await passes(ledger, ada)).moved
    assert (await passes(ledger, await who_looked(ledger, "bob", ADMIN))).moved, "nobody has it"


async def test_nothing_of_what_is_claimed_is_in_the_database(ledger: Ledger, database: str) -> None:
    await passes(ledger, await who_looked(ledger, "ada", ADMIN))
    everything = everything_in(database)
    assert KEYS.claim_key(claim=ADMIN, tenant=None).encode() in everything, "the claim is there, under its hash"
    assert traces_of(WORDS, everything) == set()
    with transaction(database) as connection:
        connection.execute(insert(schema.meta), {"name": "planted", "value": ADMIN})
    assert {trace.partition(":")[0] for trace in traces_of(WORDS, everything_in(database))} == set(WORDS)


async def test_what_stood_in_the_way_is_kept_with_the_reason(ledger: Ledger) -> None:
    ada = (await a_case(ledger)).retirement_id
    await ledger.move(
        retirement_id=ada,
        from_state="open",
        to_state="going_back",
        now=NOW,
        reason=Reason.NOT_ELIGIBLE,
        code="sole_admin, unpaid",
    )
    await ends(ledger, ada, Outcome.ABORTED)
    case = await found(ledger, ada)
    assert (case.reason, case.code) == (Reason.NOT_ELIGIBLE, "sole_admin, unpaid")


def a_case_of_the_first_release(connection: Connection, **overrides: Any) -> str:
    """Write a case with the columns that the first release had; its vault is the same to this day."""
    released = MetaData()
    released.reflect(connection)
    plan, rid = a_stored_plan(), "r-of-the-first-release"
    of_plan = {"digest": plan.digest, "name": plan.name, "format": plan.format, "document": plan.document}
    connection.execute(insert(released.tables["plans"]), {**of_plan, "stored_at": NOW})
    values = {
        "retirement_id": rid,
        "subject_key": KEYS.subject_key(user_id="u-1", tenant=None),
        "workflow_id": "retire-user-u-1",
        "state": "open",
        "plan": plan.name,
        "plan_digest": plan.digest,
        "run_key": "run-1",
        "requested_at": NOW,
        "opened_at": NOW,
        "cool_off_ends_at": NOW + timedelta(days=14),
        "due_at": NOW + timedelta(days=31),
        "since": NOW,
        "hosts": {"accounts": "https://accounts.example"},
        "present": ["forum"],
    }
    connection.execute(insert(released.tables["cases"]), {**values, **overrides})
    vault = Vault(keys=KEYS)
    vault.make(connection, retirement_id=rid, holders=(RUN,))
    vault.keep_subject(connection, retirement_id=rid, values={"email": "ada@person.example"})
    return rid


async def test_a_case_of_the_first_release_goes_on_after_the_migration(kind: Kind, tmp_path: Path) -> None:
    async with an_empty_database(kind, folder=tmp_path) as database:
        with transaction(database) as connection:
            command.upgrade(migrate.alembic_config(connection), "0001")
            columns = {column["name"] for column in inspect(connection).get_columns("cases")}
            assert "present" in columns and not {"claims", "code"} & columns, "this is the schema of the first release"
            rid = a_case_of_the_first_release(connection)
        ledger = Ledger(url=database, keys=KEYS)
        try:
            await ledger.set_up()
            case = await found(ledger, rid)
            assert (case.state, case.present, case.claims, case.code) == (CaseState.OPEN, ("forum",), None, None)
            begun = await ledger.begin_step(retirement_id=rid, step="forum", action="do")
            assert begun.values is not None and begun.values["subject"] == {"email": "ada@person.example"}
            assert (await passes(ledger, rid)).moved
            await ledger.record_outcomes(rid, [StepOutcome(step="forum", result=StepResult.ERASED, at=NOW)])
            assert (await ends(ledger, rid, Outcome.COMPLETE)).state is CaseState.CLOSED
            assert (await passes(ledger, await who_looked(ledger, "u-2", ADMIN))).moved
        finally:
            ledger.close()


def test_the_migration_has_no_silent_way_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate.upgrade(url)
    with (
        pytest.raises(NotImplementedError, match=r"(finish (them|open retirements)|end it) first"),
        transaction(url) as connection,
    ):
        command.downgrade(migrate.alembic_config(connection), "0001")
    assert migrate.current_is_head(url)

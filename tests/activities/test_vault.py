"""The vault: encrypted a case, opened by its keys only, gone when the last holder lets go."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text

from ledger import Keys, Ledger, LedgerNotReady, VaultDamaged, VaultLocked, VaultMissing, VaultValues
from ledger.database import engine_for, writing
from ledger.rows import no_values
from ledger.sealing import OpenedKeys, new_data_key, seal, unseal, unwrap
from tests.support.ledgers import KEYS, NOW, Kind, a_case, an_empty_database
from workflows.messages import StepOutcome
from workflows.names import Direction, Outcome, StepResult

ADA = {"email": "ada@example.org", "name": "Ada Lovelace", "roles": ["admin"], "age": 36, "org": None}


async def values_of(ledger: Ledger, rid: str) -> VaultValues | None:
    return (await ledger.begin_step(retirement_id=rid, step="lock", action="do")).values


async def save(ledger: Ledger, rid: str, *, step: str, saved: dict[str, Any] | None) -> None:
    outcome = StepOutcome(step=step, result=StepResult.DONE, at=NOW)
    await ledger.record_outcome(retirement_id=rid, step=step, action="do", outcome=outcome, service=None, saved=saved)


async def close(ledger: Ledger, rid: str, outcome: Outcome = Outcome.ABORTED) -> None:
    await ledger.close_case(
        retirement_id=rid, outcome=outcome, reason=None, direction=Direction.FORWARD, now=NOW, messages=()
    )


async def mail(ledger: Ledger, rid: str, *, release: str | None) -> None:
    await ledger.record_mail(
        retirement_id=rid, mail="complete", number="", result="sent", code=None, at=NOW, release=release
    )


async def test_what_was_looked_up_and_saved_is_given_back(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    assert await values_of(ledger, rid) == {**no_values(), "subject": {}, "saved": {}}
    await ledger.store_subject(retirement_id=rid, values=ADA, present=("forum", "profile"))
    await save(ledger, rid, step="lock", saved={"was_locked": False, "note": "ü\ud800"})
    await save(ledger, rid, step="forum", saved={})
    await save(ledger, rid, step="profile", saved=None)
    assert await values_of(ledger, rid) == {
        **no_values(),
        "subject": ADA,
        "saved": {"lock": {"was_locked": False, "note": "ü\ud800"}},
    }
    await save(ledger, rid, step="lock", saved={"was_locked": True})
    await ledger.store_subject(retirement_id=rid, values={"email": "new@example.org"}, present=())
    values = await values_of(ledger, rid)
    assert values == {**no_values(), "subject": {"email": "new@example.org"}, "saved": {"lock": {"was_locked": True}}}
    start = await ledger.begin_step(retirement_id=rid, step="lock", action="do")
    assert start.case.present == () and "example.org" not in repr(start)


async def test_the_entry_goes_when_the_run_is_the_last_to_let_go(ledger: Ledger) -> None:
    rid = (await a_case(ledger, holders=("run",))).retirement_id
    await ledger.store_subject(retirement_id=rid, values=ADA, present=())
    await close(ledger, rid, Outcome.ERRORED)
    assert await values_of(ledger, rid) is not None
    await close(ledger, rid)
    assert await values_of(ledger, rid) is None
    case = await ledger.case(rid)
    assert case is not None and case.shredded_at == NOW


async def test_a_mail_holds_the_entry_beyond_the_close(ledger: Ledger) -> None:
    rid = (await a_case(ledger, holders=("run", "mail"))).retirement_id
    await ledger.store_subject(retirement_id=rid, values=ADA, present=())
    await close(ledger, rid)
    await mail(ledger, rid, release=None)
    assert await values_of(ledger, rid) == {**no_values(), "subject": ADA, "saved": {}}
    await mail(ledger, rid, release="mail")
    assert await values_of(ledger, rid) is None
    assert [row.result for row in await ledger.mails(rid)] == ["sent", "sent"]
    await mail(ledger, rid, release="mail")
    case = await ledger.case(rid)
    assert case is not None and case.shredded_at == NOW


async def test_a_mail_that_lets_go_first_leaves_the_entry_to_the_run(ledger: Ledger) -> None:
    rid = (await a_case(ledger, holders=("mail",))).retirement_id
    await mail(ledger, rid, release="mail")
    assert await values_of(ledger, rid) is not None
    await close(ledger, rid)
    assert await values_of(ledger, rid) is None


async def test_a_hold_nobody_ends_ends_by_itself_after_the_close(ledger: Ledger) -> None:
    closed = (await a_case(ledger, holders=("mail",))).retirement_id
    still_open = (await a_case(ledger, user_id="u-2", run_key="run-2", holders=("mail",))).retirement_id
    await close(ledger, closed)
    assert await ledger.expire_holders(now=NOW + timedelta(days=29)) == 0
    assert await values_of(ledger, closed) is not None
    assert await ledger.expire_holders(now=NOW + timedelta(days=30)) == 1
    assert await values_of(ledger, closed) is None
    assert await ledger.expire_holders(now=NOW + timedelta(days=999)) == 0
    assert await values_of(ledger, still_open) is not None


async def test_nothing_is_recorded_as_saved_where_the_entry_is_gone(ledger: Ledger) -> None:
    rid = (await a_case(ledger)).retirement_id
    await close(ledger, rid)
    with pytest.raises(VaultMissing):
        await save(ledger, rid, step="lock", saved={"was_locked": True})
    with pytest.raises(VaultMissing):
        await ledger.store_subject(retirement_id=rid, values=ADA, present=("forum",))
    assert await ledger.steps(rid) == [] and await ledger.outcomes(rid) == []
    case = await ledger.case(rid)
    assert case is not None and case.present is None


async def test_a_row_copied_onto_another_case_does_not_open(tmp_path: Path, kind: Kind) -> None:
    async with an_empty_database(kind, folder=tmp_path) as url:
        ledger = Ledger(url=url, keys=KEYS)
        await ledger.set_up()
        ada, eve = [(await a_case(ledger, user_id=name, run_key=name)).retirement_id for name in ("ada", "eve")]
        await ledger.store_subject(retirement_id=ada, values=ADA, present=())
        await ledger.store_subject(retirement_id=eve, values={}, present=())
        copies = {
            "its values": "UPDATE vault_fields SET sealed = (SELECT sealed FROM vault_fields "
            "WHERE retirement_id = :ada) WHERE retirement_id = :eve",
            "its key too": "UPDATE vault SET wrapped_key = (SELECT wrapped_key FROM vault "
            "WHERE retirement_id = :ada) WHERE retirement_id = :eve",
        }
        for statement in copies.values():
            execute(url, statement, ada=ada, eve=eve)
            fresh = Ledger(url=url, keys=KEYS)
            for reader in (ledger, fresh):
                with pytest.raises(VaultDamaged, match="copied from another case"):
                    await values_of(reader, eve)
            assert await values_of(fresh, ada) == {**no_values(), "subject": ADA, "saved": {}}, "the search can succeed"
            fresh.close()
        execute(url, "UPDATE vault_fields SET field = 'saved.lock' WHERE retirement_id = :ada", ada=ada)
        with pytest.raises(VaultDamaged):
            await values_of(ledger, ada)
        ledger.close()


async def test_an_entry_of_a_key_that_is_not_in_the_ring_is_locked(tmp_path: Path) -> None:
    async with an_empty_database("sqlite", folder=tmp_path) as url:
        ledger = Ledger(url=url, keys=KEYS)
        await ledger.set_up()
        rid = (await a_case(ledger)).retirement_id
        await ledger.store_subject(retirement_id=rid, values=ADA, present=())
        ledger.close()

        without = Ledger(url=url, keys=Keys(subject=KEYS.subject, vault={"2": b"w" * 32}, current="2"))
        with pytest.raises(VaultLocked, match="'1' is not in the key ring"):
            await values_of(without, rid)
        with pytest.raises(LedgerNotReady, match="not in the key file: 1"):
            await without.check()
        without.close()

        rotated = Ledger(url=url, keys=replace(KEYS, vault={**KEYS.vault, "2": b"w" * 32}, current="2"))
        await rotated.check()
        assert await values_of(rotated, rid) == {**no_values(), "subject": ADA, "saved": {}}
        rotated.close()

        wrong = Ledger(url=url, keys=replace(KEYS, vault={"1": b"w" * 32}))
        with pytest.raises(VaultDamaged):
            await values_of(wrong, rid)
        wrong.close()


def test_sealed_values_are_bound_to_their_case_and_field_and_never_alike() -> None:
    key_id, wrapped = new_data_key(keys=KEYS, retirement_id="r-1")
    key = unwrap(keys=KEYS, retirement_id="r-1", key_id=key_id, wrapped=wrapped)
    sealed = [seal(data_key=key, retirement_id="r-1", field="subject", values=ADA) for _ in range(2)]
    assert sealed[0] != sealed[1] and b"ada" not in sealed[0].lower()
    assert unseal(data_key=key, retirement_id="r-1", field="subject", sealed=sealed[0]) == ADA
    flipped = sealed[0][:-1] + bytes([sealed[0][-1] ^ 1])
    for rid, field, bytes_ in (
        ("r-2", "subject", sealed[0]),
        ("r-1", "saved.x", sealed[0]),
        ("r-1", "subject", flipped),
    ):
        with pytest.raises(VaultDamaged):
            unseal(data_key=key, retirement_id=rid, field=field, sealed=bytes_)
    with pytest.raises(VaultDamaged):
        unseal(data_key=key, retirement_id="r-1", field="subject", sealed=b"short")
    with pytest.raises(VaultDamaged):
        unwrap(keys=KEYS, retirement_id="r-2", key_id=key_id, wrapped=wrapped)


def test_opened_keys_are_few_and_the_one_unused_for_longest_gives_way() -> None:
    keys = OpenedKeys(most=2)
    one, two, three = (AESGCM(bytes([n]) * 32) for n in range(3))
    keys.keep("r-1", one)
    keys.keep("r-2", two)
    assert keys.get("r-1") is one
    keys.keep("r-3", three)
    assert (keys.get("r-1"), keys.get("r-2"), keys.get("r-3"), len(keys)) == (one, None, three, 2)
    keys.drop("r-1")
    keys.drop("r-1")
    assert keys.get("r-1") is None and len(keys) == 1


def execute(url: str, statement: str, **values: str) -> None:
    engine = engine_for(url)
    with writing(engine).begin() as connection:
        assert connection.execute(text(statement), values).rowcount == 1
    engine.dispose()

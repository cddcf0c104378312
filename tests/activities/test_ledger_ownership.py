"""What people own, sealed in the ledger; and who takes over from whom."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from ledger import Case, Ledger
from ledger.errors import VaultMissing
from ledger.rows import Asset, AssetRow, CaseState
from tests.support.leaks import content_of, traces_of
from tests.support.ledgers import NOW, Kind, a_case, a_ledger, a_stored_plan
from workflows.messages import Moved, StepOutcome
from workflows.names import AssetResult, Direction, Outcome, StepResult

STEP = "documents"
PLAN = a_stored_plan(documents="transfer", profile="erase")
DRAFT, PAGE = Asset(id="draft-4711", type="page", title="Kanarienvogel's draft"), Asset(id="d-2", fields={"version": 7})


async def take(
    ledger: Ledger, case: Case, *assets: Asset, only_known: bool = False, in_pages_of: int = 100
) -> tuple[int, int]:
    """Take an inventory; gives its number and how many are listed again."""
    rid = case.retirement_id
    number = await ledger.begin_inventory(retirement_id=rid, step=STEP)
    for at in range(0, len(assets), in_pages_of):
        listed = assets[at : at + in_pages_of]
        await ledger.note_assets(retirement_id=rid, step=STEP, inventory=number, listed=listed, only_known=only_known)
    again = await ledger.end_inventory(retirement_id=rid, step=STEP, inventory=number, keep_unlisted=only_known)
    return number, again


async def pending(ledger: Ledger, case: Case, *, behind: int = 0, most: int = 10) -> list[AssetRow]:
    return await ledger.pending_assets(retirement_id=case.retirement_id, step=STEP, behind=behind, most=most)


async def record(ledger: Ledger, case: Case, rows: Sequence[AssetRow], result: AssetResult, code: str = "x") -> None:
    results: dict[str, tuple[AssetResult, str | None]] = {row.key: (result, code) for row in rows}
    await ledger.record_assets(retirement_id=case.retirement_id, step=STEP, results=results)


async def pass_point(ledger: Ledger, case: Case) -> Moved:
    return await ledger.move(
        retirement_id=case.retirement_id, from_state=CaseState.OPEN, to_state=CaseState.PAST_RETURN, now=NOW
    )


async def turn_back(ledger: Ledger, case: Case) -> Moved:
    return await ledger.move(
        retirement_id=case.retirement_id, from_state=CaseState.PAST_RETURN, to_state=CaseState.GOING_BACK, now=NOW
    )


async def close(ledger: Ledger, case: Case, outcome: Outcome = Outcome.COMPLETE) -> None:
    await ledger.close_case(
        retirement_id=case.retirement_id,
        outcome=outcome,
        reason=None,
        direction=Direction.FORWARD if outcome is Outcome.ERRORED else None,
        now=NOW,
        messages=(),
    )


async def choose(ledger: Ledger, case: Case, successor: str) -> None:
    await ledger.choose_successors(
        retirement_id=case.retirement_id, tenant=None, chosen={"colleague": {"id": successor}}, at=NOW
    )


# --- assets ----------------------------------------------------------------------------------------------------------


async def test_an_inventory_is_given_back_as_it_was_found_and_is_nowhere_in_clear(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        assert await take(ledger, case, DRAFT, PAGE) == (1, 0)
        rows = await ledger.assets(case.retirement_id)
        assert [(row.asset, row.position, row.result) for row in rows] == [(DRAFT, 1, None), (PAGE, 2, None)]
        assert await ledger.asset_counts(case.retirement_id) == {STEP: {None: 2}}
        assert "Kanarienvogel" not in repr(rows)
        if kind == "sqlite":
            await ledger.checkpoint()
            assert not traces_of(("Kanarienvogel", "draft-4711"), content_of(tmp_path, "ledger.db*"))


async def test_ten_thousand_assets_are_worked_through_in_order(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        await take(ledger, case, *(Asset(id=f"d-{number}") for number in range(10_000)), in_pages_of=1_000)
        seen: list[str] = []
        while rows := await pending(ledger, case, behind=len(seen), most=2_500):
            seen += [row.asset.id for row in rows]
        assert seen == [f"d-{number}" for number in range(10_000)]


async def test_an_inventory_says_what_is_new_what_is_gone_and_what_was_not_moved_after_all(
    kind: Kind, tmp_path: Path
) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        given_away, moved, lied = (Asset(id=name) for name in ("given-away", "moved", "lied"))
        await take(ledger, case, given_away, moved, lied)
        rows = {row.asset.id: row for row in await pending(ledger, case)}
        await record(ledger, case, [rows["moved"], rows["lied"]], AssetResult.MOVED)
        number, again = await take(ledger, case, lied, Asset(id="new"))
        assert (number, again) == (2, 1)
        found = {row.asset.id: (row.result, row.lies) for row in await ledger.assets(case.retirement_id)}
        assert found == {"moved": (AssetResult.MOVED, 0), "lied": (AssetResult.RETRYING, 1), "new": (None, 0)}


async def test_what_was_begun_and_is_listed_no_more_is_still_looked_after(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        await take(ledger, case, DRAFT, PAGE)
        await record(ledger, case, await pending(ledger, case, most=1), AssetResult.RETRYING, "begun")
        await take(ledger, case)
        found = [(row.asset.id, row.result, row.inventory) for row in await pending(ledger, case)]
        assert found == [("draft-4711", AssetResult.RETRYING, 1)]


async def test_what_somebody_named_stays_though_it_is_not_listed_and_nothing_else_comes_in(
    kind: Kind, tmp_path: Path
) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        named = Asset(id="somebody-else-s")
        await ledger.note_assets(retirement_id=case.retirement_id, step=STEP, inventory=0, listed=[named, PAGE])
        await take(ledger, case, DRAFT, PAGE, only_known=True)
        found = {row.asset.id: row.inventory for row in await pending(ledger, case)}
        assert found == {"somebody-else-s": 0, "d-2": 1}


async def test_a_resume_asks_anew_for_what_was_refused(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        await take(ledger, case, DRAFT, PAGE)
        first, second = await pending(ledger, case)
        await record(ledger, case, [first], AssetResult.REFUSED)
        await record(ledger, case, [second], AssetResult.MOVED)
        await pass_point(ledger, case)
        await close(ledger, case, Outcome.ERRORED)
        await a_case(ledger, plan=PLAN, resume=case.retirement_id, run_key="run-2")
        found = {row.asset.id: (row.result, row.lies) for row in await ledger.assets(case.retirement_id)}
        assert found == {"draft-4711": (None, 1), "d-2": (AssetResult.MOVED, 0)}


async def test_they_go_with_the_vault(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        await take(ledger, case, DRAFT)
        await pass_point(ledger, case)
        await close(ledger, case)
        assert await ledger.asset_counts(case.retirement_id) == {}
        with pytest.raises(VaultMissing):
            await ledger.note_assets(retirement_id=case.retirement_id, step=STEP, inventory=1, listed=[DRAFT])


@pytest.mark.parametrize(
    ("outcome", "may_turn"),
    [
        (StepOutcome(step=STEP, result=StepResult.ABSENT, code="nothing_owned"), True),
        (StepOutcome(step=STEP, result=StepResult.FAILED, code="successor_lost"), True),
        (StepOutcome(step=STEP, result=StepResult.TRANSFERRED), False),
    ],
    ids=["nothing owned", "nobody to give it to", "handed over"],
)
async def test_the_way_back_is_open_until_something_was_handed_over(
    kind: Kind, tmp_path: Path, outcome: StepOutcome, may_turn: bool
) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN)
        await pass_point(ledger, case)
        await ledger.record_outcomes(case.retirement_id, (outcome,))
        assert (await turn_back(ledger, case)).moved is may_turn


# --- successions -----------------------------------------------------------------------------------------------------


async def test_whom_the_request_names_is_kept_and_a_resume_may_name_another(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        case = await a_case(ledger, plan=PLAN, successor="u-bob")
        await choose(ledger, case, "u-bob")
        await pass_point(ledger, case)
        await close(ledger, case, Outcome.ERRORED)
        await a_case(ledger, plan=PLAN, resume=case.retirement_id, successor="u-cleo", run_key="run-2")
        begun = await ledger.begin_step(retirement_id=case.retirement_id, step=STEP, action="do")
        assert begun.values is not None
        assert begun.values["people"]["named"] == "u-cleo" and begun.values["successors"] == {}


async def test_whoever_takes_over_and_goes_first_is_lost_to_the_other(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        ada = await a_case(ledger, plan=PLAN, user_id="u-ada")
        await choose(ledger, ada, "u-bob")
        bob = await a_case(ledger, plan=PLAN, user_id="u-bob", run_key="run-bob")
        assert await ledger.is_retiring(user_id="u-bob", tenant=None)
        assert (await pass_point(ledger, ada)).successor_lost
        assert (await pass_point(ledger, bob)).moved
        await close(ledger, bob)
        assert (await pass_point(ledger, ada)).successor_lost  # gone for good since they were chosen


async def test_whoever_takes_over_waits_for_what_they_are_about_to_be_given(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        ada = await a_case(ledger, plan=PLAN, user_id="u-ada")
        await choose(ledger, ada, "u-bob")
        assert (await pass_point(ledger, ada)).moved
        bob = await a_case(ledger, plan=PLAN, user_id="u-bob", run_key="run-bob")
        refused = await pass_point(ledger, bob)
        assert (refused.moved, refused.awaited) == (False, True)
        await ledger.end_successions(retirement_id=ada.retirement_id)
        assert (await pass_point(ledger, bob)).moved


async def test_whoever_was_retired_long_before_may_take_over_as_somebody_new(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        bob = await a_case(ledger, plan=PLAN, user_id="u-bob", run_key="run-bob")
        await pass_point(ledger, bob)
        await close(ledger, bob)
        ada = await a_case(ledger, plan=PLAN, user_id="u-ada", now=NOW + timedelta(days=1))
        later = NOW + timedelta(days=1)
        chosen = {"colleague": {"id": "u-bob"}}
        await ledger.choose_successors(retirement_id=ada.retirement_id, tenant=None, chosen=chosen, at=later)
        assert (await pass_point(ledger, ada)).moved


async def test_a_retirement_that_ended_keeps_nobody_waiting(kind: Kind, tmp_path: Path) -> None:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        ada = await a_case(ledger, plan=PLAN, user_id="u-ada")
        await choose(ledger, ada, "u-bob")
        await pass_point(ledger, ada)
        await close(ledger, ada)
        bob = await a_case(ledger, plan=PLAN, user_id="u-bob", run_key="run-bob")
        assert (await pass_point(ledger, bob)).moved

"""Transfers that stand alone, in the ledger: opened with all that is personal, taken up by one run, resumed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger import Case, Ledger, StepAction
from ledger.rows import CaseKind, CaseOpening
from ledger.transfers import Obstacle, TransferOpening, TransferWish
from tests.support.ledgers import NOW, Kind, a_case, a_ledger, a_stored_plan
from workflows.messages import Skip, Start, StepOutcome
from workflows.names import AssetResult, Direction, Outcome, Reason, StepResult

_STEPS = ("documents", "boards")
_PLAN = a_stored_plan(documents="transfer", boards="transfer", profile="erase")
_LATER = NOW + timedelta(days=1)


@pytest.fixture
async def ledger(kind: Kind, tmp_path: Path) -> AsyncIterator[Ledger]:
    async with a_ledger(kind, folder=tmp_path) as ledger:
        yield ledger


def a_wish(**changes: Any) -> TransferWish:
    known: dict[str, Any] = {"user_id": "u-1", "successor": "u-2", "tenant": None, "plan": _PLAN, "steps": _STEPS}
    return TransferWish(**{**known, **changes})


async def opened(ledger: Ledger, **changes: Any) -> TransferOpening:
    return await ledger.open_transfer(
        wish=a_wish(**changes), workflow_id="transfer-ownership-u-1", holders=("report",), now=NOW
    )


async def a_transfer(ledger: Ledger, **changes: Any) -> Case:
    opening = await opened(ledger, **changes)
    assert opening.case is not None and opening.obstacle is None and not opening.is_known
    return opening.case


async def taken_up(
    ledger: Ledger, transfer: Case, *, run_key: str = "run-1", user_id: str = "u-1", **start: Any
) -> CaseOpening:
    return await ledger.take_up_transfer(
        start=Start(user_id=user_id, resume=transfer.retirement_id, **start),
        workflow_id="transfer-ownership-u-1",
        run_key=run_key,
        hosts={"documents": "https://documents.example"},
        now=_LATER,
    )


async def past_return(ledger: Ledger, case: Case) -> bool:
    id = case.retirement_id
    return (await ledger.move(retirement_id=id, from_state="open", to_state="past_return", now=NOW)).moved


async def close(ledger: Ledger, case: Case, outcome: Outcome, **more: Any) -> None:
    await ledger.close_case(
        retirement_id=case.retirement_id,
        outcome=outcome,
        reason=None,
        direction=Direction.FORWARD if outcome is Outcome.ERRORED else None,
        now=NOW,
        messages=(),
        **more,
    )


async def test_all_that_is_personal_is_in_the_vault_before_a_run_begins(ledger: Ledger) -> None:
    transfer = await a_transfer(
        ledger, assets=("d-1", "d-2", "d-1"), subject={"org": "acme"}, requested_by="ops-3", reason_code="left"
    )
    assert transfer.retirement_id.startswith("t-") and transfer.kind is CaseKind.TRANSFER
    assert transfer.is_live and transfer.state == "open" and transfer.run_key == ""
    assert (transfer.requested_by, transfer.reason_code, transfer.workflow_id) == (
        "ops-3",
        "left",
        "transfer-ownership-u-1",
    )
    begun = await ledger.begin_step(retirement_id=transfer.retirement_id, step="documents", action=StepAction.DO)
    assert begun.values is not None
    assert begun.values["people"] == {"named": "u-2", "only_named": True}
    assert begun.values["subject"] == {"org": "acme"}
    rows = await ledger.assets(transfer.retirement_id)
    assert [(row.step, row.asset.id, row.inventory, row.result) for row in rows] == [
        (step, id, 0, None) for step in sorted(_STEPS) for id in ("d-1", "d-2")
    ]
    assert await ledger.find(user_id="u-1", tenant=None, kind=CaseKind.TRANSFER) == transfer
    assert await ledger.find(user_id="u-1", tenant=None) is None


async def test_without_names_everything_is_meant(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger)
    begun = await ledger.begin_step(retirement_id=transfer.retirement_id, step="documents", action=StepAction.DO)
    assert begun.values is not None and begun.values["people"] == {"named": "u-2", "only_named": False}
    assert await ledger.assets(transfer.retirement_id) == []


async def test_the_same_wish_finds_what_it_has_opened_and_another_is_refused(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger, assets=("d-1", "d-2"))
    again = await opened(ledger, assets=("d-2", "d-1", "d-2"))
    assert (again.case, again.obstacle, again.is_known) == (transfer, None, True)
    for other in ({"assets": ("d-1",)}, {"assets": None}, {"successor": "u-3"}, {"subject": {"org": "acme"}}):
        refused = await opened(ledger, **{"assets": ("d-1", "d-2"), **other})
        assert (refused.case, refused.obstacle) == (transfer, Obstacle.UNDER_WAY)
    elsewhere = await opened(ledger, tenant="t")
    assert elsewhere.case is not None and elsewhere.obstacle is None
    await past_return(ledger, transfer)
    await close(ledger, transfer, Outcome.COMPLETE)
    once_more = await a_transfer(ledger, assets=("d-1", "d-2"))
    assert once_more.retirement_id != transfer.retirement_id


async def test_who_is_going_neither_gives_nor_takes(ledger: Ledger) -> None:
    assert (await opened(ledger, successor="u-1")).obstacle is Obstacle.NAMES_ITSELF
    taker = await a_case(ledger, user_id="u-2")
    assert (await opened(ledger)).obstacle is Obstacle.RETIRING
    assert (await ledger.look_at_transfer(a_wish())).obstacle is Obstacle.RETIRING
    giver = await a_case(ledger, user_id="u-1")
    cooling_off = await opened(ledger, successor="u-3")
    assert cooling_off.case is not None and cooling_off.obstacle is None
    await close(ledger, cooling_off.case, Outcome.ABORTED)
    await past_return(ledger, giver)
    refused = await opened(ledger, successor="u-3")
    assert refused.obstacle is Obstacle.PAST_RETURN and refused.case is not None
    assert refused.case.retirement_id == giver.retirement_id
    assert taker.is_live
    assert await ledger.cases(kind=CaseKind.TRANSFER, live_only=True) == []


async def test_a_run_takes_it_up_and_is_given_it_again(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger)
    assert (await taken_up(ledger, transfer, user_id="u-9")).refused is Reason.NOT_RESUMABLE
    first = await taken_up(ledger, transfer)
    assert first.refused is None and not first.resumed and first.case is not None
    assert (first.case.run_key, dict(first.case.hosts)) == ("run-1", {"documents": "https://documents.example"})
    assert (await taken_up(ledger, transfer)).case == first.case
    assert await ledger.resumes(transfer.retirement_id) == []
    retirement = await a_case(ledger, user_id="u-1")
    assert (await taken_up(ledger, retirement)).refused is Reason.NOT_RESUMABLE
    await past_return(ledger, transfer)
    await close(ledger, transfer, Outcome.COMPLETE)
    assert (await taken_up(ledger, transfer)).refused is Reason.NOT_RESUMABLE


async def test_a_resume_names_somebody_else_and_asks_again_only_where_a_step_runs_again(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger, assets=("d-1",))
    id = transfer.retirement_id
    await taken_up(ledger, transfer)
    await past_return(ledger, transfer)
    await ledger.choose_successors(retirement_id=id, tenant=None, chosen={"colleague": {"id": "u-2"}}, at=NOW)
    for step in _STEPS:
        [row] = [row for row in await ledger.assets(id) if row.step == step]
        results = {row.key: (AssetResult.REFUSED, "http_422")}
        await ledger.record_assets(retirement_id=id, step=step, results=results)
    ended = StepOutcome(step="documents", result=StepResult.TRANSFERRED, at=NOW)
    failed = StepOutcome(step="boards", result=StepResult.FAILED, code="successor_lost", at=NOW)
    await ledger.record_outcomes(id, (ended, failed))
    await close(ledger, transfer, Outcome.ERRORED)
    stopped = await opened(ledger, assets=("d-1",))
    assert stopped.obstacle is Obstacle.ERRORED_BEFORE
    resumed = await taken_up(ledger, transfer, run_key="run-2", successor="u-3", requested_by="ops-3")
    assert resumed.refused is None and resumed.resumed and resumed.case is not None
    assert (resumed.case.state, resumed.case.run_key, resumed.case.is_live) == ("past_return", "run-2", True)
    begun = await ledger.begin_step(retirement_id=id, step="boards", action=StepAction.DO)
    assert begun.values is not None and begun.values["successors"] == {}
    assert begun.values["people"] == {"named": "u-3", "only_named": True}
    assert {row.step: row.result for row in await ledger.assets(id)} == {
        "boards": None,
        "documents": AssetResult.REFUSED,
    }
    assert [(resume.by, resume.direction) for resume in await ledger.resumes(id)] == [("ops-3", Direction.FORWARD)]


async def test_a_step_that_is_given_up_is_on_the_record(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger)
    await taken_up(ledger, transfer)
    await past_return(ledger, transfer)
    await close(ledger, transfer, Outcome.ERRORED)
    skip = Skip(step="documents", by="ops-3", reason_code="given_up")
    resumed = await taken_up(ledger, transfer, run_key="run-2", skip=(skip,))
    assert [(row.step, row.result, row.by) for row in resumed.steps] == [("documents", StepResult.SKIPPED, "ops-3")]


async def test_whoever_takes_over_waits_for_it_and_whoever_gives_waits_for_nobody(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger)
    id = transfer.retirement_id
    await taken_up(ledger, transfer)
    await ledger.choose_successors(retirement_id=id, tenant=None, chosen={"colleague": {"id": "u-2"}}, at=NOW)
    # Somebody's retirement, past its point, is about to hand over to the one who only hands over now.
    other = await a_case(ledger, user_id="u-7")
    chosen = {"colleague": {"id": "u-1"}}
    await ledger.choose_successors(retirement_id=other.retirement_id, tenant=None, chosen=chosen, at=NOW)
    assert await past_return(ledger, other)
    assert await past_return(ledger, transfer)
    taker = await a_case(ledger, user_id="u-2", run_key="run-9")
    waits = await ledger.move(retirement_id=taker.retirement_id, from_state="open", to_state="past_return", now=NOW)
    assert (waits.moved, waits.awaited) == (False, True)
    await close(ledger, transfer, Outcome.COMPLETE)
    assert await past_return(ledger, taker)


async def test_the_vault_goes_when_whoever_asked_has_been_told(ledger: Ledger) -> None:
    transfer = await a_transfer(ledger, assets=("d-1",))
    id = transfer.retirement_id
    await taken_up(ledger, transfer)
    await past_return(ledger, transfer)
    await close(ledger, transfer, Outcome.COMPLETE)
    assert len(await ledger.assets(id)) == 2
    await ledger.let_go(retirement_id=id, holder="report", now=_LATER)
    closed = await ledger.case(id)
    assert closed is not None and closed.shredded_at == _LATER
    assert await ledger.assets(id) == []


async def test_of_two_wishes_at_once_one_is_opened(ledger: Ledger) -> None:
    both = await asyncio.gather(*(opened(ledger, successor=f"u-{n}") for n in (2, 3)), return_exceptions=True)
    cases = await ledger.cases(kind=CaseKind.TRANSFER)
    assert len(cases) == 1
    openings = [each for each in both if isinstance(each, TransferOpening)]
    assert {each.case.retirement_id for each in openings if each.case} == {cases[0].retirement_id}

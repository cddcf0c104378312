"""Which retirements are near their legal limit, as the ledger finds them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ledger import Case, Ledger
from ledger.rows import CaseState
from tests.support.ledgers import KEYS, NOW, Kind, a_case, a_ledger, a_stored_plan
from workflows.names import Direction, Outcome, Reason

DAY = timedelta(days=1)
DUE = NOW + 31 * DAY


@pytest.fixture
async def ledger(kind: Kind, tmp_path: Path) -> AsyncIterator[Ledger]:
    async with a_ledger(kind, folder=tmp_path, keys=KEYS) as ledger:
        yield ledger


async def ended(ledger: Ledger, case: Case, outcome: Outcome) -> None:
    """The run at work on a case came to its end."""
    if outcome is not Outcome.ABORTED:
        await ledger.move(
            retirement_id=case.retirement_id, from_state=CaseState.OPEN, to_state=CaseState.PAST_RETURN, now=NOW
        )
    await ledger.close_case(
        retirement_id=case.retirement_id,
        outcome=outcome,
        reason=Reason.RESCINDED if outcome is Outcome.ABORTED else None,
        direction=Direction.FORWARD if outcome is Outcome.ERRORED else None,
        now=NOW,
        messages=(),
    )


async def test_who_is_not_finished_by_then_is_found_and_nobody_else(ledger: Ledger) -> None:
    live = await a_case(ledger, user_id="u-live", now=NOW + DAY)
    errored, aborted, complete = [await a_case(ledger, user_id=id) for id in ("u-errored", "u-aborted", "u-complete")]
    await ended(ledger, errored, Outcome.ERRORED)
    await ended(ledger, aborted, Outcome.ABORTED)
    await ended(ledger, complete, Outcome.COMPLETE)
    other = await a_case(ledger, user_id="u-other", plan=a_stored_plan(digest="digest-2"))
    assert await ledger.plans_at_work() == ["digest-1", "digest-2"]

    async def due(by_days: float, digest: str = "digest-1") -> list[str]:
        return await ledger.due_untold(plan_digest=digest, by=NOW + by_days * DAY)

    assert await due(30.9) == []
    assert await due(31) == [errored.retirement_id]
    assert await due(40) == [errored.retirement_id, live.retirement_id], "the one that is due first"
    assert await due(40, "digest-2") == [other.retirement_id]


async def test_who_was_told_of_is_not_found_again_however_the_mail_fared(ledger: Ledger) -> None:
    cases = [await a_case(ledger, user_id=id) for id in ("u-1", "u-2", "u-3")]
    told = {"sent": "deadline", "given_up": "deadline", "no_address": "held"}
    for case, (result, mail) in zip(cases, told.items(), strict=True):
        await ledger.record_mail(
            retirement_id=case.retirement_id, mail=mail, number="", result=result, code=None, at=NOW, release=None
        )
    assert await ledger.due_untold(plan_digest="digest-1", by=DUE) == [cases[2].retirement_id]

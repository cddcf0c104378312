"""A run that the ledger contradicts (a reset, a second run) forces nothing, and loses nothing that was said to it."""

from tests.support.stage import Stage
from tests.support.waiting import eventually
from workflows.names import HeldCause, Phase


async def test_what_was_said_to_a_run_whose_move_was_refused_is_on_record(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    case = await stage.case_of(ada)
    # Somebody else moves the case: a second run, forced past its workflow id.
    moved = await stage.ledger.move(
        retirement_id=case.retirement_id, from_state="open", to_state="past_return", now=await run.now()
    )
    assert moved.moved
    assert (await run.ask("rescind", by="support-7")).accepted

    async def is_held() -> None:
        assert [hold.cause for hold in (await run.status()).held] == [HeldCause.CONFLICT]

    await eventually(is_held)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
    assert (await run.ask("decide", step="turn_back", decision="close", by="ops-1")).accepted
    assert (await run.errored()).code == "conflict"
    said = [(row.kind, row.by) for row in await stage.ledger.messages(case.retirement_id)]
    assert said == [("rescind", "support-7"), ("decide", "ops-1")]

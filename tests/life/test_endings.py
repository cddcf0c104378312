"""Every way a retirement can end, seen by the person, the services and the ledger."""

from tests.support.stage import Stage
from workflows.names import Outcome, Reason


async def test_a_retirement_erases_everywhere_and_tells(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps} == {
        "lock": "done",
        "mute": "done",
        "forum": "erased",
        "newsletter": "erased",
        "invoices": "retained",
        "profile": "erased",
    }
    assert stage.sandbox.accounts.kept(ada) is None
    assert not stage.sandbox.accounts.can_log_in(ada)


async def test_a_rescind_in_cool_off_gives_the_account_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches("cool_off")
    assert not stage.sandbox.accounts.can_log_in(ada)
    answer = await run.ask("rescind", by="support-7")
    assert answer.accepted
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.accounts.can_log_in(ada)

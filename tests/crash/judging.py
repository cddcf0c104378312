"""What must hold after a crash, read from the services' own logs, the mailbox and the ledger."""

from collections import Counter

from ledger.rows import CaseState, StepAction
from tests.support.lanes import Life
from workflows.names import Mail, Outcome, Reason, StepResult

_ENDED = {
    "lock": StepResult.DONE,
    "mute": StepResult.DONE,
    "forum": StepResult.ERASED,
    "newsletter": StepResult.ERASED,
    "invoices": StepResult.RETAINED,
    "profile": StepResult.ERASED,
}


async def judge_complete(life: Life) -> None:
    """Everything is gone, each effect happened as often as it may, and the record says so.

    Once where the service honours the key (accounts) or a repeat finds nothing left to do (forum); where it ignores
    the key (newsletter), a crash costs at most one repeat.
    """
    person, sandbox = life.person, life.sandbox
    assert (life.result.outcome, life.result.reason) == (Outcome.COMPLETE, None), life.result
    assert {step.step: step.result for step in life.result.steps} == _ENDED
    assert sandbox.accounts.effects_on(person) == ["lock", "erase"]
    assert sandbox.forum.effects_on(person) == ["mute", "erase"]
    newsletter = Counter(sandbox.newsletter.effects_on(person))
    assert newsletter["erase"] == 1, newsletter
    assert 1 <= newsletter["accept_deletion"] <= 1 + life.crashes, newsletter
    assert sandbox.invoices.effects_on(person) == []
    kept = {name for name, service in sandbox.services.items() if name != "mailbox" and service.kept(person)}
    assert kept == {"invoices"}
    last = sandbox.accounts.effects(person)[-1]
    others = [sandbox.forum.effects(person)[-1], sandbox.newsletter.effects(person)[-1]]
    assert all(other.monotonic < last.monotonic for other in others), "the account went before what is found by it"
    await _judge_record(life, wish="expedite", told=Mail.COMPLETE)
    recorded = {
        row.step: row.result
        for row in await life.ledger.steps(life.result.retirement_id or "")
        if row.action is StepAction.DO and row.result is not None
    }
    assert recorded == _ENDED


async def judge_given_back(life: Life) -> None:
    """The account works as before, nothing was erased, and the record says so."""
    person, sandbox = life.person, life.sandbox
    assert (life.result.outcome, life.result.reason) == (Outcome.ABORTED, Reason.RESCINDED), life.result
    assert sandbox.accounts.effects_on(person) == ["lock", "unlock"]
    assert sandbox.forum.effects_on(person) == ["mute", "unmute"]
    assert sandbox.newsletter.effects_on(person) == []
    assert sandbox.invoices.effects_on(person) == []
    assert sandbox.accounts.can_log_in(person)
    await _judge_record(life, wish="rescind", told=Mail.RESCINDED)
    undone = {
        row.step: row.result
        for row in await life.ledger.steps(life.result.retirement_id or "")
        if row.action is StepAction.UNDO and row.result is not None
    }
    assert undone == {"lock": StepResult.DONE, "mute": StepResult.DONE}


async def _judge_record(life: Life, *, wish: str, told: Mail) -> None:
    """The case is closed and its vault gone; each mail is recorded once and came at most once more a crash."""
    case = await life.ledger.case(life.result.retirement_id or "")
    assert case is not None
    assert (case.state, case.outcome, case.workflow_id) == (CaseState.CLOSED, life.result.outcome, None)
    assert case.shredded_at is not None
    accepted = [row.kind for row in await life.ledger.messages(case.retirement_id) if row.accepted]
    assert accepted == [wish]
    sent = Counter(row.mail for row in await life.ledger.mails(case.retirement_id) if row.result == "sent")
    assert sent[told] == 1
    # A received mail that a crash held up is dropped when the retirement ends before it.
    assert set(sent) <= {Mail.RECEIVED, told}
    assert set(sent.values()) == {1}
    came = Counter(mail["message_id"] for mail in life.sandbox.mailbox.mails(life.person))
    assert len(sent) <= len(came) <= 2, came
    assert sum(came.values()) <= len(came) + life.crashes, came

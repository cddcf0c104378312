"""Held: one rotated key must not turn every retirement red, and no run waits for ever on a person."""

from datetime import timedelta

import pytest

from ledger.rows import CaseState
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import all_of, brisk, with_token
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows import holds, names
from workflows.names import Direction, HeldCause, Outcome, Phase, Reason, StepResult

_TOKEN = "HELD_FORUM_TOKEN"
_DAYS = timedelta(days=7)


@pytest.fixture
def plan(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sandbox's plan with a token for the forum that each test can spoil and mend."""
    monkeypatch.setenv(_TOKEN, stage.sandbox.environment["FORUM_TOKEN"])
    return stage.plan("held", all_of(brisk, with_token("forum", _TOKEN)))


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token was rotated, and nobody told the worker."""
    monkeypatch.setenv(_TOKEN, "rotated")


def mend(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has the right token again."""
    monkeypatch.setenv(_TOKEN, stage.sandbox.environment["FORUM_TOKEN"])


@pytest.fixture
def seldom_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven days of looking every twenty minutes are five hundred jumps of the clock; three are enough to see an end."""
    monkeypatch.setattr(holds, "_FIRST", timedelta(days=3))
    monkeypatch.setattr(holds, "_LATER", timedelta(days=3))


async def held_in_the_erasure(stage: Stage, person: Person, plan: str, monkeypatch: pytest.MonkeyPatch) -> Retirement:
    """A retirement past the point, held at the forum; the newsletter is erased."""
    run = await stage.start(person, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    spoil(monkeypatch)
    await run.ask(names.EXPEDITE)
    await run.holds("forum")

    async def newsletter_is_gone() -> None:
        assert (await run.status()).gone == ("newsletter",)

    await eventually(newsletter_is_gone)
    return run


async def test_wrong_credentials_are_seen_and_the_hold_heals_itself(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    spoil(monkeypatch)
    run = await stage.start(ada, plan=plan, running_clock=True)
    hold = await run.holds("check")
    assert (hold.cause, hold.code) == (HeldCause.CREDENTIALS, "http_401")
    assert hold.expires_at == hold.since + _DAYS
    assert await run.attribute(names.HELD_ATTRIBUTE) == "credentials"

    async def is_found_by_search() -> None:
        found = await stage.client.count_workflows(f"RetirementHeld = 'credentials' and WorkflowId = '{run.handle.id}'")
        assert found.count == 1

    await eventually(is_found_by_search)

    def operators_are_told() -> str:
        texts = [str(mail["text"]) for mail in stage.sandbox.mailbox.mails("operators@sandbox.example")]
        about_it = [text for text in texts if str(retirement_id) in text]
        assert about_it
        return about_it[0]

    retirement_id = (await run.status()).retirement_id
    assert ada.user_id not in await eventually(operators_are_told)
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert await run.is_running()

    mend(stage, monkeypatch)
    await run.skip(timedelta(minutes=5))
    status = await run.reaches(Phase.COOL_OFF)
    assert status.held == ()
    assert await run.attribute(names.HELD_ATTRIBUTE) is None
    await run.ask(names.RESCIND)
    assert (await run.result()).reason is Reason.RESCINDED


async def test_a_missing_secret_is_held_as_configuration_and_costs_no_patience(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    monkeypatch.delenv(_TOKEN)
    run = await stage.start(ada, plan=plan, running_clock=True)
    hold = await run.holds("check")
    assert (hold.cause, hold.code) == (HeldCause.CONFIGURATION, "secret_missing")
    assert await run.attribute(names.HELD_ATTRIBUTE) == "configuration"
    mend(stage, monkeypatch)
    assert (await run.ask(names.DECIDE, step="check", decision="retry")).accepted
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    await run.result()
    steps = await stage.ledger.steps((await stage.case_of(ada)).retirement_id)
    assert sum(row.failures for row in steps) == 0


async def test_a_rescind_wins_over_a_hold(stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = stage.sandbox.add_person()
    spoil(monkeypatch)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.holds("check")
    assert (await run.ask(names.RESCIND)).accepted
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert (await run.status()).held == ()


async def test_an_operator_has_the_hold_looked_at_now(stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    mend(stage, monkeypatch)
    answer = await run.ask(names.DECIDE, step="forum", decision="retry", by="ops-3")
    assert (answer.accepted, answer.code) == (True, "retry")
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "erase"]
    messages = await stage.ledger.messages((await stage.case_of(ada)).retirement_id)
    assert ("decide", "retry", "ops-3") in [(m.kind, m.code, m.by) for m in messages]


async def test_decisions_about_nothing_are_refused(stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = stage.sandbox.add_person()
    spoil(monkeypatch)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.holds("check")
    answers = [
        await run.ask(names.DECIDE, step="forum", decision="skip"),
        await run.ask(names.DECIDE, decision="skip"),
        await run.ask(names.DECIDE, step="check", decision="adopt"),
        await run.ask(names.DECIDE, step="check", decision="destroy"),
        await run.ask(names.DECIDE, step="check"),
    ]
    assert [(answer.accepted, answer.code) for answer in answers] == [
        (False, "not_held"),
        (False, "not_held"),
        (False, "nothing_to_adopt"),
        (False, "unknown_decision"),
        (False, "unknown_decision"),
    ]
    assert [hold.step for hold in (await run.status()).held] == ["check"]
    await run.ask(names.RESCIND)
    await run.result()


async def test_a_held_step_that_is_skipped_is_named_with_who_skipped_it(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    await run.ask(names.DECIDE, step="forum", decision="skip", by="ops-3", reason_code="service_closed")
    result = await run.result()
    assert (result.outcome, result.skipped) == (Outcome.COMPLETE, ("forum",))
    assert stage.sandbox.forum.kept(ada) is not None
    assert stage.sandbox.accounts.kept(ada) is None
    steps = await stage.ledger.steps((await stage.case_of(ada)).retirement_id)
    assert [(row.step, row.by, row.code) for row in steps if row.result is StepResult.SKIPPED] == [
        ("forum", "ops-3", "service_closed")
    ]


async def test_what_was_done_by_hand_is_believed_once_a_probe_has_seen_it(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    token = stage.sandbox.environment["FORUM_TOKEN"]
    stage.sandbox.forum.http.delete(
        f"/authors/{ada.user_id}", headers={"authorization": f"Bearer {token}"}
    ).raise_for_status()
    mend(stage, monkeypatch)
    await run.ask(names.DECIDE, step="forum", decision="done", by="ops-3")
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    told = {step.step: step.result for step in result.steps}
    rows = await stage.ledger.steps((await stage.case_of(ada)).retirement_id)
    assert told["forum"] is StepResult.ERASED
    # What the run says and what the ledger says is one and the same.
    assert {row.step: row.result for row in rows if row.action == "do" and row.result} == told


async def test_an_operators_word_without_a_probe_is_no_proof(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    await run.ask(names.DECIDE, step="forum", decision="done", by="ops-3")
    await run.holds("verify")
    await run.ask(names.DECIDE, step="verify", decision="done", by="ops-3")
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert "forum" in result.unverified


async def test_a_lie_about_what_was_done_by_hand_is_found_out(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    mend(stage, monkeypatch)
    await run.ask(names.DECIDE, step="forum", decision="done", by="ops-3")

    async def is_found_there() -> None:
        rows = await stage.ledger.steps((await stage.case_of(ada)).retirement_id)
        assert [row.last_code for row in rows if (row.step, row.action) == ("forum", "do")] == ["still_present"]

    await eventually(is_found_there)
    assert (await run.status()).phase is Phase.VERIFY
    await run.handle.terminate()


async def test_a_hold_closed_by_an_operator_goes_back_before_the_point(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    lock = f"/users/{ada.user_id}/lock"
    # Before the mute is tried the token is spoilt: the lock takes a moment.
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=401, path_prefix=lock, times=None)
    run = await stage.start(ada, plan=plan, running_clock=True)
    hold = await run.holds("lock")
    assert hold.cause is HeldCause.CREDENTIALS
    await run.ask(names.DECIDE, step="lock", decision="close", by="ops-3")
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.HOLD_EXPIRED)
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert stage.sandbox.accounts.can_log_in(ada)


async def test_a_hold_closed_by_an_operator_errs_after_the_point(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    await run.ask(names.DECIDE, step="forum", decision="close", by="ops-3")
    errored = await run.errored()
    assert (errored.direction, errored.failed) == (Direction.FORWARD, ("forum",))
    assert (await stage.case_of(ada)).state is CaseState.PAST_RETURN
    mend(stage, monkeypatch)
    again = await stage.start(ada, plan=plan, resume=errored.retirement_id, running_clock=True)
    assert (await again.result()).outcome is Outcome.COMPLETE


@pytest.mark.usefixtures("seldom_looked_at")
async def test_a_hold_expires_after_seven_days_and_goes_back_before_the_point(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    spoil(monkeypatch)
    run = await stage.start(ada, plan=plan, running_clock=True)
    hold = await run.holds("check")
    await run.skip(timedelta(days=6, hours=23))
    assert [held.since for held in (await run.status()).held] == [hold.since]
    await run.skip(timedelta(hours=2))
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.HOLD_EXPIRED)
    case = await stage.case_of(ada)
    assert case.closed_at is not None
    assert _DAYS <= case.closed_at - hold.since < _DAYS + timedelta(minutes=1)
    assert stage.sandbox.accounts.can_log_in(ada)


@pytest.mark.usefixtures("seldom_looked_at")
async def test_a_hold_expires_after_seven_days_and_errs_after_the_point(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await held_in_the_erasure(stage, ada, plan, monkeypatch)
    await run.skip(_DAYS)
    errored = await run.errored()
    assert (errored.direction, errored.failed) == (Direction.FORWARD, ("forum",))
    [forum] = [step for step in errored.steps if step.step == "forum"]
    assert forum.code == "hold_expired"
    assert await run.attribute(names.HELD_ATTRIBUTE) is None
    assert stage.vault_rows(str(errored.retirement_id)) > 0


async def test_a_hold_on_the_way_back_never_turns_the_retirement_round(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    spoil(monkeypatch)
    await run.ask(names.RESCIND)
    assert (await run.holds("mute")).cause is HeldCause.CREDENTIALS
    assert (await run.status()).phase is Phase.GOING_BACK
    await run.ask(names.DECIDE, step="mute", decision="close", by="ops-3")
    errored = await run.errored()
    assert (errored.direction, errored.failed) == (Direction.BACK, ("mute",))
    # The lock was undone all the same.
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    mend(stage, monkeypatch)
    again = await stage.start(ada, plan=plan, resume=errored.retirement_id, running_clock=True)
    assert (await again.result()).reason is Reason.RESCINDED
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]


async def test_a_hold_at_the_recheck_closed_by_an_operator_gives_the_account_back(
    stage: Stage, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=401, user=ada, method="GET", times=None)
    await run.skip(timedelta(days=14))
    await run.holds("recheck")
    stage.sandbox.accounts.behave()
    await run.ask(names.DECIDE, step="recheck", decision="close", by="ops-3")
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.HOLD_EXPIRED)
    assert stage.sandbox.accounts.can_log_in(ada)


async def test_a_missing_vault_entry_is_held_and_never_taken_for_absent(stage: Stage, plan: str) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    id = (await stage.case_of(ada)).retirement_id
    stage.lose_vault(id)
    await run.ask(names.EXPEDITE)
    hold = await run.holds("newsletter")
    assert (hold.cause, hold.code) == (HeldCause.VAULT, "vault_missing")
    assert stage.sandbox.newsletter.effects_on(ada) == []
    await run.ask(names.DECIDE, step="newsletter", decision="close", by="ops-3")
    errored = await run.errored()
    assert errored.failed == ("newsletter",)
    assert stage.sandbox.newsletter.kept(ada) is not None
    # What names only the user id needs no vault.
    assert stage.sandbox.forum.kept(ada) is None

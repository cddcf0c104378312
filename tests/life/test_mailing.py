"""Mails tell; they never fail a retirement, never delay one, and hold the vault only until they are sent."""

from typing import Any

from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import Mail, Outcome, Phase, Reason


def subjects(stage: Stage, person: Person) -> list[str]:
    """The subjects of the person's mails, without dates."""
    return [mail["subject"].split(" on ")[0] for mail in stage.sandbox.mailbox.mails(person)]


async def told(stage: Stage, result: Result) -> list[tuple[str, str, str | None]]:
    """What the ledger says of each mail: which, how it fared, and why."""
    return [(row.mail, row.result, row.code) for row in await stage.ledger.mails(str(result.retirement_id))]


async def in_cool_off(stage: Stage, person: Person, *changes: Any) -> Retirement:
    """A retirement that has told the person of it and waits."""
    name = stage.plan(f"mails-{len(changes)}", all_of(brisk, *changes))
    run = await stage.start(person, plan=name, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    return run


async def test_a_dead_mailbox_fails_nothing(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.mailbox.misbehave(FaultKind.STATUS, status=550, user=ada.email, times=None)
    run = await in_cool_off(stage, ada)

    async def received_is_given_up() -> None:
        id = (await stage.case_of(ada)).retirement_id
        assert [(row.mail, row.result) for row in await stage.ledger.mails(id)] == [("received", "given_up")]

    await eventually(received_is_given_up)
    await run.ask(names.EXPEDITE)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.kept(ada) is None
    assert subjects(stage, ada) == []
    assert await told(stage, result) == [("received", "given_up", "smtp_550"), ("complete", "given_up", "smtp_550")]
    # Nobody holds the vault any more.
    assert stage.vault_rows(str(result.retirement_id)) == 0
    assert (await stage.case_of(ada)).shredded_at is not None


async def test_greylisting_delays_the_last_mail_and_not_the_end(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await in_cool_off(stage, ada)
    await eventually(lambda: _has_mails(stage, ada, 1))
    stage.sandbox.mailbox.misbehave(FaultKind.STATUS, status=451, user=ada.email, times=None)
    await run.ask(names.EXPEDITE)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert (await stage.case_of(ada)).outcome == "COMPLETE"
    assert subjects(stage, ada) == ["Your account will be deleted"]
    # The mail needs an address and a name: until it is sent it holds the vault.
    assert stage.vault_rows(str(result.retirement_id)) > 0

    stage.sandbox.mailbox.behave()
    delivery = stage.client.get_workflow_handle(f"mail-{result.retirement_id}-{Mail.COMPLETE}")
    report = await delivery.result()
    assert report["result"] == "sent"
    assert subjects(stage, ada) == ["Your account will be deleted", "Your account has been deleted"]
    assert await told(stage, result) == [("received", "sent", None), ("complete", "sent", None)]
    assert stage.vault_rows(str(result.retirement_id)) == 0


def _has_mails(stage: Stage, person: Person, count: int) -> None:
    assert len(stage.sandbox.mailbox.mails(person)) == count


async def test_a_mail_server_that_is_down_holds_nothing_up(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    await stage.sandbox.take_down("mailbox")
    try:
        run = await in_cool_off(stage, ada)
        await run.ask(names.RESCIND)
        result = await run.result()
        assert result.reason is Reason.RESCINDED
        assert stage.sandbox.accounts.can_log_in(ada)
    finally:
        await stage.sandbox.bring_back("mailbox")
    await stage.client.get_workflow_handle(f"mail-{result.retirement_id}-{Mail.RESCINDED}").result()
    # That it was received is no news any more.
    assert subjects(stage, ada) == ["Your account is back"]
    assert stage.vault_rows(str(result.retirement_id)) == 0


def _little_patience(document: PlanDocument) -> None:
    document["mail"]["patience"] = "400ms"


async def test_a_mail_out_of_patience_is_given_up_and_lets_go_of_the_vault(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.mailbox.misbehave(FaultKind.STATUS, status=451, user=ada.email, times=None)
    run = await in_cool_off(stage, ada, _little_patience)
    await run.ask(names.EXPEDITE)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    report = await stage.client.get_workflow_handle(f"mail-{result.retirement_id}-{Mail.COMPLETE}").result()
    assert report["result"] == "given_up"
    assert ("complete", "given_up", "smtp_451") in await told(stage, result)
    assert stage.vault_rows(str(result.retirement_id)) == 0
    assert subjects(stage, ada) == []


async def test_an_answer_lost_by_the_mail_server_repeats_under_the_same_message_id(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await in_cool_off(stage, ada)
    await eventually(lambda: _has_mails(stage, ada, 1))
    stage.sandbox.mailbox.misbehave(FaultKind.LOST_ANSWER, user=ada.email, method="DATA")
    await run.ask(names.RESCIND)
    result = await run.result()
    await stage.client.get_workflow_handle(f"mail-{result.retirement_id}-{Mail.RESCINDED}").result()
    back = [mail for mail in stage.sandbox.mailbox.mails(ada) if mail["subject"] == "Your account is back"]
    assert len(back) == 2
    assert len({mail["message_id"] for mail in back}) == 1


async def test_whoever_has_no_address_is_retired_without_mails(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    name = stage.plan("no-address", all_of(brisk, _without_email))
    run = await stage.start(ada, plan=name, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    result = await run.result()
    assert result.reason is Reason.RESCINDED
    assert ("rescinded", "no_address", None) in await told(stage, result)
    assert stage.vault_rows(str(result.retirement_id)) == 0


def _without_email(document: PlanDocument) -> None:
    del document["subject"]["lookup"]["fields"]["email"]
    document["steps"]["newsletter"]["request"]["json"] = {"user": "{{ user_id }}"}


async def test_a_plan_without_mail_sends_none_and_shreds_all_the_same(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    name = stage.plan("no-mail", all_of(brisk, _without_mail))
    result = await (await stage.start(ada, plan=name, cool_off="0", running_clock=True)).result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.mailbox.mails(ada) == []
    assert stage.vault_rows(str(result.retirement_id)) == 0


def _without_mail(document: PlanDocument) -> None:
    del document["mail"]

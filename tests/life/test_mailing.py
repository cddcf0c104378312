"""Mails tell; they never fail a retirement, never delay one, and hold the vault only until they are sent."""

import secrets
from typing import Any

import pytest

from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk, with_token
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


# --- everybody who is concerned --------------------------------------------------------------------------------------


def _disclosed(document: PlanDocument) -> None:
    partner = {"address": "privacy-{{ user_id }}@partner.example", "reference": "P-{{ user_id }}"}
    document["mail"]["recipients"] = [partner]


def _author(org: str) -> dict[str, Any]:
    return {"org": org, "roles": ("author",), "documents": 2}


def _in_a_team(stage: Stage, **details: Any) -> tuple[Person, Person, Person]:
    """Somebody who owns documents, and the two admins of their org, which nobody else works for."""
    org = f"org-{secrets.token_hex(4)}"
    admins = [stage.sandbox.add_person(org=org, roles=("admin",)) for _ in range(2)]
    ada = stage.sandbox.add_person(**_author(org) | details)
    return ada, admins[0], admins[1]


async def test_everybody_is_told_at_the_end_and_one_slow_mailbox_keeps_nobody_waiting(stage: Stage) -> None:
    ada, bob, cleo = _in_a_team(stage)
    partner = f"privacy-{ada.user_id}@partner.example"
    stage.sandbox.mailbox.misbehave(FaultKind.STATUS, status=451, user=cleo.email, times=None)
    plan = stage.team_plan("team-disclosed", all_of(brisk, _disclosed))
    result = await (await stage.start(ada, plan=plan, cool_off="0", running_clock=True)).result()
    assert result.outcome is Outcome.COMPLETE
    assert subjects(stage, ada) == ["Your account has been deleted"]
    assert [mail["subject"] for mail in stage.sandbox.mailbox.mails(partner)] == [
        f"Please erase the data you hold under P-{ada.user_id}"
    ]
    [handover] = stage.sandbox.mailbox.mails(bob)
    assert handover["subject"] == f"What became of the assets of {ada.user_id}"
    assert "Documents: handed over: 2. Now with" in handover["text"]
    assert stage.sandbox.mailbox.mails(cleo) == []
    assert stage.vault_rows(str(result.retirement_id)) > 0

    stage.sandbox.mailbox.behave()
    delivery = stage.client.get_workflow_handle(f"mail-{result.retirement_id}-{Mail.HANDOVER}")
    assert (await delivery.result())["result"] == "sent"
    assert [mail["message_id"] for mail in stage.sandbox.mailbox.mails(cleo)] == [handover["message_id"]]
    assert len(stage.sandbox.mailbox.mails(bob)) == 1
    assert stage.vault_rows(str(result.retirement_id)) == 0


async def test_where_nothing_was_owned_admins_hear_nothing_and_the_vault_goes(stage: Stage) -> None:
    ada, bob, _ = _in_a_team(stage, documents=0)
    result = await (
        await stage.start(ada, plan=stage.team_plan("team", brisk), cool_off="0", running_clock=True)
    ).result()
    assert result.outcome is Outcome.COMPLETE
    assert stage.sandbox.mailbox.mails(bob) == []
    assert set(await told(stage, result)) == {("complete", "sent", None), ("handover", "no_mail", None)}
    assert stage.vault_rows(str(result.retirement_id)) == 0


async def test_a_rescind_tells_the_person_alone_and_nobody_else_holds_the_vault(stage: Stage) -> None:
    ada, bob, _ = _in_a_team(stage)
    plan = stage.team_plan("team-disclosed", all_of(brisk, _disclosed))
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    result = await run.result()
    assert [mail for mail, _, _ in await told(stage, result) if mail != "received"] == ["rescinded"]
    assert stage.sandbox.mailbox.mails(bob) == []
    assert stage.vault_rows(str(result.retirement_id)) == 0


async def test_where_nobody_takes_over_the_admins_get_the_list_and_the_person_a_reason(stage: Stage) -> None:
    ada, bob, cleo = _in_a_team(stage)
    named = stage.sandbox.add_person(org=ada.org, roles=("member",))
    run = await stage.start(ada, plan=stage.team_plan("team", brisk), successor=named.user_id, running_clock=True)
    result = await run.result()
    assert result.reason is Reason.NO_SUCCESSOR
    assert subjects(stage, ada) == ["Your account was not deleted"]
    [refusal] = stage.sandbox.mailbox.mails(ada)
    assert "Somebody else has to take over what is yours first" in refusal["text"]
    for admin in (bob, cleo):
        [mail] = stage.sandbox.mailbox.mails(admin)
        assert mail["subject"] == f"Nobody takes over what {ada.user_id} owns"
        assert "Whoever the request names may not take over." in mail["text"]
        titles = [document.title for document in stage.sandbox.documents.documents_of(ada)]
        assert len(titles) == 2 and all(title in mail["text"] for title in titles)
        assert "open again" not in mail["text"], "nothing had been locked"
    assert stage.vault_rows(str(result.retirement_id)) == 0


async def test_operators_read_what_a_retirement_waits_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = stage.sandbox.add_person()
    change = all_of(brisk, with_token("forum", "MAILING_FORUM_TOKEN"), _watched)
    monkeypatch.delenv("MAILING_FORUM_TOKEN", raising=False)
    run = await stage.start(ada, plan=stage.plan("mailing-held", change), running_clock=True)
    await run.holds("check")

    def held() -> None:
        mails = [mail["text"] for mail in stage.sandbox.mailbox.mails(_WATCHERS)]
        assert any("steps:        check\n" in text and "configuration (secret_missing)\n" in text for text in mails), (
            mails
        )

    await eventually(held)
    await run.ask(names.RESCIND)
    assert (await run.result()).reason is Reason.RESCINDED


_WATCHERS = "mailing-watch@sandbox.example"


def _watched(document: PlanDocument) -> None:
    document["mail"]["operators"] = [_WATCHERS]

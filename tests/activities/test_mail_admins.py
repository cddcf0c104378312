"""Mails to several mailboxes, on a real mail server: each is a delivery of its own, made once, whatever the others do."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from activities.mail_addressing import addressees_of
from activities.mail_building import Known, Letter, build_letters
from activities.mail_templates import MailTemplates
from ledger.ledger import Ledger
from ledger.rows import Asset, AssetRow, VaultValues
from tests.support.post import ADA, ADMINS, DAY, NOW, Post, a_case_row, a_post, a_team_plan
from tests.support.smtp_server import Mailbox, a_certificate, mail_server
from workflows.messages import MailReport, SendMail
from workflows.names import AssetResult, Mail, Outcome

PARTNERED = ADA | {"partner": "dpo@two.example", "partner_id": "77-b"}
ONE_MOVED = [(Asset(id="d-1", type="page", title="Plan B"), AssetResult.MOVED, None)]


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    """Ada's one document went to Grace; three admins and two recipients of data are to hear of it."""
    async with a_post(tmp_path, plan=a_team_plan(), person=PARTNERED) as post:
        await post.owns(ONE_MOVED)
        await post.hands_over()
        yield post


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


def reached(mailbox: Mailbox) -> list[str]:
    """Who was delivered to, in order."""
    return [address for delivery in mailbox.deliveries for address in delivery.recipients]


# --- admins ------------------------------------------------------------------------------------------------------


async def test_all_admins_stand_in_one_message_and_each_gets_it(post: Post, mailbox: Mailbox) -> None:
    assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="sent")
    assert reached(mailbox) == ADMINS
    assert {delivery.message["To"] for delivery in mailbox.deliveries} == {", ".join(ADMINS)}
    assert len({delivery.message["Message-ID"] for delivery in mailbox.deliveries}) == 1
    assert await post.numbered() == {"1": "sent", "2": "sent", "3": "sent"}
    assert post.holders() == {"run", "mail", "recipients"}
    assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="sent")
    assert len(mailbox.deliveries) == 3


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "553 5.1.3 bad address"])
async def test_a_dead_mailbox_is_on_the_record_and_the_others_get_theirs(
    post: Post, mailbox: Mailbox, answer: str
) -> None:
    mailbox.at_rcpt = [answer]
    assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="sent")
    assert reached(mailbox) == ADMINS[1:]
    assert await post.numbered() == {"1": f"given_up smtp_{answer[:3]}", "2": "sent", "3": "sent"}
    assert "admins" not in post.holders()


async def test_greylisting_of_one_keeps_nobody_else_waiting_and_sends_to_nobody_twice(
    post: Post, mailbox: Mailbox
) -> None:
    mailbox.at_rcpt = ["250 ok", "451 4.7.1 Greylisted, root@acme.example, come back"]
    with pytest.raises(ApplicationError) as caught:
        await post.send(mailbox, Mail.HANDOVER, last=True, patience=DAY)
    assert "root" not in f"{caught.value} {caught.value.details}"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None), "the server's words quote the address"
    assert await post.numbered() == {"1": "sent", "3": "sent"}
    assert "admins" in post.holders()
    assert await post.send(mailbox, Mail.HANDOVER, last=True, patience=DAY, attempt=2) == MailReport(result="sent")
    assert reached(mailbox) == ["admin@acme.example", "night@acme.example", "root@acme.example"]
    assert "admins" not in post.holders()


async def test_in_the_run_what_waits_is_left_for_later(post: Post, mailbox: Mailbox) -> None:
    mailbox.at_rcpt = ["451 later"] * 3
    assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="later", code="smtp_451")
    assert (await post.numbered(), mailbox.deliveries) == ({}, [])
    assert "admins" in post.holders()


async def test_when_patience_is_over_only_those_who_wait_are_given_up(post: Post, mailbox: Mailbox) -> None:
    for attempt in range(1, 6):
        mailbox.at_rcpt = ["451 no"] * 3 if attempt == 1 else ["250 ok", "451 no"] if attempt == 2 else ["451 no"]
        late = NOW + (31 * DAY if attempt == 5 else timedelta())
        sending = post.send(mailbox, Mail.HANDOVER, last=True, patience=DAY, attempt=attempt, at=late)
        if attempt < 5:
            with pytest.raises(ApplicationError, match="trying again"):
                await sending
        else:
            assert await sending == MailReport(result="sent")
    assert await post.numbered() == {"1": "sent", "3": "sent", "2": "given_up smtp_451"}
    assert "admins" not in post.holders()


@pytest.mark.parametrize("answer", ["drop", "452 4.3.1 no space"])
async def test_a_connection_cut_within_the_message_is_tried_again_for_that_one(
    post: Post, mailbox: Mailbox, answer: str
) -> None:
    mailbox.at_data = ["250 ok", answer]
    assert (await post.send(mailbox, Mail.HANDOVER, last=True)).result == "later"
    assert reached(mailbox) == ["admin@acme.example", "night@acme.example"]
    assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="sent")
    assert reached(mailbox) == ["admin@acme.example", "night@acme.example", "root@acme.example"]


async def test_an_answer_lost_repeats_that_delivery_alone_under_the_same_id(post: Post, mailbox: Mailbox) -> None:
    mailbox.lose_answer = True
    assert (await post.send(mailbox, Mail.HANDOVER)).result == "later"
    assert await post.send(mailbox, Mail.HANDOVER) == MailReport(result="sent")
    assert sorted(reached(mailbox)) == sorted([*ADMINS, ADMINS[0]])
    assert len({delivery.message["Message-ID"] for delivery in mailbox.deliveries}) == 1


class Crash(Exception):
    """The worker is gone."""


async def test_a_crash_between_two_deliveries_sends_neither_twice(
    post: Post, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Ledger.record_mail

    async def record_and_crash(self: Ledger, **fields: Any) -> None:
        await record(self, **fields)
        if fields["number"] == "2":
            raise Crash

    for mail in (Mail.HANDOVER, Mail.NO_SUCCESSOR):
        mailbox.deliveries.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "record_mail", record_and_crash)
            with pytest.raises(Crash):
                await post.send(mailbox, mail, last=True)
        assert reached(mailbox) == ADMINS[:2]
        assert await post.send(mailbox, mail, last=True) == MailReport(result="sent")
        assert reached(mailbox) == ADMINS


async def test_a_server_without_encryption_or_with_a_wrong_certificate_gets_nothing(
    post: Post, mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await post.send(mailbox, Mail.HANDOVER, smtp={"tls": "starttls"})
    assert report == MailReport(result="later", code="smtp_failed")
    certificate = a_certificate(tmp_path)
    with mail_server(starttls=certificate) as encrypted:
        wrong = await post.send(encrypted, Mail.HANDOVER, smtp={"tls": "starttls"})
        assert wrong == MailReport(result="later", code="smtp_unreachable")
        assert (mailbox.deliveries, encrypted.deliveries, await post.numbered()) == ([], [], {})
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate.certificate))
        assert await post.send(encrypted, Mail.HANDOVER, smtp={"tls": "starttls"}) == MailReport(result="sent")
        assert reached(encrypted) == ADMINS


async def test_a_server_that_hangs_costs_the_run_one_time_limit_and_a_patient_delivery_asks_for_each(
    post: Post,
) -> None:
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    smtp = {"timeout": timedelta(milliseconds=100)}
    try:
        silent = Mailbox(port=server.sockets[0].getsockname()[1])
        assert await post.send(silent, Mail.HANDOVER, smtp=smtp) == MailReport(result="later", code="smtp_timeout")
        assert asked == 1
        with pytest.raises(ApplicationError, match="trying again"):
            await post.send(silent, Mail.HANDOVER, smtp=smtp, patience=DAY)
        assert asked == 1 + len(ADMINS)
    finally:
        server.close()
    assert await post.numbered() == {}


async def test_who_can_t_be_written_to_is_on_the_record(tmp_path: Path, mailbox: Mailbox) -> None:
    admins = ["ada", "admin@acme.example", "a@b.example\r\nBcc: eve@evil.example", "Admin@ACME.example", None, 7]
    async with a_post(tmp_path, plan=a_team_plan(), admins=admins) as post:
        await post.owns(ONE_MOVED)
        assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="sent")
        assert reached(mailbox) == ["admin@acme.example"]
        assert mailbox.deliveries[0].message["To"] == "admin@acme.example"
        bad = "given_up bad_address"
        assert await post.numbered() == {"2": "sent", "1": bad, "3": bad, "5": bad, "6": bad}
        assert "admins" not in post.holders()


async def test_without_an_admin_or_without_anything_to_tell_nothing_is_sent(tmp_path: Path, mailbox: Mailbox) -> None:
    (tmp_path / "nobody").mkdir()
    async with a_post(tmp_path / "nobody", plan=a_team_plan(), admins=[]) as post:
        await post.owns(ONE_MOVED)
        assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="no_address")
        assert "admins" not in post.holders()
    (tmp_path / "nothing").mkdir()
    async with a_post(tmp_path / "nothing", plan=a_team_plan()) as post:
        for _ in range(2):
            assert await post.send(mailbox, Mail.HANDOVER, last=True) == MailReport(result="no_mail")
        assert await post.numbered() == {"": "no_mail"}
        assert post.holders() == {"run", "mail", "recipients"}
    assert mailbox.deliveries == []


async def test_an_admin_of_another_script_spoils_nobody_else_s_mail(tmp_path: Path, mailbox: Mailbox) -> None:
    admins = ["admin@acme.example", "žofie@bücher.example", "root@acme.example"]
    async with a_post(tmp_path, plan=a_team_plan(), admins=admins) as post:
        await post.owns(ONE_MOVED)
        assert await post.send(mailbox, Mail.HANDOVER) == MailReport(result="sent")
    heads = {delivery.recipients[0]: str(delivery.message["To"]) for delivery in mailbox.deliveries}
    assert heads == {
        "admin@acme.example": "admin@acme.example, root@acme.example",
        "žofie@xn--bcher-kva.example": "žofie@xn--bcher-kva.example",
        "root@acme.example": "admin@acme.example, root@acme.example",
    }


# --- recipients of data ------------------------------------------------------------------------------------------


async def test_each_recipient_gets_a_mail_of_their_own_with_their_reference_and_nothing_else(
    post: Post, mailbox: Mailbox
) -> None:
    assert await post.send(mailbox, Mail.DISCLOSED, last=True) == MailReport(result="sent")
    one, two = mailbox.deliveries
    assert (one.message["To"], two.message["To"]) == ("privacy@one.example", "dpo@two.example")
    assert one.message["Message-ID"] != two.message["Message-ID"]
    for delivery, own, other in ((one, "C-u-1", "77-b"), (two, "77-b", "C-u-1")):
        assert own in delivery.message["Subject"] and own in delivery.text and own in delivery.html
        whole = delivery.message.as_string() + delivery.text + delivery.html
        assert not any(value in whole for value in (other, "Ada", "person.example", "Grace", "Plan B"))
    assert "u-1" not in two.text + two.html + two.message.as_string()
    assert await post.numbered() == {"1": "sent", "2": "sent"}
    assert post.holders() == {"run", "mail", "admins"}


async def test_a_recipient_who_can_t_be_told_keeps_no_other_from_it(tmp_path: Path, mailbox: Mailbox) -> None:
    person = ADA | {"partner": None, "partner_id": "x", "line": "7\r\nBcc: eve@evil.example\u202e"}
    recipients = [
        {"address": "{{ subject.partner }}"},
        {"address": "ops@{{ subject.nowhere }}.example"},
        {"address": "{{ subject.name }}"},
        {"address": "a@one.example", "reference": "{{ subject.partner }}"},
        {"address": "b@one.example", "reference": "{{ user_id * 200 }}"},
        {"address": "c@one.example", "reference": "no. {{ subject.line }}"},
    ]
    async with a_post(tmp_path, plan=a_team_plan(recipients=recipients), person=person) as post:
        assert await post.send(mailbox, Mail.DISCLOSED, last=True) == MailReport(result="sent")
        assert await post.numbered() == {
            "1": "given_up value_missing",
            "2": "given_up value_missing",
            "3": "given_up bad_address",
            "4": "given_up value_missing",
            "5": "given_up reference_too_long",
            "6": "sent",
        }
        assert "recipients" not in post.holders()
    [delivery] = mailbox.deliveries
    assert delivery.recipients == ("c@one.example",) and delivery.message["Bcc"] is None
    assert delivery.message["Subject"] == "Please erase the data you hold under no. 7 Bcc: eve@evil.example"


async def test_a_setting_that_is_missing_here_is_waited_for(
    tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_team_plan(recipients=[{"address": "${env:PARTNER_MAIL}"}])
    monkeypatch.delenv("PARTNER_MAIL", raising=False)
    async with a_post(tmp_path, plan=plan) as post:
        assert await post.send(mailbox, Mail.DISCLOSED) == MailReport(result="later", code="secret_missing")
        monkeypatch.setenv("PARTNER_MAIL", "dpo@two.example")
        assert await post.send(mailbox, Mail.DISCLOSED) == MailReport(result="sent")


# --- the vault ---------------------------------------------------------------------------------------------------


async def test_the_last_mail_of_the_last_audience_lets_the_vault_go(post: Post, mailbox: Mailbox) -> None:
    id = post.retirement_id
    await post.ledger.move(retirement_id=id, from_state="open", to_state="past_return", now=NOW)
    await post.ledger.close_case(
        retirement_id=id, outcome=Outcome.COMPLETE, reason=None, direction=None, now=NOW, messages=()
    )
    for mail, holders in (
        (Mail.DISCLOSED, {"mail", "admins"}),
        (Mail.COMPLETE, {"admins"}),
        (Mail.HANDOVER, set()),
    ):
        assert await post.send(mailbox, mail, last=True) == MailReport(result="sent")
        assert post.holders() == holders
    # An attempt whose answer was lost comes again: nothing is sent, and nothing is said to have gone wrong.
    for mail in (Mail.DISCLOSED, Mail.COMPLETE, Mail.HANDOVER):
        assert await post.send(mailbox, mail, last=True) == MailReport(result="sent")
    assert len(mailbox.deliveries) == 2 + 1 + 3
    assert await post.send(mailbox, Mail.NO_SUCCESSOR) == MailReport(result="given_up", code="vault_missing")


# --- hostile addresses -------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    ["admin", "@", "acme.example", "\r\nBcc: eve@evil.example", ",", ";", "<", ">", '"', " ", "=?utf-8?q?=0D=0ABcc:e?=",
     "é", "\u202e", "\x00", "(", ")", "..", "\ud800", "x" * 300, "admin@acme.example"]
)  # fmt: skip
addresses: st.SearchStrategy[Any] = st.lists(pieces, max_size=6).map("".join) | st.sampled_from([None, 7, [], {}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(admins=st.lists(addresses, max_size=5), title=st.lists(pieces, max_size=4).map("".join))
@example(
    admins=['"a@evil.example"@acme.example', "a@acme.example>, eve@evil.example"], title="\r\n.\r\nMAIL FROM:<eve>"
)
def test_no_address_and_no_title_becomes_a_header_or_somebody_else(admins: list[Any], title: str) -> None:
    letters = _letters(admins, title=title)
    plain = {letter.number for letter in letters if letter.mail is not None}
    assert plain | {letter.number for letter in letters if letter.problem} == {letter.number for letter in letters}
    for letter in letters:
        if letter.mail is None:
            continue
        [address] = letter.envelope
        assert address in {str(admin).strip().rpartition("@")[0] + "@" + address.rpartition("@")[2] for admin in admins}
        head, _, _ = letter.mail.message.as_bytes().partition(b"\r\n\r\n")
        names = [line.split(b":")[0].lower() for line in head.split(b"\r\n") if line and line[:1] not in b" \t"]
        assert len(names) == len(set(names))
        assert set(names) <= {
            b"from", b"to", b"reply-to", b"subject", b"date", b"message-id", b"auto-submitted", b"mime-version",
            b"content-type", b"content-language", b"content-transfer-encoding",
        }  # fmt: skip
        in_head = {each.addr_spec for each in letter.mail.message["To"].addresses}
        assert in_head <= {each for other in letters for each in other.envelope}


_TEAM = a_team_plan()
_TEMPLATES = MailTemplates(overrides=None)


def _letters(admins: list[Any], *, title: str) -> list[Letter]:
    values = VaultValues(subject=ADA, saved={}, successors={}, people={"admins": admins})
    input = SendMail(retirement_id="r-1", user_id="u-1", plan_digest="", mail=Mail.NO_SUCCESSOR, now=NOW)
    assert _TEAM.mail is not None
    if not addressees_of(input, settings=_TEAM.mail, values=values):
        return []
    row = AssetRow(step="documents", key="1", position=1, inventory=1, asset=Asset(id=title or "d-1", title=title))
    known = Known(case=a_case_row(), values=values, assets=[row])
    return build_letters(input, plan=_TEAM, settings=_TEAM.mail, known=known, templates=_TEMPLATES)

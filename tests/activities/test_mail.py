"""Delivering mails to a real mail server, with the ledger as the record of what came of them."""

import asyncio
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import TRY_AGAIN
from activities.smtp import SmtpSettings
from tests.support.post import DAY, NOW, Post, a_mailing_plan, a_post
from tests.support.smtp_server import Mailbox, a_certificate, mail_server
from workflows.messages import MailReport
from workflows.names import Mail, Outcome


async def test_a_recorded_mail_is_never_sent_again(post: Post, mailbox: Mailbox) -> None:
    for _ in range(3):
        assert await post.send(mailbox) == MailReport(result="sent")
    assert len(mailbox.deliveries) == 1
    assert len(await post.recorded()) == 1


async def test_two_reminders_are_two_mails(post: Post, mailbox: Mailbox) -> None:
    await post.send(mailbox, Mail.REMINDER, number="2026-03-11")
    await post.send(mailbox, Mail.REMINDER, number="2026-03-17")
    assert len({delivery.message["Message-ID"] for delivery in mailbox.deliveries}) == 2


async def test_after_a_lost_answer_the_mail_goes_out_under_the_same_id_and_date(post: Post, mailbox: Mailbox) -> None:
    mailbox.lose_answer = True
    with pytest.raises(ApplicationError):
        await post.send(mailbox, patience=DAY)
    assert await post.send(mailbox, patience=DAY, attempt=2, at=NOW + timedelta(minutes=5)) == MailReport(result="sent")
    first, second = (delivery.message for delivery in mailbox.deliveries)
    assert first["Message-ID"] == second["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{40}@acme\.example>", first["Message-ID"])
    assert first["Date"] == second["Date"]


async def test_a_greylisting_server_gets_the_mail_at_the_second_try(post: Post, mailbox: Mailbox) -> None:
    mailbox.at_rcpt = ["451 4.7.1 Greylisted, ada@person.example, come back"]
    with pytest.raises(ApplicationError) as caught:
        await post.send(mailbox, patience=DAY)
    error = caught.value
    assert (error.type, error.non_retryable) == (TRY_AGAIN, False)
    assert (error.__cause__, error.__context__) == (None, None), "the server's words quote the address"
    assert error.details[0].code == "smtp_451"
    assert "ada" not in f"{error} {error.details}"
    assert error.next_retry_delay is not None and timedelta(0) < error.next_retry_delay <= timedelta(seconds=1)
    assert await post.recorded() == []
    assert await post.send(mailbox, patience=DAY, attempt=2) == MailReport(result="sent")


async def test_patience_ends_with_a_failure_after_it_at_least_the_fifth(post: Post, mailbox: Mailbox) -> None:
    mailbox.at_rcpt = ["451 no"] * 9
    for attempt in range(1, 5):
        with pytest.raises(ApplicationError, match="trying again"):
            await post.send(mailbox, patience=DAY, attempt=attempt, at=NOW + attempt * 30 * DAY)
    report = await post.send(mailbox, patience=DAY, attempt=5, at=NOW + 31 * DAY, last=True)
    assert report == MailReport(result="given_up", code="smtp_451")
    assert await post.recorded() == [("received", "given_up", "smtp_451")]


async def test_without_patience_a_temporary_failure_is_left_for_later(post: Post, mailbox: Mailbox) -> None:
    mailbox.at_data = ["452 4.2.2 mailbox full"]
    assert await post.send(mailbox, last=True) == MailReport(result="later", code="smtp_452")
    assert await post.recorded() == []
    assert post.holders() == {"run", "mail"}
    assert await post.send(mailbox, last=True, patience=DAY) == MailReport(result="sent")
    assert post.holders() == {"run"}


@pytest.mark.parametrize(
    ("at", "answers", "code"),
    [("at_rcpt", ["550 5.1.1 no such user here"], "smtp_550"), ("at_data", ["554 5.7.1 spam"], "smtp_554")],
)
async def test_a_mail_refused_for_good_is_given_up_at_once(
    post: Post, mailbox: Mailbox, at: str, answers: list[str], code: str
) -> None:
    setattr(mailbox, at, answers)
    assert await post.send(mailbox, patience=DAY, last=True) == MailReport(result="given_up", code=code)
    assert await post.recorded() == [("received", "given_up", code)]
    assert post.holders() == {"run"}


@pytest.mark.parametrize(
    ("at", "answers", "code"),
    [
        ("at_mail", ["550 5.7.1 not your sender"], "smtp_sender_refused_550"),
        ("at_mail", ["drop"], "smtp_disconnected"),
        ("at_rcpt", ["530 5.7.0 log in first"], "smtp_530"),
        ("at_rcpt", ["421 4.3.2 closing"], "smtp_421"),
        ("at_data", ["drop"], "smtp_disconnected"),
    ],
)
async def test_what_a_setting_or_the_server_is_to_blame_for_is_tried_again(
    post: Post, mailbox: Mailbox, at: str, answers: list[str], code: str
) -> None:
    setattr(mailbox, at, answers)
    assert await post.send(mailbox) == MailReport(result="later", code=code)
    assert await post.send(mailbox) == MailReport(result="sent")


async def test_a_server_that_is_down_is_tried_again(post: Post, mailbox: Mailbox) -> None:
    with mail_server() as gone:
        pass
    assert await post.send(gone) == MailReport(result="later", code="smtp_unreachable")
    assert await post.send(mailbox, smtp={"host": "no-such-host.invalid"}) == MailReport(
        result="later", code="smtp_unreachable"
    )


async def test_a_server_that_never_answers_ends_with_the_time_limit(post: Post) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        silent = Mailbox(port=server.sockets[0].getsockname()[1])
        report = await post.send(silent, smtp={"timeout": timedelta(milliseconds=200)})
    finally:
        server.close()
    assert report == MailReport(result="later", code="smtp_timeout")


# The mail server warns at each connection, and where warnings are errors it then never answers.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS", "ignore:Session.login_data is deprecated")
@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_mail_goes_out_encrypted_and_logged_in(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    certificate = a_certificate(tmp_path)
    with mail_server(**{mode: certificate}, login=("robot", "right")) as mailbox:
        smtp = {"tls": mode, "user": "robot", "password": "right"}
        # Nobody vouches for this certificate yet.
        assert await post.send(mailbox, smtp=smtp) == MailReport(result="later", code="smtp_unreachable")
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate.certificate))
        assert await post.send(mailbox, smtp=smtp | {"password": "wrong"}) == MailReport(
            result="later", code="smtp_login_refused"
        )
        assert (
            await post.send(mailbox, smtp=smtp | {"user": None, "password": None})
        ).code == "smtp_sender_refused_530"
        assert await post.send(mailbox, smtp=smtp) == MailReport(result="sent")
        assert len(mailbox.deliveries) == 1


async def test_a_server_without_starttls_gets_no_mail_in_clear(post: Post, mailbox: Mailbox) -> None:
    report = await post.send(mailbox, smtp={"tls": "starttls"})
    assert report.result == "later"
    assert mailbox.deliveries == []


async def test_a_login_is_never_shown() -> None:
    assert "hunter2" not in repr(SmtpSettings(host="h", port=25, user="u", password="hunter2"))


@pytest.mark.parametrize("person", [{}, {"email": None}, {"email": ""}, {"name": "Ada"}])
async def test_who_has_no_address_is_recorded_and_lets_go(
    tmp_path: Path, mailbox: Mailbox, person: dict[str, Any]
) -> None:
    async with a_post(tmp_path, person=person) as post:
        assert await post.send(mailbox, last=True) == MailReport(result="no_address")
        assert await post.recorded() == [("received", "no_address", None)]
        assert post.holders() == {"run"}


@pytest.mark.parametrize(
    "email",
    [
        *("ada", "@", "ada@", "@person.example", "a b@person.example", "<ada@person.example>", "ada@..example"),
        *("ada@person.example\r\nBcc: eve@evil.example", "ada@person.example, eve@evil.example"),
        "=?utf-8?q?ada=0D=0ABcc:eve?=@person.example",
        *("ada@pers\x00on.example", "ada@" + "x" * 300 + ".example", 7, ["ada@person.example"]),
    ],
)
async def test_an_unusable_address_never_fails_a_retirement(tmp_path: Path, mailbox: Mailbox, email: object) -> None:
    async with a_post(tmp_path, person={"email": email}) as post:
        assert await post.send(mailbox, last=True, patience=DAY) == MailReport(result="given_up", code="bad_address")
        assert mailbox.deliveries == []
        assert post.holders() == {"run"}


async def test_one_accepted_operator_is_enough(post: Post, mailbox: Mailbox) -> None:
    mailbox.at_rcpt = ["550 5.1.1 gone"]
    assert await post.send(mailbox, Mail.HELD) == MailReport(result="sent")
    assert mailbox.deliveries[0].recipients == ("night@acme.example",)


async def test_a_plan_without_mail_writes_nothing_but_the_release(tmp_path: Path, mailbox: Mailbox) -> None:
    async with a_post(tmp_path, plan=a_mailing_plan(mail=None)) as post:
        assert await post.send(mailbox) == MailReport(result="no_mail")
        assert await post.recorded() == []
        assert await post.send(mailbox, last=True) == MailReport(result="no_mail")
        assert post.holders() == {"run"}
        assert mailbox.deliveries == []


async def test_a_shredded_case_gets_no_mail(post: Post, mailbox: Mailbox) -> None:
    assert (await post.send(mailbox, Mail.COMPLETE, last=True)).result == "sent"
    id = post.retirement_id
    await post.ledger.move(retirement_id=id, from_state="open", to_state="past_return", now=NOW)
    await post.ledger.close_case(
        retirement_id=id, outcome=Outcome.COMPLETE, reason=None, direction=None, now=NOW, messages=()
    )
    assert post.holders() == set()
    assert await post.send(mailbox, patience=DAY) == MailReport(result="given_up", code="vault_missing")

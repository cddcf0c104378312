"""What mails say, to whom, and that nothing a person chose as their name or address says something else."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.post import ADA, NOW, Post, a_mailing_plan, a_post, a_team_plan
from tests.support.smtp_server import Mailbox
from workflows.messages import MailReport, StepOutcome
from workflows.names import Mail, Reason, StepResult


async def test_the_person_is_told_the_date_and_how_to_change_their_mind(post: Post, mailbox: Mailbox) -> None:
    assert await post.send(mailbox) == MailReport(result="sent")
    (delivery,) = mailbox.deliveries
    assert (delivery.sender, delivery.recipients) == ("accounts@acme.example", ("ada@person.example",))
    message = delivery.message
    assert message["Subject"] == "Your account will be deleted on 18 March 2026"
    assert message["From"] == "Acme Accounts <accounts@acme.example>"
    assert message["To"] == "Ada Lovelace <ada@person.example>"
    assert message["Reply-To"] == "help@acme.example"
    assert message["Date"] == "Wed, 04 Mar 2026 09:30:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    for text in (delivery.text, delivery.html):
        assert "Hello Ada Lovelace," in text
        assert "18 March 2026, 09:30 UTC" in text
        assert "write to help@acme.example before" in text
        assert post.retirement_id in text
    assert "{{" not in delivery.text and "&" not in delivery.text and "<" not in delivery.text
    assert await post.recorded() == [("received", "sent", None)]


async def test_addresses_of_other_scripts_are_written_to(tmp_path: Path, mailbox: Mailbox) -> None:
    async with a_post(tmp_path, person={"email": "žofie@bücher.example", "name": "Žofie Nováková"}) as post:
        assert await post.send(mailbox) == MailReport(result="sent")
        assert mailbox.deliveries[0].recipients == ("žofie@xn--bcher-kva.example",)
        assert "Hello Žofie Nováková," in mailbox.deliveries[0].text


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ada\r\nBcc: eve", "Hello Ada Bcc: eve,"),
        ("O'Hara & Sons", "Hello O'Hara & Sons,"),
        ("\u202eadA", "Hello adA,"),
        ("Visit evil.example now", "Hello,"),
        ("http://evil", "Hello,"),
        ("<b>Ada</b>", "Hello,"),
        ("x" * 5000, "Hello,"),
        ("{{ 7 * 7 }}", "Hello {{ 7 * 7 }},"),
        # "Ada", a line break and a Bcc, as an encoded word that Python's parser would decode.
        ("=?utf-8?b?QWRhDQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=", "Hello,"),
        ("=?utf-8?q?Ada=0D=0ABcc:eve?=", "Hello,"),
        ("\ud800", "Hello,"),
        (7, "Hello,"),
    ],
)
async def test_a_hostile_name_stays_a_name(tmp_path: Path, mailbox: Mailbox, name: object, greeting: str) -> None:
    async with a_post(tmp_path, person={"email": "ada@person.example", "name": name}) as post:
        assert await post.send(mailbox) == MailReport(result="sent")
    (delivery,) = mailbox.deliveries
    assert delivery.message.defects == [] and delivery.message["Bcc"] is None
    assert delivery.recipients == ("ada@person.example",)
    assert [address.addr_spec for address in delivery.message["To"].addresses] == ["ada@person.example"]
    assert greeting in delivery.text.splitlines()
    assert "<b>" not in delivery.html


async def test_the_last_mail_says_what_was_erased_and_what_is_kept_until_when_and_why(
    post: Post, mailbox: Mailbox
) -> None:
    until = datetime(2036, 3, 1, tzinfo=UTC)
    await post.ledger.record_outcomes(
        post.retirement_id,
        [
            StepOutcome(step="forum_posts", result=StepResult.ERASED, at=NOW),
            StepOutcome(step="newsletter", result=StepResult.ABSENT, at=NOW),
            StepOutcome(step="profile", result=StepResult.SKIPPED, by="op-7", at=NOW),
            StepOutcome(step="invoices", result=StepResult.RETAINED, until=until, at=NOW),
            StepOutcome(step="lock", result=StepResult.DONE, at=NOW),
        ],
    )
    await post.send(mailbox, Mail.COMPLETE, last=True)
    (delivery,) = mailbox.deliveries
    assert delivery.message["Subject"] == "Your account has been deleted"
    assert [line for line in delivery.text.splitlines() if line.startswith("  -")] == [
        "  - Forum posts: deleted, and checked",
        "  - Newsletter: nothing of yours was there",
        "  - Profile: dealt with by our staff",
        "  - Invoices: until 1 March 2036 (tax law, <10> years)",
    ]
    assert "until 1 March 2036 (tax law, &lt;10&gt; years)" in delivery.html
    assert "op-7" not in delivery.text


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_reason_has_plain_words(post: Post, mailbox: Mailbox, reason: Reason) -> None:
    await post.send(mailbox, Mail.ABORTED, reason=reason)
    text = mailbox.deliveries[0].text
    assert reason.value not in text or reason is Reason.RESCINDED
    assert "This has not happened. " in text and "None" not in text


async def test_operators_get_ids_and_codes_only(post: Post, mailbox: Mailbox) -> None:
    await post.send(mailbox, Mail.ERRORED, reason="still_present", failed_steps=("forum_posts", "profile"))
    (delivery,) = mailbox.deliveries
    assert delivery.recipients == ("ops@acme.example", "night@acme.example")
    for text in (delivery.text, delivery.html):
        assert all(
            word in text for word in (post.retirement_id, "forum_posts, profile", "still_present", "retire resume")
        )
        assert not any(value in text for value in ("Ada", "ada@person", "u-1"))
    await post.send(mailbox, Mail.HELD, number="forum:1", reason="credentials", failed_steps=("forum_posts",))
    assert "held" in mailbox.deliveries[1].message["Subject"]
    assert "credentials" in mailbox.deliveries[1].text


async def test_every_mail_is_complete(tmp_path: Path, mailbox: Mailbox) -> None:
    """No mail names a value that is not there, and each says it in all three parts."""
    async with a_post(
        tmp_path, plan=a_team_plan(), person=ADA | {"partner": "dpo@two.example", "partner_id": 77}
    ) as post:
        await post.hands_over()
        for mail in Mail:
            assert await post.send(mailbox, mail, reason=Reason.FREEZE_FAILED) == MailReport(result="sent"), mail
    for delivery in mailbox.deliveries:
        assert delivery.message["Subject"] and len(delivery.text) > 100
        assert delivery.html.startswith("<!DOCTYPE html>") and delivery.html.rstrip().endswith("</html>")
        assert "None" not in delivery.text + delivery.html
        # Jinja2 eats a line's end after a block: no two words may have grown together.
        assert not re.search(r"example[a-z]|Lovelace,\n\w", delivery.text)
        assert not re.search(r"example[a-z]", delivery.html)
    # Each recipient of data is told of their own reference.
    assert len({delivery.message["Subject"] for delivery in mailbox.deliveries}) == len(Mail) + 1


async def test_a_plan_without_support_asks_for_a_reply(tmp_path: Path, mailbox: Mailbox) -> None:
    async with a_post(tmp_path, plan=a_mailing_plan(mail={"from": "accounts@acme.example"})) as post:
        await post.send(mailbox)
        assert await post.send(mailbox, Mail.HELD) == MailReport(result="no_address"), "there are no operators"
    (delivery,) = mailbox.deliveries
    assert "If you change your mind, reply to this mail before" in delivery.text
    assert delivery.message["Reply-To"] is None


async def test_a_plan_that_locks_nothing_does_not_say_so(tmp_path: Path, mailbox: Mailbox) -> None:
    keep = {"invoices": {"phase": "erase", "retain": {"ground": "tax law", "for": "3650d"}}}
    async with a_post(tmp_path, plan=a_mailing_plan(steps=keep)) as post:
        for mail in (Mail.RECEIVED, Mail.EXTENDED, Mail.ABORTED):
            await post.send(mailbox, mail, reason=Reason.ABANDONED)
    assert len(mailbox.deliveries) == 3
    assert all("lock" not in delivery.text + delivery.html for delivery in mailbox.deliveries)

"""What admins, recipients and operators read about things that change hands, and what the person reads of it."""

import csv
import io
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from activities.ownership.moving import NOT_OWNER
from ledger.rows import Asset, CaseState
from tests.activities.test_mail_languages import OURS, Readable, words_of, written
from tests.support.post import ADA, DAY, NOW, Post, a_post, a_team_plan
from tests.support.smtp_server import Delivery, Mailbox, mail_server
from workflows.messages import MailReport, StepOutcome
from workflows.names import AssetResult, Mail, Reason, StepResult

PARTNERED = ADA | {"partner": "dpo@two.example", "partner_id": "77-b"}
TITLES = [
    "<script>alert(1)</script>",
    "=1+1",
    "a&b \u202eE",
    "Donau" * 60,
    "ميزانية 2026 (x)",
    "🎉 {{ 7 * 7 }}",
    "x\r\nBcc: eve",
]
FATES: list[tuple[AssetResult | None, str | None]] = [
    (AssetResult.REFUSED, "http_409"),
    (None, None),
    (AssetResult.NOT_FOUND, None),
    (AssetResult.REFUSED, NOT_OWNER),
    (AssetResult.MOVED, None),
    (AssetResult.ALREADY_OWNED, None),
    (AssetResult.REFUSED, "odd_code"),
]
#: Seven things, each with a hostile title and a fate of its own.
ASSETS = [
    (Asset(id=f"d-{number}", type="page", title=title), *fate)
    for number, (title, fate) in enumerate(zip(TITLES, FATES, strict=True), start=1)
]


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with a_post(tmp_path, plan=a_team_plan(), person=PARTNERED) as post:
        yield post


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


async def the_mail(post: Post, mailbox: Mailbox, mail: Mail, **fields: Any) -> Delivery:
    """Send a mail; gives its last delivery."""
    assert await post.send(mailbox, mail, **fields) == MailReport(result="sent")
    return mailbox.deliveries[-1]


def listed(delivery: Delivery) -> list[str]:
    """The lines of lists in the text."""
    return [line.strip() for line in delivery.text.splitlines() if line.startswith("  - ")]


async def test_admins_read_what_went_to_whom_what_is_left_and_each_asset(post: Post, mailbox: Mailbox) -> None:
    await post.owns(ASSETS)
    await post.hands_over()
    delivery = await the_mail(post, mailbox, Mail.HANDOVER)
    assert delivery.message["Subject"] == "What became of the assets of u-1: 3 left to do"
    assert listed(delivery)[0] == (
        "- Documents: handed over: 1, was the new owner's already: 1, not there any more: 1, not handed over: 2, "
        "somebody else's by now: 1, not handed over yet: 1. Now with Grace Hopper (grace@acme.example)"
    )
    assert "Not handed over: 3 of 7, at the head of the list below." in delivery.text
    assert listed(delivery)[1:] == [
        "- <script>alert(1)</script> (Documents · page · d-1): not handed over (the service answered 409)",
        "- =1+1 (Documents · page · d-2): not handed over yet",
        "- x Bcc: eve (Documents · page · d-7): not handed over (code odd_code)",
        "- a&b E (Documents · page · d-3): not there any more",
        f"- {'Donau' * 23}Dona… (Documents · page · d-4): somebody else's by now",
        "- \u2068ميزانية 2026 (x)\u2069 (Documents · page · d-5): handed over: Grace Hopper",
        "- 🎉 {{ 7 * 7 }} (Documents · page · d-6): was the new owner's already: Grace Hopper",
    ]
    assert list(delivery.message.iter_attachments()) == []
    # The account is gone: whose it was is told by the id, and no mail keeps the name.
    assert "Ada" not in delivery.message.as_string() + delivery.text + delivery.html


async def test_where_all_went_well_nothing_is_left(post: Post, mailbox: Mailbox) -> None:
    await post.owns([(Asset(id="d-1"), AssetResult.MOVED, None)])
    await post.hands_over()
    delivery = await the_mail(post, mailbox, Mail.HANDOVER)
    assert delivery.message["Subject"] == "What became of the assets of u-1"
    assert "What is left to do:\n\nNothing.\n" in delivery.text
    assert listed(delivery)[1:] == ["- d-1 (Documents): handed over: Grace Hopper"]


async def test_what_was_erased_in_somebody_s_favour_is_told_to_admins(tmp_path: Path, mailbox: Mailbox) -> None:
    plan = a_team_plan()
    favoured = plan.steps["profile"].model_copy(update={"successor": "colleague"})
    plan = plan.model_copy(update={"steps": {**plan.steps, "profile": favoured}})
    async with a_post(tmp_path, plan=plan) as post:
        await post.hands_over(result=StepResult.ABSENT)
        assert await post.send(mailbox, Mail.HANDOVER) == MailReport(result="no_mail")
    (tmp_path / "again").mkdir()
    async with a_post(tmp_path / "again", plan=plan) as post:
        await post.hands_over(result=StepResult.ABSENT)
        await post.hands_over(result=StepResult.ERASED, step="profile")
        delivery = await the_mail(post, mailbox, Mail.HANDOVER)
    assert listed(delivery) == ["- Profile: deleted, and checked. Now with Grace Hopper (grace@acme.example)"]


async def test_who_is_to_find_a_successor_reads_whose_account_it_is_why_and_what_it_owns(
    post: Post, mailbox: Mailbox
) -> None:
    await post.owns([(asset, None, None) for asset, _, _ in ASSETS])
    id = post.retirement_id
    await post.ledger.move(
        retirement_id=id,
        from_state=CaseState.OPEN,
        to_state=CaseState.GOING_BACK,
        now=NOW,
        reason=Reason.NO_SUCCESSOR,
        code="colleague:named_retiring",
    )
    delivery = await the_mail(post, mailbox, Mail.NO_SUCCESSOR, reason=Reason.NO_SUCCESSOR)
    assert delivery.message["Subject"] == "Nobody takes over what u-1 owns"
    assert (
        "The account u-1 (Ada Lovelace) was to be deleted. This was stopped. "
        "Whoever the request names is being deleted, too.\n" in delivery.text
    )
    assert "Nothing was deleted and nothing was handed over.\n" in delivery.text
    assert [line.rpartition(" ")[2] for line in listed(delivery)] == [f"d-{number})" for number in range(1, 8)]
    # At the re-check the account had been locked.
    await post.ledger.record_outcomes(id, [StepOutcome(step="lock", result=StepResult.DONE, at=NOW)])
    again = await the_mail(post, mailbox, Mail.NO_SUCCESSOR, number="again")
    assert "nothing was handed over, and what had been locked is open again.\n" in again.text


async def test_the_person_reads_how_much_others_took_over_and_not_who(post: Post, mailbox: Mailbox) -> None:
    await post.owns(ASSETS)
    await post.hands_over()
    delivery = await the_mail(post, mailbox, Mail.COMPLETE)
    assert listed(delivery) == [
        "- Documents: handed over: 1, was the new owner's already: 1, not there any more: 1, not handed over: 3, "
        "not handed over yet: 1"
    ]
    assert "Grace" not in delivery.message.as_string() + delivery.text + delivery.html


async def test_the_person_is_told_that_nothing_was_theirs(post: Post, mailbox: Mailbox) -> None:
    await post.hands_over(result=StepResult.ABSENT)
    delivery = await the_mail(post, mailbox, Mail.COMPLETE)
    assert listed(delivery) == ["- Documents: nothing of yours was there"]


@pytest.mark.parametrize("mail", [Mail.ERRORED, Mail.HELD, Mail.DEADLINE])
async def test_operators_read_numbers_and_codes_and_what_a_resume_needs(
    post: Post, mailbox: Mailbox, mail: Mail
) -> None:
    await post.owns(ASSETS)
    await post.hands_over(result=StepResult.FAILED)
    await post.ledger.record_outcomes(
        post.retirement_id, [StepOutcome(step="documents", result=StepResult.FAILED, code="successor_lost", at=NOW)]
    )
    delivery = await the_mail(post, mailbox, mail, failed_steps=("documents",))
    assert "documents: 1 moved, 1 already_owned, 1 not_found, 3 refused, 1 waiting" in delivery.text
    if mail is Mail.ERRORED:
        assert "failed steps: documents (successor_lost)" in delivery.text
        assert f"retire resume {post.retirement_id} --successor USER" in delivery.text
    whole = delivery.message.as_string() + delivery.text + delivery.html
    assert not any(value in whole for value in ("Ada", "Grace", "script", "Donau", "u-1", "d-1", "person.example"))


@pytest.mark.parametrize(("days", "when"), [(25, "is near"), (31, "has passed"), (40, "has passed")])
async def test_operators_read_how_near_the_limit_is_and_where_it_stands(
    post: Post, mailbox: Mailbox, days: int, when: str
) -> None:
    delivery = await the_mail(post, mailbox, Mail.DEADLINE, now=NOW + days * DAY)
    assert f"legal limit {when}: {post.retirement_id} (acme)" in delivery.message["Subject"]
    assert "state:        open since 4 March 2026, 09:30 UTC\n" in delivery.text
    assert "cool-off:     until 18 March 2026, 09:30 UTC\n" in delivery.text
    assert "retire status" in delivery.text and "retire resume" not in delivery.text


# --- ten thousand ------------------------------------------------------------------------------------------------


async def test_ten_thousand_assets_with_long_titles_stay_a_mail_that_can_be_sent(post: Post, mailbox: Mailbox) -> None:
    title = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk 年度 " * 10
    many = [Asset(id=f"9b2c7d1e-0000-4000-8000-{number:012}", type="page", title=title) for number in range(10_000)]
    await post.owns([(asset, AssetResult.MOVED, None) for asset in many])
    await post.hands_over()
    delivery = await the_mail(post, mailbox, Mail.HANDOVER)
    assert len(delivery.message.as_bytes()) < 2_000_000
    assert len(delivery.text) < 20_000 and len(delivery.html) < 60_000
    assert "These are the first 50 of 10000. All of them are in the attached file." in delivery.text
    [attached] = delivery.message.iter_attachments()
    content = attached.get_payload(decode=True)
    assert isinstance(content, bytes)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    assert [row[1] for row in rows[1:]] == [asset.id for asset in many]


async def test_a_file_that_can_t_hold_all_says_how_many_it_holds(post: Post, mailbox: Mailbox) -> None:
    await post.owns([(Asset(id=f"{number}" + "x" * 500), None, None) for number in range(6_000)])
    delivery = await the_mail(post, mailbox, Mail.NO_SUCCESSOR)
    found = re.search(r"These are the first 50 of 6000\. The first (\d+) are in the attached file\.", delivery.text)
    assert found is not None
    [attached] = delivery.message.iter_attachments()
    content = attached.get_payload(decode=True)
    assert isinstance(content, bytes) and content.count(b"\r\n") == 1 + int(found[1])
    assert len(delivery.message.as_bytes()) < 2_000_000


# --- languages ---------------------------------------------------------------------------------------------------


async def all_in(language: str, folder: Path, mailbox: Mailbox, **post: Any) -> dict[Mail, Delivery]:
    """Every mail to admins and recipients, by a plan that writes to them in a language."""
    (folder / language).mkdir()
    plan = a_team_plan(language=language)
    async with a_post(folder / language, plan=plan, person=PARTNERED | {"locale": "fr"}) as made:
        await made.owns([*ASSETS, *((Asset(id=f"m-{n}"), AssetResult.MOVED, None) for n in range(50))])
        await made.hands_over()
        mails = (Mail.HANDOVER, Mail.NO_SUCCESSOR, Mail.DISCLOSED)
        return {mail: await the_mail(made, mailbox, mail, **post) for mail in mails}


@pytest.mark.parametrize("language", OURS.languages)
async def test_mails_arrive_whole_in_the_plan_s_language(tmp_path: Path, mailbox: Mailbox, language: str) -> None:
    told = await all_in(language, tmp_path, mailbox)
    for mail, delivery in told.items():
        assert delivery.message.defects == [] and delivery.message["Content-Language"] == language
        assert delivery.message["Bcc"] is None
        read = Readable(delivery.html)
        assert read.left_open == []
        assert words_of(delivery.text) <= words_of(read.text)
        assert "<script" not in delivery.html and "49" not in delivery.text.replace("m-49", "")
        assert "None" not in delivery.text + delivery.html and "\u202e" not in delivery.text + delivery.html
        if mail is not Mail.DISCLOSED:
            # A file beside the mail must not hide its two forms.
            assert [part.get_content_type() for part in delivery.message.iter_parts()] == [
                "multipart/alternative",
                "text/csv",
            ]
            assert "<script>alert(1)</script>" in delivery.text
    if language != "en":
        english = await all_in("en", tmp_path, mailbox)
        for mail, delivery in told.items():
            assert delivery.message["Subject"] != english[mail].message["Subject"]
            lists = {line for line in delivery.text.splitlines() if line.lstrip("\u200f").startswith("  - ")}
            box = {line for line in delivery.text.splitlines() if line.startswith("    ")}
            shared = (set(delivery.text.splitlines()) - lists - box) & set(english[mail].text.splitlines())
            assert shared == {""}, "a line that nobody translated"


async def test_arabic_runs_from_the_right_whatever_is_named(tmp_path: Path, mailbox: Mailbox) -> None:
    for delivery in (await all_in("ar", tmp_path, mailbox)).values():
        assert '<html lang="ar" dir="rtl">' in delivery.html
        lines = [line for line in delivery.text.splitlines() if line]
        assert all(line.startswith("\u200f") for line in lines)
        for line in lines:
            apart = re.sub("\u2068[^\u2069]*\u2069", "", line)
            assert not any(unicodedata.bidirectional(character) == "L" for character in apart), line
            assert not re.search("[,;?]", apart), line


async def test_a_language_that_is_not_there_is_english_and_a_site_s_own_wins(tmp_path: Path, mailbox: Mailbox) -> None:
    told = await all_in("fr", tmp_path, mailbox)
    assert {delivery.message["Content-Language"] for delivery in told.values()} == {"en"}
    page = '{% extends "ours/de/handover.j2" %}{% block subject %}{{ person.id }}: {{ left_total }}{% endblock %}'
    site = written(tmp_path, de__handover=page)
    german = (await all_in("de", tmp_path, mailbox, templates_dir=site))[Mail.HANDOVER]
    assert german.message["Subject"] == "u-1: 3"
    assert "Was noch zu tun ist" in german.text

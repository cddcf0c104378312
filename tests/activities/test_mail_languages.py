"""Mails in the person's language: which one is chosen, that each says everything, and what a site can put in its place."""

import re
import shutil
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from activities.mail_assets import OTHERS, WAITING
from activities.mail_languages import first_matched, matched
from activities.mail_templates import MailTemplates
from activities.ownership import choosing
from tests.support.post import ADA, NOW, Post, a_post
from tests.support.smtp_server import Delivery, Mailbox
from workflows.messages import MailReport, StepOutcome
from workflows.names import AssetResult, Audience, Mail, Reason, StepResult

OURS = MailTemplates(overrides=None)
TO_THE_PERSON = [mail for mail in Mail if mail.audience is Audience.PERSON]
TO_OPERATORS = [mail for mail in Mail if mail.audience is Audience.OPERATORS]
#: What stops a retirement for want of a successor; the last is the workflow's own.
NO_SUCCESSOR_CODES = (
    *(choosing.NOT_NAMED, choosing.NAMED_SELF, choosing.NAMED_RETIRING, choosing.NAMED_UNSUITABLE, choosing.NOBODY),
    "successor_retiring",
)
UNTIL = datetime(2036, 3, 1, tzinfo=UTC)
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


async def told_in(
    folder: Path,
    mailbox: Mailbox,
    locale: object,
    mail: Mail = Mail.RECEIVED,
    *,
    request: str | None = None,
    **more: Any,
) -> Delivery:
    """One mail to Ada, whom a service or a request says this language of."""
    return (await all_told_in(folder, mailbox, locale, [mail], request=request, **more))[mail]


async def all_told_in(
    folder: Path,
    mailbox: Mailbox,
    locale: object,
    mails: Sequence[Mail],
    *,
    request: str | None = None,
    **more: Any,
) -> dict[Mail, Delivery]:
    """Several mails of one retirement."""
    person = ADA | {"locale": locale} | more.pop("person", {})
    folder = folder / f"post-{len(mailbox.deliveries)}"
    folder.mkdir()
    async with a_post(folder, person=person, locale=request) as post:
        if Mail.COMPLETE in mails:
            results = [StepResult.ERASED, StepResult.ABSENT, StepResult.SKIPPED]
            steps = zip(("forum_posts", "newsletter", "profile"), results, strict=True)
            outcomes = [StepOutcome(step=step, result=result, at=NOW) for step, result in steps]
            outcomes.append(StepOutcome(step="invoices", result=StepResult.RETAINED, until=UNTIL, at=NOW))
            await post.ledger.record_outcomes(post.retirement_id, outcomes)
        for mail in mails:
            assert await post.send(mailbox, mail, **more) == MailReport(result="sent")
        return dict(zip(mails, mailbox.deliveries[-len(mails) :], strict=True))


# --- which language ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("de", "de"), ("DE", "de"), ("de-AT", "de"), ("de_AT", "de"), ("de_AT.UTF-8", "de"), ("de@euro", "de"),
        (" ar_EG ", "ar"), ("ar-Arab-EG-x-any", "ar"), ("pt-br", "pt-BR"), ("pt_BR_variant", "pt-BR"), ("pt", None),
        ("zh-Hant", None), ("deu", None), ("d", None), ("", None), ("-", None), ("de-", None), ("-de", None),
        ("../de", None), ("de/../../etc", None), ("de\x00", None), ("de\u202e", None), ("ⅾe", None),
        ("de-" + "a" * 40, None), ("x" * 100_000, None), ("de,en;q=0.8", None), ("{{ 7 }}", None),
        (None, None), (7, None), (["de"], None), ({"de": 1}, None), (True, None),
    ],
    ids=lambda value: ascii(value)[:24],
)  # fmt: skip
def test_a_tag_is_matched_and_anything_else_is_none(wish: object, language: str | None) -> None:
    assert matched(wish, among=("ar", "de", "en", "pt-BR")) == language


def test_the_first_wish_that_can_be_had_wins_and_english_is_last() -> None:
    among = ("ar", "de", "en")
    assert first_matched(("ar_EG", "de"), among=among) == "ar"
    assert first_matched((None, "de"), among=among) == "de"
    assert first_matched(("zh-Hant", "de"), among=among) == "de"
    assert first_matched(("zh-Hant", None), among=among) == "en"
    assert first_matched((), among=among) == "en"


async def test_the_request_comes_before_the_lookup_and_english_after_both(tmp_path: Path, mailbox: Mailbox) -> None:
    wishes = [("ar-EG", "de-AT"), (None, "de-AT"), ("zh-Hant", "de"), ("zh-Hant", "fr"), (None, None), (None, ["de"])]
    languages = [
        (await told_in(tmp_path, mailbox, locale, request=request)).message["Content-Language"]
        for request, locale in wishes
    ]
    assert languages == ["ar", "de", "de", "en", "en", "en"]


@pytest.mark.parametrize(
    "locale", ["../../etc/passwd", "en/../de", "\r\nBcc: eve@evil.example", "\ud800", 7, {"a": []}]
)
async def test_no_locale_fails_a_mail(tmp_path: Path, mailbox: Mailbox, locale: object) -> None:
    delivery = await told_in(tmp_path, mailbox, locale)
    assert delivery.message["Content-Language"] == "en"
    assert delivery.message["Bcc"] is None


async def test_operators_are_written_to_in_english(tmp_path: Path, mailbox: Mailbox) -> None:
    for mail in TO_OPERATORS:
        delivery = await told_in(tmp_path, mailbox, "ar", mail, request="de")
        assert delivery.message["Content-Language"] == "en"
        assert "retire status" in delivery.text


# --- what each language says -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", OURS.languages)
def test_every_language_has_every_mail_and_words_for_every_code(language: str) -> None:
    assert [mail for mail in Mail if mail not in TO_OPERATORS and language not in OURS.languages_of(mail)] == []
    words: Any = OURS.words(language)
    assert set(words.reasons) == {reason.value for reason in Reason}
    assert set(words.became) == {result.value for result in StepResult}
    assert set(words.asset_results) == {*AssetResult, WAITING, OTHERS} - {AssetResult.RETRYING}
    assert set(words.no_successor) == {*NO_SUCCESSOR_CODES}
    assert all(len(pair) == 2 and all(pair) for pair in [*words.reasons.values(), words.unknown_reason])
    assert len(set(words.months)) == 12
    # Said by its own words, not by another language's: a copied line that nobody translated.
    if language != "en":
        english: Any = OURS.words("en")
        tables = ("reasons", "became", "asset_results", "asset_reasons", "columns", "no_successor")
        for own, theirs in ((getattr(words, name), getattr(english, name)) for name in tables):
            assert own.keys() == theirs.keys()
            assert [code for code in own if own[code] == theirs[code]] == []


def test_our_languages() -> None:
    assert OURS.languages == ("ar", "de", "en")
    assert {OURS.languages_of(mail) for mail in TO_OPERATORS} == {("en",)}


@pytest.mark.parametrize("language", OURS.languages)
async def test_mails_arrive_whole_in_every_language(tmp_path: Path, mailbox: Mailbox, language: str) -> None:
    name = {"ar": "عائشة الباعونية", "de": "Käthe Übermäßig", "en": "Ada Lovelace"}[language]
    fields: dict[str, Any] = {"person": {"name": name}, "reason": Reason.NOT_ELIGIBLE}
    told = await all_told_in(tmp_path, mailbox, language, TO_THE_PERSON, **fields)
    for delivery in told.values():
        message = delivery.message
        assert message.defects == [] and message["Content-Language"] == language
        parts = {part.get_content_type(): part for part in message.iter_parts()}
        assert list(parts) == ["text/plain", "text/html"]
        assert [part.get_content_charset() for part in parts.values()] == ["utf-8", "utf-8"]
        direction = "rtl" if language == "ar" else "ltr"
        assert f'<html lang="{language}" dir="{direction}">' in delivery.html
        read = Readable(delivery.html)
        assert read.left_open == []
        assert name in delivery.text and name in read.text
        assert message["To"].addresses[0].display_name == name
        # Both forms say the same; the html shows the title besides.
        assert words_of(delivery.text) <= words_of(read.text)
        assert "None" not in delivery.text + delivery.html and "{{" not in delivery.text + delivery.html
    if language != "en":
        english = await all_told_in(tmp_path, mailbox, "en", TO_THE_PERSON, **fields)
        for mail, delivery in told.items():
            assert delivery.message["Subject"] != english[mail].message["Subject"]
            shared = set(delivery.text.splitlines()) & set(english[mail].text.splitlines())
            assert shared == {""}, "a line that nobody translated"


async def test_german_says_date_and_outcome(tmp_path: Path, mailbox: Mailbox) -> None:
    received = await told_in(tmp_path, mailbox, "de-AT")
    assert received.message["Subject"] == "Ihr Konto wird am 18. März 2026 gelöscht"
    assert "    18. März 2026, 09:30 Uhr UTC\n" in received.text
    complete = await told_in(tmp_path, mailbox, "de", Mail.COMPLETE)
    assert [line for line in complete.text.splitlines() if line.startswith("  -")] == [
        "  - Forum posts: gelöscht und überprüft",
        "  - Newsletter: dort war nichts von Ihnen vorhanden",
        "  - Profile: von unserem Team erledigt",
        "  - Invoices: bis 1. März 2036 (tax law, <10> years)",
    ]
    assert "bis 1. März 2036 (tax law, &lt;10&gt; years)" in complete.html


async def test_arabic_runs_from_the_right_and_sets_apart_what_does_not(tmp_path: Path, mailbox: Mailbox) -> None:
    received = await told_in(tmp_path, mailbox, "ar")
    assert received.message["Subject"] == "سيُحذف حسابك في 18 مارس 2026"
    assert "على العنوان \u2068help@acme.example\u2069 قبل" in received.text
    assert "على العنوان <bdi>help@acme.example</bdi> قبل" in received.html
    assert "text-align:right" in received.html and "text-align:left" not in received.html
    complete = await told_in(tmp_path, mailbox, "ar", Mail.COMPLETE)
    assert "  - \u2068Invoices\u2069: حتى 1 مارس 2036 (\u2068tax law, <10> years\u2069)" in complete.text
    assert "(<bdi>tax law, &lt;10&gt; years</bdi>)" in complete.html
    for delivery in (received, complete):
        lines = [line for line in delivery.text.splitlines() if line]
        assert all(line.startswith("\u200f") for line in lines)
        assert all(line.count("\u2068") == line.count("\u2069") for line in lines)
        for line in lines:
            apart = re.sub("\u2068[^\u2069]*\u2069", "", line)
            # Outside of what is set apart nothing runs from the left, and no comma is a Latin one.
            assert not any(unicodedata.bidirectional(character) == "L" for character in apart), line
            assert not re.search("[,;?]", apart), line


async def test_a_name_that_runs_otherwise_is_set_apart_in_every_language(tmp_path: Path, mailbox: Mailbox) -> None:
    delivery = await told_in(tmp_path, mailbox, "de", person={"name": "\u202eعائشة"})
    assert "Guten Tag \u2068عائشة\u2069," in delivery.text
    assert "Guten Tag <bdi>عائشة</bdi>," in delivery.html
    plain = await told_in(tmp_path, mailbox, "de")
    assert not any(character in plain.text for character in BIDI), "an address is copied without invisible characters"


@pytest.mark.parametrize("language", OURS.languages)
@pytest.mark.parametrize("name", ["a&b \"c\" 'd' \u202eE", "Ada\r\nBcc: eve", "{{ 7 * 7 }} &amp;"])
async def test_no_name_becomes_markup_or_a_header_in_any_language(
    tmp_path: Path, mailbox: Mailbox, language: str, name: str
) -> None:
    fields: dict[str, Any] = {"person": {"name": name}, "reason": Reason.ABANDONED}
    shown = " ".join(name.replace("\u202e", "").split())
    for delivery in (await all_told_in(tmp_path, mailbox, language, TO_THE_PERSON, **fields)).values():
        assert shown in delivery.text and shown in Readable(delivery.html).text
        assert "a&b" not in delivery.html and "\u202e" not in delivery.text + delivery.html
        assert delivery.message.defects == [] and delivery.message["Bcc"] is None
        assert delivery.recipients == ("ada@person.example",)


# --- what a site puts in its place -------------------------------------------------------------------------------


def written(folder: Path, **files: str) -> Path:
    """A folder with templates: `de__received=…` is de/received.j2."""
    for name, text in files.items():
        path = folder / "site" / f"{name.replace('__', '/')}.j2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "site"


def subject(text: str) -> str:
    return "{% extends layout %}{% block subject %}" + text + "{% endblock %}{% block title %}t{% endblock %}"


async def test_a_site_s_mail_wins_in_its_language_only(tmp_path: Path, mailbox: Mailbox) -> None:
    hostile = "Adieu\r\nBcc: eve@evil.example\n{{ name }} =?utf-8?q?=0D=0ABcc:eve?="
    site = written(tmp_path, de__received=subject(hostile))
    german = await told_in(tmp_path, mailbox, "de", templates_dir=site)
    assert german.message["Subject"] == "Adieu Bcc: eve@evil.example Ada Lovelace = ?utf-8?q?=0D=0ABcc:eve?="
    assert german.message["Bcc"] is None
    assert "Guten Tag Ada Lovelace," in german.text and "Vorgangsnummer" in german.html
    english = await told_in(tmp_path, mailbox, "en", templates_dir=site)
    assert english.message["Subject"] == "Your account will be deleted on 18 March 2026"
    other = await told_in(tmp_path, mailbox, "de", Mail.RESCINDED, templates_dir=site)
    assert other.message["Subject"] == "Ihr Konto steht Ihnen wieder zur Verfügung"


async def test_a_site_changes_a_part_of_ours_and_keeps_the_rest(tmp_path: Path, mailbox: Mailbox) -> None:
    site = written(
        tmp_path, de__received='{% extends "ours/de/received.j2" %}{% block subject %}Bis bald{% endblock %}'
    )
    delivery = await told_in(tmp_path, mailbox, "de", templates_dir=site)
    assert delivery.message["Subject"] == "Bis bald"
    assert "Ihr Konto ist ab sofort gesperrt" in delivery.text


async def test_a_site_gives_all_languages_its_page(tmp_path: Path, mailbox: Mailbox) -> None:
    site = written(tmp_path, layout="")
    (site / "layout.html.j2").write_text(
        "<html dir={{ direction }}><i>Acme</i>{% block content %}{% endblock %}</html>"
    )
    for language, direction in (("ar", "rtl"), ("de", "ltr")):
        delivery = await told_in(tmp_path, mailbox, language, templates_dir=site)
        assert delivery.html.startswith(f"<html dir={direction}><i>Acme</i>")
        assert "<p" in delivery.html and "<i>" not in delivery.text


async def test_a_site_adds_a_language_and_what_it_lacks_is_wholly_english(tmp_path: Path, mailbox: Mailbox) -> None:
    site = tmp_path / "site"
    ours = Path(str(OURS.file_of(Mail.RECEIVED, language="en"))).parent
    (site / "fr-CA").mkdir(parents=True)
    shutil.copy(ours / "words.j2", site / "fr-CA")
    written(tmp_path, **{"fr-CA__received": subject("Adieu, le {{ cool_off_ends_at | day }}")})
    delivery = await told_in(tmp_path, mailbox, "fr_CA", templates_dir=site)
    assert (delivery.message["Subject"], delivery.message["Content-Language"]) == ("Adieu, le 18 March 2026", "fr-CA")
    lacking = await told_in(tmp_path, mailbox, "fr_CA", Mail.RESCINDED, templates_dir=site)
    assert (lacking.message["Subject"], lacking.message["Content-Language"]) == ("Your account is back", "en")
    # A mail whose language has no words is in no language.
    (site / "fr-CA" / "words.j2").unlink()
    assert (await told_in(tmp_path, mailbox, "fr_CA", templates_dir=site)).message["Content-Language"] == "en"


async def test_an_overriding_file_that_fails_is_tried_again_until_mended(
    post: Post, mailbox: Mailbox, tmp_path: Path
) -> None:
    site = written(tmp_path, en__received=subject("{{ surname }}"))
    assert await post.send(mailbox, templates_dir=site) == MailReport(result="later", code="bad_template")
    assert await post.send(mailbox) == MailReport(result="sent")


class Readable(HTMLParser):
    """A page's text, and the elements that were opened and never closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.left_open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opened."""
        if tag not in ("meta", "br"):
            self.left_open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Closed, in the order they were opened."""
        if self.left_open[-1:] == [tag]:
            self.left_open.pop()

    def handle_data(self, data: str) -> None:
        """What is read."""
        self.text += f"{data} "


def words_of(text: str) -> set[str]:
    """The words of a text, without marks of direction and punctuation."""
    return set(re.findall(r"\w+", re.sub(f"[{BIDI}]", " ", text)))

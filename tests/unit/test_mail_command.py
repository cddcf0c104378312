"""`retire mail`: the mails looked at before anybody gets one. No server, no ledger."""

import csv
import io
import json
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import compat32, default
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from starter.exit_codes import ExitCode
from starter.mails.occasions import AUDIENCES, OCCASIONS
from starter.main import app
from workflows.names import Audience, Mail

_DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no setting of the machine."""
    monkeypatch.delenv("RETIREMENT_TEMPLATES_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


def retire(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="retire")


def parts(content: bytes) -> tuple[EmailMessage, str, str]:
    """The message, its text and its html."""
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage) and message.defects == []
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None and html is not None
    said, page = (str(part.get_content()).replace("\r\n", "\n") for part in (text, html))
    return message, said, page


#: Operators are written to in English, whatever is asked for.
IN_LANGUAGES = [
    (mail, locale)
    for mail in Mail
    for locale in ("ar_EG", "de-AT", "en")
    if mail.audience is not Audience.OPERATORS or locale == "de-AT"
]


@pytest.mark.parametrize(("mail", "locale"), IN_LANGUAGES)
def test_every_mail_is_shown_in_every_language_as_a_mail_that_opens(mail: Mail, locale: str, tmp_path: Path) -> None:
    result = retire("mail", "preview", mail.value, "--locale", locale, "--out", "it.eml")
    assert result.exit_code == ExitCode.OK, result.output
    language = "en" if mail.audience is Audience.OPERATORS else locale[:2]
    assert result.stdout == f"written to it.eml: {mail.value} in {language}, made up throughout\n"
    content = (tmp_path / "it.eml").read_bytes()
    message, text, html = parts(content)
    assert message["Content-Language"] == language
    assert f'lang="{language}"' in html
    # The name and the law hold what would be markup, a header's end or a turn of direction.
    assert "<b>" not in html and "\u202e" not in text + html
    told = json.loads(retire("mail", "preview", mail.value, "--locale", locale, "--json").stdout)
    assert (told["subject"], told["text"], told["html"]) == (message["Subject"], text, html)
    assert (told["mail"], told["language"], told["file"]) == (mail.value, language, None)
    if mail.audience is Audience.PERSON:
        # A name of two scripts is one name again; Python's newer parser would put a blank between its encoded words.
        to = str(make_header(decode_header(message_from_bytes(content, policy=compat32)["To"])))
        assert to == 'Wilhelmine "Made-up" Müller-Łukaszewicz & عائشة pu-edam <made-up.person@person.example>'


@pytest.mark.parametrize("locale", ["ar_EG", "de-AT", "en"])
def test_text_and_html_alone_are_what_the_mail_holds(locale: str) -> None:
    preview = ("mail", "preview", "complete", "--locale", locale)
    told = json.loads(retire(*preview, "--json").stdout)
    for form in ("text", "html"):
        assert retire(*preview, "--format", form).stdout == told[form]


def test_the_last_mail_shows_every_result_and_quotes_what_is_hostile() -> None:
    html = retire("mail", "preview", "complete", "--format", "html").stdout
    assert "(made-up law &lt;b&gt;§ 147&lt;/b&gt; &#34;General&#34; &amp; Co. pu-edam)" in html
    text = retire("mail", "preview", "complete", "--format", "text").stdout
    assert '(made-up law <b>§ 147</b> "General" & Co. pu-edam)' in text
    assert len([line for line in text.splitlines() if line.startswith("  - ")]) == 8


@pytest.mark.parametrize("mail", ["handover", "no_successor"])
def test_a_list_longer_than_a_page_is_attached_as_a_table(mail: str, tmp_path: Path) -> None:
    assert retire("mail", "preview", mail, "--out", "it.eml").exit_code == ExitCode.OK
    message, text, _ = parts((tmp_path / "it.eml").read_bytes())
    [attached] = message.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("text/csv", "assets.csv")
    table = attached.get_payload(decode=True)
    assert isinstance(table, bytes)
    rows = list(csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")))
    assert len(rows) == 1 + 60 and len({len(row) for row in rows}) == 1
    assert "These are the first 50 of 60. All of them are in the attached file." in text
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert '\'=HYPERLINK("http://made-up.example")' in [cell for row in rows for cell in row]


def test_an_unknown_mail_is_answered_with_those_there_are() -> None:
    result = retire("mail", "preview", "farewell\x1b[2J")
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    known = ", ".join(mail.value for mail in Mail)
    assert known.startswith("received, reminder, ") and known.endswith(", disclosed, work_failed")
    assert result.stderr == f"Error: There is no mail 'farewell\\u001b[2J'. There are: {known}.\n"


@pytest.mark.parametrize("locale", ["zh-Hant", "../de"])
def test_an_unknown_language_is_answered_with_those_there_are(locale: str) -> None:
    result = retire("mail", "preview", "complete", "--locale", locale, "--json")
    assert result.exit_code == ExitCode.USAGE
    assert json.loads(result.stdout)["error"] == (
        f"There is no language '{locale}'. There are: ar, de, en. docs/mails.md says how to add one."
    )


def test_a_file_that_can_t_be_written_is_told() -> None:
    result = retire("mail", "preview", "complete", "--out", "missing/it.eml")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("Error: missing/it.eml can't be written (No such file or directory).")


def test_a_site_s_templates_are_shown_and_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "de"
    mine.mkdir(parents=True)
    monkeypatch.setenv("RETIREMENT_TEMPLATES_DIR", "mine")
    page = '{% extends "ours/de/complete.j2" %}{% block subject %}Leben Sie wohl{% endblock %}'
    (mine / "complete.j2").write_text(page)
    told = json.loads(retire("mail", "preview", "complete", "--locale", "de", "--json").stdout)
    assert told["subject"] == "Leben Sie wohl"
    listed = {mail["mail"]: mail for mail in json.loads(retire("mail", "list", "--json").stdout)["mails"]}
    assert listed["complete"]["overridden"] == ["de"] and listed["received"]["overridden"] == []
    # A language that lacks a mail: what its people get is shown, and said.
    (tmp_path / "mine" / "fr").mkdir()
    (tmp_path / "mine" / "fr" / "words.j2").write_text('{% set direction = "ltr" %}')
    result = retire("mail", "preview", "received", "--locale", "fr")
    assert result.exit_code == ExitCode.OK and "Content-Language: en" in result.stdout
    assert result.stderr == (
        "received is shown in en: there is no fr/received.j2, and whose language is fr gets it like this.\n"
    )


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("{% extends layout %}\n{% block subject %}\n{{ surname }}{% endblock %}", ", line 3: 'surname' is undefined."),
        ("{% extends layout %}\n{% block subject %}", ", line 2: "),
    ],
)
def test_a_site_s_template_that_fails_is_told_with_file_and_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str, error: str
) -> None:
    (tmp_path / "mine" / "de").mkdir(parents=True)
    (tmp_path / "mine" / "de" / "complete.j2").write_text(page)
    monkeypatch.setenv("RETIREMENT_TEMPLATES_DIR", "mine")
    result = retire("mail", "preview", "complete", "--locale", "de")
    assert (result.exit_code, result.stdout) == (ExitCode.PROBLEMS, "")
    assert result.stderr.startswith(f"Error: mine/de/complete.j2{error}")
    assert len(result.stderr.splitlines()) == 1


def test_the_list_has_every_mail() -> None:
    listed = json.loads(retire("mail", "list", "--json").stdout)["mails"]
    assert [mail["mail"] for mail in listed] == [mail.value for mail in Mail]
    to: dict[str, set[str]] = {}
    for mail in listed:
        to.setdefault(mail["to"], set()).add(mail["mail"])
    assert to.pop("person") == {"received", "reminder", "extended", "rescinded", "aborted", "complete"}
    assert to == {
        "operators": {"errored", "held", "deadline", "work_failed"},
        "admins": {"no_successor", "handover"},
        "recipients": {"disclosed"},
    }
    lines = retire("mail", "list").stdout.splitlines()
    assert lines[0].split() == ["mail", "to", "languages", "yours", "sent", "when"]
    assert len(lines) == 1 + len(Mail)


def test_the_page_about_mails_says_the_same() -> None:
    page = (_DOCS / "mails.md").read_text()
    for mail, occasion in OCCASIONS.items():
        assert f"| `{mail.value}` | {AUDIENCES[mail.audience]} | {occasion.when} | {occasion.holds} |\n" in page

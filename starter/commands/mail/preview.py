"""`retire mail preview`."""

import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import read_settings
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, show

if TYPE_CHECKING:
    from activities.mail_building import BuiltMail
    from activities.mail_templates import MailTemplates
    from workflows.names import Mail


class Format(StrEnum):
    """What of the mail is written."""

    EML = "eml"
    HTML = "html"
    TEXT = "text"


def _preview(
    mail: Annotated[
        str, typer.Argument(metavar="TEMPLATE", help="The mail, for example complete.", show_default=False)
    ],
    locale: Annotated[
        str,
        typer.Option(metavar="TAG", help="The reader's language: de, de-AT, ar_EG. Default: en.", show_default=False),
    ] = "en",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write it; an older one is replaced. Default: stdout.", show_default=False
        ),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(
            help="The whole mail, as mail programs open it, or its html or text alone. Default: eml.",
            show_default=False,
        ),
    ] = Format.EML,
    json: Json = False,
) -> int:
    """Show a mail with made-up values. Built as the worker builds it, from your templates where there are some."""
    from activities.mail_languages import ENGLISH
    from activities.mail_templates import MailTemplates

    templates = MailTemplates(overrides=read_settings().templates_dir)
    which = _known(mail)
    language = _had(locale, templates=templates)
    built = _built(which, language=language, templates=templates)
    output = Output(as_json=json)
    if built.body.language != language:
        output.note(f"{which.value} is shown in {ENGLISH}: {_why_english(which, language=language)}.")
    content = _content(built, format=format)
    if out is not None:
        try:
            out.write_bytes(content)
        except OSError as error:
            raise CommandError(
                f"{show(out)} can't be written ({error.strerror}).",
                do="Name a file in a folder that exists and is yours to write to.",
                code=ExitCode.USAGE,
            ) from None
    facts = _facts(built, mail=which, out=out)
    if json:
        output.result(facts, [])
    elif out is not None:
        output.result(facts, [f"written to {show(out)}: {which.value} in {built.body.language}, made up throughout"])
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    return ExitCode.OK


def _known(name: str) -> "Mail":
    from workflows.names import Mail

    try:
        return Mail(name)
    except ValueError:
        known = ", ".join(mail.value for mail in Mail)
        raise CommandError(
            f"There is no mail '{show(name)}'.", do=f"There are: {known}.", code=ExitCode.USAGE
        ) from None


def _had(locale: str, *, templates: "MailTemplates") -> str:
    from activities.mail_languages import matched

    language = matched(locale, among=templates.languages)
    if language is None:
        raise CommandError(
            f"There is no language '{show(locale)}'.",
            do=f"There are: {', '.join(templates.languages)}. docs/mails.md says how to add one.",
            code=ExitCode.USAGE,
        )
    return language


def _why_english(mail: "Mail", *, language: str) -> str:
    from workflows.names import Audience

    if mail.audience is Audience.OPERATORS:
        return "so are all mails to operators"
    return f"there is no {language}/{mail.value}.j2, and whose language is {language} gets it like this"


def _built(mail: "Mail", *, language: str, templates: "MailTemplates") -> "BuiltMail":
    from activities.mail_building import BadTemplate
    from starter.mails.made_up import made_up_mail

    try:
        return made_up_mail(mail, locale=language, templates=templates)
    except BadTemplate as error:
        assert isinstance(error.__cause__, Exception)
        raise CommandError(
            f"{_place_in_template(error.__cause__)}: {show(str(error.__cause__))}.",
            do="Mend that template; until then a worker keeps such mails back, and gives them up in the end.",
            code=ExitCode.PROBLEMS,
        ) from None


def _place_in_template(error: Exception) -> str:
    """File and line: Jinja2 puts the frames of templates into its tracebacks. The values are made up, so all may be told."""
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if frame.filename.endswith(".j2")), None)
    return f"{show(place.filename)}, line {place.lineno}" if place is not None else "A template can't be used"


def _content(built: "BuiltMail", *, format: Format) -> bytes:
    match format:
        case Format.EML:
            return built.message.as_bytes()
        case Format.HTML:
            return built.body.html.encode()
        case Format.TEXT:
            return built.body.text.encode()


def _facts(built: "BuiltMail", *, mail: "Mail", out: Path | None) -> dict[str, Any]:
    return {
        "mail": mail.value,
        "language": built.body.language,
        "from": str(built.message["From"]),
        "to": str(built.message["To"]),
        "subject": built.body.subject,
        "text": built.body.text,
        "html": built.body.html,
        "file": None if out is None else str(out),
    }


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire mail preview complete --locale ar --out complete.eml",
        codes=(ExitCode.NOT_SET_UP, ExitCode.PROBLEMS),
        connected=False,
    )
    app.command("preview", epilog=end)(_preview)

"""The mails' templates: which languages there are, and how a mail is rendered in one. A value never becomes markup."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

import templates
from activities.mail_languages import ENGLISH
from workflows.names import Mail

#: The name of a folder that holds a language, as BCP 47 writes it.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_LONGEST_SUBJECT = 200
#: Characters that turn the direction of the text after them: a name that holds one rewrites what the mail says.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FROM_RIGHT = frozenset({"R", "AL", "AN"})
_OPEN, _CLOSE = "\u2068", "\u2069"


@dataclass(frozen=True, kw_only=True)
class MailBody:
    """A rendered mail, and the language it is in."""

    language: str
    subject: str
    text: str
    html: str


class MailTemplates:
    """The mails' templates. A file in `overrides` wins over ours of the same name, which stays there as `ours/<name>`."""

    def __init__(self, *, overrides: Path | None) -> None:
        ours = [Path(folder) for folder in templates.__path__]
        self._folders = [*([overrides] if overrides is not None else []), *ours]
        self._plain = self._environment(ours, escape=False)
        self._html = self._environment(ours, escape=True)

    def _environment(self, ours: list[Path], *, escape: bool) -> ImmutableSandboxedEnvironment:
        """Each mail is rendered in both: html is escaped, text and subject say what they say."""
        environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(self._folders), PrefixLoader({"ours": FileSystemLoader(ours)})]),
            undefined=StrictUndefined,
            autoescape=escape,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(day=_written_by("day"), moment=_written_by("moment"), isolated=_isolating(escape))
        return environment

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have words, ours and those of the overrides."""
        found = {path.parent.name for folder in self._folders for path in folder.glob("*/words.j2")}
        return tuple(sorted(language for language in found if _LANGUAGE.fullmatch(language)))

    def languages_of(self, mail: Mail) -> tuple[str, ...]:
        """The languages that a mail can be had in. One that has words and lacks this mail sends it in English."""
        return tuple(language for language in self.languages if self.file_of(mail, language=language) is not None)

    def file_of(self, mail: Mail, *, language: str) -> Path | None:
        """The file that a mail is rendered from; None where a language lacks it."""
        files = (folder / language / f"{mail.value}.j2" for folder in self._folders)
        return next((file for file in files if file.is_file()), None)

    def overridden(self, mail: Mail) -> tuple[str, ...]:
        """The languages in which a mail is rendered from a file of the overrides."""
        files = {language: self.file_of(mail, language=language) for language in self.languages_of(mail)}
        ours = {Path(folder) for folder in templates.__path__}
        return tuple(language for language, file in files.items() if file and file.parent.parent not in ours)

    def words(self, language: str) -> object:
        """What a language's `words.j2` says, as attributes: texts, tables by code, macros."""
        return self._plain.get_template(f"{language}/words.j2").module

    def render(self, mail: Mail, context: Mapping[str, Any], *, language: str = ENGLISH) -> MailBody:
        """Render a mail's three parts.

        Raises:
            jinja2.TemplateError, and whatever else an overriding template may do: ours can't fail here.
        """

        def part(environment: ImmutableSandboxedEnvironment, form: str) -> str:
            words: Any = environment.get_template(f"{language}/words.j2").module
            shared = {**context, "language": language, "direction": words.direction, "words": words}
            pieces: Template = environment.get_template(f"pieces.{'html' if form == 'html' else 'text'}.j2")
            layout = environment.get_template(f"layout.{form}.j2")
            mine = environment.get_template(f"{language}/{mail.value}.j2")
            return mine.render(shared, layout=layout, pieces=pieces.make_module(shared))

        return MailBody(
            language=language,
            subject=one_line(part(self._plain, "subject"))[:_LONGEST_SUBJECT],
            text=re.sub(r"\n{3,}", "\n\n", part(self._plain, "text")).strip() + "\n",
            html=re.sub(r"\n{2,}", "\n", part(self._html, "html")).strip() + "\n",
        )


def one_line(text: str) -> str:
    """Text for a header: without line breaks, control characters and turned directions."""
    if text.isprintable():  # none of them is, and most texts are
        return " ".join(text.split())
    kept = (
        " " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character
        for character in text
        if character not in _BIDI and unicodedata.category(character) != "Cs"
    )
    return " ".join("".join(kept).split())


def _written_by(macro: str) -> Callable[[Context, datetime], str]:
    """A filter that writes an instant as the language's words do: `{{ due_at | day }}`."""

    @pass_context
    def written(context: Context, instant: datetime) -> str:
        text: str = getattr(context["words"], macro)(instant.astimezone(UTC))
        return text

    return written


def _isolating(escape: bool) -> Callable[[Context, object], str | None]:
    """A filter for names, ids and addresses: `{{ name | isolated }}`.

    A value that runs the other way than the language would drag commas and brackets beside it along. Where both run
    the same way it is left alone, so that an address in plain text can be copied without invisible characters.
    """

    @pass_context
    def isolated(context: Context, value: object) -> str | None:
        if value is None:
            return None
        text = one_line(str(value))
        runs_otherwise = any(unicodedata.bidirectional(character) in _FROM_RIGHT for character in text)
        if context["direction"] != "rtl" and not runs_otherwise:
            return text
        return Markup("<bdi>{}</bdi>").format(text) if escape else f"{_OPEN}{text}{_CLOSE}"

    return isolated

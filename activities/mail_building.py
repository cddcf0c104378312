"""Building a mail: templates, addresses, headers. A name somebody chose can become neither a header nor markup."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

import templates
from plans.checks import is_address
from workflows.names import Mail

_LANGUAGE = "en"
_LONGEST_SUBJECT = 200
_LONGEST_NAME = 80
#: Characters that turn the direction of the text after them: a name that holds one rewrites what the mail says.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: People sign up as "win at evil.example" to have other people's servers mail that to a stranger.
_LINK = re.compile(r"[@/\\<>]|www\.|\w\.\w{2,}", re.IGNORECASE)
_MONTHS = "January February March April May June July August September October November December".split()


class UnusableAddress(Exception):
    """The person's address can't be written to. The text never holds it."""


@dataclass(frozen=True, kw_only=True)
class MailBody:
    """A rendered mail."""

    subject: str
    text: str
    html: str


class MailTemplates:
    """The mails' templates. A file in `overrides` wins over ours of the same name."""

    def __init__(self, *, overrides: Path | None) -> None:
        folders = [Path(folder) for folder in templates.__path__]
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([*([overrides] if overrides is not None else []), *folders]),
            undefined=StrictUndefined,
            # By file, as one mail is both: html is escaped, text and subject say what they say.
            autoescape=lambda name: name is not None and name.endswith("html.j2"),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(day=day, moment=moment)

    def render(self, mail: Mail, context: Mapping[str, Any]) -> MailBody:
        """Render a mail's three parts."""

        def part(name: str) -> str:
            return self._environment.get_template(f"{_LANGUAGE}/{mail.value}/{name}.j2").render(context)

        return MailBody(
            subject=one_line(part("subject"))[:_LONGEST_SUBJECT],
            text=re.sub(r"\n{3,}", "\n\n", part("text")).strip() + "\n",
            html=part("html").strip() + "\n",
        )


def build_message(
    body: MailBody,
    *,
    sender: str,
    support: str | None,
    recipients: tuple[Address, ...],
    key: str,
    date: datetime,
) -> EmailMessage:
    """A message that is the same at each repeat: its id comes from the idempotency key, its date is given."""
    is_ascii = all(address.addr_spec.isascii() for address in recipients)
    message = EmailMessage(policy=SMTP if is_ascii else SMTPUTF8)
    name, address = parseaddr(sender)
    message["From"] = Address(display_name=one_line(name), addr_spec=address)
    message["To"] = recipients
    if support is not None:
        message["Reply-To"] = Address(addr_spec=support)
    message["Subject"] = body.subject
    message["Date"] = format_datetime(date.astimezone(UTC))
    message["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{address.rpartition('@')[2]}>"
    # RFC 3834: nobody's holiday note answers this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.text)
    message.add_alternative(body.html, subtype="html")
    return message


def recipient(*, email: object, name: object = None) -> Address:
    """The address of a person.

    Raises:
        UnusableAddress: it isn't one, or holds what could end a header.
    """
    if not isinstance(email, str):
        raise UnusableAddress("isn't text")
    local, _, host = email.strip().rpartition("@")
    try:
        domain = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise UnusableAddress("has no usable host") from None
    address = f"{local}@{domain}"
    if not is_address(address) or one_line(address) != address:
        raise UnusableAddress("isn't a mail address")
    # Given in parts, as the parser behind `addr_spec` refuses a local part in another script (RFC 6531 allows it).
    return Address(display_name=greeting_name(name) or "", username=local, domain=domain)


def greeting_name(name: object) -> str | None:
    """A name fit for a greeting and a header, or None: a name that looks like a link greets nobody."""
    if not isinstance(name, str):
        return None
    name = one_line(name)
    return name if 0 < len(name) <= _LONGEST_NAME and not _LINK.search(name) else None


def one_line(text: str) -> str:
    """Text for a header: without line breaks, control characters and turned directions."""
    kept = (
        " " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character
        for character in text
        if character not in _BIDI and unicodedata.category(character) != "Cs"
    )
    return " ".join("".join(kept).split())


def day(instant: datetime) -> str:
    """`5 December 2026`, in UTC."""
    instant = instant.astimezone(UTC)
    return f"{instant.day} {_MONTHS[instant.month - 1]} {instant.year}"


def moment(instant: datetime) -> str:
    """`5 December 2026, 14:30 UTC`."""
    return f"{day(instant)}, {instant.astimezone(UTC):%H:%M} UTC"

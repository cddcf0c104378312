"""Whom a mail goes to. An address or a name that somebody chose can become no header."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any

from activities.mail_headers import without_encoded_words
from activities.mail_templates import one_line
from activities.rendering import VALUE_MISSING, RenderingError, render_text
from ledger.rows import VaultValues
from plans.checks import is_address
from plans.model import MailSettings
from plans.model import Recipient as Disclosure
from workflows.messages import SendMail
from workflows.names import Audience

_LONGEST_NAME = 80
_LONGEST_REFERENCE = 120
#: People sign up as "win at evil.example" to have other people's servers mail that to a stranger.
#: The last is what begins an encoded word: Python's parser takes it for one wherever it stands, line breaks included.
_LINK = re.compile(r"[@/\\<>]|www\.|\w\.\w{2,}|=\?", re.IGNORECASE)

BAD_ADDRESS = "bad_address"


class UnusableAddress(Exception):
    """An address that can't be written to. The text never holds it."""


@dataclass(frozen=True, kw_only=True)
class Addressee:
    """One delivery of a mail: recorded under its number, and never made twice."""

    number: str
    #: Addressees of one message have this in common; it makes the message's id.
    message: str = ""
    #: Who stands in the message's head, and to whom it is delivered.
    to: tuple[Address, ...] = ()
    envelope: tuple[str, ...] = ()
    #: Under which id a recipient of data knows the person.
    reference: str | None = None
    #: Why nobody can be written to, as a code.
    problem: str | None = None


def addressees_of(input: SendMail, *, settings: MailSettings, values: VaultValues) -> list[Addressee]:
    """The deliveries of a mail, in an order that stays the same; none where there is nobody.

    Admins get one message, which names them all, each in a delivery of its own: one dead mailbox, or one that wants us to come
    back later, is no concern of the others. Recipients of data each get a message: they need not know of each other.
    """
    match input.mail.audience:
        case Audience.OPERATORS:
            to = tuple(Address(addr_spec=address) for address in settings.operators)
            return [_one(input.number, to)] if to else []
        case Audience.ADMINS:
            return list(_admins(values["people"].get("admins", ()), of=input.number))
        case Audience.RECIPIENTS:
            named = {"subject": values["subject"], "user_id": input.user_id, "tenant": input.tenant}
            each = enumerate(settings.recipients, start=1)
            return [
                _recipient_of_data(disclosure, number=_numbered(input.number, position), named=named)
                for position, disclosure in each
            ]
    subject = values["subject"]
    if not subject.get("email"):
        return []
    try:
        return [_one(input.number, (recipient(email=subject["email"], name=subject.get("name")),))]
    except UnusableAddress:
        return [Addressee(number=input.number, problem=BAD_ADDRESS)]


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
    if not is_address(address) or without_encoded_words(one_line(address)) != address:
        raise UnusableAddress("isn't a mail address")
    # Given in parts, as the parser behind `addr_spec` refuses a local part in another script (RFC 6531 allows it).
    return Address(display_name=greeting_name(name) or "", username=local, domain=domain)


def greeting_name(name: object) -> str | None:
    """A name fit for a greeting and a header, or None: a name that looks like a link or a header greets nobody."""
    if not isinstance(name, str):
        return None
    name = one_line(name)
    return name if 0 < len(name) <= _LONGEST_NAME and not _LINK.search(name) else None


def _one(number: str, to: tuple[Address, ...]) -> Addressee:
    return Addressee(number=number, to=to, envelope=tuple(address.addr_spec for address in to), message=number)


def _numbered(number: str, position: int) -> str:
    """What tells a delivery from the others of its mail, and from those of other mails of the kind."""
    return f"{number}:{position}" if number else str(position)


def _admins(emails: Iterable[object], *, of: str) -> Iterable[Addressee]:
    """One a mailbox. Whoever can't be written to is on the record, too."""
    found: dict[str, tuple[str, Address]] = {}
    problems = []
    for position, email in enumerate(emails, start=1):
        try:
            address = recipient(email=email)
        except UnusableAddress:
            problems.append(Addressee(number=_numbered(of, position), problem=BAD_ADDRESS))
        else:
            found.setdefault(address.addr_spec.lower(), (_numbered(of, position), address))
    for number, address in found.values():
        # A server that knows no addresses in other scripts would otherwise refuse the message to everybody (RFC 6531).
        alike = tuple(other for _, other in found.values() if _is_plain(other) == _is_plain(address))
        message = of if _is_plain(address) else f"{of}:utf8"
        yield Addressee(number=number, message=message, to=alike, envelope=(address.addr_spec,))
    yield from problems


def _is_plain(address: Address) -> bool:
    return address.addr_spec.isascii()


def _recipient_of_data(disclosure: Disclosure, *, number: str, named: Mapping[str, Any]) -> Addressee:
    try:
        to = recipient(email=render_text(disclosure.address, named))
        reference = one_line(render_text(disclosure.reference, named)[: 4 * _LONGEST_REFERENCE])
    except UnusableAddress:
        return Addressee(number=number, problem=BAD_ADDRESS)
    except RenderingError as error:
        return Addressee(number=number, problem=error.code)
    if not 0 < len(reference) <= _LONGEST_REFERENCE:
        # Without it they don't know whom it is about, and a part of it may be somebody else's.
        return Addressee(number=number, problem=VALUE_MISSING if not reference else "reference_too_long")
    return Addressee(number=number, message=number, to=(to,), envelope=(to.addr_spec,), reference=reference)

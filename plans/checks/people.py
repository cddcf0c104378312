"""Whom the plan writes to."""

import re
from collections.abc import Iterator
from email.utils import parseaddr

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.requests import KeyPath

_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def addresses(draft: Draft) -> Iterator[Finding]:
    """Addresses that are none."""
    mail = draft.written.mail
    if mail is None:
        return
    if not is_address(parseaddr(mail.sender)[1]):
        yield error(Check.MAIL_ADDRESS, ("mail", "from"), "isn't a mail address; write name@host, or Name <name@host>")
    others: list[tuple[KeyPath, str | None]] = [(("mail", "support"), mail.support)]
    others += [(("mail", "operators", index), address) for index, address in enumerate(mail.operators)]
    for path, address in others:
        if address is not None and not is_address(address):
            yield error(Check.MAIL_ADDRESS, path, "isn't a mail address; write name@host")


def readers(draft: Draft) -> Iterator[Finding]:
    """Mails that nobody gets."""
    mail = draft.written.mail
    if mail is None:
        if draft.is_whole("mail"):
            yield warning(
                Check.NO_MAIL,
                ("mail",),
                "is missing, so neither the person nor any operator is told; add mail: {from: …, operators: […]}",
            )
        return
    if not mail.operators and draft.is_whole("mail", "operators"):
        yield warning(
            Check.NO_OPERATORS,
            ("mail", "operators"),
            "names nobody, so nobody hears of what is held or ERRORED; add an address that somebody reads",
        )
    fields: KeyPath = ("subject", "lookup", "fields")
    if "email" not in draft.names(*fields) and draft.knows(*fields):
        yield warning(
            Check.NO_MAIL,
            fields,
            "reads no `email`, so the person gets no mail; add `email: …` as the lookup's answer has it",
        )


def is_address(text: str) -> bool:
    """Whether this is a plain mail address in ASCII host spelling, without a display name or a line break."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None

"""Whom the plan writes to."""

import re
from collections.abc import Iterator
from email.utils import parseaddr

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.model import StepPhase
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
    for index, admin in enumerate(mail.admins):
        if "{{" not in admin and not is_address(admin):
            what = "is neither a mail address nor an expression; write name@host, or {{ facts.… | map(attribute='email') }}"
            yield error(Check.MAIL_ADDRESS, ("mail", "admins", index), what)
    for index, recipient in enumerate(mail.recipients):
        if "{{" not in recipient.address and not is_address(recipient.address):
            what = "isn't a mail address; write name@host, or {{ subject.… }} where the lookup reads it"
            yield error(Check.MAIL_ADDRESS, ("mail", "recipients", index, "address"), what)


def readers(draft: Draft) -> Iterator[Finding]:
    """Mails that nobody gets."""
    mail = draft.written.mail
    if mail is None:
        # Whoever asked at a mirrored source is told by it.
        if draft.is_whole("mail") and draft.is_whole("mirror") and draft.written.mirror is None:
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
    if mail.to_person and "email" not in draft.names(*fields) and draft.knows(*fields):
        yield warning(
            Check.NO_MAIL,
            fields,
            "reads no `email`, so the person gets no mail; add `email: …` as the lookup's answer has it",
        )


def admins(draft: Draft) -> Iterator[Finding]:
    """Assets of which nobody hears what became of them, and people who would hear of nothing."""
    mail, steps = draft.written.mail, draft.written.steps.values()
    if mail is None or not draft.is_whole("steps") or not draft.is_whole("mail", "admins"):
        return
    hands_over = any(step.phase is StepPhase.TRANSFER for step in steps)
    if hands_over and not mail.admins:
        yield warning(
            Check.NO_ADMINS,
            ("mail", "admins"),
            "names nobody, so nobody hears what became of the person's assets, nor which ones nobody takes over; "
            "add an address, or {{ facts.… | map(attribute='email') }}",
        )
    if mail.admins and not hands_over and not any(step.successor for step in steps):
        yield warning(
            Check.IDLE_ADMINS,
            ("mail", "admins"),
            "hear what becomes of the person's assets, and the plan hands nothing over; "
            "add a transfer step, or remove them (who hears of failures is operators)",
        )


def is_address(text: str) -> bool:
    """Whether this is a plain mail address in ASCII host spelling, without a display name or a line break."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None

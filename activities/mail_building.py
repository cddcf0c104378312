"""Building a mail: whom it goes to, what it may name, its headers. A name somebody chose can become no header."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from activities.mail_headers import policy_for, without_encoded_words
from activities.mail_languages import ENGLISH, first_matched
from activities.mail_templates import MailBody, MailTemplates, one_line
from ledger.rows import Case, StepAction, StepRow
from plans.checks import is_address
from plans.model import MailSettings, Plan, StepPhase
from workflows.messages import SendMail
from workflows.names import Mail, StepResult

#: Mails with ids and codes only, in English: the person's language is not theirs.
TO_OPERATORS = frozenset({Mail.ERRORED, Mail.HELD})

_LONGEST_NAME = 80
#: People sign up as "win at evil.example" to have other people's servers mail that to a stranger.
#: The last is what begins an encoded word: Python's parser takes it for one wherever it stands, line breaks included.
_LINK = re.compile(r"[@/\\<>]|www\.|\w\.\w{2,}|=\?", re.IGNORECASE)


class NobodyToTell(Exception):
    """The person has no address, or the plan names no operators."""


class UnusableAddress(Exception):
    """The person's address can't be written to. The text never holds it."""


class BadTemplate(Exception):
    """A template can't be rendered. The cause may quote a value of the person; it is for previews, never for records."""


@dataclass(frozen=True, kw_only=True)
class BuiltMail:
    """A mail that is ready to be handed in."""

    body: MailBody
    message: EmailMessage
    #: Addresses for RCPT; the sender's for MAIL.
    recipients: tuple[str, ...]
    sender: str


def build_mail(
    input: SendMail,
    *,
    plan: Plan,
    settings: MailSettings,
    case: Case,
    subject: Mapping[str, Any],
    steps: Sequence[StepRow],
    templates: MailTemplates,
) -> BuiltMail:
    """Build a mail of a retirement. The same input gives the same mail: its id and date are of the input.

    Args:
        subject: the person's fields as the lookup read them: `email`, `name`, `locale`. For operators nothing of it is used.
        steps: what became of the steps, for the last mail.

    Raises:
        NobodyToTell: there is no address.
        UnusableAddress: there is one that can't be written to.
        BadTemplate: a template can't be rendered.
    """
    if input.mail in TO_OPERATORS:
        recipients = tuple(Address(addr_spec=address) for address in settings.operators)
        wishes: tuple[object, ...] = (ENGLISH,)
    else:
        recipients = (recipient(email=subject["email"], name=subject.get("name")),) if subject.get("email") else ()
        wishes = (case.locale, subject.get("locale"))
    if not recipients:
        raise NobodyToTell("there is no address")
    context = _named_in_templates(input, plan=plan, settings=settings, case=case, steps=steps)
    name = None if input.mail in TO_OPERATORS else greeting_name(subject.get("name"))
    try:
        language = first_matched(wishes, among=templates.languages_of(input.mail))
        body = templates.render(input.mail, context | {"name": name}, language=language)
    except Exception as error:
        # Ours can't fail here, one that overrides it can.
        raise BadTemplate("a template can't be rendered") from error
    message = build_message(
        body,
        sender=settings.sender,
        support=settings.support,
        recipients=recipients,
        key=f"{input.retirement_id}:mail:{input.mail.value}:{input.number}",
        date=input.now,
    )
    return BuiltMail(
        body=body,
        message=message,
        recipients=tuple(address.addr_spec for address in recipients),
        sender=parseaddr(settings.sender)[1],
    )


def _named_in_templates(
    input: SendMail, *, plan: Plan, settings: MailSettings, case: Case, steps: Sequence[StepRow]
) -> dict[str, Any]:
    """What templates may name, besides the person's `name`."""
    return {
        "support": settings.support,
        "retirement_id": input.retirement_id,
        "plan": plan.plan,
        "requested_at": case.requested_at,
        "due_at": case.due_at,
        "cool_off_ends_at": input.cool_off_ends_at or case.cool_off_ends_at,
        "is_locked": _is_locked(input, plan=plan, steps=steps),
        "reason": input.reason,
        "failed_steps": input.failed_steps,
        **what_became_of(plan, steps),
    }


def _is_locked(input: SendMail, *, plan: Plan, steps: Sequence[StepRow]) -> bool:
    """Is the account locked, or was it before it was given back? Who is refused at the first look never was."""
    freezes = {id for id, step in plan.steps.items() if step.phase is StepPhase.FREEZE}
    if input.mail is not Mail.ABORTED:
        return bool(freezes)
    return any(row.step in freezes for row in steps)


def what_became_of(plan: Plan, rows: Sequence[StepRow]) -> dict[str, list[dict[str, Any]]]:
    """What the last mail tells of each erase step, in the plan's order: `finished`, and `retained` with its ground."""
    ended = {row.step: row for row in rows if row.action is StepAction.DO and row.has_ended}
    told: dict[str, list[dict[str, Any]]] = {"finished": [], "retained": []}
    for id, step in plan.steps.items():
        row = ended.get(id)
        if step.phase is not StepPhase.ERASE or row is None or row.result is None:
            continue
        title = id.replace("_", " ").replace("-", " ").capitalize()
        if row.result is StepResult.RETAINED:
            ground = step.retain.ground if step.retain is not None else None
            told["retained"].append({"id": id, "title": title, "until": row.until, "ground": ground})
        else:
            told["finished"].append({"id": id, "title": title, "result": row.result.value})
    return told


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
    message = EmailMessage(policy=policy_for(recipients))
    name, address = parseaddr(sender)
    message["From"] = Address(display_name=without_encoded_words(one_line(name)), addr_spec=address)
    message["To"] = recipients
    if support is not None:
        message["Reply-To"] = Address(addr_spec=support)
    message["Subject"] = without_encoded_words(body.subject)
    message["Date"] = format_datetime(date.astimezone(UTC))
    message["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{address.rpartition('@')[2]}>"
    # RFC 3834: nobody's holiday note answers this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.text)
    message.add_alternative(body.html, subtype="html")
    # Set last: a message that becomes a multipart gives what `Content-` headers it has to its first part.
    message["Content-Language"] = body.language
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

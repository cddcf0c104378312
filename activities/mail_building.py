"""Building a mail: what it may name, its parts, its headers. The same input gives the same mail: id and date come from it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from activities.mail_addressing import Addressee, addressees_of, greeting_name
from activities.mail_assets import (
    MOST_IN_BODY,
    AssetFile,
    asset_file,
    handed_over,
    lines_of,
    shown_in_body,
    tallies,
    tally,
    title_of,
)
from activities.mail_headers import policy_for, without_encoded_words
from activities.mail_languages import ENGLISH, first_matched
from activities.mail_templates import MailBody, MailTemplates, one_line
from ledger.rows import AssetRow, Case, CaseKind, StepAction, StepRow, VaultValues
from plans.model import MailSettings, Plan, StepPhase
from workflows.messages import SendMail
from workflows.names import AssetResult, Audience, Mail, StepResult

#: A resume has to name somebody who takes over.
_NEED_A_SUCCESSOR = frozenset({"successor_lost", "no_successor"})


class NobodyToTell(Exception):
    """The person has no address, or the plan names nobody."""


class NothingToTell(Exception):
    """Admins hear of what was handed over, and nothing was."""


class BadTemplate(Exception):
    """A template can't be rendered. The cause may quote a value of the person; it is for previews, never for records."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the ledger knows of a case: what a mail may tell. For operators the vault stays shut."""

    case: Case
    values: VaultValues = field(repr=False)
    steps: Sequence[StepRow] = ()
    assets: Sequence[AssetRow] = ()
    counts: Mapping[str, Mapping[AssetResult | None, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BuiltMail:
    """A mail that is ready to be handed in."""

    body: MailBody
    message: EmailMessage
    #: The sender's address, for MAIL.
    sender: str


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One delivery of a mail, recorded under its number; without `mail`, `problem` says why it can't be made."""

    number: str
    mail: BuiltMail | None
    #: Addresses for RCPT.
    envelope: tuple[str, ...] = ()
    problem: str | None = None


def build_letters(
    input: SendMail, *, plan: Plan, settings: MailSettings, known: Known, templates: MailTemplates
) -> list[Letter]:
    """Build a mail of a retirement, once a message; what goes to several mailboxes is delivered to each by itself.

    Raises:
        NothingToTell: it would say nothing.
        NobodyToTell: there is no address.
        BadTemplate: a template can't be rendered.
    """
    addressees = addressees_of(input, settings=settings, values=known.values)
    context = _named_in_templates(input, plan=plan, settings=settings, known=known)
    if input.mail is Mail.HANDOVER and not known.assets and not context["handed_over"]:
        raise NothingToTell("there was nothing to hand over")
    if not addressees:
        raise NobodyToTell("there is no address")
    built: dict[str, BuiltMail] = {}
    letters = []
    for addressee in addressees:
        mail = None
        if addressee.problem is None:
            mail = built.get(addressee.message)
            if mail is None:
                mail = _build(
                    input, context, settings=settings, plan=plan, known=known, templates=templates, addressee=addressee
                )
                built[addressee.message] = mail
        letters.append(
            Letter(number=addressee.number, mail=mail, envelope=addressee.envelope, problem=addressee.problem)
        )
    return letters


def _build(
    input: SendMail,
    context: Mapping[str, Any],
    *,
    settings: MailSettings,
    plan: Plan,
    known: Known,
    templates: MailTemplates,
    addressee: Addressee,
) -> BuiltMail:
    own: dict[str, object] = {"reference": addressee.reference} if input.mail.audience is Audience.RECIPIENTS else {}
    try:
        wishes = _wishes(input, settings=settings, known=known)
        language = first_matched(wishes, among=templates.languages_of(input.mail))
        file = _file_of(input, plan=plan, known=known, words=templates.words(language))
        own["attached"] = None if file is None else file.lines
        body = templates.render(input.mail, {**context, **own}, language=language)
    except Exception as error:
        # Ours can't fail here, one that overrides it can.
        raise BadTemplate("a template can't be rendered") from error
    message = build_message(
        body,
        sender=settings.sender,
        support=settings.support,
        recipients=addressee.to,
        key=f"{input.retirement_id}:mail:{input.mail.value}:{addressee.message}",
        date=input.now,
        file=file,
    )
    return BuiltMail(body=body, message=message, sender=parseaddr(settings.sender)[1])


def _wishes(input: SendMail, *, settings: MailSettings, known: Known) -> tuple[object, ...]:
    """In which language, the most wanted first. Nobody asked operators for theirs: they know codes and commands in English."""
    match input.mail.audience:
        case Audience.OPERATORS:
            return (ENGLISH,)
        case Audience.ADMINS | Audience.RECIPIENTS:
            return (settings.language,)
    return (known.case.locale, known.values["subject"].get("locale"))


def _file_of(input: SendMail, *, plan: Plan, known: Known, words: Any) -> AssetFile | None:
    if len(known.assets) <= MOST_IN_BODY:
        return None
    lines = lines_of(plan, known.assets, values=known.values)
    return asset_file(lines, words=words, with_results=input.mail is Mail.HANDOVER)


def _named_in_templates(input: SendMail, *, plan: Plan, settings: MailSettings, known: Known) -> dict[str, Any]:
    """What templates may name, besides a recipient's `reference` and the number of lines `attached`."""
    case = known.case
    context = {
        "support": settings.support,
        "retirement_id": input.retirement_id,
        "plan": plan.plan,
        "is_transfer": case.kind is CaseKind.TRANSFER,
        "requested_at": case.requested_at,
        "due_at": case.due_at,
        "cool_off_ends_at": input.cool_off_ends_at or case.cool_off_ends_at,
        "is_locked": _is_locked(input, plan=plan, steps=known.steps),
        "reason": input.reason,
        "failed_steps": input.failed_steps,
    }
    match input.mail.audience:
        case Audience.PERSON:
            name = greeting_name(known.values["subject"].get("name"))
            return context | {"name": name} | what_became_of(plan, known)
        case Audience.OPERATORS:
            return context | {"name": None} | _for_operators(input, plan=plan, known=known)
        case Audience.ADMINS:
            return context | {"name": None} | _for_admins(input, plan=plan, known=known)
    return context | {"name": None}


def _is_locked(input: SendMail, *, plan: Plan, steps: Sequence[StepRow]) -> bool:
    """Is the account locked, or was it before it was given back? Who is refused at the first look never was."""
    freezes = {id for id, step in plan.steps.items() if step.phase is StepPhase.FREEZE}
    if input.mail not in (Mail.ABORTED, Mail.NO_SUCCESSOR):
        return bool(freezes)
    return any(row.step in freezes for row in steps)


def what_became_of(plan: Plan, known: Known) -> dict[str, list[dict[str, Any]]]:
    """What the last mail tells of the steps, in the plan's order: `handed_over`, `finished`, and `retained` with its ground.

    Who has it now is not told: that is somebody else's name.
    """
    ended = {row.step: row for row in known.steps if row.action is StepAction.DO and row.has_ended}
    counts = {step: tally(counts) for step, counts in known.counts.items()}
    handed = handed_over(plan, known.steps, counts=counts)
    told: dict[str, list[dict[str, Any]]] = {"handed_over": handed, "finished": [], "retained": []}
    for id, step in plan.steps.items():
        row = ended.get(id)
        if step.phase is not StepPhase.ERASE or row is None or row.result is None:
            continue
        if row.result is StepResult.RETAINED:
            ground = step.retain.ground if step.retain is not None else None
            told["retained"].append({"id": id, "title": title_of(id), "until": row.until, "ground": ground})
        else:
            told["finished"].append({"id": id, "title": title_of(id), "result": row.result.value})
    return told


def _for_operators(input: SendMail, *, plan: Plan, known: Known) -> dict[str, Any]:
    """Ids, codes and numbers."""
    case = known.case
    failed = {row.step: row.code for row in known.steps if row.result is StepResult.FAILED}
    codes = [f"{step} ({failed[step]})" if failed.get(step) else step for step in input.failed_steps or failed]
    return {
        "stopped_steps": codes,
        "needs_successor": not _NEED_A_SUCCESSOR.isdisjoint(failed.values()),
        "assets_of_steps": [f"{id}: {_numbers(known.counts[id])}" for id in plan.steps if known.counts.get(id)],
        "state": case.state.value,
        "is_errored": case.is_errored,
        "since": case.since,
        "is_overdue": input.now >= case.due_at,
    }


def _numbers(counts: Mapping[AssetResult | None, int]) -> str:
    return ", ".join(f"{number} {result}" for result, number in tally(counts))


def _for_admins(input: SendMail, *, plan: Plan, known: Known) -> dict[str, Any]:
    """Whose assets, what became of them, and who has them now."""
    lines = lines_of(plan, known.assets, values=known.values)
    return {
        "person": {"id": one_line(input.user_id), "name": greeting_name(known.values["subject"].get("name"))},
        "why": (known.case.code or "").rpartition(":")[2],
        "handed_over": handed_over(plan, known.steps, counts=tallies(lines), values=known.values),
        "assets": shown_in_body(lines),
        "assets_total": len(lines),
        "left_total": sum(line.is_left for line in lines),
    }


def build_message(
    body: MailBody,
    *,
    sender: str,
    support: str | None,
    recipients: tuple[Address, ...],
    key: str,
    date: datetime,
    file: AssetFile | None = None,
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
    if file is not None:
        message.add_attachment(
            file.content, maintype="text", subtype="csv", filename="assets.csv", params={"charset": "utf-8"}
        )
    # Set last: a message that becomes a multipart gives what `Content-` headers it has to its first part.
    message["Content-Language"] = body.language
    return message

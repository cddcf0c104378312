"""Trying whom mails to others than the person would go to. Nothing is sent."""

from typing import Any

from activities.eligibility import RuleBroken, addresses
from activities.rendering import RenderingError, render_text
from plans.checks import is_address
from plans.template_names import names_of
from starter.trial.asking import Trying
from starter.trial.findings import Remark, Ruling, problem, warning


def try_mails(trying: Trying, facts: dict[str, Any]) -> list[Ruling]:
    """The addresses of admins and recipients, worked out for this person."""
    mail = trying.plan.mail
    if mail is None:
        return []
    admins = [_admins(trying, mail.admins, facts)] if mail.admins else []
    return [*admins, *(_recipient(trying, index, each.address) for index, each in enumerate(mail.recipients))]


def _admins(trying: Trying, expressions: tuple[str, ...], facts: dict[str, Any]) -> Ruling:
    part = "mail.admins"
    needed = {name for text in expressions if "{{" in text for name in names_of(text, is_expression=True)}
    missing = sorted(".".join(name[:2]) for name in needed if name[0] == "facts" and name[1:2] and name[1] not in facts)
    if missing:
        return Ruling(part=part, says=f"can't be worked out without {', '.join(missing)}")
    if trying.subject is None and any(name[0] == "subject" for name in needed):
        return Ruling(part=part, says="can't be worked out without the person")
    try:
        found = addresses(expressions, {**trying.context, "facts": facts})
    except RuleBroken:
        what = f"{part}: an expression names a value that isn't there, or fails with these values."
        return Ruling(part=part, says="can't be worked out", remarks=(problem("rule_broken", what, mend=_CHECK),))
    wrong = [address for address in found if not is_address(address)]
    says = f"would write to {len(found) - len(wrong)} of {len(found)}" if wrong else f"would write to {len(found)}"
    shown = f" ({', '.join(found)})" if trying.show_values and found else ""
    return Ruling(part=part, says=f"{says}{shown}", remarks=_wrong(part, wrong=len(wrong), found=len(found)))


def _wrong(part: str, *, wrong: int, found: int) -> tuple[Remark, ...]:
    if wrong:
        what = f"{part}: what comes out is no mail address for {wrong} of {found}."
        return (problem("no_mail_address", what, mend="Let it give one address, or a list: map(attribute='email')."),)
    if not found:
        what = f"{part}: comes out empty, so nobody would hear what became of this person's assets."
        return (warning("no_admins", what, mend="Nothing, if that is meant; else add an address of a team."),)
    return ()


def _recipient(trying: Trying, index: int, address: str) -> Ruling:
    part = f"mail.recipients[{index}]"
    names = {name[0] for name in names_of(address, is_expression=False)}
    if trying.subject is None and "subject" in names:
        return Ruling(part=part, says="can't be worked out without the person")
    try:
        found = render_text(address, trying.context)
    except RenderingError:
        what = f"{part}.address: names a value that isn't there, or is null."
        return Ruling(part=part, says="can't be worked out", remarks=(problem("value_missing", what, mend=_CHECK),))
    if not is_address(found):
        what = f"{part}.address: what comes out is no mail address."
        return Ruling(part=part, says="could not be told", remarks=(problem("no_mail_address", what, mend=_CHECK),))
    return Ruling(
        part=part, says="would be told that the data is erased" + (f" ({found})" if trying.show_values else "")
    )


_CHECK = "Check the names against lookup.fields, and what they read."

"""The plan's rules and claims, worked out for one person. Pure: everything they may name is given."""

from activities.rendering import Context, RenderingError, evaluate, holds, render_text
from plans.model import Claim, Rule


class RuleBroken(Exception):
    """A rule or a claim can't be worked out for this person. `code` says which and why, and holds no value."""

    def __init__(self, *, code: str) -> None:
        super().__init__(code)
        self.code = code


def refusals(rules: tuple[Rule, ...], context: Context) -> tuple[str, ...]:
    """The codes of all rules that refuse, each once.

    Raises:
        RuleBroken: a value is missing, or the expression fails.
    """
    refused = []
    for rule in rules:
        try:
            if holds(rule.refuse_if, context):
                refused.append(rule.code)
        except RenderingError as error:
            raise RuleBroken(code=f"eligibility.{rule.code}:{error.code}") from None
    return tuple(dict.fromkeys(refused))


def claimed(claims: tuple[Claim, ...], context: Context) -> tuple[str, ...]:
    """What this person's retirement has to have for itself, each once.

    Raises:
        RuleBroken: a value is missing, or the template fails.
    """
    try:
        wanted = [
            render_text(claim.key, context) for claim in claims if claim.when is None or holds(claim.when, context)
        ]
    except RenderingError as error:
        raise RuleBroken(code=f"claims:{error.code}") from None
    return tuple(dict.fromkeys(wanted))


def addresses(expressions: tuple[str, ...], context: Context) -> list[str]:
    """The mail addresses that a plan names, or works out: one, or a list; whoever has none is left out.

    Raises:
        RuleBroken: a value is missing, or the expression fails.
    """
    found: list[str] = []
    try:
        for expression in expressions:
            value = evaluate(expression, context) if "{{" in expression else expression
            found += value if isinstance(value, list) else [value]
    except RenderingError as error:
        raise RuleBroken(code=f"mail.admins:{error.code}") from None
    return list(dict.fromkeys(str(address) for address in found if address))

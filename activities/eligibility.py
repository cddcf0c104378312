"""The plan's rules and claims, worked out for one person. Pure: everything they may name is given."""

from collections.abc import Iterator

from activities.rendering import Context, RenderingError, evaluate, holds, render_text
from plans.model import Claim, Rule

#: Why a claim's `each` can't be used.
EACH_NO_LIST = "each_no_list"
TOO_MANY_ITEMS = "too_many_items"
#: Each is a row of the ledger, locked in the transaction that passes the point of no return.
_MOST_ITEMS = 1_000


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
        RuleBroken: a value is missing, the template fails, or what a claim is made for each of is no list, or too long.
    """
    try:
        wanted = [
            render_text(claim.key, known)
            for claim in claims
            for known in _each(claim, context)
            if claim.when is None or holds(claim.when, known)
        ]
    except RenderingError as error:
        raise RuleBroken(code=f"claims:{error.code}") from None
    return tuple(dict.fromkeys(wanted))


def _each(claim: Claim, context: Context) -> Iterator[Context]:
    """What a claim's templates may name: once, or for each item of its list."""
    if claim.each is None:
        yield context
        return
    items = evaluate(claim.each, context)
    # A text would be claimed letter by letter.
    if not isinstance(items, list | tuple):
        raise RuleBroken(code=f"claims:{EACH_NO_LIST}")
    if len(items) > _MOST_ITEMS:
        raise RuleBroken(code=f"claims:{TOO_MANY_ITEMS}")
    for item in items:
        yield {**context, "item": item}


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

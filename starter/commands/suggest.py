"""`retire suggest`."""

from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import open_ledger, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json, PlanName, ShowValues, Tenant, User
from starter.output import Output, columns, show

if TYPE_CHECKING:
    from starter.ownership.suggesting import Suggestion


def _suggest(
    user: User,
    policy: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="One of the plan's `successors`. Default: all.", show_default=False),
    ] = None,
    tenant: Tenant = None,
    plan: PlanName = None,
    show_values: ShowValues = False,
    json: Json = False,
) -> int:
    """Suggest who could take over from somebody. Up to five for each policy of the plan; whoever is retired is left out."""
    from starter.ownership.asking import read_plan_by_name

    known = read_plan_by_name(plan)
    if policy is not None and policy not in known.successors:
        names = ", ".join(known.successors) or "none"
        raise typer.BadParameter(f"--policy: plan {known.plan} has none of this name; known: {names}.")
    policies = list(known.successors) if policy is None else [policy]
    out = Output(as_json=json)

    async def work() -> "list[Suggestion]":
        from starter.ownership.asking import Whom, asking
        from starter.ownership.suggesting import suggest

        async with (
            open_ledger(read_settings()) as ledger,
            asking(known, Whom(user_id=user, tenant=tenant)) as asked,
        ):
            if not asked.is_known:
                out.note(f"Note: the lookup of {known.plan} does not know {show(user)}.")
            return [await suggest(asked, policy=policy, ledger=ledger) for policy in policies]

    suggestions = run(work())
    rows = [row for each in suggestions for row in each.rows(show_values=show_values)]
    lines = columns(rows, heading=("policy", "candidate", *(["values"] if show_values else []))) if rows else []
    lines += [_nobody(each) for each in suggestions if not each.candidates]
    facts = {"plan": known.plan, "policies": [each.facts(show_values=show_values) for each in suggestions]}
    out.result(facts, lines or [f"Plan {known.plan} hands nothing over: it has no successors."])
    is_lacking = any(not each.candidates and not each.is_by_name_only for each in suggestions)
    return ExitCode.PROBLEMS if is_lacking else ExitCode.OK


def _nobody(suggestion: "Suggestion") -> str:
    if suggestion.is_by_name_only:
        return f"{suggestion.policy}: the plan lists nobody; name somebody (--successor, --to)"
    return f"{suggestion.policy}: nobody suitable"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire suggest u-4711 --policy colleague", codes=(ExitCode.PROBLEMS,))
    app.command("suggest", epilog=end)(_suggest)

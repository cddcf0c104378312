"""`retire plan try`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import open_actions, run
from starter.exit_codes import ExitCode, help_end
from starter.given import GivenFile, given_for
from starter.options import Json, Tenant
from starter.output import Output
from starter.plan_file import read_plan
from starter.sheet import print_sheet
from starter.signs_of_life import signs_of_life

if TYPE_CHECKING:
    from plans.model import Plan
    from starter.trial.findings import Findings


def _try(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan, as a YAML file.", show_default=False)],
    user: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Whom to ask about: somebody who exists and has something at every service, a test user for example.",
            show_default=False,
        ),
    ],
    tenant: Tenant = None,
    given: GivenFile = None,
    service: Annotated[
        str | None,
        typer.Option(metavar="SERVICE", help="Ask only what concerns this service. Default: all.", show_default=False),
    ] = None,
    successor: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Whom a start would name to take over. Default: the first of the plan's candidates who will do.",
            show_default=False,
        ),
    ] = None,
    ask_post: Annotated[
        bool,
        typer.Option(
            "--ask-post",
            help="Also ask lookups, facts, lists and probes that by their form may change something (POST, WITH, Python): "
            "the plan says that they only read.",
        ),
    ] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show the person's values instead of •••; secrets never are shown.")
    ] = False,
    json: Json = False,
) -> int:
    """Ask everything of a plan that only reads, about one person. Changes nothing; says how to mend what is wrong."""
    from workflows.reading import BadField, read_start

    try:
        read_start([{"user_id": user, "tenant": tenant} | ({"successor": successor} if successor is not None else {})])
    except BadField as error:
        raise typer.BadParameter(f"{error}.") from None
    out = Output(as_json=json)
    plan = read_plan(file, out=out)
    if service is not None and service not in plan.services:
        raise typer.BadParameter(f"--service: the plan has none of this name; known: {', '.join(plan.services)}.")
    findings = run(
        _try_out(
            plan,
            out=out,
            user=user,
            tenant=tenant,
            given=given_for(plan, given),
            service=service,
            successor=successor,
            ask_post=ask_post,
            show_values=show_values,
        )
    )
    return _tell(findings, out=out, as_json=json)


async def _try_out(
    plan: "Plan",
    *,
    out: Output,
    user: str,
    tenant: str | None,
    given: dict[str, Any],
    service: str | None,
    successor: str | None,
    ask_post: bool,
    show_values: bool,
) -> "Findings":
    from starter.trial.trial import try_plan

    async with open_actions() as actions, signs_of_life(out) as say:
        return await try_plan(
            plan,
            action=actions,
            user_id=user,
            tenant=tenant,
            given=given,
            service=service,
            successor=successor,
            show_values=show_values,
            ask_post=ask_post,
            on_asking=lambda title: say(f"Waiting for an answer to {title} …"),
        )


def _tell(findings: "Findings", *, out: Output, as_json: bool) -> ExitCode:
    from starter.trial.findings import Level
    from starter.trial.telling import facts_of, lines_of

    if as_json:
        out.result(facts_of(findings), [])
    else:
        print_sheet(sys.stdout, lines_of(findings))
    return ExitCode.PROBLEMS if findings.count(Level.PROBLEM) else ExitCode.OK


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire plan try our-plans/acme.yaml --user test-1",
        codes=(ExitCode.PROBLEMS, ExitCode.INTERRUPTED),
        connected=False,
    )
    app.command("try", epilog=end)(_try)

"""`retire conformance`."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import open_actions, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json, Tenant, read_duration
from starter.output import Output
from starter.plan_file import read_plan
from starter.sheet import print_sheet
from starter.signs_of_life import signs_of_life

if TYPE_CHECKING:
    from starter.conformance.kit import Check
    from starter.conformance.target import Target
    from starter.conformance.verdicts import Result


def _conformance(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|URL",
            help="A plan's file, with --step; or a URL with {user_id} in it: DELETE erases there, GET tells who is there.",
            show_default=False,
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option(metavar="STEP", help="The plan's step that is checked.", show_default=False)
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="A test user, who is erased (or frozen and given back). May be repeated: 5 let every check run.",
            show_default=False,
        ),
    ] = None,
    locked_user: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Freeze steps: a test user who is frozen already, and has to stay so.",
            show_default=False,
        ),
    ] = None,
    tenant: Tenant = None,
    token_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With a URL: the environment variable that holds the bearer token. Default: no credentials.",
            show_default=False,
        ),
    ] = None,
    absent: Annotated[
        list[int] | None,
        typer.Option(
            metavar="STATUS",
            help="With a URL: an answer that means that nobody is there. May be repeated. Default: 404.",
            show_default=False,
        ),
    ] = None,
    within: Annotated[
        timedelta,
        typer.Option(
            metavar="DURATION",
            parser=read_duration,
            help="How long accepted work, and its traces in the probe, may take (ms, s, m, h, d, w). Default: 1m.",
            show_default=False,
        ),
    ] = timedelta(minutes=1),
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Run only this check. May be repeated. Default: all.", show_default=False),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the checks and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask whether the test users may be erased.")] = False,
    json: Json = False,
) -> int:
    """Check a service with test users. Erases them; tells what a retirement counts on and how to mend what is missing."""
    from starter.conformance.kit import users_needed

    out = Output(as_json=json)
    checks = _checks_of(only or [])
    if listed:
        return _list(checks, out=out, as_json=json)
    users = _users_of(user or [], locked_user=locked_user)
    found = _target_of(target, step=step, token_env=token_env, absent=absent or [404], out=out)
    _need_secrets(found)
    needed = users_needed(checks, target=found)
    if not yes:
        _confirm(found, users=users, locked_user=locked_user, out=out)
    if not json:
        from starter.conformance.report import heading

        print_sheet(sys.stdout, heading(found, users=len(users)))
    results = run(
        _run_checks(
            found,
            out=out,
            as_json=json,
            checks=checks,
            users=users,
            locked_user=locked_user,
            tenant=tenant,
            within=within,
        )
    )
    return _tell(found, results, users=len(users), needed=needed, out=out, as_json=json)


def _checks_of(only: list[str]) -> "tuple[Check, ...]":
    from starter.conformance.kit import KIT

    known = {check.id: check for check in KIT}
    unknown = [id for id in only if id not in known]
    if unknown:
        raise typer.BadParameter(f"--only: there is no such check; known: {', '.join(known)}.")
    # In the kit's order, whatever the order of the options: later checks look at what earlier ones did.
    return tuple(check for check in KIT if not only or check.id in only)


def _users_of(users: list[str], *, locked_user: str | None) -> list[str]:
    from workflows.reading import BadField, read_start

    if not users:
        raise typer.BadParameter("give at least one test user with --user; 5 let every check run.")
    given = [*users, *([locked_user] if locked_user is not None else [])]
    if len(set(given)) != len(given):
        raise typer.BadParameter("the same test user is given twice; each --user has to be another one.")
    try:
        for user in given:
            read_start([{"user_id": user}])
    except BadField as error:
        raise typer.BadParameter(f"{error}.") from None
    return users


def _target_of(
    target: str | None, *, step: str | None, token_env: str | None, absent: list[int], out: Output
) -> "Target":
    from starter.conformance.target import BadTarget, target_in, target_of_url

    if target is None:
        raise typer.BadParameter("name a plan's file and --step, or a URL with {user_id} in it.")
    try:
        if "://" in target:
            if step is not None:
                raise typer.BadParameter("--step belongs to a plan's file; a URL is a step of its own.")
            return target_of_url(target, token_env=token_env, absent=absent)
        if token_env is not None:
            raise typer.BadParameter("--token-env belongs to a URL; a plan says for itself how it shows who it is.")
        if step is None:
            raise typer.BadParameter("--step: say which of the plan's steps is checked.")
        return target_in(read_plan(Path(target), out=out), step_id=step)
    except BadTarget as error:
        raise typer.BadParameter(f"{error}") from None


def _need_secrets(target: "Target") -> None:
    """What is missing on this machine is told before anything is asked."""
    from starter.trial.findings import Level
    from starter.trial.places import place

    lookup = target.plan.subject.lookup.service
    for id in dict.fromkeys([target.service_id, *([lookup] if target.needs_subject else [])]):
        for remark in place(id, target.plan.services[id]).remarks:
            if remark.level is Level.PROBLEM:
                raise CommandError(remark.what, do=remark.mend, code=ExitCode.NOT_SET_UP)


def _confirm(target: "Target", *, users: list[str], locked_user: str | None, out: Output) -> None:
    from starter.output import show
    from starter.trial.masking import place_of

    named = show([*users, *([locked_user] if locked_user is not None else [])])
    where = f"{target.service_id} ({place_of(target.service)})"
    end = "they are frozen and given back" if target.is_freeze else "this can't be taken back"
    what = f"About to send {target.request.title} to {where} for {named}: {end}."
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            f"{what} It was not confirmed.",
            do="Make sure that they are test users, and run it again with --yes.",
            code=ExitCode.REFUSED,
        )
    out.note(what)
    if not typer.confirm("Are all of them test users, who may go?", err=True):
        raise CommandError("Nothing was done.", do="", code=ExitCode.REFUSED)


async def _run_checks(
    target: "Target",
    *,
    out: Output,
    as_json: bool,
    checks: "tuple[Check, ...]",
    users: list[str],
    locked_user: str | None,
    tenant: str | None,
    within: timedelta,
) -> "list[Result]":
    from starter.conformance.report import lines_of
    from starter.conformance.running import run_kit

    width = max(len(check.id) for check in checks)

    def on_result(result: "Result") -> None:
        if not as_json:
            print_sheet(sys.stdout, lines_of(result, width=width))

    async with open_actions() as actions, signs_of_life(out) as say:
        return await run_kit(
            target,
            action=actions,
            users=users,
            locked_user=locked_user,
            tenant=tenant,
            within=within,
            only=checks,
            on_check=lambda check: say(f"Still at {check.id} …"),
            on_result=on_result,
        )


def _tell(
    target: "Target", results: "list[Result]", *, users: int, needed: int, out: Output, as_json: bool
) -> ExitCode:
    from starter.conformance.report import facts_of, summary
    from starter.conformance.verdicts import Outcome

    if as_json:
        out.result(facts_of(target, results, users=users, needed=needed), [])
    else:
        print_sheet(sys.stdout, summary(results, users=users, needed=needed))
    outcomes = {result.outcome for result in results}
    # Where nothing could be looked at, nothing is known to be right.
    return ExitCode.OK if Outcome.FAILED not in outcomes and Outcome.PASSED in outcomes else ExitCode.PROBLEMS


def _list(checks: "tuple[Check, ...]", *, out: Output, as_json: bool) -> ExitCode:
    from starter.conformance.report import listing

    if as_json:
        out.result({"checks": [{"check": each.id, "promise": each.promise} for each in checks]}, [])
    else:
        print_sheet(sys.stdout, listing(checks))
    return ExitCode.OK


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire conformance our-plans/acme.yaml --step forum --user test-1 --user test-2 --user test-3\n"
        "  retire conformance 'https://forum.example/authors/{user_id}' --token-env FORUM_TOKEN --user test-1",
        codes=(ExitCode.REFUSED, ExitCode.NOT_SET_UP, ExitCode.PROBLEMS, ExitCode.INTERRUPTED),
        connected=False,
    )
    app.command("conformance", epilog=end)(_conformance)

"""`retire transfer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, open_ledger, read_settings, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import By, CsvFile, Json, PlanName, ReasonCode, ShowValues, Tenant, read_user_id
from starter.output import Output

if TYPE_CHECKING:
    from ledger.transfers import TransferWish
    from plans.handing_over import HandingOver
    from plans.model import Plan


def _transfer(
    from_user: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ID",
            help="The user id of the owner, who may be gone already.",
            callback=read_user_id,
            show_default=False,
        ),
    ],
    to_user: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="ID",
            help="The user id of who takes over; the service that owns the role is asked whether they may.",
            callback=read_user_id,
            show_default=False,
        ),
    ],
    asset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Hand over this asset. May be repeated. Default: everything.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Hand over the assets of this file: an id a line, or a CSV with a column `id`. Default: everything.",
            show_default=False,
        ),
    ] = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What is known of an owner who is gone, where the plan asks for it, e.g. org=acme. May be repeated.",
            show_default=False,
        ),
    ] = None,
    tenant: Tenant = None,
    plan: PlanName = None,
    by: By = None,
    reason_code: ReasonCode = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the services what would be moved; write and change nothing.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it, and don't wait for its end.")] = False,
    show_values: ShowValues = False,
    csv: CsvFile = None,
    json: Json = False,
) -> int:
    """Hand over what somebody owns to somebody else. By the plan's transfer steps; nobody is retired."""
    from plans.handing_over import handing_over
    from starter.ownership.asking import read_plan_by_name
    from workflows.reading import BadField, read_start

    try:
        read_start([{"user_id": from_user, "tenant": tenant}])
    except BadField as error:
        raise typer.BadParameter(f"{error}.") from None
    out = Output(as_json=json)
    if no_wait and csv is not None:
        raise typer.BadParameter("--csv is written at the end: leave out --no-wait, or see `retire assets`.")
    known = read_plan_by_name(plan)
    if known.subject.given:
        raise CommandError(
            f"The plan {known.plan} is given values of the person by whoever starts a retirement, and a transfer has none.",
            do="Name a plan without `subject.given` by --plan.",
            code=ExitCode.USAGE,
        )
    hands_over = handing_over(known)
    wish = _wish(
        known,
        hands_over,
        from_user=from_user,
        to_user=to_user,
        tenant=tenant,
        assets=_named(asset or [], file=file, out=out),
        subject=_told(subject or []),
        by=by,
        reason_code=reason_code,
    )
    if dry_run:
        return run(_forecast(wish, plan=known, hands_over=hands_over, out=out))
    return run(_hand_over(wish, plan=known, out=out, wait=not no_wait, show_values=show_values, csv=csv))


def _named(options: list[str], *, file: Path | None, out: Output) -> tuple[str, ...] | None:
    from starter.ownership.named_assets import BadNames, read_named, told

    try:
        return read_named(options=options, file=file)
    except BadNames as bad:
        for line in told(bad):
            out.note(line)
        number = len(bad.problems)
        raise CommandError(
            f"{number:,} of the assets {'is' if number == 1 else 'are'} not named in a way that can be used.",
            do="Mend what stands above; nothing was started.",
            code=ExitCode.USAGE,
        ) from None


def _told(pairs: list[str]) -> dict[str, str]:
    told = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter("--subject: write NAME=VALUE, for example org=acme.")
        told[name] = value
    return told


def _wish(
    plan: "Plan",
    hands_over: "HandingOver",
    *,
    from_user: str,
    to_user: str,
    tenant: str | None,
    assets: tuple[str, ...] | None,
    subject: dict[str, str],
    by: str | None,
    reason_code: str | None,
) -> "TransferWish":
    from ledger.rows import StoredPlan
    from ledger.transfers import TransferWish
    from plans.outline import snapshot_of
    from starter.ownership.outcomes import left_out_lines

    if not hands_over.steps:
        why = "; ".join(left_out_lines(hands_over.left_out)) or "it has no transfer step"
        raise CommandError(
            f"Plan {plan.plan} hands over nothing to somebody who is named: {why}.",
            do="Name another plan with --plan.",
            code=ExitCode.USAGE,
        )
    stored = snapshot_of(plan)
    return TransferWish(
        user_id=from_user,
        successor=to_user,
        tenant=tenant,
        plan=StoredPlan(digest=stored.digest, name=stored.name, format=stored.format, document=stored.document),
        steps=tuple(hands_over.steps),
        assets=assets,
        subject=subject,
        requested_by=by,
        reason_code=reason_code,
    )


async def _forecast(wish: "TransferWish", *, plan: "Plan", hands_over: "HandingOver", out: Output) -> ExitCode:
    from starter.ownership.asking import Whom, asking
    from starter.ownership.forecasting import forecast

    whom = Whom(user_id=wish.user_id, tenant=wish.tenant, told=dict(wish.subject), successor=wish.successor)
    async with open_ledger(read_settings()) as ledger, asking(plan, whom) as asked:
        seen = await forecast(wish, hands_over=hands_over, asked=asked, ledger=ledger)
    out.result(seen.facts(), seen.lines())
    if seen.is_refused:
        return ExitCode.REFUSED
    return ExitCode.PROBLEMS if seen.has_problems else ExitCode.OK


async def _hand_over(
    wish: "TransferWish", *, plan: "Plan", out: Output, wait: bool, show_values: bool, csv: Path | None
) -> ExitCode:
    from starter.ownership.transferring import Telling, follow, open_transfer, start_transfer, tell_started
    from workflows.messages import Start

    # First of all: what can't be started is not opened.
    client = await connect(out)
    async with open_ledger(read_settings()) as ledger:
        case = await open_transfer(wish, plan=plan, ledger=ledger, out=out)
        start = Start(user_id=wish.user_id, tenant=wish.tenant, resume=case.retirement_id)
        handle = await start_transfer(client, start, joins=True)
        if not wait:
            return tell_started(out, case=case, handle=handle)
        telling = Telling(show_values=show_values, csv=csv)
        return await follow(handle, id=case.retirement_id, client=client, ledger=ledger, out=out, telling=telling)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire transfer --from u-4711 --to u-4712 --dry-run\n"
        "  retire transfer --from u-4711 --to u-4712 --file assets.csv --by support-7",
        codes=(ExitCode.ALREADY_RUNNING, ExitCode.REFUSED, ExitCode.ABORTED, ExitCode.ERRORED, ExitCode.PROBLEMS),
    )
    app.command("transfer", epilog=end)(_transfer)

"""`retire openedx collect`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import connect, open_ledger, run, with_sign_of_life
from starter.alerts import alert
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.learners import begin, known_of, progress_on
from starter.options import Json
from starter.output import Output
from starter.signs_of_life import signs_of_life
from starter.site import DryRun, SiteFile, open_site

if TYPE_CHECKING:
    from openedx.collecting import Beginning, Sweep
    from starter.site import OpenSite


def _collect(
    site: SiteFile,
    due_only: Annotated[
        bool, typer.Option("--due-only", help="Only learners whose cool-off is over, and those left between steps.")
    ] = False,
    accept: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Go on although there are more new learners than the site's `collect.guard`, if there are exactly N.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Start the retirements that learners have asked for in the LMS, and adopt those that somebody left behind.

    Made for a timetable, such as hourly: it prints one line, may overlap with another one, and may be cut off anywhere.
    """
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from openedx.collecting import carry_out, look

        async with open_site(site) as it:
            if it.site.collect.paused:
                out.result({"paused": True, "dry_run": dry_run}, ["paused: nobody was started; what runs goes on"])
                return ExitCode.OK
            async with open_ledger(it.settings) as ledger:
                client = await connect(out)
                sweep = await with_sign_of_life(
                    look(
                        it.lms,
                        site=it.site,
                        chain=it.chain,
                        look_up=lambda rows: known_of(rows, site=it.site, ledger=ledger, client=client),
                        now=datetime.now(UTC),
                        due_only=due_only,
                        accept=accept,
                    ),
                    out=out,
                    text="Asking the LMS for its lists, and what is known of the learners in them …",
                )
                if sweep.guarded:
                    alert("too_many_new_learners", count=sweep.new)
                    raise _too_many(sweep, guard=it.site.collect.guard, accept=accept)
                if dry_run:
                    _tell(out, sweep, begun=sweep.beginnings, dry_run=True)
                    return ExitCode.OK

                if sweep.beginnings:
                    await _see_that_it_fits(it, out=out)

                async def begin_one(beginning: "Beginning") -> bool:
                    return await begin(beginning.row, beginning.start, ledger=ledger, client=client) is not None

                begun = await carry_out(sweep, begin=begin_one, progress=progress_on(out))
        _tell(out, sweep, begun=begun, dry_run=False)
        return ExitCode.OK

    return run(work())


async def _see_that_it_fits(it: "OpenSite", *, out: Output) -> None:
    """Nobody is started by a plan that their site hasn't got what it needs for: each of them would stop half-way.

    Raises:
        CommandError: something is missing for good.
    """
    from importlib.metadata import version

    from activities.actions.http import HttpAction
    from openedx.checking import unfit
    from plans.yaml_reading import read_yaml

    file = it.settings.plans_dir / f"{it.plan.plan}.yaml"
    http = HttpAction(version=version("account-retirement"))
    try:
        async with signs_of_life(out) as say:
            problems = await unfit(it.plan, read_yaml(file.read_bytes()), lms=it.lms, http=http, say=say)
    finally:
        await http.close()
    if problems:
        alert("plan_does_not_fit", count=len(problems))
        told = "; ".join(f"{file}:{each.line}: {each.where}: {each.what}" for each in problems)
        raise CommandError(
            f"The site hasn't got what its plan needs, so nobody was started: {told}.",
            do="Mend it, see that `retire openedx check` finds nothing more, then run this again.",
            code=ExitCode.PROBLEMS,
        )


def _too_many(sweep: "Sweep", *, guard: int, accept: int | None) -> CommandError:
    told = f", not {accept:,} as accepted" if accept is not None else ""
    return CommandError(
        f"There are {sweep.new:,} new learners{told}, more than the {guard:,} that a sweep may bring in: nobody was started.",
        do=f"See whether so many have really asked for it; then run this with --accept {sweep.new}.",
        code=ExitCode.REFUSED,
    )


def _tell(out: Output, sweep: "Sweep", *, begun: "Sequence[Beginning]", dry_run: bool) -> None:
    began = {beginning.start.user_id for beginning in begun}
    cooling, due, adopted = (
        [beginning.start.user_id for beginning in beginnings if beginning.start.user_id in began]
        for beginnings in (sweep.cooling, sweep.due, sweep.adopted)
    )
    facts: dict[str, Any] = {
        "dry_run": dry_run,
        "paused": False,
        "new": sweep.new,
        "started_in_cool_off": cooling,
        "started_due": due,
        "adopted": adopted,
        "left_for_next_sweep": sweep.left,
        "running": sweep.running + len(sweep.beginnings) - len(began),
        "given_up": sweep.given_up,
        "waiting_for_resume": list(sweep.waiting),
    }
    counts = [
        f"{len(cooling):,} in cool-off",
        f"{len(due):,} due",
        f"{len(adopted):,} adopted",
        *([f"{sweep.left:,} due ones left for the next sweep"] if sweep.left else []),
        f"{facts['running']:,} running already",
        *([f"{sweep.given_up:,} taken back before"] if sweep.given_up else []),
        *([f"{len(sweep.waiting):,} wait for `retire openedx resume`"] if sweep.waiting else []),
    ]
    out.result(facts, [f"{'would start' if dry_run else 'started'}: {', '.join(counts)}"])


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx collect --site site.yaml\n  retire openedx collect --site site.yaml --accept 412",
        codes=(ExitCode.REFUSED, ExitCode.PROBLEMS),
    )
    app.command("collect", epilog=end)(_collect)

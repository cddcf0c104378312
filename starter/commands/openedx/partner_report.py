"""`retire openedx partner-report`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import open_ledger, run, with_sign_of_life
from starter.alerts import alert
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, show
from starter.sinks import NO_DRIVE, open_sink
from starter.site import DryRun, SiteFile, open_site

if TYPE_CHECKING:
    from openedx.partner_reports import Reported


def _partner_report(
    site: SiteFile,
    and_new: Annotated[
        bool,
        typer.Option("--and-new", help="Ask for new learners, too, where this run had earlier ones to finish."),
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Tell partners which of their learners were retired. One CSV a partner, and then the LMS takes the learners off its list.

    What the LMS has given out is kept sealed until every partner is told. A run that finds such learners, and can finish some
    of them, does that alone. The dry run doesn't ask the LMS, as that would mark its learners.
    """
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from openedx.partner_reports import PartnerReports, ReportOrder, ReportsRefused, partner_step_of
        from openedx.sinks import SinkError

        async with open_site(site) as it:
            settings = it.site.reports
            if settings is None or settings.to is None:
                raise CommandError(
                    f"{site} does not say where partner reports go.",
                    do=f"Add `reports: {{platform: …, partners: {{…}}, to: {{directory: …}}}}`. {NO_DRIVE}",
                    code=ExitCode.NOT_SET_UP,
                )
            try:
                async with open_ledger(it.settings) as ledger, open_sink(settings.to) as sink:
                    reports = PartnerReports(
                        order=ReportOrder(
                            site=it.site.site,
                            plan=it.plan.plan,
                            step=partner_step_of(it.plan),
                            platform=settings.platform,
                            partners=settings.partners,
                        ),
                        lms=it.lms,
                        sink=sink,
                        ledger=ledger,
                        clock=lambda: datetime.now(UTC),
                    )
                    try:
                        done = await with_sign_of_life(
                            reports.look() if dry_run else reports.run(and_new=and_new),
                            out=out,
                            text="Asking the LMS, and delivering …",
                        )
                    finally:
                        if not dry_run:
                            # Who is finished must not linger in a log of the database.
                            await ledger.checkpoint()
            except ReportsRefused as error:
                raise CommandError(str(error), do="", code=ExitCode.NOT_SET_UP) from None
            except SinkError as error:
                raise CommandError(
                    str(error), do="What the LMS has given out is kept; run this again.", code=ExitCode.PROBLEMS
                ) from None
        _tell(out, done, dry_run=dry_run)
        return ExitCode.OK if done.is_clean else ExitCode.PROBLEMS

    return run(work())


def _tell(out: Output, done: "Reported", *, dry_run: bool) -> None:
    facts: dict[str, Any] = {"dry_run": dry_run, **vars(done)}
    stored = [f"{done.stored:,} learners of earlier answers were not finished"] if done.stored or dry_run else []
    asked = f"{done.new:,} new learners" if done.asked else "the LMS was not asked for new learners"
    told = f"{done.files:,} files delivered, {done.finished:,} learners finished"
    out.result(facts, [*stored, asked] if dry_run else [*stored, asked, told])
    for org, count in done.held_back.items():
        out.note(
            f"The organisation {show(org)} has no partner: {count:,} learners wait for it. Add it to `reports.partners` "
            "(to nobody: `[]`), and run this again."
        )
    if done.unreadable:
        out.note(
            f"{done.unreadable:,} learners came without a username or their organisations, and wait. See the LMS' version."
        )
    for failure in dict.fromkeys(done.failed):
        out.note(f"{failure} What could not be delivered is kept; run this again.")
    if done.unseen:
        alert("partner_rows_unseen", count=len(done.unseen))
        out.note(
            "An answer of the LMS was lost. These retirements are in no answer, so their rows may be marked without having been "
            f"seen; reset them in the LMS admin: {', '.join(done.unseen)}"
        )
    if not dry_run and not done.asked and done.is_clean:
        out.note("Earlier learners are finished. Run this again for new ones.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire openedx partner-report --site courses.yaml", codes=(ExitCode.PROBLEMS,))
    app.command("partner-report", epilog=end)(_partner_report)

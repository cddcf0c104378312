"""`retire openedx destroy-reports`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from starter.access import run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output
from starter.sinks import NO_DRIVE, open_sink
from starter.site import DryRun, SiteFile


def _destroy_reports(
    site: SiteFile,
    age_in_days: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Destroy reports made more than N days ago. Default: the site's `reports.retention_days`.",
            show_default=False,
        ),
    ] = None,
    file_id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="A file of Google Drive; refused, as there is no such sink.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Destroy old partner reports, for good. Only this platform's CSV files in partners' folders; all else stays."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from openedx.destruction import destroy
        from openedx.sinks import SinkError
        from openedx.site import SiteError, load_site

        if file_id:
            raise CommandError(
                "--file-id names files of Google Drive.",
                do=f"{NO_DRIVE} Delete files in Drive there, and use --age-in-days for reports here.",
                code=ExitCode.USAGE,
            )
        try:
            settings = load_site(site).reports
        except SiteError as error:
            raise CommandError("; ".join(str(error).splitlines()), do="", code=ExitCode.NOT_SET_UP) from None
        if settings is None or settings.to is None:
            raise CommandError(
                f"{site} does not say where partner reports are.",
                do="Add `reports: {platform: …, to: {directory: …}}` or `{bucket: …, prefix: …}`.",
                code=ExitCode.NOT_SET_UP,
            )
        age = age_in_days if age_in_days is not None else settings.retention_days
        if age is None:
            raise CommandError(
                "It isn't said how old a report has to be.",
                do=f"Give --age-in-days N, or set `reports.retention_days` in {site}.",
                code=ExitCode.USAGE,
            )
        try:
            async with open_sink(settings.to) as sink:
                done = await destroy(
                    sink, platform=settings.platform, age_in_days=age, now=datetime.now(UTC), dry_run=dry_run
                )
        except SinkError as error:
            raise CommandError(str(error), do="Nothing was destroyed.", code=ExitCode.PROBLEMS) from None
        what = "would be destroyed" if dry_run else "destroyed"
        count = done.due if dry_run else done.destroyed
        out.result(
            {"dry_run": dry_run, "age_in_days": age, **vars(done)},
            [f"{count:,} of {done.reports:,} reports {what}, as they are older than {age:,} days"],
        )
        for failure in dict.fromkeys(done.failed):
            out.note(f"{failure} Run this again.")
        return ExitCode.PROBLEMS if done.failed else ExitCode.OK

    return run(work())


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx destroy-reports --site courses.yaml --age-in-days 30",
        codes=(ExitCode.PROBLEMS,),
        connected=False,
    )
    app.command("destroy-reports", epilog=end)(_destroy_reports)

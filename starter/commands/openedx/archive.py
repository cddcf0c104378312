"""`retire openedx archive`."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import open_ledger, run
from starter.alerts import alert
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json, read_duration
from starter.output import Output
from starter.sinks import open_sink
from starter.site import DryRun, SiteFile, open_site

if TYPE_CHECKING:
    from openedx.archive import Archived


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter("not a date; write 2026-03-31.") from None


def _archive(
    site: SiteFile,
    start_date: Annotated[
        date, typer.Option(metavar="DATE", parser=_day, help="The first day of requests that is looked at, UTC.")
    ] = "2018-01-01",  # type: ignore[assignment]  # typer hands the default to the parser
    end_date: Annotated[
        date | None,
        typer.Option(
            metavar="DATE",
            parser=_day,
            help="The last day of requests that is looked at, UTC. Default: today less --cool-off-days.",
            show_default=False,
        ),
    ] = None,
    cool_off_days: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Days after a request in which a learner stays in the LMS. Default: the site's `archive.cool_off_days` (37).",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=5000,
            help="Learners in one object. Default: the site's `archive.batch_size` (100).",
            show_default=False,
        ),
    ] = None,
    pause: Annotated[
        timedelta | None,
        typer.Option(
            metavar="DURATION",
            parser=read_duration,
            help="Between two batches, as 10s. Default: the site's `archive.pause` (10s).",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Archive complete learners and have the LMS forget them. Each batch is stored and read back before its learners go.

    A run that was cut off is finished by the next one. Archives whose time is over by the site's `archive.retention_days`
    are deleted.
    """
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from openedx.archive import ArchiveRefused, Archiving, Order, window_of
        from openedx.sinks import SinkError

        async with open_site(site) as it:
            settings = it.site.archive
            if settings is None:
                raise CommandError(
                    f"{site} says nothing about archiving.",
                    do="Add `archive: {to: {bucket: …}}` or `archive: {to: {directory: …}}`.",
                    code=ExitCode.NOT_SET_UP,
                )
            try:
                order = Order(
                    site=it.site.site,
                    window=window_of(
                        start=start_date,
                        end=end_date,
                        cool_off_days=settings.cool_off_days if cool_off_days is None else cool_off_days,
                        today=datetime.now(UTC).date(),
                    ),
                    batch_size=settings.batch_size if batch_size is None else batch_size,
                    pause=settings.pause if pause is None else pause,
                    fields=settings.fields,
                    retention_days=settings.retention_days,
                )
                async with open_ledger(it.settings) as ledger, open_sink(settings.to) as sink:
                    archiving = Archiving(
                        order=order,
                        lms=it.lms,
                        sink=sink,
                        ledger=ledger,
                        clock=lambda: datetime.now(UTC),
                        progress=lambda done, of: out.note(f"batch {done:,} of {of:,} is stored and cleaned up"),
                    )
                    try:
                        done = await (archiving.look() if dry_run else archiving.run())
                    finally:
                        if not dry_run:
                            # What a finished batch knew must not linger in a log of the database.
                            await ledger.checkpoint()
            except ArchiveRefused as error:
                raise CommandError(str(error), do="", code=ExitCode.REFUSED) from None
            except SinkError as error:
                raise CommandError(
                    str(error), do="Nobody without a stored batch was cleaned up.", code=ExitCode.PROBLEMS
                ) from None
        _tell(out, done, dry_run=dry_run)
        if done.left_out:
            alert("archived_learners_not_complete", count=len(done.left_out))
        return ExitCode.PROBLEMS if done.left_out else ExitCode.OK

    return run(work())


def _tell(out: Output, done: "Archived", *, dry_run: bool) -> None:
    facts: dict[str, Any] = {"dry_run": dry_run, **vars(done)}
    if dry_run:
        lines = [
            f"{done.found:,} complete learners would be archived in {done.batches:,} batches",
            f"{done.taken_up:,} batches of an earlier run would be finished first",
            f"{done.expired:,} older archives would be deleted",
        ]
    else:
        lines = [
            f"{done.archived:,} learners archived in {done.batches:,} batches, {done.cleaned:,} of them cleaned up",
            *([f"{done.taken_up:,} of the batches were begun by an earlier run"] if done.taken_up else []),
            *([f"{done.expired:,} older archives deleted"] if done.expired else []),
        ]
    out.result(facts, lines)
    if done.left_out:
        ids = ", ".join(map(str, done.left_out))
        out.note(
            f"Not cleaned up, as they are not COMPLETE any more; they are in the archive. Retirement ids: {ids}. "
            "See why they were moved; once they are COMPLETE again, the next run takes them."
        )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx archive --site courses.yaml --dry-run", codes=(ExitCode.REFUSED, ExitCode.PROBLEMS)
    )
    app.command("archive", epilog=end)(_archive)

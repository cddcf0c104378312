"""`retire openedx resume`."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, open_ledger, run, with_sign_of_life
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.learners import progress_on
from starter.moves import tell_moves
from starter.options import By, Json, read_code
from starter.output import Output
from starter.site import DryRun, OpenSite, SiteFile, open_site, read_day
from starter.stopped import Resuming

if TYPE_CHECKING:
    from workflows.messages import Skip

_AT_A_TIME = 4
#: What the ledger records of a reason that is no code: the text itself is in the LMS only.
_TOLD_TO_LMS = "told_to_lms"
#: The LMS takes a note of 1,000 characters.
_LONGEST_REASON = 500


def _read_reason(value: str | None) -> str | None:
    if value is None or (0 < len(value.strip()) <= _LONGEST_REASON and value.isprintable()):
        return value
    raise typer.BadParameter(f"write 1 to {_LONGEST_REASON} printable characters, on one line.")


def _resume(
    site: SiteFile,
    usernames: Annotated[
        list[str] | None, typer.Argument(metavar="[USERNAME]...", help="Original usernames.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Usernames, one a line; - for standard input.", show_default=False),
    ] = None,
    start_date: Annotated[
        date | None,
        typer.Option(
            metavar="DATE",
            parser=read_day,
            help="All ERRORED ones who asked on this day (UTC) or later; with --end-date.",
            show_default=False,
        ),
    ] = None,
    end_date: Annotated[
        date | None,
        typer.Option(metavar="DATE", parser=read_day, help="The last of these days.", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STEP",
            help="Go on with this step of the plan. Default: the step that stopped.",
            callback=read_code,
            show_default=False,
        ),
    ] = None,
    skip: Annotated[
        str | None,
        typer.Option(
            metavar="STEP", help="Leave this step out and go on behind it.", callback=read_code, show_default=False
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Why; noted in the LMS. Needed with --skip. If it is a code, the product's record has it, too.",
            callback=_read_reason,
            show_default=False,
        ),
    ] = None,
    by: By = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Resume learners that stopped: put their row back to the end of the step before, and go on from there.

    It works from the LMS and the plan alone, so also for learners whom other scripts have left ERRORED.
    """
    dates = _dates_of(start_date, end_date)
    names = _names_in(usernames or [], file=file)
    if bool(names) == (dates is not None):
        raise typer.BadParameter("name learners, or give --start-date and --end-date.")
    skips = _skips_of(skip, at=at, reason=reason, by=by)
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from openedx.in_turn import each
        from openedx.resuming import Where

        async with open_site(site) as it, open_ledger(it.settings) as ledger:
            _check_steps(it, (("--from", at), ("--skip", skip)))
            wanted = names
            if dates is not None:
                listed = it.lms.by_status_and_date(state=it.chain.mirror.errored, start=dates[0], end=dates[1])
                rows = await with_sign_of_life(listed, out=out, text="Waiting for the LMS …")
                wanted = [row.username for row in rows]
            resuming = Resuming(
                it=it,
                ledger=ledger,
                client=await connect(out),
                where=Where(at=at, behind=skip),
                skips=skips,
                note=_note_of(skip=skip, reason=reason, by=by),
                by=by,
                dry_run=dry_run,
            )
            moving = each(
                list(enumerate(wanted, start=1)),
                lambda asked: resuming.resume(asked[1], place=asked[0]),
                at_a_time=_AT_A_TIME,
                progress=progress_on(out),
            )
            moves = await with_sign_of_life(moving, out=out, text="Asking the LMS about them …")
        return tell_moves(out, moves, dry_run=dry_run)

    return run(work())


def _dates_of(start: date | None, end: date | None) -> tuple[date, date] | None:
    if start is None and end is None:
        return None
    if start is None or end is None or start > end:
        raise typer.BadParameter("--start-date and --end-date go together, the earlier day first.")
    return start, end


def _names_in(usernames: list[str], *, file: Path | None) -> list[str]:
    """Usernames as given, each once. They may hold spaces, so only the end of a line is cut off."""
    lines: list[str] = []
    if file is not None:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
            # What a spreadsheet puts in front of a file is no part of the first name.
            lines = text.removeprefix("\ufeff").splitlines()
        except (OSError, UnicodeDecodeError):
            raise typer.BadParameter(f"{file} can't be read as text; check the path and its permissions.") from None
    return [name for name in dict.fromkeys([*usernames, *lines]) if name]


def _skips_of(skip: str | None, *, at: str | None, reason: str | None, by: str | None) -> "tuple[Skip, ...]":
    if skip is None:
        return ()
    if at is not None:
        raise typer.BadParameter("--skip goes on behind its step: leave --from out.")
    if reason is None or by is None:
        raise typer.BadParameter("a skipped step stays in the record: give --reason and --by.")
    from workflows.messages import Skip
    from workflows.reading import is_code

    return (Skip(step=skip, by=by, reason_code=reason if is_code(reason) else _TOLD_TO_LMS),)


def _check_steps(it: OpenSite, named: tuple[tuple[str, str | None], ...]) -> None:
    steps = dict(it.chain.steps)
    for option, step in named:
        if step is not None and step not in steps:
            raise CommandError(
                f"{option} names no step of the plan {it.plan.plan}.",
                do=f"Write one of {', '.join(steps)}.",
                code=ExitCode.USAGE,
            )


def _note_of(*, skip: str | None, reason: str | None, by: str | None) -> str:
    left_out = f", without the step {skip}" if skip is not None else ""
    why = f": {reason}" if reason is not None else ""
    return f"Resumed by {by or 'an operator'} with `retire openedx resume`{left_out}{why}"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx resume ann --by ops-3\n"
        "  retire openedx resume --start-date 2026-03-01 --end-date 2026-03-31 --dry-run\n"
        "  retire openedx resume ann --skip notes --reason 'service is gone' --by ops-3",
        codes=(ExitCode.PROBLEMS,),
    )
    app.command("resume", epilog=end)(_resume)

"""`retire openedx bulk-status`."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, open_ledger, run, with_sign_of_life
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.learners import known, progress_on
from starter.moves import Move, tell_moves
from starter.options import By, Json
from starter.output import Output
from starter.site import DryRun, OpenSite, SiteFile, open_site, read_day

if TYPE_CHECKING:
    from temporalio.client import Client

    from ledger.ledger import Ledger
    from openedx.resuming import BulkMove
    from openedx.row import Row

_AT_A_TIME = 4
_GOES_ON = "The next `retire openedx collect` goes on with those that were moved."


def _bulk_status(
    site: SiteFile,
    initial_state: Annotated[str, typer.Option(metavar="STATE", help="The state in which they are now.")],
    start_date: Annotated[
        date, typer.Option(metavar="DATE", parser=read_day, help="They asked on this day (UTC) or later.")
    ],
    end_date: Annotated[date, typer.Option(metavar="DATE", parser=read_day, help="They asked on this day or earlier.")],
    new_state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Where they are moved.", show_default=False)
    ] = None,
    rewind: Annotated[
        bool, typer.Option("--rewind", help="Move each back to the end of the step before the one that stopped.")
    ] = False,
    allow_working: Annotated[
        bool, typer.Option("--allow-working", help="Also into a state of work, where nobody may be at work.")
    ] = False,
    by: By = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Move all learners of a state and of dates to another state, by force. Who has a run going on is left out."""
    if (new_state is not None) == rewind:
        raise typer.BadParameter("give either --new-state or --rewind.")
    out = Output(as_json=json)

    async def work() -> ExitCode:
        from openedx.in_turn import each
        from openedx.resuming import BulkMove

        move = BulkMove(initial_state=initial_state, start=start_date, end=end_date, new_state=new_state)
        async with open_site(site) as it, open_ledger(it.settings) as ledger:
            refusal = move.refusal(it.chain, today=datetime.now(UTC).date(), allow_working=allow_working)
            if refusal is not None:
                raise CommandError(f"{refusal}.", do="Nobody was moved.", code=ExitCode.USAGE)
            client = await connect(out)
            listed = it.lms.by_status_and_date(state=initial_state, start=start_date, end=end_date)
            rows = await with_sign_of_life(listed, out=out, text="Waiting for the LMS …")
            moving = each(
                rows,
                lambda row: _move_one(row, move=move, it=it, ledger=ledger, client=client, by=by, dry_run=dry_run),
                at_a_time=_AT_A_TIME,
                progress=progress_on(out),
            )
            moves = await with_sign_of_life(moving, out=out, text="Moving them …")
        return tell_moves(out, moves, dry_run=dry_run, behind=_GOES_ON if _is_collected(new_state, it=it) else None)

    return run(work())


def _is_collected(new_state: str | None, *, it: OpenSite) -> bool:
    """Does the next sweep take up who is there? Back is always to such a state."""
    return new_state is None or new_state == it.chain.mirror.waiting or it.chain.is_done(new_state)


async def _move_one(
    row: "Row", *, move: "BulkMove", it: OpenSite, ledger: "Ledger", client: "Client", by: str | None, dry_run: bool
) -> Move:
    from openedx.lms import LmsError
    from openedx.resuming import NotMoved, force
    from openedx.starts import user_id_of

    so_far = Move(learner=user_id_of(it.site, row), was=row.state)
    try:
        # Asked now and not for all at the start: a sweep may have begun with somebody meanwhile.
        standing = await known(row, site=it.site, ledger=ledger, client=client)
        target = move.target(row, known=standing, chain=it.chain)
        so_far = Move(learner=so_far.learner, was=row.state, target=target)
        if not dry_run:
            note = f"Moved by {by or 'an operator'} with `retire openedx bulk-status`"
            await force(it.lms, row, state=target, note=note, chain=it.chain)
        return so_far
    except (NotMoved, LmsError) as error:
        return so_far.stopped_by(error)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx bulk-status --initial-state ERRORED --start-date 2026-03-01 --end-date 2026-03-31 --rewind",
        codes=(ExitCode.PROBLEMS,),
    )
    app.command("bulk-status", epilog=end)(_bulk_status)

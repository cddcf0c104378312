"""`retire openedx stranded`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starter.access import connect, open_ledger, run, with_sign_of_life
from starter.exit_codes import ExitCode, help_end
from starter.learners import known_of
from starter.options import Json, read_duration
from starter.output import Output, columns
from starter.site import OpenSite, SiteFile, open_site

if TYPE_CHECKING:
    from openedx.collecting import Known
    from openedx.row import Row


def _stranded(
    site: SiteFile,
    age: Annotated[
        timedelta,
        typer.Option(
            metavar="DURATION", parser=read_duration, help="Only those not moved for so long (ms, s, m, h, d, w)."
        ),
    ] = "1h",  # type: ignore[assignment]  # a text that the parser reads
    show_usernames: Annotated[
        bool, typer.Option("--show-usernames", help="Show original usernames, too; they are people's data.")
    ] = False,
    json: Json = False,
) -> int:
    """List learners whose row is at a step, or ERRORED, and has not been moved for long. It changes nothing."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        async with open_site(site) as it, open_ledger(it.settings) as ledger:
            states = [*(states.working for _, states in it.chain.steps), it.chain.mirror.errored]
            now = datetime.now(UTC)
            listed = it.lms.queue(cool_off_days=0, states=states)
            rows = await with_sign_of_life(listed, out=out, text="Waiting for the LMS …")
            rows = [row for row in rows if now - row.modified >= age]
            client = await connect(out)
            known = await known_of(rows, site=it.site, ledger=ledger, client=client)
        found = [_facts(row, known=known[row.id], it=it, show_usernames=show_usernames) for row in rows]
        names = ["learner", *(["username"] if show_usernames else []), "state", "since", "here", "do"]
        lines = columns([[each[name] for name in names] for each in found], heading=names) if found else []
        out.result({"stranded": found}, [*lines, f"{len(found):,} found"])
        return ExitCode.OK

    return run(work())


def _facts(row: "Row", *, known: "Known", it: OpenSite, show_usernames: bool) -> dict[str, Any]:
    from openedx.starts import user_id_of

    user_id = user_id_of(it.site, row)
    if known.is_running:
        here, do = "running", f"retire status {user_id}"
    elif row.state == it.chain.mirror.errored:
        here, do = ("errored" if known.case is not None else "unknown"), "retire openedx resume USERNAME"
    elif known.case is not None and known.case.is_errored:
        here, do = "errored", "retire openedx resume USERNAME"
    else:
        here, do = ("unknown" if known.case is None else "ended"), "retire openedx collect"
    return {
        "learner": user_id,
        **({"username": row.username} if show_usernames else {}),
        "state": row.state,
        "since": row.modified,
        "here": here,
        "do": do,
    }


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire openedx stranded --age 2h --site site.yaml", codes=(ExitCode.PROBLEMS,))
    app.command("stranded", epilog=end)(_stranded)

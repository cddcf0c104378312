"""`retire openedx replace-usernames`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import open_ledger, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output
from starter.site import OpenSite, SiteFile, open_site

if TYPE_CHECKING:
    from openedx.username_mappings import Renamings
    from openedx.usernames import Outcome, Unknown

HEADING = ("Original Username", "New Username", "Status")
_WHAT_IS_UNKNOWN = {"leave", "repeat", "replaced"}


def _read_unknown(value: str) -> str:
    if value in _WHAT_IS_UNKNOWN:
        return value
    raise typer.BadParameter("write leave, repeat or replaced.")


def _replace_usernames(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV without header: `current,desired` on each line.")],
    site: SiteFile,
    result: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what became of each name to this CSV, readable for you alone; an older one is replaced. "
            "Default: FILE with .result.csv in place of its ending.",
            show_default=False,
        ),
    ] = None,
    unknown: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What you found in the LMS about names whose outcome is unknown. leave: not looked, they stay as they are; "
            "repeat: their old names are still there, ask once more; replaced: they have the new ones, go on with the "
            "other services.",
            callback=_read_unknown,
        ),
    ] = "leave",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and show which services would be asked; call none.")
    ] = False,
    json: Json = False,
) -> int:
    """Replace usernames: in the LMS, then, with the names that succeeded so far, in the site's other services.

    Run it again to go on with those that did not succeed: it goes on at the service that failed. A name for which the LMS gave
    no answer is not sent to it again before you say what you found there.
    """
    out = Output(as_json=json)
    renamings = _read(file, out=out)
    target = result if result is not None else file.with_suffix(".result.csv")
    if target.resolve() == file.resolve():
        raise typer.BadParameter("--result is FILE itself, which it would replace; name another one.")

    async def work() -> ExitCode:
        from openedx.usernames import Unknown

        async with open_site(site) as it:
            if dry_run:
                return _tell_plan(it, renamings, out=out)
            return await _replace(it, renamings, unknown=Unknown(unknown), target=target, out=out)

    return run(work())


def _read(file: Path, *, out: Output) -> "Renamings":
    from openedx.username_mappings import MappingsError, read_renamings

    try:
        return read_renamings(file)
    except MappingsError as error:
        for problem in str(error).splitlines():
            out.note(problem)
        raise CommandError(
            f"{file} can't be used.", do="Mend what stands above; nobody was asked.", code=ExitCode.USAGE
        ) from None


def _tell_plan(it: OpenSite, renamings: "Renamings", *, out: Output) -> ExitCode:
    from openedx.username_services import addresses_of

    names, services = len(renamings.all), list(addresses_of(it.lms.service, it.site.usernames))
    facts = {"dry_run": True, "names": names, "services": services}
    out.result(
        facts,
        [f"would replace {names:,} {'name' if names == 1 else 'names'}, one after another in: {', '.join(services)}"],
    )
    return ExitCode.OK


async def _replace(it: OpenSite, renamings: "Renamings", *, unknown: "Unknown", target: Path, out: Output) -> ExitCode:
    from ledger.errors import LedgerConflict
    from openedx.username_records import Status
    from openedx.usernames import open_replacement
    from starter.ownership.listing import csv_file

    total = len(renamings.all)
    # Opened first of all: what can't be told afterwards is not begun.
    with csv_file(target, heading=HEADING) as table:
        async with (
            open_ledger(it.settings) as ledger,
            open_replacement(it.lms.service, site=it.site, ledger=ledger, unknown=unknown) as replacement,
        ):
            try:
                outcomes = await replacement.run(
                    renamings, tell=lambda done: out.note(f"{done:,} of {total:,} names are through …")
                )
            except LedgerConflict:
                raise CommandError(
                    "Somebody else is replacing usernames of this site.",
                    do="Wait for their end, then run this again: it goes on from where it was.",
                    code=ExitCode.REFUSED,
                ) from None
            finally:
                # Names that are no longer kept must not linger in a log of the database.
                await ledger.checkpoint()
        assert table is not None
        table.writerows((each.renaming.current, each.standing.new, each.standing.status.value) for each in outcomes)
    _tell(outcomes, target=target, out=out)
    return ExitCode.OK if all(each.standing.status is Status.SUCCESS for each in outcomes) else ExitCode.PROBLEMS


def _tell(outcomes: "Sequence[Outcome]", *, target: Path, out: Output) -> None:
    from openedx.username_records import UNKNOWN, Status
    from openedx.usernames import by_code, lines_told, what_to_do

    counts = {status.value: sum(each.standing.status is status for each in outcomes) for status in Status}
    troubles = by_code(outcomes)
    unknown = [line for (_, code), lines in troubles.items() if code == UNKNOWN for line in lines]
    facts = {
        "dry_run": False,
        **{name.lower().replace(" ", "_"): number for name, number in counts.items()},
        "unknown": len(unknown),
        "troubles": [{"service": at, "code": code, "lines": lines} for (at, code), lines in troubles.items()],
        "result": str(target),
    }
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    out.result(facts, [f"{told}; see {target}"])
    for (at, code), lines in troubles.items():
        if code != UNKNOWN:
            out.note(f"{at}: {code}: {lines_told(lines)}: {what_to_do(code)}; then run this again.")
    if unknown:
        out.note(
            f"lms: the outcome is unknown: {lines_told(unknown)}. Look in the LMS which names these users have, then "
            "run this again with --unknown repeat (the old ones) or --unknown replaced (the new ones)."
        )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx replace-usernames names.csv --site site.yaml --dry-run\n"
        "  retire openedx replace-usernames names.csv --site site.yaml --result replaced.csv",
        codes=(ExitCode.REFUSED, ExitCode.PROBLEMS),
    )
    app.command("replace-usernames", epilog=end)(_replace_usernames)

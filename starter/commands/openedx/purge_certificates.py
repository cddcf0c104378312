"""`retire openedx purge-certificates`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import open_ledger, read_settings, run
from starter.errors import CommandError
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns
from starter.site import SiteFile

if TYPE_CHECKING:
    from openedx.certificates.outcomes import Outcome
    from openedx.certificates.selection import Selection
    from openedx.site import Certificates, Site

#: Ids of one code that are told in a line; --json tells all.
_MOST_TOLD = 20


def _read_ids(values: list[str] | None) -> list[str] | None:
    for id in _split(values or []):
        if not (id.isascii() and id.isdigit() and 1 <= len(id) < 20 and int(id) > 0):
            raise typer.BadParameter("write certificate ids, which are numbers, separated by spaces: 1 2 3.")
    return values


def _split(values: list[str]) -> list[str]:
    return [id for value in values for id in value.replace(",", " ").split()]


def _purge_certificates(
    site: SiteFile,
    more_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="More ids, behind --certificate-ids.", callback=_read_ids, hidden=True),
    ] = None,
    certificate_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--certificate-ids",
            metavar="ID...",
            help="Purge these, separated by spaces. One whose user is not retired by the listing is refused.",
            callback=_read_ids,
            show_default=False,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Purge those of all retired users in the listing.")] = False,
    listing: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The CSV that was exported from the LMS database, with the columns certificate_id, user_id, retired, "
            "download_url, download_uuid, verify_uuid. Default: the site's `certificates.listing`.",
            show_default=False,
        ),
    ] = None,
    accept_missing: Annotated[
        bool,
        typer.Option("--accept-missing", help="Purge certificates, too, of which none of the four files is there."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how many files each has; delete and blank nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Delete the files of PDF certificates of retired learners, and then make the LMS forget where they were.

    Safe to repeat: what was cut off goes on, and what is purged stays so. Certificates that fail keep their links.
    """
    out = Output(as_json=json)
    ids = [int(id) for id in _split([*(certificate_ids or []), *(more_ids or [])])]
    if bool(ids) == all_:
        raise typer.BadParameter("name certificates by --certificate-ids 1 2 3, or write --all; one of the two.")
    known = _site(site)
    certificates = known.certificates
    if certificates is None:
        raise CommandError(
            f"{site} says nothing about certificates.",
            do="Add `certificates: {files: …, blank: …}` to it.",
            code=ExitCode.NOT_SET_UP,
        )
    selection = _select(listing or certificates.listing, ids=ids, site=site)
    return run(
        _work(known.site, certificates, selection, accept_missing=accept_missing, dry_run=dry_run, out=out, json=json)
    )


async def _work(
    site: str,
    certificates: "Certificates",
    selection: "Selection",
    *,
    accept_missing: bool,
    dry_run: bool,
    out: Output,
    json: bool,
) -> ExitCode:
    from openedx.certificates.opening import open_purging
    from openedx.certificates.outcomes import Outcome, Result
    from openedx.sinks import SinkError

    chosen = selection.chosen
    outcomes = [
        *(Outcome(id=id, result=Result.REFUSED, code=why.value) for id, why in selection.refused),
        *(Outcome(id=id, result=Result.PURGED_BEFORE) for id in selection.purged),
    ]
    if chosen:
        async with open_ledger(read_settings()) as ledger:
            try:
                async with open_purging(
                    certificates, site=site, ledger=ledger, accept_missing=accept_missing
                ) as purging:
                    outcomes += await (
                        purging.forecast(chosen)
                        if dry_run
                        else purging.purge(
                            chosen,
                            tell=lambda done: out.note(f"{done:,} of {len(chosen):,} certificates are through …"),
                        )
                    )
            except SinkError as error:
                raise CommandError(
                    f"The certificates' files can't be reached. {error}", do="", code=ExitCode.UNREACHABLE
                ) from None
    _tell(sorted(outcomes, key=lambda outcome: outcome.id), dry_run=dry_run, out=out)
    return ExitCode.PROBLEMS if any(outcome.is_bad for outcome in outcomes) else ExitCode.OK


def _site(file: Path) -> "Site":
    from openedx.site import SiteError, load_site

    try:
        return load_site(file)
    except SiteError as error:
        raise CommandError("; ".join(str(error).splitlines()), do="", code=ExitCode.NOT_SET_UP) from None


def _select(listing: Path | None, *, ids: list[int], site: Path) -> "Selection":
    from openedx.certificates.listing import ListingError, read_listing
    from openedx.certificates.selection import select_all, select_ids

    if listing is None:
        raise CommandError(
            "No listing of certificates is named.",
            do=f"Write --listing FILE, or `certificates: {{listing: …}}` in {site}.",
            code=ExitCode.USAGE,
        )
    try:
        certificates = read_listing(listing)
    except ListingError as error:
        raise CommandError("; ".join(str(error).splitlines()), do="Nothing was purged.", code=ExitCode.USAGE) from None
    return select_ids(certificates, ids=ids) if ids else select_all(certificates)


def _tell(outcomes: "list[Outcome]", *, dry_run: bool, out: Output) -> None:
    from openedx.certificates.outcomes import Result, count, meaning_of_code

    counts = {result.value: number for result, number in count(outcomes).items()}
    facts = {
        "dry_run": dry_run,
        **counts,
        "certificates": [
            {"id": outcome.id, "result": outcome.result.value, "code": outcome.code, "files": outcome.files}
            for outcome in outcomes
        ],
    }
    lines = [f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items() if number] or ["0 purged"]
    if dry_run:
        looked = [outcome for outcome in outcomes if outcome.result is not Result.PURGED_BEFORE]
        table = [
            (outcome.id, "-" if outcome.files is None else f"{outcome.files} of 4", outcome.result.value, outcome.code)
            for outcome in looked
        ]
        lines = [*columns(table, heading=("certificate", "files", "result", "code")), *lines] if table else lines
    out.result(facts, lines)
    by_code = Counter(outcome.code for outcome in outcomes if outcome.code is not None)
    for code in by_code:
        ids = [outcome.id for outcome in outcomes if outcome.code == code]
        more = f" and {len(ids) - _MOST_TOLD:,} more" if len(ids) > _MOST_TOLD else ""
        out.note(f"{code}: {', '.join(map(str, ids[:_MOST_TOLD]))}{more}: {meaning_of_code(code)}.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire openedx purge-certificates --site site.yaml --all --dry-run\n"
        "  retire openedx purge-certificates --site site.yaml --certificate-ids 1 2 3",
        codes=(ExitCode.PROBLEMS,),
    )
    app.command("purge-certificates", epilog=end)(_purge_certificates)

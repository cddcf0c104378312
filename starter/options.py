"""Arguments and options that several commands share, each said once."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from workflows.durations import parse_duration

#: Of a user id.
_LONGEST_ID = 512


def _as_json(ctx: typer.Context, value: bool) -> bool:
    ctx.meta["retire.json"] = value
    return value


def read_code(value: str | None) -> str | None:
    """An opaque id or a reason code. Free text and addresses would put personal data into histories that outlive it."""
    from workflows.reading import CODE_FORM, is_code

    if value is None or is_code(value):
        return value
    raise typer.BadParameter(f"write {CODE_FORM}.")


def read_codes(values: list[str]) -> list[str]:
    """Several of them."""
    for value in values:
        read_code(value)
    return values


def read_user_id(value: str | None) -> str | None:
    """Somebody's user id."""
    if value is None or (1 <= len(value) <= _LONGEST_ID and value.isprintable()):
        return value
    raise typer.BadParameter(f"write 1 to {_LONGEST_ID} printable characters.")


def read_duration(value: str) -> timedelta:
    """A duration as plans write it."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None


def read_instant(value: str) -> datetime:
    """A date (its end, in UTC) or an ISO 8601 instant; without an offset it is taken as UTC."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            return datetime.fromisoformat(value).replace(tzinfo=UTC) + timedelta(days=1)
        instant = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "not a date; write 2026-03-31 (the end of that day, UTC) or 2026-03-31T12:00:00+01:00."
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


Json = Annotated[bool, typer.Option("--json", help="Print the same facts as JSON.", callback=_as_json, is_eager=True)]
Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO", help="A user id, a retirement id (r-…), a transfer id (t-…) or a workflow id (retire-user-…)."
    ),
]
User = Annotated[
    str, typer.Argument(metavar="USER", help="The user id, 1 to 512 printable characters.", callback=read_user_id)
]
Successor = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="The user id of who takes over what the person owns; the service that owns the role is asked whether "
        "they may. Default: the plan chooses.",
        callback=read_user_id,
        show_default=False,
    ),
]
PlanName = Annotated[
    str | None,
    typer.Option("--plan", metavar="PLAN", help="The plan's name. Default: RETIREMENT_PLAN.", show_default=False),
]
ShowValues = Annotated[
    bool, typer.Option("--show-values", help="Show titles, names and addresses, too; they are people's data.")
]
CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write the assets to this file as a table; an older one is replaced. Default: none.",
        show_default=False,
    ),
]
Tenant = Annotated[
    str | None, typer.Option(metavar="TENANT", help="The tenant of the user id. Default: none.", show_default=False)
]
By = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        envvar="RETIREMENT_BY",
        help="Who asks: an opaque id, at most 64 characters, no spaces, no @. Default: not recorded.",
        callback=read_code,
        show_default=False,
    ),
]
ReasonCode = Annotated[
    str | None,
    typer.Option(
        "--reason-code",
        "--reason",
        metavar="CODE",
        help="Why, as a code: at most 64 characters, no spaces, no @. Default: none.",
        callback=read_code,
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Show progress until the end, and exit by the outcome.")]

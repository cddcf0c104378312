"""Arguments and options that several commands share, each said once."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from workflows.durations import parse_duration


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
    str, typer.Argument(metavar="WHO", help="A user id, a retirement id (r-…) or a workflow id (retire-user-…).")
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

"""`retire openedx`: retiring the learners of an Open edX site in place of its own driver scripts. One module a subcommand."""

import typer
from typer.core import TyperGroup

from starter.commands.openedx import (
    archive,
    bulk_status,
    check,
    collect,
    destroy_reports,
    import_,
    partner_report,
    purge_certificates,
    replace_usernames,
    resume,
    retire_one,
    status,
    stranded,
)

openedx_app = typer.Typer(
    cls=TyperGroup,
    help="Retire the learners of an Open edX site, in place of its driver scripts.",
    short_help="Retire learners of an Open edX site.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _command in (
    import_,
    check,
    collect,
    status,
    stranded,
    retire_one,
    resume,
    bulk_status,
    archive,
    partner_report,
    destroy_reports,
    purge_certificates,
    replace_usernames,
):
    _command.add_to(openedx_app)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(openedx_app, name="openedx")

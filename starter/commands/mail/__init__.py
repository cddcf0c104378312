"""`retire mail`: what people are written, looked at before anybody is. One module a subcommand."""

import typer
from typer.core import TyperGroup

from starter.commands.mail import list_mails, preview

mail_app = typer.Typer(
    cls=TyperGroup,
    help="Look at the mails: list them, and preview one with made-up values.",
    short_help="List and preview the mails.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _command in (list_mails, preview):
    _command.add_to(mail_app)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(mail_app, name="mail")

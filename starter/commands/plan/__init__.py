"""`retire plan`: what can be done with a plan before a person meets it. One module a subcommand."""

import typer
from typer.core import TyperGroup

from starter.commands.plan import check, schema, show, try_

plan_app = typer.Typer(
    cls=TyperGroup,
    help="Work on a plan: check it, show what it does, try its requests.",
    short_help="Check, show and try a plan.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _command in (check, show, schema, try_):
    _command.add_to(plan_app)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(plan_app, name="plan")

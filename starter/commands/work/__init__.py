"""`retire work`: work that outlives its retirement, or that a person does. One module a subcommand."""

import typer
from typer.core import TyperGroup

from starter.commands.work import end, list_work, show_work
from starter.exit_codes import help_end
from starter.options import Json

work_app = typer.Typer(
    cls=TyperGroup,
    help="List what vendors and people still have to do for retirements, and say what became of it. "
    "Without a subcommand: list.",
    short_help="What is still to be done by vendors and by hand.",
    epilog=help_end(
        example="retire work --open\n  retire work done r-abcdefghijklmnopqrstuvwxyz salesforce --by ops-3"
    ),
    invoke_without_command=True,
    rich_markup_mode=None,
)
for _command in (list_work, show_work, end):
    _command.add_to(work_app)


@work_app.callback()
def _work(context: typer.Context, open: list_work.Open = False, json: Json = False) -> int | None:
    return list_work.list_work(open=open, json=json) if context.invoked_subcommand is None else None


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(work_app, name="work")

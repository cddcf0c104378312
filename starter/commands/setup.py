"""`retire setup`."""

from typing import Annotated

import typer

from starter.access import connect, read_settings, run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns
from starter.preparing import Part, prepare_ledger, prepare_namespace, prepare_search_attributes


def _setup(
    create_keys: Annotated[
        bool,
        typer.Option(
            "--create-keys/--no-create-keys",
            help="Make a missing keys file for a new ledger. Say no where keys come from a secret store.",
        ),
    ] = True,
    json: Json = False,
) -> int:
    """Make what a worker needs. Ledger tables, keys file, Temporal namespace and search attributes; safe to repeat."""
    out = Output(as_json=json)

    async def work() -> ExitCode:
        settings = read_settings()
        parts: list[Part] = []

        try:
            parts += await prepare_ledger(settings, create_keys=create_keys)
            client = await connect(out)
            parts.append(await prepare_namespace(client, out=out))
            parts.append(await prepare_search_attributes(client, out=out))
        except Exception:
            for part in parts:
                out.note(f"{part.name}: {part.state}")
            raise
        facts = {"parts": [vars(part) for part in parts]}
        out.result(facts, columns([(part.name, part.state, part.where) for part in parts]))
        return ExitCode.OK

    return run(work())


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("setup", epilog=help_end(example="retire setup"))(_setup)

"""`retire demo`."""

import typer

from starter.exit_codes import help_end


def _demo() -> int:
    """Show it all in a sandbox. Several people are retired from real services; KEEP=1 keeps all running."""
    from sandbox.demo import main

    return main()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=help_end(example="KEEP=1 retire demo"))(_demo)

"""`retire plan schema`."""

import json
import sys

import typer

from starter.exit_codes import ExitCode, help_end


def _schema() -> int:
    """Print the JSON Schema of plans, for editors. They then complete keys, explain them and mark mistakes.

    \b
    An editor with the YAML language server takes it from a plan's first line:
      # yaml-language-server: $schema=plan.schema.json
    """
    from plans.schema import plan_schema

    sys.stdout.write(json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n")
    return ExitCode.OK


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire plan schema > our-plans/plan.schema.json", connected=False)
    app.command("schema", epilog=end)(_schema)

"""The `retire` command."""

import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from starter.commands import (
    assets,
    conformance,
    decide,
    demo,
    doctor,
    expedite,
    extend,
    list_cases,
    mail,
    openedx,
    plan,
    report,
    rescind,
    resume,
    setup,
    start,
    status,
    suggest,
    transfer,
    work,
    worker,
)
from starter.errors import explain
from starter.exit_codes import ExitCode
from starter.output import Output


class Retire(TyperGroup):
    """Ends every command the same way: by the exit code it returns, or by one clear line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            code = super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has had enough of it (`retire list | head`).
            sys.stdout = open(os.devnull, "w")
            code = ExitCode.OK
        except Exception as error:
            # Typer's own exceptions (usage errors, --help, exit) know how to show themselves.
            if type(error).__module__.startswith("typer."):
                raise
            told = explain(error)
            if os.environ.get("RETIREMENT_DEBUG") == "1" and told is not error:
                traceback.print_exception(error)
            Output(as_json=ctx.meta.get("retire.json", False)).error(told.line, code=told.code)
            code = told.code
        raise typer.Exit(int(code or ExitCode.OK))


app = typer.Typer(
    cls=Retire,
    help="Retire accounts: start, watch, change and resume retirements, and show what became of them.",
    epilog="\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    setup,
    doctor,
    worker,
    plan,
    mail,
    conformance,
    start,
    status,
    list_cases,
    rescind,
    extend,
    expedite,
    decide,
    resume,
    report,
    work,
    assets,
    suggest,
    transfer,
    openedx,
    demo,
):
    _command.add_to(app)


def finish(code: int) -> None:
    """End the process at once: interpreter shutdown sometimes aborts after a failed call of the Temporal client."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The reader has gone (a closed pipe): nobody is left to tell.
            continue
    os._exit(code)


def main() -> None:
    """Run `retire` and end the process with its exit code."""
    code: object = ExitCode.UNEXPECTED
    try:
        app(prog_name="retire")
        code = ExitCode.OK
    except SystemExit as end:
        code = end.code
    except Exception as error:
        # Only what goes wrong before or after a command: the command's own errors are told by Retire.
        sys.stderr.write(f"Error: {explain(error).line}\n")
    finish(code if isinstance(code, int) else ExitCode.UNEXPECTED)


if __name__ == "__main__":
    main()

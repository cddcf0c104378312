"""`retire plan check`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, run
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output
from starter.problems import HAS_PROBLEMS, count_of, facts_of, tell_problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plans.yaml_reading import Problem


def _check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Plans, as YAML files.", show_default=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings, too.")] = False,
    no_secrets: Annotated[
        bool,
        typer.Option(
            "--no-secrets",
            help="Leave out what this machine has to have: secrets, database drivers, Python packages. For a pipeline.",
        ),
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask Temporal whether workers poll the queues that the plan needs.")
    ] = False,
    json: Json = False,
) -> int:
    """Tell everything that is wrong with plans. Each problem with its line, why it is one and how to mend it.

    Nothing is called, but for Temporal with --live. Exits 1 where a plan can't be used.
    """
    from plans.loading import check_plan

    found = {file: check_plan(file, secrets=not no_secrets) for file in sorted(set(files))}
    if live:
        try:
            found = run(_with_queues(found, out=Output(as_json=json)))
        except Exception:
            # What was found stands, whatever becomes of Temporal; as JSON there is one result, and it is the error.
            if not json:
                _tell(found, as_json=False)
            raise
    _tell(found, as_json=json)
    sys.stdout.flush()  # before the note, also where both go into one file
    told = [problem.severity for problems in found.values() for problem in problems]
    if "error" in told or (strict and told):
        return HAS_PROBLEMS
    if not json:
        file = min(found)
        Output(as_json=False).note(
            f"Next: `retire plan try {file} --user ID` asks about one person, and changes nothing."
        )
    return ExitCode.OK


async def _with_queues(found: "Mapping[Path, Sequence[Problem]]", *, out: Output) -> "dict[Path, tuple[Problem, ...]]":
    """The same, with the queues that nobody polls. A plan with errors isn't asked about: nobody can use it yet."""
    from plans.loading import load_plan
    from plans.yaml_reading import Problem
    from starter.queues import queues_of, unpolled

    client = await connect(out)
    told: dict[Path, tuple[Problem, ...]] = {}
    for file, problems in found.items():
        lonely: list[Problem] = []
        if not any(problem.severity == "error" for problem in problems):
            queues = queues_of(load_plan(file))
            for queue in await unpolled(client, queues):
                lonely.append(_unpolled(queue, service=queues[queue]))
        told[file] = tuple(sorted((*problems, *lonely)))
    return told


def _unpolled(queue: str, *, service: str | None) -> "Problem":
    from plans.yaml_reading import Problem

    how = "start one with it among RETIREMENT_QUEUES" if service is not None else "start one (`retire worker`)"
    return Problem(
        line=0,
        where=f"services.{service}.queue" if service is not None else "",
        what=f"no worker polls the task queue {queue}, so what is put there waits in silence; {how}",
        check="unpolled",
    )


def _tell(found: "Mapping[Path, Sequence[Problem]]", *, as_json: bool) -> None:
    if as_json:
        plans = [
            {"file": str(file), **count_of(problems), "problems": [facts_of(problem) for problem in problems]}
            for file, problems in found.items()
        ]
        Output(as_json=True).result({"plans": plans}, [])
        return
    for file, problems in found.items():
        tell_problems(str(file), problems)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(
        example="retire plan check our-plans/acme.yaml",
        codes=(ExitCode.UNREACHABLE, ExitCode.NOT_SET_UP),
        connected=False,
    )
    unexpected = ExitCode.UNEXPECTED.meaning
    app.command("check", epilog=end.replace(unexpected, f"a plan has errors; or {unexpected}"))(_check)

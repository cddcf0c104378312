"""`retire setup`."""

from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, read_settings, run, with_sign_of_life
from starter.errors import explain
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns
from starter.preparing import Part, prepare_ledger, prepare_namespace, prepare_search_attributes

if TYPE_CHECKING:
    from temporalio.client import Client

    from worker.settings import Settings


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
    """Make what a worker needs. Ledger tables, keys file, Temporal namespace, search attributes, and the rates that plans give
    their services; safe to repeat, and to be run again when a plan's rates have changed.
    """
    out = Output(as_json=json)

    async def work() -> ExitCode:
        settings = read_settings()
        parts: list[Part] = []

        try:
            parts += await prepare_ledger(settings, create_keys=create_keys)
            client = await connect(out)
            parts.append(await prepare_namespace(client, out=out))
            parts.append(await prepare_search_attributes(client, out=out))
            parts += await _rates(client, settings, out=out)
        except Exception:
            for part in parts:
                out.note(f"{part.name}: {part.state}")
            raise
        facts = {"parts": [vars(part) for part in parts]}
        out.result(facts, columns([(part.name, part.state, part.where) for part in parts]))
        return ExitCode.OK

    return run(work())


async def _rates(client: "Client", settings: "Settings", *, out: Output) -> list[Part]:
    """The rates of the plans' services. A plan that can't be used has none, which is said, and keeps nothing else back."""
    from temporalio.service import RPCError

    from plans.loading import PlanError, Plans
    from starter.rates import fairness
    from starter.rates.held import prepare_rates
    from starter.rates.wanted import wanted_rates

    folder = Plans(settings.plans_dir, settings.plan)
    plans = []
    for name in folder.names():
        try:
            plans.append(folder.get(name))
        except PlanError as error:
            out.note(f"Note: the rates of plan {name} are left as they are, as it can't be used: {explain(error).line}")
    if not folder.names():
        out.note(f"Note: no rates are set, as there is no plan in {settings.plans_dir} (RETIREMENT_PLANS_DIR).")
    wanted = wanted_rates(plans, complete=len(plans) == len(folder.names()))
    for note in wanted.notes:
        out.note(f"Note: {note}.")
    parts = await prepare_rates(client, wanted=wanted)
    if wanted.limit_something:
        try:
            heeds = await with_sign_of_life(fairness.heeds_keys(client), out=out, text="Trying fairness keys …")
        except RPCError:
            heeds = None
        if heeds is None:
            out.note(
                "Note: whether the server hands out calls by fairness key could not be tried; see `retire doctor`."
            )
        elif not heeds:
            out.note(f"Note: {fairness.OFF}. {fairness.TURN_ON}")
    return parts


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("setup", epilog=help_end(example="retire setup"))(_setup)

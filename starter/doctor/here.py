"""What `retire doctor` looks at: everything that has to be right before anybody relies on it. It changes nothing.

Each check ends as one line. A check that can't be made because of an earlier problem is named, and not guessed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from starter.access import connect, open_ledger, read_settings, with_sign_of_life
from starter.errors import explain
from starter.exit_codes import ExitCode
from starter.output import Output
from starter.preparing import shown_url

if TYPE_CHECKING:
    from temporalio.client import Client

    from plans.loading import Plans
    from plans.model import Plan
    from worker.settings import Settings


class State(StrEnum):
    """How a check ended. Only a problem keeps retirements from being carried out as the plans say."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at: what was seen, and what to do about it."""

    name: str
    state: State = State.OK
    told: str
    do: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckUp:
    """All checks, in the order in which things are needed, and what could not be looked at."""

    checks: tuple[Check, ...]
    left_out: tuple[str, ...] = ()

    @property
    def code(self) -> ExitCode:
        """What the command ends with."""
        return ExitCode.PROBLEMS if any(check.state is State.PROBLEM for check in self.checks) else ExitCode.OK


def problem(name: str, error: Exception) -> Check:
    """A check that ended with an error, told as any command tells it."""
    told = explain(error)
    return Check(name=name, state=State.PROBLEM, told=told.what, do=told.do)


async def check_up(*, out: Output) -> CheckUp:
    """Look at everything."""
    # Not before: the help of other commands loads this module, and is to be there at once.
    from plans.loading import Plans
    from starter.doctor.temporal import SEEN_IN_TEMPORAL, checks_of_temporal

    try:
        settings = read_settings()
    except Exception as error:
        everything = ("keys file", "ledger", "plans", "secrets", "mail server", "Temporal", *SEEN_IN_TEMPORAL)
        return CheckUp(checks=(problem("settings", error),), left_out=everything)
    checks = [Check(name="settings", told="all can be used")]
    left_out: list[str] = []
    checks.append(keys := _keys(settings))
    if keys.state is State.OK:
        checks.append(await _ledger(settings))
    else:
        left_out.append("ledger")
    plans, found = _plans(Plans(settings.plans_dir, settings.plan), settings)
    checks += found
    if plans:
        checks += [*(_secrets(plan) for plan in plans), await _mail(settings, plans, out=out)]
    else:
        left_out += ["secrets", "mail server"]
    client = await _connected(checks, out=out)
    if client is None:
        left_out += SEEN_IN_TEMPORAL
    else:
        complete = not any(check.state is State.PROBLEM for check in found)
        seen = await checks_of_temporal(client, plans=plans, complete=complete, out=out)
        checks += seen.checks
        left_out += seen.left_out
    return CheckUp(checks=tuple(checks), left_out=tuple(left_out))


def _keys(settings: "Settings") -> Check:
    from ledger.keys import Keys

    try:
        Keys.load(settings.keys_file)
    except Exception as error:
        return problem("keys file", error)
    return Check(name="keys file", told=str(settings.keys_file))


async def _ledger(settings: "Settings") -> Check:
    try:
        async with open_ledger(settings):
            return Check(name="ledger", told=f"{shown_url(settings.database_url)}, of this version and these keys")
    except Exception as error:
        return problem("ledger", error)


def _plans(folder: "Plans", settings: "Settings") -> "tuple[list[Plan], list[Check]]":
    """The plans that can be used, and a check of each."""
    plans: list[Plan] = []
    checks: list[Check] = []
    for name in folder.names():
        try:
            plan = folder.get(name)
        except Exception as error:
            checks.append(problem(f"plan {name}", error))
        else:
            plans.append(plan)
            checks.append(Check(name=f"plan {name}", told=f"{len(plan.steps)} steps, {len(plan.services)} services"))
    if settings.plan not in folder.names():
        known = ", ".join(folder.names()) or f"none in {settings.plans_dir}"
        checks.append(
            Check(
                name=f"plan {settings.plan}",
                state=State.PROBLEM,
                told=f"there is none of this name, for starts that name none; there are: {known}",
                do="Set RETIREMENT_PLAN to one of them, or RETIREMENT_PLANS_DIR to the folder of your plans.",
            )
        )
    return plans, checks


def _secrets(plan: "Plan") -> Check:
    """Can every secret reference of a plan be resolved here? Nothing of a secret is shown, only its reference."""
    from starter.picture.facts import facts_of

    services = facts_of(plan)["services"]
    lacking = {
        service["service"]: [each for each in service["secrets"] if not _is_resolved(each)] for service in services
    }
    missing = sorted({reference for references in lacking.values() for reference in references})
    name = f"secrets of {plan.plan}"
    if not missing:
        return Check(name=name, told="all can be resolved")
    told = f"can't be resolved on this machine: {', '.join(missing)}"
    if all(service["queue"] is not None for service in services if lacking[service["service"]]):
        do = "Only the workers of their services' queues need them: run `retire doctor` where those run, too."
        return Check(name=name, state=State.WARNING, told=told, do=do)
    do = "Set these variables and mount these files wherever a worker runs."
    return Check(name=name, state=State.PROBLEM, told=told, do=do)


def _is_resolved(reference: str) -> bool:
    from plans.secrets import SecretMissing, resolve

    try:
        resolve(reference)
    except SecretMissing:
        return False
    return True


async def _mail(settings: "Settings", plans: "list[Plan]", *, out: Output) -> Check:
    """Does the mail server answer? Nothing is sent, and nobody logs in."""
    import aiosmtplib

    from activities.smtp import meaning_of

    name, place = "mail server", f"{settings.smtp_host}:{settings.smtp_port}"
    if not any(plan.mail is not None for plan in plans):
        return Check(name=name, told="no plan sends mail")
    server = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        use_tls=settings.smtp_tls == "tls",
        start_tls=settings.smtp_tls == "starttls",
        timeout=settings.smtp_timeout.total_seconds(),
    )
    try:
        await with_sign_of_life(server.connect(), out=out, text=f"Waiting for the mail server {place} …")
        await server.quit()
    except Exception as error:
        return Check(
            name=name,
            state=State.PROBLEM,
            told=f"{place} does not take us ({meaning_of(error).code})",
            do="See that it runs, and RETIREMENT_SMTP_HOST, RETIREMENT_SMTP_PORT and RETIREMENT_SMTP_TLS.",
        )
    return Check(name=name, told=place)


async def _connected(checks: list[Check], *, out: Output) -> "Client | None":
    try:
        client = await connect(out)
    except Exception as error:
        checks.append(problem("Temporal", error))
        return None
    checks.append(Check(name="Temporal", told=f"{client.service_client.config.target_host}"))
    return client

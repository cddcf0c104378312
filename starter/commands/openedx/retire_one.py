"""`retire openedx retire-one`."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.access import connect, open_ledger, run, with_sign_of_life
from starter.driver_codes import DriverCode, code_of_hold, code_of_result, help_end
from starter.errors import CommandError, explain
from starter.exit_codes import ExitCode
from starter.learners import begin, known
from starter.options import Json
from starter.output import Output, reason_of, show
from starter.site import DryRun, OpenSite, open_site
from starter.starting import ask_status, result_of

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from ledger.ledger import Ledger
    from openedx.row import Row
    from workflows.messages import Status

_LOOK_EVERY_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class _End:
    """How the command ends: in words, and by a code."""

    code: DriverCode
    told: str
    user_id: str | None = None


def _retire_one(
    username: Annotated[
        str,
        typer.Argument(
            metavar="USERNAME",
            envvar="RETIREMENT_USERNAME",
            help="The original username; letter case counts. Default: RETIREMENT_USERNAME, as for the driver.",
            show_default=False,
        ),
    ],
    site: Annotated[
        Path | None,
        typer.Option(
            "--site",
            metavar="FILE",
            envvar="RETIREMENT_OPENEDX_SITE",
            help="The site's file, as `retire openedx import` writes it.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Retire one learner and wait for the end: for jobs that were made for the driver's script of one learner.

    A learner in cool-off is waited for. Interrupting this command does not stop the retirement.
    """
    out = Output(as_json=json)
    trying = _Trying(out=out, username=username, dry_run=dry_run)
    try:
        end = run(trying.retire(site))
    except typer.Exit:
        raise
    except Exception as error:
        told = explain(error)
        code = DriverCode.SET_UP if trying.is_configured else DriverCode.CONFIGURATION
        out.error(told.line, code=code)
        return code
    facts = {"user_id": end.user_id, "told": end.told, "exit_code": int(end.code), "dry_run": dry_run}
    out.result(facts, [f"{end.user_id}: {end.told}" if end.user_id else end.told])
    return end.code


@dataclass(kw_only=True)
class _Trying:
    out: Output
    username: str
    dry_run: bool
    #: What went wrong before is a matter of configuration, behind it one of set-up or credentials.
    is_configured: bool = False

    async def retire(self, site: Path | None) -> _End:
        if site is None:
            raise CommandError(
                "No site is named.", do="Give --site FILE, or set RETIREMENT_OPENEDX_SITE.", code=ExitCode.NOT_SET_UP
            )
        async with open_site(site) as it:
            self.is_configured = True
            row = await with_sign_of_life(it.lms.status(self.username), out=self.out, text="Waiting for the LMS …")
            refused = _refusal(row, username=self.username, it=it)
            if refused is not None:
                return refused
            assert row is not None
            async with open_ledger(it.settings) as ledger:
                client = await connect(self.out)
                return await self._go(row, it=it, ledger=ledger, client=client)

    async def _go(self, row: "Row", *, it: OpenSite, ledger: "Ledger", client: "Client") -> _End:
        from openedx.collecting import Verdict, verdict_on
        from openedx.starts import start_of, user_id_of
        from workflows.names import workflow_id

        user_id = user_id_of(it.site, row)
        standing = await known(row, site=it.site, ledger=ledger, client=client)
        if verdict_on(row, known=standing) is Verdict.GIVEN_UP:
            return _End(
                code=DriverCode.ENDED_BEFORE,
                told="ABORTED here: the retirement was taken back; nothing was started",
                user_id=user_id,
            )
        if self.dry_run:
            does = "would wait for the run that is going on" if standing.is_running else "would be started"
            return _End(code=DriverCode.COMPLETE, told=f"{does}; the LMS has it as {row.state}", user_id=user_id)
        handle: WorkflowHandle[object, object] = client.get_workflow_handle(workflow_id(user_id=user_id))
        if not standing.is_running:
            start = start_of(it.site, row, case=standing.case)
            handle = await begin(row, start, ledger=ledger, client=client) or handle
        self.out.note(f"{user_id} is being retired. Interrupting this command does not stop it.")
        return await self._watch(handle, user_id=user_id)

    async def _watch(self, handle: "WorkflowHandle[object, object]", *, user_id: str) -> _End:
        """Show each change until the run has ended, or waits for something that a job can't wait for."""
        ended = asyncio.ensure_future(result_of(handle))
        shown = ""
        while not ended.done():
            status = await ask_status(handle)
            line = _progress(status)
            if line != shown:
                self.out.note(line)
                shown = line
            if status is not None and status.held:
                ended.cancel()
                hold = status.held[0]
                told = f"held: {hold.code}; it goes on when the cause is gone, see `retire status {user_id}`"
                return _End(code=code_of_hold(hold), told=told, user_id=user_id)
            await asyncio.wait([ended], timeout=_LOOK_EVERY_SECONDS)
        result = await ended
        reason = reason_of(result.model_dump())
        told = f"{result.outcome}{f' ({reason})' if reason else ''}"
        return _End(code=code_of_result(result), told=told, user_id=user_id)


def _refusal(row: "Row | None", *, username: str, it: OpenSite) -> _End | None:
    """Why nothing is started, by the row alone."""
    from openedx.starts import user_id_of

    if row is None or row.username != username:
        told = "the LMS has no retirement request of a learner of this name; letter case counts"
        return _End(code=DriverCode.NO_ROW, told=told)
    user_id, mirror = user_id_of(it.site, row), it.chain.mirror
    if row.state in (mirror.errored, mirror.aborted, mirror.complete):
        mend = "; see `retire openedx resume`" if row.state == mirror.errored else ""
        return _End(code=DriverCode.ENDED_BEFORE, told=f"{row.state} in the LMS already{mend}", user_id=user_id)
    if row.state not in it.chain.states:
        told = f"the LMS has it in {show(row.state)}, which is no state of the plan {it.plan.plan}"
        return _End(code=DriverCode.STATE_NOT_IN_PLAN, told=told, user_id=user_id)
    return None


def _progress(status: "Status | None") -> str:
    if status is None:
        return "no worker answers; the run waits for one (`retire worker`)"
    if status.phase == "cool_off":
        return f"cooling-off until {show(status.cool_off_ends_at)}"
    steps = [step for step in status.steps if step.phase == "erase"]
    running = [number for number, step in enumerate(steps, start=1) if step.state == "running"]
    if status.phase == "erase" and running:
        return f"retiring step {running[0]} of {len(steps)}: {steps[running[0] - 1].step}"
    return status.phase.value.replace("_", "-")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("retire-one", epilog=help_end(example="retire openedx retire-one ann --site site.yaml"))(_retire_one)

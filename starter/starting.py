"""Starts a run of a retirement, and watches a run of whatever kind to its end."""

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output, columns, reason_of, show

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from workflows.messages import Result, Start, Status

_LOOK_EVERY_SECONDS = 0.5
_QUERY_WITHIN = timedelta(seconds=3)
#: Progress is told this often, and on its own line: it may go into a log.
_PROGRESS_EVERY_SECONDS = 2.0


async def start_run(client: "Client", start: "Start") -> "WorkflowHandle[Any, Any]":
    """Start RetireUser under its one workflow id.

    Raises:
        CommandError: a run of that id is going on.
    """
    from temporalio.common import WorkflowIDConflictPolicy
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from workflows import names

    try:
        return await client.start_workflow(
            names.WORKFLOW_TYPE,
            start.model_dump(mode="json", exclude_defaults=True),
            id=names.workflow_id(user_id=start.user_id, tenant=start.tenant),
            task_queue=names.QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=f"Retire one account, plan {start.plan}" if start.plan else "Retire one account",
        )
    except WorkflowAlreadyStartedError as error:
        raise CommandError(
            f"A retirement of this person is running already, as {show(error.workflow_id)}.",
            do="See `retire status` for where it stands.",
            code=ExitCode.ALREADY_RUNNING,
        ) from None


async def ask_status(handle: "WorkflowHandle[Any, Any]") -> "Status | None":
    """The run's own answer about its state; None where no worker gives one in time."""
    from temporalio.client import WorkflowQueryFailedError, WorkflowQueryRejectedError
    from temporalio.service import RPCError

    from workflows import names
    from workflows.messages import Status

    try:
        async with asyncio.timeout(_QUERY_WITHIN.total_seconds() + 1):
            answer: Status = await handle.query(names.STATUS, result_type=Status, rpc_timeout=_QUERY_WITHIN)
            return answer
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError, TimeoutError):
        return None


async def watch(handle: "WorkflowHandle[Any, Any]", *, client: "Client", out: Output) -> "Result":
    """Show each change of phase, and how far long steps are, until the run has ended; return how it ended."""
    ended = asyncio.ensure_future(result_of(handle))
    shown: list[str] = []
    told_at = 0.0
    while not ended.done():
        status = await ask_status(handle)
        lines = _progress_of(status)
        if status is not None and status.phase == "transfer" and time.monotonic() - told_at > _PROGRESS_EVERY_SECONDS:
            far = await how_far(client, workflow_id=handle.id)
            told_at = time.monotonic() if far else told_at
            lines += far
        for line in lines:
            if line not in shown:
                out.note(line)
        shown = lines
        await asyncio.wait([ended], timeout=_LOOK_EVERY_SECONDS)
    return await ended


async def how_far(client: "Client", *, workflow_id: str) -> list[str]:
    """How far the steps are that tell it: `documents: 480 of 10,000`."""
    from starter.standing import look_at_run

    run = await look_at_run(client, workflow_id=workflow_id)
    return [
        f"{call.progress.step}: {call.progress_for_people}" for call in (run.pending if run else ()) if call.progress
    ]


def _progress_of(status: "Status | None") -> list[str]:
    if status is None:
        return ["No worker answers; the run waits for one (`retire worker`)."]
    until = f" until {show(status.cool_off_ends_at)}" if status.phase == "cool_off" else ""
    held = [f"held: {hold.step} ({hold.code}), until {show(hold.expires_at)} at the latest" for hold in status.held]
    return [f"{status.phase.replace('_', '-')}{until}", *held]


async def result_of(handle: "WorkflowHandle[Any, Any]") -> "Result":
    """Wait for the end of a run. ERRORED closes it as Failed with the result in its details.

    Raises:
        CommandError: it ended in another way (a start that can't be used, or ended from outside).
    """
    from temporalio.client import WorkflowFailureError
    from temporalio.exceptions import ApplicationError

    from workflows import names
    from workflows.messages import Result

    try:
        return Result.model_validate(await handle.result())
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == names.ERRORED_ERROR and cause.details:
            return Result.model_validate(cause.details[0])
        if isinstance(cause, ApplicationError) and cause.type == names.BAD_REQUEST_ERROR:
            raise CommandError(
                f"The start was not understood: {show(cause.message)}.", do="No case was opened.", code=ExitCode.USAGE
            ) from None
        kind = cause.type if isinstance(cause, ApplicationError) else type(cause).__name__
        raise CommandError(
            f"The run ended in a way a retirement does not end by itself ({show(kind)}).",
            do="See it in the Temporal UI; `retire status` shows what the ledger knows.",
            code=ExitCode.UNEXPECTED,
        ) from None


def tell_result(out: Output, result: "Result", *, workflow_id: str) -> ExitCode:
    """Print how a retirement ended; the exit code says it, too."""
    facts = {"workflow_id": workflow_id, **result.model_dump()}
    reason = reason_of(facts)
    lines = [f"{result.outcome}{f' ({reason})' if reason else ''}  {show(result.retirement_id)}"]
    if result.steps:
        lines += columns([(f"  {s.step}", s.result, s.code, s.detail) for s in result.steps])
    if result.outcome == "ERRORED":
        lines.append(f"Mend the cause, then: retire resume {show(result.retirement_id)}")
    out.result(facts, lines)
    codes = {"COMPLETE": ExitCode.OK, "ABORTED": ExitCode.ABORTED, "ERRORED": ExitCode.ERRORED}
    return codes[result.outcome]

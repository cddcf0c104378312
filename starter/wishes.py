"""Sends rescind, extend, expedite and decide so that none is lost, and tells the answer."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starter.access import connect, with_sign_of_life
from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output, show
from starter.subjects import Subject, not_found

if TYPE_CHECKING:
    from temporalio.client import Client

    from ledger.rows import Case
    from workflows.messages import Answer

#: How long an answer is waited for before the wish is left as a signal.
_ANSWER_WITHIN = timedelta(seconds=5)

#: How a server answers an update that it had to drop (a lost workflow task, too many at once): nobody has refused the wish.
_TURNED_AWAY = frozenset({"FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED"})

#: What the codes of refusals mean; accepted ones speak for themselves.
_MEANINGS = {
    "past_return": "it is past the point of no return",
    "closed": "it has ended",
    "going_back": "the account is being given back already",
    "not_open_yet": "its case is not open yet; try again in a moment",
    "already_expedited": "its cool-off is over",
    "refused_by_plan": "its plan does not allow it",
    "not_later": "that is not later than its cool-off ends now",
    "beyond_max": "that is beyond the plan's max",
    "not_held": "that step is not held; see `retire status`",
}


class RunClosed(Exception):
    """No run takes messages: it has ended, or there never was one. The ledger knows more."""


async def send(
    client: "Client", *, workflow_id: str, name: str, wish: Mapping[str, Any], out: Output
) -> "Answer | None":
    """Send a wish and wait a moment for the answer; None means that it is recorded and not yet answered.

    An update that times out for us may still be applied later, or be lost with the server's memory. So the wish is then
    left as a signal, which is durable; every wish is made so that applying it twice changes nothing more.

    Raises:
        RunClosed: there is no run to take it.
    """
    from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
    from temporalio.service import RPCError, RPCStatusCode

    from workflows.messages import Answer

    handle = client.get_workflow_handle(workflow_id)
    try:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN.total_seconds() + 1):
                answer: Answer = await with_sign_of_life(
                    handle.execute_update(
                        name, wish, id=str(uuid.uuid4()), result_type=Answer, rpc_timeout=_ANSWER_WITHIN
                    ),
                    out=out,
                    text="Waiting for a worker to answer …",
                )
                return answer
        except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError):
            pass
        except RPCError as error:
            if error.status.name not in _TURNED_AWAY:
                raise
        await handle.signal(name, wish, rpc_timeout=_ANSWER_WITHIN)
        return None
    except WorkflowUpdateFailedError:
        # The handlers never raise, so the run has ended while it had the wish.
        raise RunClosed from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and "namespace" not in error.message.lower():
            raise RunClosed from None
        raise


async def deliver(subject: Subject, *, name: str, wish: Mapping[str, Any], out: Output) -> ExitCode:
    """Send a wish and tell the answer.

    Raises:
        CommandError: there is no run to take it; says why, from the ledger.
    """
    from workflows.names import EXPEDITE, EXTEND

    if subject.workflow_id is None:
        raise no_run(subject)
    if subject.is_transfer and name in (EXTEND, EXPEDITE):
        raise CommandError(
            f"{show(subject.who)} is a transfer, and has no cool-off.",
            do="`retire rescind` takes it back while nothing is moved.",
            code=ExitCode.REFUSED,
        )
    try:
        answer = await send(await connect(out), workflow_id=subject.workflow_id, name=name, wish=wish, out=out)
    except RunClosed:
        raise no_run(subject) from None
    return tell(out, name=name, subject=subject, answer=answer)


def tell(out: Output, *, name: str, subject: Subject, answer: "Answer | None") -> ExitCode:
    """Print an answer, or that there is none yet."""
    from workflows.names import EXTEND

    facts: dict[str, Any] = {
        "message": name,
        "workflow_id": subject.workflow_id,
        "retirement_id": subject.case.retirement_id if subject.case else None,
        "answered": answer is not None,
        "accepted": answer.accepted if answer else None,
        "code": answer.code if answer else None,
        "gone": list(answer.gone) if answer else [],
        "cool_off_ends_at": answer.cool_off_ends_at if answer else None,
    }
    if answer is None:
        out.result(
            facts,
            [f"{name}: recorded, not yet answered. No worker has taken it; start one, then see `retire status`."],
        )
        return ExitCode.NOT_YET_ANSWERED
    why = f": {_MEANINGS[answer.code]}" if answer.code in _MEANINGS else ""
    lines = [f"{name}: {'accepted' if answer.accepted else 'refused'} ({show(answer.code)}){why}"]
    if answer.gone:
        lines.append(f"gone already: {show(answer.gone)}")
    if name == EXTEND and answer.cool_off_ends_at is not None:
        lines.append(f"cool-off ends: {show(answer.cool_off_ends_at)}")
    out.result(facts, lines)
    return ExitCode.OK if answer.accepted else ExitCode.REFUSED


def no_run(subject: Subject) -> CommandError:
    """Why a message finds no run, from the ledger."""
    case = subject.case
    if case is None:
        return not_found(subject)
    return CommandError(
        f"{case.retirement_id} {standing_of(case)}.",
        do=f"See `retire report {case.retirement_id}`.",
        code=ExitCode.REFUSED,
    )


def standing_of(case: "Case") -> str:
    """How a case that has no run stands, in words."""
    if case.outcome is None:
        return (
            "is open in the ledger, but no run of it takes messages: it was ended from outside, or is ending just now"
        )
    reason = f" ({case.reason})" if case.reason else ""
    when = f" on {show(case.closed_at)}" if case.closed_at else ""
    return f"ended {case.outcome}{reason}{when}"

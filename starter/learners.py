"""Learners of an Open edX site, as ledger and Temporal know them; and how a run of theirs is begun."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output
from starter.starting import start_run

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from ledger.ledger import Ledger
    from openedx.collecting import Known
    from openedx.row import Row
    from openedx.site import Site
    from workflows.messages import Start

#: Questions under way at a time.
_AT_A_TIME = 16
_ANSWER_WITHIN = timedelta(seconds=10)
#: Progress is told this often.
_PROGRESS_EVERY_SECONDS = 2.0


async def known_of(rows: "Sequence[Row]", *, site: "Site", ledger: "Ledger", client: "Client") -> "Mapping[int, Known]":
    """What is known of each learner, by the row's id."""
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def one(row: "Row") -> "Known":
        async with slots:
            return await known(row, site=site, ledger=ledger, client=client)

    answers = await asyncio.gather(*(one(row) for row in rows))
    return {row.id: answer for row, answer in zip(rows, answers, strict=True)}


async def known(row: "Row", *, site: "Site", ledger: "Ledger", client: "Client") -> "Known":
    """What is known of one learner."""
    from openedx.collecting import Known
    from openedx.starts import user_id_of

    user_id = user_id_of(site, row)
    so_far = Known(case=await ledger.find(user_id=user_id, tenant=None))
    if so_far.case is not None and not so_far.case.is_live:
        return so_far
    # A run that no worker has taken up yet is known to Temporal alone; one that was lost with its server, to the ledger.
    if await is_running(client, user_id=user_id):
        return replace(so_far, is_running=True)
    # It may have ended between the two questions, and closed its case before it did.
    return Known(case=await ledger.find(user_id=user_id, tenant=None))


async def is_running(client: "Client", *, user_id: str) -> bool:
    """Is a run of this user id going on?"""
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from workflows.names import workflow_id

    try:
        seen = await client.get_workflow_handle(workflow_id(user_id=user_id)).describe(rpc_timeout=_ANSWER_WITHIN)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and "namespace" not in error.message.lower():
            return False
        raise
    return seen.status is WorkflowExecutionStatus.RUNNING


async def begin(
    row: "Row", start: "Start", *, ledger: "Ledger", client: "Client"
) -> "WorkflowHandle[object, object] | None":
    """Begin a learner's run; None where one is going on already.

    What identifies the learner goes to the ledger first, sealed, as the run may look for it at once.
    """
    from openedx.starts import given_of

    if start.resume is None:
        await ledger.take_in(user_id=start.user_id, tenant=start.tenant, values=given_of(row), now=datetime.now(UTC))
    try:
        return await start_run(client, start)
    except CommandError as error:
        if error.code is ExitCode.ALREADY_RUNNING:
            return None
        raise


def progress_on(out: Output) -> Callable[[int, int], None]:
    """Says how many of how many learners are through, where it takes long."""
    told_at = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _PROGRESS_EVERY_SECONDS:
            told_at = time.monotonic()
            out.note(f"{done:,} of {of:,}")

    return tell

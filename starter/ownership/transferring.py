"""Opens a transfer, starts its run, and tells what became of each asset.

The ledger has everything before a run begins, so that whoever is cut off in between may ask for the same once more.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.output import Output, columns, show
from starter.ownership.listing import Columns, csv_file
from starter.ownership.outcomes import Outcomes, left_out_lines, outcomes_of
from starter.ownership.refusals import meaning_of, refused
from starter.standing import counts_for_people
from starter.starting import watch

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from ledger.ledger import Ledger
    from ledger.rows import Case
    from ledger.transfers import TransferWish
    from plans.model import Plan
    from workflows.messages import Result, Start

#: How long the run of an earlier transfer may take to end after its case was closed.
_ENDS_WITHIN = 10.0
_LOOK_EVERY = 0.3


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How the end of a transfer is told."""

    show_values: bool = False
    csv: Path | None = None


async def open_transfer(wish: "TransferWish", *, plan: "Plan", ledger: "Ledger", out: Output) -> "Case":
    """Keep in the ledger all that a run needs; the same wish again finds what was kept.

    Raises:
        CommandError: something stands in the way; nothing was written then.
    """
    from workflows import names
    from workflows.names import Audience

    tells_admins = plan.mail is not None and bool(plan.mail.admins)
    opening = await ledger.open_transfer(
        wish=wish,
        workflow_id=names.transfer_workflow_id(user_id=wish.user_id, tenant=wish.tenant),
        holders=(names.REPORT_HOLDER, *((Audience.ADMINS.value,) if tells_admins else ())),
        now=datetime.now(UTC),
    )
    if opening.obstacle is not None or opening.case is None:
        raise refused(opening)
    if opening.is_known:
        out.note(f"Note: the same was asked for before, as {opening.case.retirement_id}; this goes on with it.")
    return opening.case


async def start_transfer(client: "Client", start: "Start", *, joins: bool) -> "WorkflowHandle[Any, Any]":
    """Start TransferOwnership for an opened case; with `joins` a run of that case that goes on will do.

    Raises:
        CommandError: a run goes on under its workflow id.
    """
    from temporalio.common import WorkflowIDConflictPolicy
    from temporalio.exceptions import WorkflowAlreadyStartedError

    from workflows import names

    id = names.transfer_workflow_id(user_id=start.user_id, tenant=start.tenant)
    until = time.monotonic() + _ENDS_WITHIN
    while True:
        try:
            return await client.start_workflow(
                names.TRANSFER_WORKFLOW_TYPE,
                start.model_dump(mode="json", exclude_defaults=True),
                id=id,
                task_queue=names.QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={names.TRANSFER_MEMO: start.resume},
                static_summary="Hand over what one person owns",
            )
        except WorkflowAlreadyStartedError:
            handle = client.get_workflow_handle(id)
            is_this_one = (await (await handle.describe()).memo()).get(names.TRANSFER_MEMO) == start.resume
            if is_this_one and joins:
                return handle
            if is_this_one or time.monotonic() > until:
                raise CommandError(
                    f"A transfer from this person is running already, as {show(id)}.",
                    do="See `retire status` for where it stands.",
                    code=ExitCode.ALREADY_RUNNING,
                ) from None
        # An earlier one, whose case is closed, and which is about to end.
        await asyncio.sleep(_LOOK_EVERY)


def tell_started(out: Output, *, case: "Case", handle: "WorkflowHandle[Any, Any]") -> ExitCode:
    """Print what was started; nobody waits for it."""
    id = case.retirement_id
    facts = {"transfer_id": id, "workflow_id": handle.id, "run_id": handle.first_execution_run_id}
    out.result(facts, columns([("started", handle.id), ("transfer", id)]))
    out.note(f"See `retire status {id}`, and `retire assets {id}` for each asset.")
    return ExitCode.OK


async def follow(
    handle: "WorkflowHandle[Any, Any]", *, id: str, client: "Client", ledger: "Ledger", out: Output, telling: Telling
) -> ExitCode:
    """Wait for the end, tell what became of each asset, and let go of what was kept for that."""
    from workflows.names import REPORT_HOLDER, Outcome

    out.note(f"Transfer {id}. Interrupting this command does not stop it.")
    result = await watch(handle, out=out, client=client)
    outcomes = await _outcomes(id, ledger=ledger)
    left_out = await _left_out(id, ledger=ledger)
    chosen = Columns(with_results=True, show_values=telling.show_values)
    with csv_file(telling.csv, heading=chosen.names) as table:
        if table is not None:
            table.writerows(chosen.recorded(row) for row in outcomes.rows)
    kept = [] if telling.csv is not None else [chosen.recorded(row) for row in outcomes.rows]
    facts = {
        "transfer_id": id,
        "workflow_id": handle.id,
        **result.model_dump(exclude={"retirement_id", "unverified", "retained"}),
        "left_out": left_out,
        "counts": outcomes.counts,
        "assets": [dict(zip(chosen.names, row, strict=True)) for row in kept] if telling.csv is None else None,
    }
    out.result(facts, _lines(result, id=id, outcomes=outcomes, left_out=left_out, chosen=chosen, telling=telling))
    if result.outcome is Outcome.COMPLETE:
        await ledger.let_go(retirement_id=id, holder=REPORT_HOLDER, now=datetime.now(UTC))
    return _code(result, outcomes)


async def _outcomes(id: str, *, ledger: "Ledger") -> Outcomes:
    from ledger.errors import VaultMissing
    from ledger.rows import StepAction, no_values

    try:
        begun = await ledger.begin_step(retirement_id=id, step="", action=StepAction.DO)
        only_named = (begun.values or no_values())["people"].get("only_named", False)
        return outcomes_of(await ledger.assets(id), only_named=only_named)
    except VaultMissing:
        return Outcomes(rows=())


async def _left_out(id: str, *, ledger: "Ledger") -> dict[str, str]:
    from plans.handing_over import handing_over
    from plans.outline import plan_from_document

    case = await ledger.case(id)
    stored = await ledger.stored_plan(case.plan_digest) if case is not None else None
    if stored is None:
        return {}
    return dict(handing_over(plan_from_document(stored.document, format=stored.format)).left_out)


def _lines(
    result: "Result",
    *,
    id: str,
    outcomes: Outcomes,
    left_out: dict[str, str],
    chosen: Columns,
    telling: Telling,
) -> list[str]:
    why = meaning_of(result.code) if result.code else show(result.reason)
    lines = [f"{result.outcome}{f': {why}' if result.reason else ''}  {id}"]
    if result.steps:
        lines += columns([(f"  {step.step}", step.result, step.code, step.detail) for step in result.steps])
    lines += left_out_lines(left_out)
    shown = outcomes.shown()
    if shown and telling.csv is None:
        lines += ["", *columns([chosen.recorded(row) for row in shown], heading=chosen.names)]
    if outcomes.rows:
        lines += ["", counts_for_people(outcomes.counts)]
    if len(shown) < len(outcomes.rows) and telling.csv is None:
        lines.append("--json and --csv have each of them.")
    if result.outcome == "ERRORED":
        is_lost = any(step.code in ("successor_lost", "no_successor") for step in result.steps)
        lines.append(f"Mend the cause, then: retire resume {id}{' --successor ID' if is_lost else ''}")
    return lines


def _code(result: "Result", outcomes: Outcomes) -> ExitCode:
    codes = {"ABORTED": ExitCode.ABORTED, "ERRORED": ExitCode.ERRORED}
    if result.outcome in codes:
        return codes[result.outcome]
    return ExitCode.PROBLEMS if outcomes.has_problems else ExitCode.OK

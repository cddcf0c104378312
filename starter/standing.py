"""Where a retirement stands: the run's own answer, what Temporal shows of it, and the ledger, merged.

Each of the three may be missing: no worker runs, the history has expired, or no worker has opened the case yet.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starter.output import columns, reason_of, show
from starter.starting import ask_status
from starter.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from temporalio.api.workflow.v1 import PendingActivityInfo
    from temporalio.client import Client

    from ledger.ledger import Ledger
    from ledger.rows import StepRow, Work
    from workflows.messages import MessageRow, Progress, Status
    from workflows.names import AssetResult


#: What is told of work that outlives its retirement, or that a person does.
WORK = ("step", "kind", "state", "opened_at", "next_look_at", "ended_at", "by", "code")


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A call that Temporal has under way or will try again."""

    call: str
    type: str
    attempt: int
    next_try_at: datetime | None
    last_code: str | None
    #: The queue (as RETIREMENT_QUEUES names it) of which no worker has taken the call yet.
    waits_for_queue: str | None
    #: How far it is, where its heartbeats tell.
    progress: "Progress | None" = None

    @property
    def progress_for_people(self) -> str | None:
        """`480 of 10,000`."""
        return f"{self.progress.done:,} of {self.progress.of:,}" if self.progress is not None else None

    def facts(self) -> dict[str, Any]:
        """For --json."""
        return {**vars(self), "progress": self.progress.model_dump() if self.progress is not None else None}


@dataclass(frozen=True, kw_only=True)
class Run:
    """The newest run of a workflow id, as Temporal shows it."""

    run_id: str | None
    status: str
    started_at: datetime
    closed_at: datetime | None
    pending: tuple[Pending, ...] = ()


async def look_at_run(client: "Client", *, workflow_id: str) -> Run | None:
    """The newest run; None where there never was one, or its history has expired."""
    from datetime import timedelta

    from temporalio.service import RPCError, RPCStatusCode

    try:
        seen = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=timedelta(seconds=10))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND and "namespace" not in error.message.lower():
            return None
        raise
    return Run(
        run_id=seen.run_id,
        status=seen.status.name if seen.status is not None else "UNKNOWN",
        started_at=seen.start_time,
        closed_at=seen.close_time,
        pending=tuple([await pending_call(client, info) for info in seen.raw_description.pending_activities]),
    )


async def pending_call(client: "Client", info: "PendingActivityInfo") -> Pending:
    """A call as the server describes it, with what its last failure and its heartbeats tell."""
    from datetime import UTC

    from temporalio.api.enums.v1 import PendingActivityState

    from workflows.messages import Failure, Progress
    from workflows.names import queue_served_as

    code = progress = None
    if info.heartbeat_details.payloads:
        try:
            (progress,) = await client.data_converter.decode(info.heartbeat_details.payloads[:1], [Progress])
        except Exception:
            # Another release's: what it tells isn't known here.
            progress = None
    if info.HasField("last_failure"):
        application = info.last_failure.application_failure_info
        code = application.type or None
        if application.details.payloads:
            try:
                (failure,) = await client.data_converter.decode(application.details.payloads[:1], [Failure])
                code = failure.code
            except Exception:
                # Not one of our failures; its type says enough.
                code = application.type or None
    waits = info.HasField("next_attempt_schedule_time")
    is_taken = info.state != PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    task_queue = info.activity_options.task_queue.name
    return Pending(
        call=info.activity_id,
        type=info.activity_type.name,
        attempt=info.attempt,
        next_try_at=info.next_attempt_schedule_time.ToDatetime(tzinfo=UTC) if waits else None,
        last_code=code,
        waits_for_queue=None if waits or is_taken else queue_served_as(task_queue),
        progress=progress,
    )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All that is known of one retirement, or of one transfer."""

    subject: Subject
    rows: tuple["StepRow", ...]
    messages: tuple["MessageRow", ...]
    run: Run | None
    status: "Status | None"
    #: How many assets of each step came to which result.
    assets: "Mapping[str, Mapping[AssetResult | None, int]]" = field(default_factory=dict)
    #: What vendors and people have to do, or have done.
    work: tuple["Work", ...] = ()

    @property
    def is_known(self) -> bool:
        """Does the ledger or Temporal know anything?"""
        return self.subject.case is not None or self.run is not None

    def facts(self) -> dict[str, Any]:
        """Everything, for --json. The run's own answer is newer than the ledger, where there is one."""
        case, status, run = self.subject.case, self.status, self.run
        # Neither date is of a transfer: nobody's mind may change, and no law sets a limit.
        dated = None if self.subject.is_transfer else case
        return {
            "retirement_id": case.retirement_id if case else (status.retirement_id if status else None),
            "kind": case.kind if case else None,
            "workflow_id": self.subject.workflow_id,
            "told_by": "worker" if status else ("ledger" if case else "temporal"),
            "phase": self._phase(),
            "outcome": (status.outcome if status else None) or (case.outcome if case else None),
            "reason": (status.reason if status else None) or (case.reason if case else None),
            "code": case.code if case else None,
            "direction": case.direction if case else None,
            "plan": case.plan if case else (status.plan if status else None),
            "requested_at": case.requested_at if case else (status.requested_at if status else None),
            "cool_off_ends_at": status.cool_off_ends_at if status else (dated.cool_off_ends_at if dated else None),
            "due_at": dated.due_at if dated else (status.due_at if status else None),
            "closed_at": case.closed_at if case else None,
            "may_rescind": status.may_rescind if status else (case.is_live and case.state == "open" if case else None),
            "steps": self._steps(),
            "held": [hold.model_dump() for hold in status.held] if status else [],
            "work": [{name: getattr(each, name) for name in WORK} for each in self.work],
            "messages": [row.model_dump() for row in (status.messages if status else self.messages)],
            "run": {
                "run_id": run.run_id,
                "status": run.status,
                "started_at": run.started_at,
                "closed_at": run.closed_at,
                "pending": [call.facts() for call in run.pending],
            }
            if run
            else None,
        }

    def _phase(self) -> str | None:
        if self.status is not None:
            return self.status.phase.value
        if self.subject.case is None:
            return "not_opened_yet" if self.run is not None and self.run.status == "RUNNING" else None
        return self.subject.case.state.value

    def _steps(self) -> list[dict[str, Any]]:
        """One entry a step (and an undo), in the order of the run's answer, or else of the ledger."""
        pending = {call.call: call for call in self.run.pending} if self.run else {}
        rows = {row.step if row.action == "do" else f"{row.step}:{row.action}": row for row in self.rows}
        seen = {step.step: step for step in self.status.steps} if self.status else {}
        steps = []
        for name in dict.fromkeys([*seen, *rows, *(name for name in pending if name in seen or ":undo" in name)]):
            row, live, call = rows.get(name), seen.get(name), pending.get(name)
            known = live.state if live else (row.result if row and row.result else "begun")
            steps.append(
                {
                    "step": name,
                    "phase": live.phase if live else None,
                    "state": known,
                    "since": (live.since if live else None) or (row.at if row else None),
                    "service": row.service if row else None,
                    "code": (live.code if live else None) or (row.code or row.last_code if row else None),
                    "detail": (live.detail if live else None) or (row.detail if row else None),
                    "until": row.until if row else None,
                    "by": row.by if row else None,
                    "assets": counts_of(self.assets.get(name, {})),
                    "progress": call.progress_for_people if call else None,
                    "failures": row.failures if row else 0,
                    "attempt": call.attempt if call else None,
                    "next_try_at": call.next_try_at if call else None,
                }
            )
        return steps

    def lines(self) -> list[str]:
        """The same, for people."""
        facts = self.facts()
        reason = reason_of(facts)
        ended = f"{facts['outcome']}" + (f" ({reason})" if reason else "")
        head: list[tuple[str, object]] = [
            ("transfer" if self.subject.is_transfer else "retirement", facts["retirement_id"]),
            ("workflow", facts["workflow_id"]),
            ("phase", (facts["phase"] or "-").replace("_", "-")),
            ("outcome", ended if facts["outcome"] else None),
            ("plan", facts["plan"]),
            ("requested", facts["requested_at"]),
            *(
                [("cool-off ends", facts["cool_off_ends_at"]), ("due", facts["due_at"])]
                if not self.subject.is_transfer
                else []
            ),
            ("may be rescinded", facts["may_rescind"]),
            ("told by", facts["told_by"]),
        ]
        if facts["direction"]:
            head.insert(4, ("resumes", facts["direction"]))
        if facts["run"]:
            head.append(("run", f"{facts['run']['status']} since {show(facts['run']['started_at'])}"))
        lines = columns(head)
        columns_of = {
            "step": _step_columns(facts["steps"]),
            "held": ("step", "cause", "code", "since", "expires_at"),
            "work": WORK,
            "message": ("kind", "accepted", "code", "at", "by", "reason_code"),
            "call": ("call", "type", "attempt", "next_try_at", "last_code", "waits_for_queue"),
        }
        tables = {
            "step": facts["steps"],
            "held": facts["held"],
            "work": facts["work"],
            "message": facts["messages"],
            "call": facts["run"]["pending"] if facts["run"] else [],
        }
        for kind, rows in tables.items():
            if rows:
                names = columns_of[kind]
                heading = [kind, *(name.replace("_", " ") for name in names[1:])]
                lines += ["", *columns([[cell(row[name]) for name in names] for row in rows], heading=heading)]
        return lines


def counts_of(counts: "Mapping[AssetResult | None, int]") -> dict[str, int]:
    """How many assets came to which result, each in its place; those that nobody has come to yet are waiting."""
    from workflows.names import AssetResult

    return {str(result or "waiting"): counts[result] for result in (*AssetResult, None) if counts.get(result)}


def counts_for_people(counts: "Mapping[str, int]") -> str:
    """`9,998 moved, 2 refused`."""
    return ", ".join(f"{number:,} {result}" for result, number in counts.items())


def cell(value: object) -> object:
    """Counts as people read them; anything else as it is."""
    return counts_for_people(value) if isinstance(value, dict) else value


def _step_columns(steps: "Sequence[Mapping[str, Any]]") -> tuple[str, ...]:
    """What a table of steps tells; of assets only where there are some."""
    told = [name for name in ("assets", "progress") if any(step[name] for step in steps)]
    return ("step", "state", "since", *told, "code", "detail", "failures", "attempt", "next_try_at", "until", "by")


async def look(subject: Subject, *, ledger: "Ledger", client: "Client | None") -> Standing:
    """Ask all three. Without a client the ledger answers alone."""
    rows: tuple[StepRow, ...] = ()
    messages: tuple[MessageRow, ...] = ()
    assets: dict[str, dict[AssetResult | None, int]] = {}
    work: tuple[Work, ...] = ()
    if subject.case is not None:
        rows = tuple(await ledger.steps(subject.case.retirement_id))
        work = tuple(await ledger.work(subject.case.retirement_id))
        messages = tuple(await ledger.messages(subject.case.retirement_id))
        assets = await ledger.asset_counts(subject.case.retirement_id)
    run = status = None
    if client is not None and subject.workflow_id is not None:
        run = await look_at_run(client, workflow_id=subject.workflow_id)
        if run is not None and run.status == "RUNNING":
            status = await ask_status(client.get_workflow_handle(subject.workflow_id))
    return Standing(subject=subject, rows=rows, messages=messages, run=run, status=status, assets=assets, work=work)

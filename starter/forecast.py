"""What a start would do, to whom, by when: worked out from the plan and the ledger, writing and calling nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starter.output import columns, show

if TYPE_CHECKING:
    from ledger.rows import Case
    from plans.model import Plan, Step
    from workflows.messages import Start


def answer_to(start: "Start", *, case: "Case | None") -> str:
    """What the ledger would answer to this start: `opens_a_case`, or the reason of a refusal."""
    from workflows.names import Outcome, Reason

    if case is None:
        return "opens_a_case"
    if case.is_live:
        return Reason.ALREADY_RUNNING.value
    if case.is_errored:
        return Reason.ERRORED_BEFORE.value
    if case.outcome is Outcome.COMPLETE and not start.again:
        return Reason.ALREADY_COMPLETE.value
    if start.request_id is not None and start.request_id == case.request_id:
        return Reason.DUPLICATE_REQUEST.value
    return "opens_a_case"


def meaning_of(answer: str, *, case: "Case | None") -> str:
    """An answer in words, with what to do."""
    known = case.retirement_id if case else ""
    return {
        "opens_a_case": "opens a new case",
        "duplicate_request": f"refused (duplicate_request): this request id was seen before, by {known}",
        "already_running": f"refused (already_running): {known} is going on; see `retire status {known}`",
        "errored_before": f"refused (errored_before): {known} ended ERRORED; use `retire resume {known}`",
        "already_complete": f"refused (already_complete): {known} is complete; use --again if the account came back",
    }[answer]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A start, its plan, and what the ledger knows of the person."""

    start: "Start"
    plan: "Plan"
    digest: str
    now: datetime
    case: "Case | None"
    ledger_ready: bool

    @property
    def cool_off(self) -> timedelta:
        """The cool-off asked for, or the plan's."""
        return self.plan.cool_off.duration if self.start.cool_off is None else self.start.cool_off

    @property
    def cool_off_ends_at(self) -> datetime:
        """Counted from the request."""
        return self.now + self.cool_off

    @property
    def due_at(self) -> datetime:
        """The legal deadline."""
        from plans.deadlines import due_at

        return due_at(requested_at=self.now, deadline=self.plan.deadline)

    def steps(self) -> list[dict[str, Any]]:
        """Each step: phase, order, service, method and path template, what is kept until when."""
        return [
            {
                "step": name,
                "phase": str(step.phase),
                "after": list(step.after),
                "service": step.service,
                "does": _deed_of(step),
                "successor": step.successor,
                "kept_until": self.now + step.retain.duration if step.retain else None,
                "checked_by_probe": step.probe is not None,
                "undo": step.undo.request.title if step.undo else None,
            }
            for phase in ("freeze", "transfer", "erase", "release")
            for name, step in self.plan.steps.items()
            if step.phase == phase
        ]

    def mails(self) -> list[dict[str, Any]]:
        """The mails of a retirement that nothing disturbs, and when they are sent."""
        if self.plan.mail is None:
            return []
        before = [d for d in sorted(self.plan.cool_off.reminders, reverse=True) if d < self.cool_off]
        return [
            *([{"mail": "received", "at": self.now}] if self.cool_off else []),
            *({"mail": "reminder", "at": self.cool_off_ends_at - duration} for duration in before),
            {"mail": "complete", "at": None},
            *([{"mail": "handover", "at": None}] if self.plan.mail.admins and self._hands_over else []),
            *([{"mail": "disclosed", "at": None}] if self.plan.mail.recipients else []),
        ]

    @property
    def _hands_over(self) -> bool:
        return any(step.phase == "transfer" or step.successor is not None for step in self.plan.steps.values())

    def facts(self) -> dict[str, Any]:
        """Everything, for --json."""
        from workflows.names import workflow_id

        lookup = self.plan.subject.lookup
        return {
            "dry_run": True,
            "workflow_id": workflow_id(user_id=self.start.user_id, tenant=self.start.tenant),
            "answer": answer_to(self.start, case=self.case) if self.ledger_ready else None,
            "known_case": self.case.retirement_id if self.case else None,
            "plan": self.plan.plan,
            "plan_digest": self.digest,
            "requested_at": self.now,
            "cool_off": self.cool_off,
            "cool_off_ends_at": self.cool_off_ends_at,
            "due_at": self.due_at,
            "late": self.cool_off_ends_at > self.due_at,
            "lookup": f"{lookup.service}: {lookup.request.title}",
            "given": list(self.plan.subject.given),
            "row": self.plan.mirror.service if self.plan.mirror else None,
            "successor": self.start.successor,
            "steps": self.steps(),
            "mails": self.mails(),
        }

    def lines(self) -> list[str]:
        """The same, for people."""
        facts = self.facts()
        answer = (
            meaning_of(facts["answer"], case=self.case)
            if self.ledger_ready
            else "not known: there is no ledger yet (`retire setup`)"
        )
        late = "  (after the legal deadline!)" if facts["late"] else ""
        head = columns(
            [
                ("would start", facts["workflow_id"]),
                ("the ledger", answer),
                ("plan", f"{self.plan.plan} ({self.digest[:12]})"),
                *([("needs", f"{show(facts['given'])} (--given)")] if facts["given"] else []),
                ("looked up", facts["lookup"]),
                *([("begins", f"where the row of {facts['row']} says")] if facts["row"] else []),
                ("cool-off", f"{show(self.cool_off)}, ends {show(self.cool_off_ends_at)}{late}"),
                ("due", show(self.due_at)),
                *([("takes over", self.start.successor or "whom the plan chooses")] if self.plan.successors else []),
            ]
        )
        steps = columns(
            [
                (s["phase"], s["step"], s["service"], s["does"], s["after"], s["undo"], s["checked_by_probe"])
                for s in facts["steps"]
            ],
            heading=("phase", "step", "service", "does", "after", "undo", "probe"),
        )
        mails = columns([(m["mail"], m["at"] or "at the end") for m in facts["mails"]], heading=("mail", "when"))
        return [*head, "", *steps, *(["", *mails] if facts["mails"] else []), "", "Nothing was written or called."]


def _deed_of(step: "Step") -> str:
    if step.retain is not None:
        return f"keeps: {step.retain.ground}, for {show(step.retain.duration)}"
    if step.manual is not None:
        return f"by hand: {step.manual}"
    assert step.request is not None
    return (
        step.request.title if step.assets is None else f"{step.request.title}, for each of {step.assets.request.title}"
    )

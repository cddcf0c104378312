"""Outcomes of steps that no activity reports: what failed, what somebody decided, what stays on purpose."""

from datetime import datetime

from workflows.holding import HoldEnded
from workflows.messages import StepOutcome, StepOutline
from workflows.names import Reason, StepResult

#: The code of a step that a mirrored source says is done, whoever did it.
AT_SOURCE = "at_source"


def failed(step: str, *, code: str, detail: str | None = None, now: datetime) -> StepOutcome:
    """A step that is out of patience, or was refused for good."""
    return StepOutcome(step=step, result=StepResult.FAILED, code=code, detail=detail, at=now)


def decided(step: str, *, ended: HoldEnded, now: datetime) -> StepOutcome:
    """What becomes of a step whose hold ended without its cause going away."""
    by = ended.wish.by if ended.wish else None
    match ended.decision:
        case "skip":
            code = ended.wish.reason_code if ended.wish else None
            return StepOutcome(step=step, result=StepResult.SKIPPED, code=code, by=by, at=now)
        case "done":
            return StepOutcome(step=step, result=StepResult.DONE, code="by_hand", by=by, at=now)
    return failed(step, code=Reason.HOLD_EXPIRED, now=now)


def retained(step: StepOutline, *, requested_at: datetime, now: datetime) -> StepOutcome:
    """What the plan keeps on purpose, dated from the request. No service is asked: that is the point of it."""
    assert step.retained_for is not None
    until = requested_at + step.retained_for
    return StepOutcome(step=step.id, result=StepResult.RETAINED, detail=step.ground, until=until, at=now)


def deferred(step: str, *, now: datetime) -> StepOutcome:
    """What the steps after a deferred one are told of it: they need not wait. It is no outcome, and is never recorded."""
    return StepOutcome(step=step, result=StepResult.SKIPPED, code="deferred", at=now)


def at_source(step: str, *, now: datetime) -> StepOutcome:
    """A step that a mirrored source says is done, whoever did it."""
    return StepOutcome(step=step, result=StepResult.DONE, code=AT_SOURCE, at=now)


def was_accepted(outcome: StepOutcome) -> bool:
    """Has a service of the plan taken it on in this retirement? What somebody else did, or decided, it can't be asked about."""
    return outcome.result.was_accepted and outcome.by is None and outcome.code != AT_SOURCE

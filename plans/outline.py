"""What becomes of a plan once a retirement has been given it: the stored snapshot, and the outline in the history."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from plans.model import Plan, Step, StepPhase
from plans.services import Service
from workflows.messages import Lane, PlanOutline, StepOutline
from workflows.names import MAIN

#: The shape of a stored document, raised with what the language gains: an older worker then holds a step that it doesn't
#: understand, instead of doing half of it. Documents of every earlier format are still read.
FORMAT = 4


class UnknownPlanFormat(Exception):
    """A stored plan was written by a newer release; update this worker."""


@dataclass(frozen=True, kw_only=True)
class PlanSnapshot:
    """A plan as a retirement keeps it: normalised, defaults filled in, named by its digest."""

    digest: str
    name: str
    format: int
    document: dict[str, Any]


def snapshot_of(plan: Plan) -> PlanSnapshot:
    """Normalise a plan for the ledger. Secrets stay references.

    The order of the steps is part of the plan, and so of the digest: a store must keep the order of keys.
    """
    document = plan.model_dump(mode="json", by_alias=True)
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    return PlanSnapshot(
        digest=hashlib.sha256(text.encode()).hexdigest(), name=plan.plan, format=FORMAT, document=document
    )


def plan_from_document(document: dict[str, Any], *, format: int = FORMAT) -> Plan:
    """Read a stored snapshot back. It was checked when it was stored.

    Raises:
        UnknownPlanFormat: a newer release has stored it.
    """
    if format > FORMAT:
        raise UnknownPlanFormat(
            f"the plan is stored in format {int(format)}, this release reads up to {FORMAT}; update the worker"
        )
    return Plan.model_validate(document)


def outline_of(plan: Plan, *, digest: str, cool_off: timedelta | None) -> PlanOutline:
    """Everything the workflow branches on. `cool_off` is what the start asks for in place of the plan's duration."""
    duration = plan.cool_off.duration if cool_off is None else cool_off
    return PlanOutline(
        format=FORMAT,
        plan=plan.plan,
        digest=digest,
        freeze=_steps_of(plan, StepPhase.FREEZE),
        transfer=_steps_of(plan, StepPhase.TRANSFER),
        erase=_steps_of(plan, StepPhase.ERASE),
        release=_steps_of(plan, StepPhase.RELEASE),
        cool_off=duration,
        longest_cool_off=max(plan.cool_off.longest, duration),
        reminders=plan.cool_off.reminders,
        expedite_allowed=plan.cool_off.expedite == "allowed",
        mails=plan.mail is not None and plan.mail.to_person,
        operators=plan.mail is not None and bool(plan.mail.operators),
        admins=plan.mail is not None and bool(plan.mail.admins),
        recipients=plan.mail is not None and bool(plan.mail.recipients),
        successors=any(step.successor is not None for step in plan.steps.values()),
        mail_patience=plan.mail.patience if plan.mail is not None else timedelta(0),
        lookup=lane_of(plan, plan.subject.lookup.service),
        has_mirror=plan.mirror is not None,
        cancels_at_source=plan.mirror is not None
        and (plan.mirror.cancel is not None or plan.mirror.cancel_by_hand is not None),
        verifies_at_source=plan.mirror is not None and plan.mirror.verified_when is not None,
        hold_for=plan.hold_for,
    )


def lane_of(plan: Plan, service: str | None) -> Lane:
    """Where calls of a service go. A service without a rate and a queue of its own shares the common lane."""
    known: Service | None = plan.services.get(service or "")
    if known is None:
        return Lane()
    queue = None if known.queue == MAIN else known.queue
    return Lane(queue=queue, rate_key=service if known.limits.rate is not None else None)


def _steps_of(plan: Plan, phase: StepPhase) -> tuple[StepOutline, ...]:
    return tuple(
        StepOutline(
            id=id,
            after=step.after,
            has_undo=step.undo is not None,
            has_probe=step.probe is not None,
            retained_for=step.retain.duration if step.retain is not None else None,
            ground=step.retain.ground if step.retain is not None else None,
            lane=lane_of(plan, _asked(plan, step)),
            has_assets=step.assets is not None,
            is_mirrored=step.mirrored is not None,
            first_look=step.follow_up.first if step.follow_up is not None else None,
            is_deferrable=step.deferrable,
        )
        for id, step in plan.steps.items()
        if step.phase is phase
    )


def _asked(plan: Plan, step: Step) -> str | None:
    """The service that a step calls. Of one that a person does, only the source hears."""
    if step.service is None and step.mirrored is not None and plan.mirror is not None:
        return plan.mirror.service
    return step.service

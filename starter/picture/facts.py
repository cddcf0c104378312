"""What a plan does, as plain facts under stable names. Text, picture and JSON all tell these and no others.

Secrets are references here, as the plan writes them; nothing is resolved, and no value of a person exists yet.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from starter.picture.mirroring import also_of, mirror_of, requests_at_the_source, states_of
from starter.picture.ownership import assets_of, owning_steps, policies_of
from starter.picture.values import receiver_of, what_is_kept, what_is_sent

if TYPE_CHECKING:
    from plans.model import Fact, FollowUp, Plan, Probe, Step
    from plans.requests import Request
    from plans.services import Service

#: The deadlines that are known by a law's name, in words.
_LAWS = {"gdpr": "one month", "ccpa": "45 days"}


def facts_of(plan: "Plan") -> dict[str, Any]:
    """Everything that `retire plan show` tells."""
    return {
        "plan": plan.plan,
        "deadline": _deadline(plan),
        "cool_off": {
            "duration": plan.cool_off.duration,
            "reminders": list(plan.cool_off.reminders),
            "max": plan.cool_off.max,
            "expedite": plan.cool_off.expedite,
        },
        "mail": _mail(plan),
        "mirror": mirror_of(plan),
        "hold_for": plan.hold_for,
        "phases": list(_phases(plan)),
        "services": [_service(plan, id, service) for id, service in plan.services.items()],
        "sent": what_is_sent(plan),
        "kept": what_is_kept(plan),
        "worst_case": _worst_case(plan),
    }


def _deadline(plan: "Plan") -> dict[str, Any]:
    if isinstance(plan.deadline, str):
        return {"law": plan.deadline, "time": _LAWS[plan.deadline]}
    return {"law": None, "time": plan.deadline}


def _worst_case(plan: "Plan") -> dict[str, Any]:
    """With the plan's cool-off, and with the longest to which it may be extended."""
    from plans.worst_case import shortest_deadline, worst_case

    deadline = shortest_deadline(plan.deadline)
    cases = []
    for cool_off in sorted({plan.cool_off.duration, plan.cool_off.longest}):
        worst = worst_case(plan, cool_off=cool_off)
        cases.append(
            {
                "cool_off": cool_off,
                "legs": [{"name": leg.name, "time": leg.duration} for leg in worst.legs],
                "total": worst.total,
                "in_time": worst.total <= deadline,
            }
        )
    return {"deadline": deadline, "cases": cases}


def _mail(plan: "Plan") -> dict[str, Any] | None:
    if plan.mail is None:
        return None
    return {
        "from": plan.mail.sender,
        "support": plan.mail.support,
        "operators": list(plan.mail.operators),
        "deadline_near": plan.mail.deadline_near if plan.mail.operators else None,
        "admins": list(plan.mail.admins),
        "recipients": [{"address": each.address, "reference": each.reference} for each in plan.mail.recipients],
        "language": plan.mail.language if plan.mail.admins or plan.mail.recipients else None,
        "patience": plan.mail.patience,
    }


def _phases(plan: "Plan") -> Iterator[dict[str, Any]]:
    """The life in its order. What is asked again at the re-check and by the verification is named, not repeated."""
    lookup = plan.subject.lookup
    fact_names, codes = list(plan.facts), [rule.code for rule in plan.eligibility]
    yield {
        "phase": "check",
        "given": list(plan.subject.given),
        "lookup": {
            "service": lookup.service,
            "request": lookup.request.title,
            "fields": list(lookup.fields),
            "absent": str(plan.subject.absent),
            "absent_when": lookup.absent_when,
            "absent_unchecked": lookup.absent_unchecked,
            # A source that keeps a row is asked for as long as it is away.
            "patience": lookup.patience if plan.mirror is None else None,
        },
        "row": plan.mirror.service if plan.mirror else None,
        "also": also_of(plan),
        "facts": [_fact(id, fact) for id, fact in plan.facts.items()],
        "rules": [{"code": rule.code, "refuse_if": rule.refuse_if} for rule in plan.eligibility],
        "probes": [id for id, step in plan.steps.items() if _is_probed_at_the_check(step)],
        "assets": owning_steps(plan),
        "successors": policies_of(plan),
    }
    yield {"phase": "freeze", "steps": _steps(plan, "freeze")}
    yield {"phase": "cool_off", "duration": plan.cool_off.duration, "reminders": list(plan.cool_off.reminders)}
    yield {
        "phase": "recheck",
        "lookup": lookup.request.title,
        "facts": fact_names,
        "rules": codes,
        "assets": owning_steps(plan),
        "successors": list(plan.successors),
    }
    yield {
        "phase": "point_of_no_return",
        "claims": [{"key": claim.key, "each": claim.each, "when": claim.when} for claim in plan.claims],
    }
    yield {"phase": "transfer", "steps": _steps(plan, "transfer")}
    yield {"phase": "erase", "steps": _steps(plan, "erase")}
    yield {
        "phase": "verify",
        "probes": [id for id, step in plan.steps.items() if step.phase == "erase" and step.probe is not None],
    }
    yield {"phase": "release", "steps": _steps(plan, "release")}
    yield {"phase": "tell", "mails": _mails(plan)}


def _mails(plan: "Plan") -> list[str]:
    """The mails of a retirement that nothing disturbs."""
    if plan.mail is None:
        return []
    hands_over = any(step.phase == "transfer" for step in plan.steps.values())
    wanted = {
        "received": plan.mail.to_person and bool(plan.cool_off.duration),
        "reminder": plan.mail.to_person and bool(plan.cool_off.reminders),
        "complete": plan.mail.to_person,
        "handover": hands_over and bool(plan.mail.admins),
        "disclosed": bool(plan.mail.recipients),
    }
    return [mail for mail, is_wanted in wanted.items() if is_wanted]


def _is_probed_at_the_check(step: "Step") -> bool:
    """A probe that names what a freeze step saves can't be asked before it."""
    from plans.template_names import names_of
    from plans.template_places import texts_of_step

    if step.probe is None:
        return False
    texts = [text for text in texts_of_step(step, ()) if text.path[0] == "probe"]
    return not any(
        name[0] == "saved" for text in texts for name in names_of(text.text, is_expression=text.is_expression)
    )


def _fact(id: str, fact: "Fact") -> dict[str, Any]:
    return {
        "fact": id,
        "service": fact.service,
        "request": fact.request.title,
        "reads": fact.items if fact.items is not None else fact.value,
        "next_page": fact.next_page,
        "absent": list(fact.absent),
        "patience": fact.patience,
    }


def _steps(plan: "Plan", phase: str) -> list[dict[str, Any]]:
    return [_step(id, step) for id, step in plan.steps.items() if step.phase == phase]


def _step(id: str, step: "Step") -> dict[str, Any]:
    return {
        "step": id,
        "after": list(step.after),
        "service": step.service,
        "successor": step.successor,
        "assets": assets_of(step.assets) if step.assets else None,
        "find": {
            "request": step.find.request.title,
            "save": list(step.find.save),
            "absent": list(step.find.absent),
        }
        if step.find
        else None,
        "request": step.request.title if step.request else None,
        "timeout": step.timeout,
        "longest_timeout": step.longest_timeout,
        "done_when": step.done_when,
        "probe": _probe(step.probe),
        "unprobed": step.unprobed,
        "undo": {"request": step.undo.request.title, "when": step.undo.when} if step.undo else None,
        "no_undo": step.no_undo,
        "absent": list(step.absent),
        "absent_unchecked": step.absent_unchecked,
        "transient": list(step.transient),
        "permanent": list(step.permanent),
        "on_permanent": {
            "request": step.on_permanent.request.title,
            "probe": _probe(step.on_permanent.probe),
        }
        if step.on_permanent
        else None,
        "poll": {
            "url": step.poll.url,
            "done": step.poll.done,
            "failed": step.poll.failed,
            "every": step.poll.every,
        }
        if step.poll
        else None,
        "save": list(step.save),
        "follow_up": _follow_up(step.follow_up) if step.follow_up else None,
        "manual": step.manual,
        "mirrored": states_of(step),
        "deferrable": step.deferrable or None,
        "identifiers": str(step.identifiers) if step.identifiers else None,
        "retain": {"ground": step.retain.ground, "for": step.retain.duration} if step.retain else None,
        # What is kept, and what a person does, is asked nothing, so there is nothing to be patient with but a source.
        "patience": step.patience if step.request is not None or step.mirrored is not None else None,
    }


def _follow_up(follow_up: "FollowUp") -> dict[str, Any]:
    return {
        "request": follow_up.request.title,
        "done": follow_up.done,
        "failed": follow_up.failed,
        "first": follow_up.first,
        "every": follow_up.every,
        "for": follow_up.duration,
    }


def _probe(probe: "Probe | None") -> dict[str, Any] | None:
    if probe is None:
        return None
    return {"request": probe.request.title, "gone": list(probe.gone), "gone_when": probe.gone_when}


def _service(plan: "Plan", id: str, service: "Service") -> dict[str, Any]:
    from plans.template_places import texts_of
    from starter.picture.addresses import address_of, references_of

    sent = [text.text for text in texts_of(plan) if receiver_of(plan, text) == id]
    auth = getattr(service, "auth", None)
    return {
        "service": id,
        "type": service.type,
        "address": address_of(service),
        "auth": auth.type if auth is not None else None,
        "token": _token(service),
        "secrets": references_of(service, sent=sent),
        "headers": list(getattr(service, "headers", {})),
        "rate": str(service.limits.rate) if service.limits.rate is not None else None,
        "concurrent": service.limits.concurrent,
        "timeout": service.timeout,
        "queue": service.queue,
        "requests": [
            {"for": asker, "purpose": purpose, "request": request.title}
            for asker, purpose, asked, request in requests_of(plan)
            if asked == id
        ],
    }


def _token(service: "Service") -> dict[str, Any] | None:
    """How a renewable token is asked for and sent."""
    from plans.services import ClientCredentialsAuth

    auth = getattr(service, "auth", None)
    if not isinstance(auth, ClientCredentialsAuth):
        return None
    return {"scheme": auth.scheme, "credentials": auth.credentials, "scope": auth.scope, "form": list(auth.form)}


def requests_of(plan: "Plan") -> "Iterator[tuple[str, str, str, Request]]":
    """Every request of a plan in the order of the life: for what, to which purpose, at which service."""
    lookup = plan.subject.lookup
    yield "lookup", "look up", lookup.service, lookup.request
    for id, asked in plan.subject.also.items():
        yield id, "also", asked.service, asked.request
    yield from requests_at_the_source(plan)
    for id, fact in plan.facts.items():
        yield id, "fact", fact.service, fact.request
    for id, policy in plan.successors.items():
        for listed in policy.candidates:
            yield id, "candidates", listed.service, listed.request
        yield id, "suitable", policy.suitable.service, policy.suitable.request
    for phase in ("freeze", "transfer", "erase", "release"):
        for id, step in plan.steps.items():
            if step.phase != phase or step.service is None or step.request is None:
                continue
            if step.assets is not None:
                yield id, "owned", step.service, step.assets.request
            if step.find is not None:
                yield id, "find", step.service, step.find.request
            yield id, "do", step.service, step.request
            if step.assets is not None and step.assets.owner is not None:
                yield id, "owner", step.service, step.assets.owner.request
            if step.probe is not None:
                yield id, "probe", step.service, step.probe.request
            if step.follow_up is not None:
                yield id, "follow-up", step.service, step.follow_up.request
            if step.undo is not None:
                yield id, "undo", step.service, step.undo.request
            if step.on_permanent is not None:
                yield id, "last resort", step.service, step.on_permanent.request
                if step.on_permanent.probe is not None:
                    yield id, "last resort's probe", step.service, step.on_permanent.probe.request

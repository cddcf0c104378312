"""What a plan does with what the person owned, as plain facts: who may take over, what is listed, what becomes of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plans.model import Assets, Candidates, Plan, SuccessorPolicy


def policies_of(plan: "Plan") -> list[dict[str, Any]]:
    """Who takes over, by which policy."""
    return [_policy(id, policy) for id, policy in plan.successors.items()]


def owning_steps(plan: "Plan") -> list[str]:
    """The steps at whose services it is listed what the person owns."""
    return [id for id, step in plan.steps.items() if step.assets is not None]


def assets_of(assets: "Assets") -> dict[str, Any]:
    """What a step lists, and what becomes of it."""
    owner = assets.owner
    return {
        "request": assets.request.title,
        "items": assets.items,
        "id": assets.id,
        "type": assets.type,
        "title": assets.title,
        "fields": list(assets.fields),
        "next_page": assets.next_page,
        "absent": list(assets.absent),
        "settled_when": assets.settled_when,
        "owner": {"request": owner.request.title, "value": owner.value, "absent": list(owner.absent)}
        if owner
        else None,
        "becomes": str(assets.becomes),
    }


def _policy(id: str, policy: "SuccessorPolicy") -> dict[str, Any]:
    suitable = policy.suitable
    return {
        "successor": id,
        "named": str(policy.named),
        "candidates": [_candidates(listed) for listed in policy.candidates],
        "suitable": {
            "service": suitable.service,
            "request": suitable.request.title,
            "when": suitable.when,
            "fields": list(suitable.fields),
        },
        "patience": policy.patience,
    }


def _candidates(listed: "Candidates") -> dict[str, Any]:
    return {
        "service": listed.service,
        "request": listed.request.title,
        "items": listed.items,
        "id": listed.id,
        "next_page": listed.next_page,
        "absent": list(listed.absent),
    }

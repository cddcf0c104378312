"""Which steps of a plan hand over what somebody owns where nobody is retired, and which requests see whose it is."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum

from plans.model import Becomes, Naming, Plan, Step, StepPhase
from plans.requests import Request
from plans.template_names import names_of


class LeftOut(StrEnum):
    """Why a transfer step has no place in a transfer that stands alone."""

    #: It prepares something for a retirement: an account that stands for whoever is gone.
    MOVES_NOTHING = "moves_nothing"
    #: What is owned there goes to nobody: it is deleted or made anonymous, or goes to an account that stands for the person.
    NO_SUCCESSOR = "no_successor"
    #: Whoever takes over there can't be named.
    NOT_BY_NAME = "not_by_name"
    #: It needs what another step saves, which isn't done here.
    NEEDS_ANOTHER = "needs_another"


@dataclass(frozen=True, kw_only=True)
class HandingOver:
    """The steps of a transfer that stands alone, and those left out, in the plan's order."""

    steps: Mapping[str, Step]
    left_out: Mapping[str, LeftOut]

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies by which somebody has to be suitable, each once."""
        return tuple(dict.fromkeys(step.successor for step in self.steps.values() if step.successor is not None))


def handing_over(plan: Plan) -> HandingOver:
    """What a transfer from one named person to another can do by this plan."""
    transfers = {id: step for id, step in plan.steps.items() if step.phase is StepPhase.TRANSFER}
    left_out = {id: why for id, step in transfers.items() if (why := _why_left_out(plan, step)) is not None}
    return HandingOver(steps={id: step for id, step in transfers.items() if id not in left_out}, left_out=left_out)


def compares(request: Request, *, fields: Container[str]) -> bool:
    """Does a request say whose the asset still has to be: by the person, or by one of its `fields` (a version)?"""
    named = {name for _, text in request.templates() for name in names_of(text, is_expression=False)}
    return any(
        root in ("user_id", "subject") or (root == "asset" and rest[:1] != [] and rest[0] in fields)
        for root, *rest in named
    )


def _why_left_out(plan: Plan, step: Step) -> LeftOut | None:
    if step.assets is None:
        return LeftOut.MOVES_NOTHING
    if step.successor is None or step.assets.becomes is not Becomes.MOVED:
        return LeftOut.NO_SUCCESSOR
    if plan.successors[step.successor].named is Naming.REFUSED:
        return LeftOut.NOT_BY_NAME
    owner = step.assets.owner
    requests = (step.request, step.assets.request, owner.request if owner is not None else None)
    return LeftOut.NEEDS_ANOTHER if any(_names_saved(request) for request in requests) else None


def _names_saved(request: Request | None) -> bool:
    texts = () if request is None else request.templates()
    return any(name[0] == "saved" for _, text in texts for name in names_of(text, is_expression=False))

"""Freezes that destroy: whoever rescinds gets back what was locked, and never what was deleted."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.walking import Role, requests_of
from plans.model import StepPhase
from plans.requests import HttpRequest, Method


def destroying(draft: Draft) -> Iterator[Finding]:
    """A freeze that deletes what the lookup reads, or what a probe takes for the person."""
    asked = [each for each in requests_of(draft.written) if draft.is_whole(*each.path)]
    seen: dict[tuple[str | None, str], Role] = {}
    for each in asked:
        is_erasure = each.step is not None and each.step.phase is StepPhase.ERASE
        if isinstance(each.request, HttpRequest) and (
            each.role is Role.LOOKUP or (each.role is Role.PROBE and is_erasure)
        ):
            seen.setdefault((each.service, each.request.path), each.role)
    for each in asked:
        is_freeze = each.role is Role.DEED and each.step is not None and each.step.phase is StepPhase.FREEZE
        request = each.request
        if not is_freeze or not isinstance(request, HttpRequest) or request.method is not Method.DELETE:
            continue
        if not draft.is_whole(*each.owner, "phase"):
            continue
        match seen.get((each.service, request.path)):
            case Role.LOOKUP:
                yield error(
                    Check.FREEZE_DESTROYS,
                    each.path,
                    "deletes in the freeze phase what the lookup asks for: whoever rescinds would not get it back, "
                    "and the lookup after the cool-off would know nobody; lock it here, and delete it in an erase step",
                )
            case Role.PROBE:
                yield warning(
                    Check.FREEZE_DESTROYS,
                    each.path,
                    "deletes in the freeze phase what a probe looks for, and whoever rescinds would not get it back; "
                    "lock it here, and delete it in an erase step",
                )

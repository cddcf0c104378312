"""Trying ownership: what the person owns at each service, who could take it over, and who would."""

from plans.model import Naming
from plans.requests import Request
from starter.trial.asking import Trying
from starter.trial.assets import ask_assets, ask_owner
from starter.trial.findings import Findings
from starter.trial.successors import Sought, ask_candidates, ask_suitable, conclude
from starter.trial.unasked import not_asked_read, unknown_names


async def ask_ownership(trying: Trying, findings: Findings, *, only: str | None) -> None:
    """Ask everything about it that only reads; with `only`, what concerns that service."""
    await _ask_assets(trying, findings, only=only)
    for policy, rule in trying.plan.successors.items():
        sought = Sought(policy=policy, rule=rule)
        await _ask_policy(trying, findings, sought, only=only)


async def _ask_assets(trying: Trying, findings: Findings, *, only: str | None) -> None:
    for id, step in trying.plan.steps.items():
        assets, service = step.assets, step.service or ""
        if assets is None or only not in (None, service):
            continue
        if _is_left(trying, findings, part=f"steps.{id}.assets", service=service, request=assets.request):
            continue
        findings.assets.append(await ask_assets(trying, id, step, assets))
        if assets.owner is None or id not in trying.assets:
            continue
        part = f"steps.{id}.assets.owner"
        if not _is_left(trying, findings, part=part, service=service, request=assets.owner.request, known=("asset",)):
            findings.assets.append(await ask_owner(trying, id, step, assets.owner))


async def _ask_policy(trying: Trying, findings: Findings, sought: Sought, *, only: str | None) -> None:
    for index, listed in enumerate(sought.rule.candidates):
        part = f"{sought.part}.candidates[{index}]"
        if only not in (None, listed.service):
            continue
        if _is_left(trying, findings, part=part, service=listed.service, request=listed.request):
            sought.is_known = False
            continue
        findings.successors.append(await ask_candidates(trying, sought, index, listed))
    named = trying.named if sought.rule.named is not Naming.REFUSED else None
    suitable, part = sought.rule.suitable, f"{sought.part}.suitable"
    if only in (None, suitable.service) and (named is not None or sought.ids):
        if _is_left(
            trying, findings, part=part, service=suitable.service, request=suitable.request, known=("successor",)
        ):
            sought.is_known = False
        else:
            findings.successors += await ask_suitable(trying, sought, named=named)
    if only is None:
        findings.successions.append(conclude(trying, sought, named=named))


def _is_left(
    trying: Trying, findings: Findings, *, part: str, service: str, request: Request, known: tuple[str, ...] = ()
) -> bool:
    """Can it not be asked? Then that is told."""
    context = {**trying.context, **dict.fromkeys(known)}
    names = unknown_names(trying, request, context=context)
    left = not_asked_read(trying, part=part, service_id=service, request=request, names=names)
    if left is not None:
        findings.not_asked.append(left)
    return left is not None

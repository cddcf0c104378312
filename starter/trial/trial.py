"""A whole trial, in the order in which a retirement would ask."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from activities.actions.action import Action
from plans.model import Plan
from starter.trial.also import ask_also
from starter.trial.asking import Trying
from starter.trial.findings import Findings, Level, worst
from starter.trial.finds import ask_find
from starter.trial.guard import OnlyReads
from starter.trial.judging import ask_fact, judge
from starter.trial.lookup import look_up
from starter.trial.mailing import try_mails
from starter.trial.ownership import ask_ownership
from starter.trial.places import place
from starter.trial.probes import ask_probe, probes_of, saved_names
from starter.trial.unasked import changing, not_asked_read, unknown_names


async def try_plan(
    plan: Plan,
    *,
    action: Action,
    user_id: str,
    tenant: str | None = None,
    service: str | None = None,
    successor: str | None = None,
    given: Mapping[str, Any] | None = None,
    show_values: bool = False,
    ask_post: bool = False,
    on_asking: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Ask everything of a plan that only reads, about one person. With `service`, only what concerns that service.

    `successor` is whom a start would name, `given` what it would hand over beforehand.
    `ask_post` also asks reads that can't be told from a change by their form.
    """
    started = time.monotonic()
    places = [place(id, each) for id, each in plan.services.items()]
    trying = Trying(
        plan=plan,
        action=OnlyReads(action, plan=plan, ask_post=ask_post),
        user_id=user_id,
        tenant=tenant,
        named=successor,
        given=given or {},
        show_values=show_values,
        not_ready=frozenset(each.service for each in places if worst(each.remarks) is Level.PROBLEM),
        on_asking=on_asking,
    )
    # The lookup is asked even for one service: what it finds is what the requests to all others are made of.
    told = {service, plan.subject.lookup.service, *(asked.service for asked in plan.subject.also.values())}
    shown = [each for each in places if service is None or each.service in told]
    findings = Findings(plan=plan.plan, places=shown)
    await _ask_everything(trying, findings, only=service)
    findings.requests = len(trying.action.made)
    findings.took = timedelta(seconds=time.monotonic() - started)
    return findings


async def _ask_everything(trying: Trying, findings: Findings, *, only: str | None) -> None:
    plan = trying.plan

    def concerns(service_id: str | None) -> bool:
        return only is None or service_id == only

    await _ask_lookup(trying, findings)
    await _ask_also(trying, findings)
    await _ask_facts(trying, findings, only=only)
    await ask_ownership(trying, findings, only=only)
    await _ask_finds(trying, findings, only=only)
    for part, step, probe in probes_of(plan):
        if not concerns(step.service):
            continue
        names = sorted({*saved_names(probe), *unknown_names(trying, probe.request)})
        service_id = step.service or ""
        left = not_asked_read(trying, part=part, service_id=service_id, request=probe.request, names=names)
        if left is not None:
            findings.not_asked.append(left)
        else:
            findings.probes.append(await ask_probe(trying, part=part, step=step, probe=probe))
    findings.not_asked += [left for left in changing(trying) if concerns(left.service)]


async def _ask_lookup(trying: Trying, findings: Findings) -> None:
    lookup = trying.plan.subject.lookup
    left = not_asked_read(trying, part="subject.lookup", service_id=lookup.service, request=lookup.request, names=[])
    if left is not None:
        findings.not_asked.append(left)
        return
    findings.lookup = await look_up(trying)
    findings.row = trying.row


async def _ask_also(trying: Trying, findings: Findings) -> None:
    """Even for one service: what others tell is what its requests are made of."""
    for id, asked in trying.plan.subject.also.items():
        part, names = f"subject.also.{id}", unknown_names(trying, asked.request)
        left = not_asked_read(trying, part=part, service_id=asked.service, request=asked.request, names=names)
        if left is not None:
            findings.not_asked.append(left)
        else:
            findings.also.append(await ask_also(trying, id=id, asked=asked))


async def _ask_finds(trying: Trying, findings: Findings, *, only: str | None) -> None:
    for id, step in trying.plan.steps.items():
        if step.find is None or (only is not None and step.service != only):
            continue
        request, service_id = step.find.request, step.service or ""
        names = unknown_names(trying, request, context=trying.context_of(id))
        left = not_asked_read(trying, part=f"steps.{id}.find", service_id=service_id, request=request, names=names)
        if left is not None:
            findings.not_asked.append(left)
        else:
            findings.finds.append(await ask_find(trying, id=id, step=step, find=step.find))


async def _ask_facts(trying: Trying, findings: Findings, *, only: str | None) -> None:
    known: dict[str, Any] = {}
    for id, fact in trying.plan.facts.items():
        if only is not None and fact.service != only:
            continue
        names = unknown_names(trying, fact.request)
        part = f"facts.{id}"
        left = not_asked_read(trying, part=part, service_id=fact.service, request=fact.request, names=names)
        if left is not None:
            findings.not_asked.append(left)
            continue
        question, value, is_known = await ask_fact(trying, id, fact)
        findings.facts.append(question)
        if is_known:
            known[id] = value
    if only is None:
        findings.rulings = judge(trying, known)
        findings.mails = try_mails(trying, known)

"""What must hold in a plan: one file a kind of mistake. Every problem is told, with its place and how to mend it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from plans.checks import (
    addresses,
    answers,
    coverage,
    credentials,
    freezing,
    lanes,
    lasting,
    machine,
    mirroring,
    naming,
    ownership,
    people,
    person,
    references,
    requests,
    rules,
    sql,
    steps,
    subject,
    templates,
    times,
    values,
)
from plans.checks.draft import Draft, read_draft
from plans.checks.findings import Finding
from plans.checks.people import is_address
from plans.checks.times import LONGEST
from plans.model import Plan

__all__ = ["LONGEST", "findings_in", "is_address"]

#: What the plan says by itself.
_CHECKS: Sequence[Callable[[Draft], Iterator[Finding]]] = (
    references.unknown_services,
    references.unknown_successors,
    references.unfit_requests,
    references.unknown_steps,
    references.cycles,
    steps.phases,
    steps.accounts,
    steps.deeds,
    steps.finds,
    steps.undos,
    lasting.follow_ups,
    lasting.manuals,
    lasting.deferrables,
    steps.probes,
    steps.reads,
    steps.same_requests,
    freezing.destroying,
    ownership.policies,
    ownership.places,
    ownership.destinations,
    ownership.settling,
    ownership.comparing,
    ownership.becoming,
    ownership.limits,
    mirroring.sources,
    mirroring.mirrored,
    mirroring.states,
    mirroring.order,
    mirroring.updates,
    subject.taken,
    subject.unused,
    templates.syntax,
    naming.unknown_values,
    templates.constants,
    values.saved,
    values.subject_perhaps,
    person.everybody,
    person.without_braces,
    requests.paths,
    requests.bodies,
    requests.headers,
    sql.statements,
    coverage.tables,
    answers.codes,
    answers.never_gone,
    answers.repeated_deletes,
    answers.unproven,
    answers.polled,
    addresses.addresses,
    credentials.spelling,
    credentials.forms,
    credentials.in_clear,
    times.sizes,
    times.short,
    times.timeouts,
    times.step_timeouts,
    times.polls,
    times.reminders,
    times.deadlines,
    times.nearness,
    times.holds,
    lanes.queues,
    lanes.rates,
    lanes.updates,
    rules.facts,
    rules.codes,
    people.addresses,
    people.readers,
    people.admins,
)
#: What it needs of the machine it is checked on.
_CHECKS_HERE: Sequence[Callable[[Draft], Iterator[Finding]]] = (
    machine.secrets,
    machine.addresses,
    machine.databases,
    machine.calls,
)


def findings_in(data: Mapping[str, Any], *, here: bool) -> tuple[Plan, tuple[Finding, ...]]:
    """A plan with its services' defaults, as far as it can be read, and everything that is wrong with it.

    Without an error among the findings all of it could be read. `here`: also what this machine lacks for it.
    """
    draft, refused = read_draft(data)
    found = [finding for check in (*_CHECKS, *(_CHECKS_HERE if here else ())) for finding in check(draft)]
    # What couldn't be read has been told, and so has what follows from it.
    found = [finding for finding in found if not draft.is_lost(finding.path)]
    placed = [_in_file(finding, draft) for finding in (*refused, *found)]
    return draft.plan, tuple(dict.fromkeys(placed))


def _in_file(finding: Finding, draft: Draft) -> Finding:
    path = draft.path_in_file(finding.path)
    return Finding(check=finding.check, path=path, what=finding.what, severity=finding.severity)

"""What answers are taken to mean: codes that would make a failure look like an erasure."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.walking import Role, probes_of, requests_of
from plans.model import Assets, Owner, Step
from plans.requests import HttpRequest, KeyPath, Method
from plans.services import HttpService, NoAuth, PythonService, SqlService
from plans.yaml_reading import Severity

_NOT_FOUND = (404, 410)
_CREDENTIALS = (401, 403)
_TRY_LATER = (408, 425, 429)
_CHECK_OF = {
    "absent": Check.ABSENT_CODES,
    "transient": Check.TRANSIENT_CODES,
    "permanent": Check.PERMANENT_CODES,
    "gone": Check.GONE_CODES,
}
_INSTEAD = {
    "absent": "read it from the body, by a probe's gone_when",
    "transient": "poll, where the work goes on after the answer",
    "permanent": "leave it out",
    "gone": "read it from the body, by gone_when",
}


def codes(draft: Draft) -> Iterator[Finding]:
    """Codes in lists where they would be taken for what they are not."""
    for at, named, lists in _lists_of(draft):
        for name in named:
            for index, code in enumerate(lists[name]):
                if (wrong := _wrong(name, code, is_list=name == "absent" and _is_read(at))) is not None:
                    severity, why = wrong
                    path = (*at, name, index)
                    yield Finding(check=_CHECK_OF[name], path=path, what=f"{code} {why}", severity=severity)
        for one, other in combinations([name for name in lists if name != "gone"], 2):
            both = sorted(set(lists[one]) & set(lists[other]))
            if both and (one in named or other in named):
                told = ", ".join(map(str, both))
                yield error(
                    Check.CODES_OVERLAP,
                    (*at, other if other in named else one),
                    f"has {told}, which {one} and {other} both have; an answer has one meaning: leave it in one of them",
                )


def never_gone(draft: Draft) -> Iterator[Finding]:
    """Probes that no answer satisfies."""
    for id, step in draft.plan.steps.items():
        for path, probe in probes_of(step, ("steps", id)):
            if not probe.gone and probe.gone_when is None and draft.is_whole(*path):
                yield error(
                    Check.GONE_CODES,
                    (*path, "gone"),
                    "is empty, so no answer ever says that the person is gone; write the codes, or gone_when",
                )


def repeated_deletes(draft: Draft) -> Iterator[Finding]:
    """DELETEs whose repeat would fail: what is gone is answered with 404."""
    for asked in requests_of(draft.plan):
        step = asked.step
        is_deed = asked.role in (Role.DEED, Role.UNDO)
        if (
            step is None
            or not is_deed
            or not (isinstance(asked.request, HttpRequest) and asked.request.method is Method.DELETE)
        ):
            continue
        lists = [("services", step.service or ""), asked.owner]
        is_whole = all(draft.is_whole(*at, name) for at in lists for name in _CHECK_OF) and draft.is_whole(*asked.path)
        absent = _absent_of(step, asked.role)
        if is_whole and 404 not in (*absent, *step.transient, *step.permanent):
            said = "absent" in draft.written.steps[str(asked.path[1])].model_fields_set
            yield error(
                Check.DELETE_404,
                (*asked.owner, "absent") if said else asked.path,
                "is a DELETE, and 404 isn't in absent: a repeat after a crash, or nothing to delete, is answered so, "
                "and the retirement would stop there; write absent: [404]",
            )


def _absent_of(step: Step, role: Role) -> tuple[int, ...]:
    """An undo may have answers of its own that mean that nothing is there."""
    if role is Role.UNDO and step.undo is not None and step.undo.absent is not None:
        return step.undo.absent
    return step.absent


def unproven(draft: Draft) -> Iterator[Finding]:
    """404s that can't be told from a wrong address, as the service takes everybody without credentials."""
    for path, service, request, absent, unchecked in _believing(draft):
        known = draft.plan.services.get(service or "")
        if not isinstance(known, HttpService) or not isinstance(request, HttpRequest) or unchecked:
            continue
        has_credentials = not isinstance(known.auth, NoAuth) or known.headers or request.headers
        if has_credentials or not draft.is_whole("services", service or "") or not set(absent) & set(_NOT_FOUND):
            continue
        mend = "give the service auth"
        if (path[0] == "steps" and path[2:3] != ("assets",)) or path == ("subject", "lookup"):
            mend += ", or say in absent_unchecked why the address is right"
        yield warning(
            Check.UNPROVEN_404,
            path,
            f"believes a 404 of '{service}', which takes no credentials, so that a wrong address can't be told from it, "
            f"and the retirement stops as route_unproven; {mend}",
        )


def polled(draft: Draft) -> Iterator[Finding]:
    """Asking services whether they have finished that never say that they work on it."""
    for id, step in draft.plan.steps.items():
        service = draft.plan.services.get(step.service or "")
        if step.poll is not None and isinstance(service, SqlService | PythonService):
            yield error(
                Check.POLL,
                ("steps", id, "poll"),
                f"is for services that answer 202, and '{step.service}' is of type {service.type}; remove it",
            )


def _believing(draft: Draft) -> Iterator[tuple[KeyPath, str | None, object, Sequence[int], str | None]]:
    lookup = draft.plan.subject.lookup
    yield ("subject", "lookup"), lookup.service, lookup.request, _NOT_FOUND, lookup.absent_unchecked
    for id, fact in draft.plan.facts.items():
        yield ("facts", id, "absent"), fact.service, fact.request, fact.absent, None
    for id, policy in draft.plan.successors.items():
        for index, listed in enumerate(policy.candidates):
            yield ("successors", id, "candidates", index, "absent"), listed.service, listed.request, listed.absent, None
        suitable = policy.suitable
        yield ("successors", id, "suitable"), suitable.service, suitable.request, _NOT_FOUND, None
    for id, step in draft.plan.steps.items():
        if step.assets is not None:
            # Of a single asset a 404 is believed until the next inventory.
            for at, asked in _lists_of_assets(step.assets, ("steps", id, "assets")):
                yield (*at, "absent"), step.service, asked.request, asked.absent, None
            continue
        yield ("steps", id), step.service, step.request, step.absent, step.absent_unchecked
        if step.find is not None:
            at = ("steps", id, "find")
            yield at, step.service, step.find.request, step.find.absent, step.absent_unchecked
        if step.undo is not None and step.undo.absent is not None:
            at = ("steps", id, "undo")
            yield at, step.service, step.undo.request, step.undo.absent, step.absent_unchecked


def _lists_of_assets(assets: Assets, at: KeyPath) -> Iterator[tuple[KeyPath, Assets | Owner]]:
    yield at, assets
    if assets.owner is not None:
        yield (*at, "owner"), assets.owner


def _lists_of(draft: Draft) -> Iterator[tuple[KeyPath, Sequence[str], dict[str, tuple[int, ...]]]]:
    """Each place with lists of codes, which of them are said there, and all that count there."""
    for id, service in draft.written.services.items():
        if isinstance(service, HttpService):
            lists = {"absent": service.absent, "transient": service.transient, "permanent": service.permanent}
            yield ("services", id), list(lists), lists
    for id, also in draft.written.subject.also.items():
        yield ("subject", "also", id), ["absent"], {"absent": also.absent}
    for id, fact in draft.written.facts.items():
        yield ("facts", id), ["absent"], {"absent": fact.absent}
    for id, policy in draft.written.successors.items():
        for index, listed in enumerate(policy.candidates):
            yield ("successors", id, "candidates", index), ["absent"], {"absent": listed.absent}
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        if step.assets is not None:
            for path, asked in _lists_of_assets(step.assets, (*at, "assets")):
                yield path, ["absent"], {"absent": asked.absent}
        if step.find is not None:
            yield (*at, "find"), ["absent"], {"absent": step.find.absent}
        whole = draft.plan.steps[id]
        yield at, _said(step), _of_step(whole)
        if step.undo is not None and step.undo.absent is not None:
            yield (*at, "undo"), ["absent"], {**_of_step(whole), "absent": step.undo.absent}
        for path, probe in probes_of(step, at):
            yield path, ["gone"], {"gone": probe.gone}


def _said(step: Step) -> list[str]:
    return [name for name in ("absent", "transient", "permanent") if name in step.model_fields_set]


def _of_step(step: Step) -> dict[str, tuple[int, ...]]:
    return {"absent": step.absent, "transient": step.transient, "permanent": step.permanent}


def _is_read(at: KeyPath) -> bool:
    """Is `absent` there about what only reads: a value, a fact, candidates, what the person owns, what is asked first?"""
    return at[0] in ("subject", "facts", "successors") or at[2:3] in (("assets",), ("find",))


def _wrong(name: str, code: int, *, is_list: bool) -> tuple[Severity, str] | None:
    """Why a code has no place in a list of codes, and how bad that is. `is_list`: it is about a list or value that is read."""
    if 200 <= code < 300:
        instead = "leave it out" if is_list else _INSTEAD[name]
        return Severity.ERROR, f"says that it was done, so it can't be {name}; {instead}"
    if name in ("absent", "gone"):
        return _not_absence(code, seen="nothing would seem to be there" if is_list else "everybody would count as gone")
    if name == "transient" and code in _CREDENTIALS:
        return Severity.WARNING, (
            "is about our credentials, which no waiting mends; leave it out, and the step is held until they are mended"
        )
    if name == "permanent" and code == 401:
        return Severity.WARNING, (
            "is about our credentials, and a key that is being changed would stop every retirement; "
            "leave it out, and the step is held until they are mended"
        )
    return None


def _not_absence(code: int, *, seen: str) -> tuple[Severity, str] | None:
    if code in _CREDENTIALS:
        return Severity.ERROR, f"is about our credentials: with a wrong key {seen}; leave it out"
    if code in _TRY_LATER or code >= 500:
        return Severity.ERROR, f"says that it can't be told now, and {seen} then; leave it out"
    if 300 <= code < 400:
        return Severity.WARNING, "is a redirect, as to a login page, and says nothing of the person; leave it out"
    if code in (400, 405, 422):
        return Severity.WARNING, "is what a wrong request is answered with, too; see that only absence is answered so"
    return None

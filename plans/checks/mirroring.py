"""A source that keeps the row of a retirement: how it is read and moved, and that its states follow one another."""

from collections.abc import Iterator
from itertools import pairwise

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.templates import is_valid, names_in
from plans.model import Absent, Plan, StepPhase
from plans.requests import KeyPath
from plans.services import HttpService, NoAuth
from plans.step_order import before, cycles_in

#: Under this id the engine tells of the source's row: what is held there, what an operator decides.
_ROW = "mirror"
_ENDS = ("waiting", "errored", "aborted", "complete")


def sources(draft: Draft) -> Iterator[Finding]:
    """Sources that the lookup doesn't read, that nothing is told, or that go on with whoever has changed their mind."""
    mirror, subject = draft.written.mirror, draft.written.subject
    if mirror is None:
        return
    lookup = subject.lookup
    if mirror.service != lookup.service and draft.is_whole("subject", "lookup", "service"):
        what = "isn't the lookup's service, and it is the lookup that reads the row; name the same in both"
        yield error(Check.MIRROR, ("mirror", "service"), what)
    if subject.absent is Absent.PROCEED and draft.is_whole("subject", "absent"):
        what = "is proceed, and whoever has no row at the source is refused all the same; leave it out"
        yield error(Check.MIRROR, ("subject", "absent"), what)
    if not any(step.mirrored for step in draft.written.steps.values()) and draft.is_whole("steps"):
        yield error(
            Check.MIRROR,
            ("mirror",),
            "is told of no step; give the erase steps their states there (`mirrored: {working: …, done: …}`), or remove it",
        )
    if mirror.cancel is None and mirror.cancel_by_hand is None and draft.is_whole("mirror"):
        yield warning(
            Check.MIRROR,
            ("mirror",),
            "has neither cancel nor cancel_by_hand, so whoever rescinds goes on waiting at the source, and is retired "
            "by the next who looks there; add cancel, or say in cancel_by_hand what somebody has to do",
        )
    service = draft.written.services.get(lookup.service)
    has_credentials = isinstance(service, HttpService) and not isinstance(service.auth, NoAuth)
    if lookup.absent_unchecked is None and has_credentials and draft.is_whole("subject", "lookup"):
        yield warning(
            Check.MIRROR,
            ("subject", "lookup"),
            "has no absent_unchecked, so whoever has no row costs a second request, which proves that the path is right; "
            "say there how it is proved otherwise, or leave it so",
        )


def mirrored(draft: Draft) -> Iterator[Finding]:
    """Steps whose states nobody is told, and a step that is called as the row is."""
    if draft.written.mirror is None:
        for id, step in draft.written.steps.items():
            if step.mirrored is not None and draft.is_whole("mirror"):
                what = "is told to nobody, as the plan has no mirror; add one, or remove this"
                yield error(Check.MIRRORED, ("steps", id, "mirrored"), what)
    elif _ROW in draft.written.steps:
        yield error(
            Check.NAME_TAKEN,
            ("steps", _ROW),
            "can't be called so beside a mirror: the row at the source is held and decided about under this name; "
            "call it otherwise",
        )


def states(draft: Draft) -> Iterator[Finding]:
    """States that stand for two things, so that the row doesn't tell where a retirement is."""
    known: dict[str, str] = {}
    for path, state in _states_of(draft.written):
        where = ".".join(map(str, path))
        if state in known:
            what = f"is the state of {known[state]}, too, so the row doesn't tell which is meant; give each its own"
            yield error(Check.MIRROR_STATES, path, what)
        else:
            known[state] = where


def order(draft: Draft) -> Iterator[Finding]:
    """Mirrored steps that may run at the same time: the row has one state, and the source knows one order of them."""
    steps = draft.written.steps
    is_ordered = all(draft.is_whole("steps", id, name) for id in steps for name in ("after", "mirrored"))
    if not is_ordered or draft.written.mirror is None or any(cycles_in(steps)):
        return
    left = {
        id: before(steps, id)
        for id, step in steps.items()
        if step.mirrored is not None and step.phase is StepPhase.ERASE
    }
    last: str | None = None
    while left:
        ready = [id for id, earlier in left.items() if not earlier & left.keys()]
        for first, other in pairwise(ready):
            forks = last is not None and last in left[first] and last in left[other]
            how = f"follows '{last}' as '{first}' does" if forks else f"has no order with '{first}'"
            yield error(
                Check.MIRROR_ORDER,
                ("steps", other, "after"),
                f"{how}: both are mirrored, and the row at the source has one state at a time; add '{first}' here, "
                f"or '{other}' to the `after` of '{first}'",
            )
        last = ready[-1]
        left = {id: earlier for id, earlier in left.items() if id not in ready}


def updates(draft: Draft) -> Iterator[Finding]:
    """Updates that don't say where the row is to be moved, or why."""
    mirror, path = draft.written.mirror, ("mirror", "update")
    own = draft.texts_at(path)
    if mirror is None or not draft.is_whole(*path) or not all(is_valid(each) for each in own):
        return
    named = {name[:2] for each in own for name in names_in(each)}
    if not named & {("mirror", "state"), ("mirror",)}:
        what = "doesn't name the new state, so the row is never moved; write {{ mirror.state }} where the source expects it"
        yield error(Check.MIRROR_UPDATE, path, what)
    elif not named & {("mirror", "note"), ("mirror",)}:
        what = (
            "doesn't name the note, so nobody sees at the source why a retirement has stopped; "
            "write {{ mirror.note }} where the source takes a remark"
        )
        yield warning(Check.MIRROR_UPDATE, path, what)


def _states_of(plan: Plan) -> Iterator[tuple[KeyPath, str]]:
    if plan.mirror is None:
        return
    for name in _ENDS:
        yield ("mirror", name), getattr(plan.mirror, name)
    for id, step in plan.steps.items():
        if step.mirrored is not None:
            yield ("steps", id, "mirrored", "working"), step.mirrored.working
            yield ("steps", id, "mirrored", "done"), step.mirrored.done

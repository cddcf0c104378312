"""Values that may not be there yet, or not at all, when a step names them."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.templates import names_in
from plans.model import Absent, StepPhase
from plans.requests import HttpRequest, KeyPath, Method
from plans.step_order import before
from plans.template_places import PlacedText

_ORDER = (StepPhase.FREEZE, StepPhase.TRANSFER, StepPhase.ERASE, StepPhase.RELEASE)
#: Where a step may name what it has saved itself: these come after its request.
_AFTER_THE_REQUEST = ("probe", "undo", "on_permanent", "follow_up")
#: What becomes of a retirement whose lookup knew nobody, where one of these names the person's values.
_FAILING = {
    "steps": "this step would then fail for good",
    "successors": "nobody could then be chosen, and the retirement would stop",
    "admins": "nobody could then tell whom to write to, and the retirement would stop",
    "recipients": "that mail could then not be written",
}


def saved(draft: Draft) -> Iterator[Finding]:
    """`saved.x` of a step that needn't have run by then, or that may end without having saved anything."""
    for placed, saver in _saved_values(draft):
        why = _why_later(draft, placed, saver)
        if why is not None:
            yield error(Check.SAVED_LATER, placed.path, why)
            continue
        other = draft.plan.steps[saver]
        if placed.path[1] == saver and placed.path[2] == "probe" and other.find is not None and other.find.absent:
            if _names_of(placed, saver) & other.find.save.keys():
                yield warning(
                    Check.SAVED_PERHAPS,
                    placed.path,
                    f"names what find saves, and nothing is saved where it finds nobody "
                    f"({', '.join(map(str, other.find.absent))}): this step would then fail for good; "
                    "probe by a value that is known anyway (subject.…)",
                )
        is_deletion = isinstance(other.request, HttpRequest) and other.request.method is Method.DELETE
        found = other.find.absent if other.find is not None else ()
        codes = sorted({*other.absent, *found, *((410,) if is_deletion else ())})
        # A step's own undo knows by what is missing that nothing was done.
        if codes and placed.path[1] != saver and draft.is_whole("steps", saver):
            yield warning(
                Check.SAVED_PERHAPS,
                placed.path,
                f"names saved.{saver}, and '{saver}' saves nothing where it ends as absent "
                f"({', '.join(map(str, codes))}): this step would then fail for good; "
                "read the value in the lookup (subject.…), if it can be had there",
            )


def _why_later(draft: Draft, placed: PlacedText, saver: str) -> str | None:
    steps, id = draft.written.steps, str(placed.path[1])
    if saver == id:
        is_found = (
            steps[id].find is not None
            and placed.path[2] != "find"
            and not _names_of(placed, id) & steps[id].save.keys()
        )
        if is_found or placed.path[2] in _AFTER_THE_REQUEST:
            return None
        return "names what this very step saves, and that is saved after it; name another step's, or subject.…"
    if steps[saver].deferrable:
        return (
            f"names saved.{saver}, and '{saver}' is deferrable: while its service fails, this step would run before it; "
            f"remove deferrable there, or name subject.…"
        )
    phase, other = steps[id].phase, steps[saver].phase
    if _ORDER.index(other) < _ORDER.index(phase) or saver in before(steps, id):
        return None
    if other is phase:
        return f"names saved.{saver}, and '{saver}' need not have run by then; add `after: [{saver}]`"
    return f"names saved.{saver}, and '{saver}' is of the {other} phase, after the {phase} phase; save it earlier"


def _names_of(placed: PlacedText, saver: str) -> frozenset[str]:
    """The values of a step's that are named here."""
    return frozenset(name[2] for name in names_in(placed) if name[:2] == ("saved", saver) and len(name) > 2)


def subject_perhaps(draft: Draft) -> Iterator[Finding]:
    """`subject.x` where the plan goes on without the lookup knowing the person."""
    if draft.written.subject.absent is not Absent.PROCEED:
        return
    given = {("subject", name) for name in draft.written.subject.given}
    told: set[KeyPath] = set()
    for placed in draft.texts:
        at = placed.path[:2]
        failing = _FAILING.get(str(placed.path[1] if placed.path[0] == "mail" else placed.path[0]))
        named = [name for name in names_in(placed) if name[0] == "subject" and name[:2] not in given]
        if failing is not None and at not in told and named:
            told.add(at)
            yield warning(
                Check.SUBJECT_PERHAPS,
                placed.path,
                "names subject, which is empty where the lookup doesn't know the person (subject.absent: proceed): "
                f"{failing}; name user_id, or refuse whoever isn't known",
            )


def _saved_values(draft: Draft) -> Iterator[tuple[PlacedText, str]]:
    """Each template of a step that names a value of another step, where the order between the two is known."""
    steps = draft.written.steps
    is_ordered = all(draft.is_whole("steps", id, name) for id in steps for name in ("after", "phase"))
    for placed in draft.texts:
        if placed.path[0] != "steps" or not is_ordered:
            continue
        for saver in sorted({name[1] for name in names_in(placed) if name[0] == "saved" and len(name) > 2}):
            if saver in steps and saver in draft.names("steps"):
                yield placed, saver

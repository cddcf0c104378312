"""What a step must have, and what has no place in its phase."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.walking import Role, requests_of
from plans.model import Step, StepPhase
from plans.requests import HttpRequest, KeyPath, Method, Request, SqlRequest
from plans.step_order import before

#: What is said of a request, and so has no place where nothing is asked.
_ABOUT_A_REQUEST = (
    "request",
    "assets",
    "successor",
    "find",
    "timeout",
    "longest_timeout",
    "done_when",
    "absent",
    "absent_unchecked",
    "transient",
    "permanent",
    "save",
    "probe",
    "unprobed",
    "poll",
    "undo",
    "no_undo",
    "on_permanent",
    "identifiers",
    "follow_up",
    "manual",
    "mirrored",
    "deferrable",
    "patience",
)
#: Fields that belong to one phase, and why.
_PHASE_OF = {
    "assets": (StepPhase.TRANSFER, "what the person owns is handed over before anything is erased"),
    "undo": (StepPhase.FREEZE, "after the point of no return nothing can be undone"),
    "no_undo": (StepPhase.FREEZE, "only a freeze is ever taken back"),
    "unprobed": (StepPhase.ERASE, "only erasures have to be proved"),
    "on_permanent": (StepPhase.ERASE, "only an erasure has a last resort"),
    "follow_up": (StepPhase.ERASE, "only an erasure goes on when the retirement is over"),
    "manual": (StepPhase.ERASE, "nothing waits for a person, and only an erasure can be finished later"),
    "mirrored": (StepPhase.ERASE, "the source's states are those of its erasure"),
    "identifiers": (StepPhase.RELEASE, "names are blocked or freed when everything else is gone"),
}

#: What a step of these phases does not do, where all it does is to read.
_ONLY_READING = {
    StepPhase.TRANSFER: "hands over nothing; see that this is what does",
    StepPhase.ERASE: "erases nothing; see that this is what erases",
}


def phases(draft: Draft) -> Iterator[Finding]:
    """Fields of a step in a phase where they mean nothing; a plan without an erase step."""
    for id, step in draft.written.steps.items():
        if step.retain is not None:
            yield from _retained(id, step)
        elif draft.is_whole("steps", id, "phase"):
            for name, (phase, why) in _PHASE_OF.items():
                if name in step.model_fields_set and step.phase is not phase:
                    yield error(Check.WRONG_PHASE, ("steps", id, name), f"is only for {phase} steps: {why}; remove it")
    steps = draft.written.steps.values()
    if draft.is_whole("steps") and not any(step.phase is StepPhase.ERASE for step in steps):
        yield error(Check.NO_ERASE, ("steps",), "has no erase step, so nobody is erased; add one for each service")
    elif draft.is_whole("steps") and all(step.retain for step in steps if step.phase is StepPhase.ERASE):
        yield warning(Check.NO_ERASE, ("steps",), "only retains, so nothing is erased; add the steps that erase")


def accounts(draft: Draft) -> Iterator[Finding]:
    """An erasure of the very thing that people are looked up by, for which others wait: the order is the wrong way round."""
    lookup = draft.plan.subject.lookup
    steps = draft.plan.steps
    if not isinstance(lookup.request, HttpRequest):
        return
    for id, step in steps.items():
        is_account = isinstance(step.request, HttpRequest) and step.request.path == lookup.request.path
        if not is_account or step.phase is not StepPhase.ERASE or step.service != lookup.service:
            continue
        for other in steps:
            if id in before(steps, other) and other not in before(steps, id):
                yield warning(
                    Check.ACCOUNT_FIRST,
                    ("steps", other, "after"),
                    f"waits until '{id}' has erased the account that people are looked up by, and if it fails then, nobody "
                    f"finds the person any more; turn it round: in '{id}', after: [{other}]",
                )


def deeds(draft: Draft) -> Iterator[Finding]:
    """Steps that do nothing."""
    for id, step in draft.written.steps.items():
        is_whole = all(draft.is_whole("steps", id, name) for name in ("request", "service", "retain", "manual"))
        is_deed = step.retain is None and step.manual is None
        if is_whole and is_deed and (step.request is None or step.service is None):
            lacking = " and ".join(name for name in ("service", "request") if getattr(step, name) is None)
            yield error(
                Check.NOTHING_TO_DO,
                ("steps", id),
                f"says not what to do; add {lacking} (or retain, where the data stays; manual, where a person does it)",
            )


def finds(draft: Draft) -> Iterator[Finding]:
    """Asking first, and doing nothing with the answer; values that are kept twice under one name."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id, "find")
        if step.find is None or not draft.is_whole(*at):
            continue
        if not step.find.save and not step.find.absent:
            yield error(
                Check.FIND,
                at,
                "is asked for nothing: it saves no value, and no answer of it means that nothing is there; "
                "add save or absent, or remove it",
            )
        for name in step.find.save:
            if name in step.save:
                yield error(
                    Check.FIND,
                    (*at, "save", name),
                    f"has the name of a value that the step's own save keeps, and saved.{id}.{name} can be only one of them; "
                    "rename one",
                )


def undos(draft: Draft) -> Iterator[Finding]:
    """Freeze steps that can't be taken back."""
    for id, step in draft.written.steps.items():
        is_whole = all(draft.is_whole("steps", id, name) for name in ("phase", "undo", "no_undo", "retain"))
        if step.phase is not StepPhase.FREEZE or step.retain is not None or not is_whole:
            continue
        if step.undo is None and step.no_undo is None:
            yield error(
                Check.NO_UNDO,
                ("steps", id),
                "a freeze step needs undo, as whoever rescinds gets the account back; "
                "where there is nothing to give back, say why in no_undo",
            )
        if step.undo is not None and step.no_undo is not None:
            yield error(
                Check.UNDO_TWICE, ("steps", id, "no_undo"), "stands beside undo, and one of them is wrong; remove one"
            )


def probes(draft: Draft) -> Iterator[Finding]:
    """Erasures that nobody would verify."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        if step.probe is not None and step.unprobed is not None:
            yield error(
                Check.PROBED_AND_UNPROBED, (*at, "unprobed"), "says why there is no probe, and there is one; remove one"
            )
        is_whole = all(draft.is_whole(*at, name) for name in ("phase", "probe", "unprobed", "retain"))
        if step.request is None or step.retain is not None or not is_whole:
            continue
        if step.phase is StepPhase.ERASE and step.probe is None and step.unprobed is None:
            yield error(
                Check.UNPROBED,
                at,
                "an erase step needs a probe, as a service's 200 is no proof; add probe: {request: …}, "
                "or say in unprobed why nobody can tell",
            )
        if step.phase is StepPhase.RELEASE and step.identifiers is not None and step.probe is None:
            yield warning(
                Check.IDENTIFIERS_UNPROBED,
                (*at, "identifiers"),
                "has no probe, so nobody sees whether the name is blocked or free; add a probe that asks for the name",
            )
        last = step.on_permanent
        is_in_place = step.phase is StepPhase.ERASE and draft.is_whole(*at, "on_permanent")
        if is_in_place and last is not None and last.probe is None:
            yield warning(
                Check.SCRUB_UNPROBED,
                (*at, "on_permanent"),
                "has no probe, so nobody sees whether the person can still be seen; add one (usually with gone_when)",
            )


def reads(draft: Draft) -> Iterator[Finding]:
    """Reads that may change something, and erasures that only read."""
    for asked in requests_of(draft.written):
        if not draft.is_whole(*asked.path):
            continue
        if asked.role.reads:
            yield from _changing(asked.request, asked.path)
        elif asked.role is Role.DEED and asked.step is not None and asked.step.phase in _ONLY_READING:
            if asked.request.only_reads and draft.is_whole(*asked.owner, "phase"):
                yield warning(Check.ONLY_READS, asked.path, f"only reads, so it {_ONLY_READING[asked.step.phase]}")


def _changing(request: Request, at: KeyPath) -> Iterator[Finding]:
    """Nobody can tell of Python code; whoever wrote it says what it is for."""
    match request:
        case HttpRequest(method=Method.POST):
            yield warning(
                Check.CHANGES,
                (*at, "method"),
                "asks by POST where only a read has a place, as it is repeated at will; "
                "see that it only searches, or ask by GET",
            )
        case HttpRequest(only_reads=False, verb=verb):
            yield error(
                Check.CHANGES,
                (*at, "method"),
                f"asks by {verb} where only a read has a place, as it is repeated at will; ask by GET",
            )
        case SqlRequest(only_reads=False):
            yield error(
                Check.CHANGES,
                (*at, "sql"),
                "isn't a SELECT where only a read has a place, as it is repeated at will; "
                "write a SELECT (a WITH may hide a DELETE)",
            )


def same_requests(draft: Draft) -> Iterator[Finding]:
    """Steps that ask the very same, and undos that do the same again: copied, and not changed."""
    for id, step in draft.written.steps.items():
        if step.undo is not None and step.undo.request == step.request and draft.is_whole("steps", id):
            yield error(
                Check.SAME_REQUEST,
                ("steps", id, "undo", "request"),
                "asks the very same as the step, and so undoes nothing; write what restores it",
            )
    deeds: list[tuple[object, str]] = []
    for asked in requests_of(draft.written):
        if asked.role not in (Role.DEED, Role.LAST_RESORT) or asked.step is None or not draft.is_whole(*asked.owner):
            continue
        deed, owner = (asked.step.phase, asked.service, asked.request), str(asked.path[1])
        earlier = next((owner for known, owner in deeds if known == deed), None)
        if earlier is None:
            deeds.append((deed, owner))
        else:
            whose = "the step itself" if earlier == owner else f"step '{earlier}'"
            yield warning(
                Check.SAME_REQUEST,
                asked.path,
                f"asks the very same as {whose}; see that it wasn't copied and then forgotten",
            )


def _retained(id: str, step: Step) -> Iterator[Finding]:
    if step.phase is not StepPhase.ERASE:
        yield error(
            Check.WRONG_PHASE,
            ("steps", id, "retain"),
            "is only for erase steps: it stands for what is not erased; write `phase: erase`",
        )
    for name in _ABOUT_A_REQUEST:
        if name in step.model_fields_set:
            yield error(
                Check.RETAIN_ALONE,
                ("steps", id, name),
                "has no place beside retain, which keeps the data and asks nothing; remove one of them",
            )

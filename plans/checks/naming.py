"""What templates name: that something gives it, and that it is to be had where it is named."""

from collections.abc import Iterator
from dataclasses import dataclass

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error
from plans.checks.language import nearest
from plans.checks.templates import ANSWER, OURS, names_in
from plans.requests import KeyPath
from plans.template_names import DottedName
from plans.template_places import PlacedText

#: Why a name has no place where it stands, though it is one of ours.
_WHY_NOT = {
    "subject": "the lookup is what finds it",
    "saved": "what steps save is for steps",
    "facts": "facts are only for eligibility and mail.admins",
    "retirement_id": "rules, claims and mails are about the person",
    "pseudonym": "it stands for the person in what steps leave behind",
    "successor": "only requests of steps that name a successor know who takes over, and a policy's `suitable`",
    "asset": "only what is asked for each of a step's assets knows one",
    "mirror": "only mirror.update moves the source's row",
    "item": "only what is read from each item of a list, or claimed for it, knows one",
} | dict.fromkeys(ANSWER, "it is the service's answer, and there is none here")
#: What is read from the very answer in which the person is looked for.
_AS_LOOKED_UP = frozenset({"mirror.state", "mirror.moved_at", "mirror.same_when"})
_SAVED_BY_THEN = "an inventory is taken before any step has saved anything"


@dataclass(frozen=True, kw_only=True)
class _Holder:
    """What a name like `subject` has in it. `where` is the place of the plan that says so, as it is told."""

    known: list[str]
    where: str
    #: Is all of it known, so that another one is a mistake?
    is_known: bool


def unknown_values(draft: Draft) -> Iterator[Finding]:
    """Values that nothing gives, and such as aren't to be had where they are named."""
    for each in draft.texts:
        names = sorted(names_in(each))
        dashed = {name: id for name in names if (id := _dashed(draft, each, name)) is not None}
        # `saved.my-lock` is read as `saved.my` less `lock`: one mistake.
        subtracted = {part for id in dashed.values() for part in id.split("-")[1:]}
        for name in names:
            if name in dashed:
                what = f"names {name[0]}.{dashed[name]}, whose dash is read as minus; write {name[0]}['{dashed[name]}']"
                yield error(Check.UNKNOWN_VALUE, each.path, what)
            elif name[0] not in subtracted and (unknown := _unknown(draft, each, name)) is not None:
                yield error(Check.UNKNOWN_VALUE, each.path, unknown)


def _dashed(draft: Draft, placed: PlacedText, name: DottedName) -> str | None:
    """The id with a dash that a name is the beginning of."""
    holder = _holder_of(draft, placed, name[0])
    if len(name) < 2 or holder is None or name[1] in holder.known:
        return None
    return next((id for id in holder.known if id.startswith(f"{name[1]}-")), None)


def _unknown(draft: Draft, placed: PlacedText, name: DottedName) -> str | None:
    root, *rest = name
    if root not in placed.allows or (root == "subject" and _is_too_early(draft, placed)):
        return _out_of_place(draft, placed, name)
    if (lacking := _lacking(draft, placed, root)) is not None:
        return f"'{root}' can't be named here: {lacking}"
    holder = _holder_of(draft, placed, root)
    if not rest or holder is None:
        return None
    if rest[0] not in holder.known:
        if placed.path[0] == "successors" and root == "successor":
            return (
                f"unknown value 'successor.{rest[0]}'; only successor.id is known here: the answer says the rest (body)"
            )
        if root == "mirror":
            return f"unknown value 'mirror.{rest[0]}'; only mirror.state and mirror.note are known; write one of them"
        return _missing(root, rest[0], holder) if holder.is_known else None
    if root != "saved" or len(rest) < 2 or rest[0] not in draft.written.steps:
        return None
    at, found = ("steps", rest[0], "save"), ("steps", rest[0], "find", "save")
    known = [*draft.names(*at), *draft.names(*found)]
    saves = _Holder(known=known, where=".".join(at), is_known=draft.knows(*at) and draft.knows(*found))
    return _missing(f"saved.{rest[0]}", rest[1], saves) if rest[1] not in saves.known and saves.is_known else None


def _lacking(draft: Draft, placed: PlacedText, root: str) -> str | None:
    """What a step would have to say, so that its requests know an asset or a successor; a claim, so that it knows an item."""
    at = placed.path[:2]
    if at[0] == "claims" and root == "item" and draft.is_whole(*at, "each"):
        is_for_each = draft.written.claims[int(at[1])].each is not None
        return None if is_for_each else "the claim isn't made for each of a list; add each (`each: subject.teams`)"
    step = draft.written.steps.get(str(at[1])) if at[0] == "steps" else None
    if step is None:
        return None
    if root == "asset" and step.assets is None and draft.is_whole(*at, "assets"):
        return "the step has no assets, for each of which it would be asked; add assets, or name user_id"
    if root == "successor" and step.successor is None and draft.is_whole(*at, "successor"):
        known = draft.names("successors")
        return (
            f"the step names none; add `successor: {known[0]}`"
            if known
            else ("the step names none, and the plan has no successors; add both")
        )
    return None


def _holder_of(draft: Draft, placed: PlacedText, root: str) -> _Holder | None:
    """What stands behind a name here; None where the plan doesn't say (an answer, an item)."""
    match root:
        case "subject":
            return _subject(draft, placed)
        case "facts":
            return _mapping(draft, "facts")
        case "saved":
            return _mapping(draft, "steps")
        case "successor" if placed.path[0] == "successors":
            # Its fields are read from this very answer.
            return _Holder(known=["id"], where="", is_known=True)
        case "successor":
            return _successor(draft, placed.path[:2])
        case "asset":
            return _asset(draft, placed.path[:2])
        case "mirror":
            return _Holder(known=["state", "note"], where="", is_known=True)
    return None


def _subject(draft: Draft, placed: PlacedText) -> _Holder:
    """What is given beforehand, what the lookup reads from its answer, and what others are asked besides."""
    found = _mapping(draft, "subject", "lookup", "fields")
    given = list(draft.written.subject.given)
    if _is_looking_up(placed):
        return _Holder(known=given, where="subject.given", is_known=draft.is_whole("subject", "given"))
    also = _mapping(draft, "subject", "also") if placed.path[:2] != ("subject", "also") else None
    known = [*given, *found.known, *(also.known if also is not None else [])]
    is_known = found.is_known and draft.is_whole("subject", "given") and (also is None or also.is_known)
    return _Holder(known=known, where=found.where, is_known=is_known)


def _is_looking_up(placed: PlacedText) -> bool:
    """Is the person only being looked up, so that nothing is known but what was given beforehand?"""
    return placed.path[:2] == ("subject", "lookup") or placed.place in _AS_LOOKED_UP


def _is_too_early(draft: Draft, placed: PlacedText) -> bool:
    """Is nothing known of the person yet?"""
    return _is_looking_up(placed) and not draft.written.subject.given and draft.is_whole("subject", "given")


def _mapping(draft: Draft, *path: str) -> _Holder:
    return _Holder(known=draft.names(*path), where=".".join(path), is_known=draft.knows(*path))


def _successor(draft: Draft, at: KeyPath) -> _Holder | None:
    step = draft.written.steps.get(str(at[1]))
    policy = step.successor if step is not None else None
    if policy is None or policy not in draft.names("successors"):
        return None
    fields = _mapping(draft, "successors", policy, "suitable", "fields")
    is_known = fields.is_known and policy in draft.written.successors
    return _Holder(known=["id", *fields.known], where=fields.where, is_known=is_known)


def _asset(draft: Draft, at: KeyPath) -> _Holder | None:
    step = draft.written.steps.get(str(at[1]))
    if step is None or step.assets is None:
        return None
    read = [name for name in ("type", "title") if getattr(step.assets, name) is not None]
    fields = _mapping(draft, *map(str, at), "assets", "fields")
    is_known = fields.is_known and all(draft.is_whole(*at, "assets", name) for name in ("type", "title"))
    return _Holder(known=["id", *read, *fields.known], where=".".join((*map(str, at), "assets")), is_known=is_known)


def _missing(root: str, name: str, holder: _Holder) -> str:
    close = nearest(name, holder.known)
    if close is not None:
        return f"unknown value '{root}.{name}'; did you mean '{root}.{close}'?"
    has = ", ".join(holder.known) or "nothing"
    return f"unknown value '{root}.{name}'; {holder.where} has {has}: add it there, or name another"


def _out_of_place(draft: Draft, placed: PlacedText, name: DottedName) -> str:
    root = name[0]
    allows = [name for name in OURS if name in placed.allows and _lacking(draft, placed, name) is None]
    if _is_too_early(draft, placed):
        allows.remove("subject")
    allowed = ", ".join(allows)
    if root in _WHY_NOT:
        why = _SAVED_BY_THEN if root == "saved" and placed.path[0] == "steps" else _WHY_NOT[root]
        return f"'{root}' can't be named here: {why}; what may stand here: {allowed}"
    # Items of a claim come from `subject`, and are hardly more than ids.
    if placed.path[0] != "claims" and (source := next((each for each in ("item", "body") if each in allows), None)):
        # A bare word is what people write for a field of the answer.
        return f"unknown value '{root}'; did you mean '{source}.{'.'.join(name)}'? What may stand here: {allowed}"
    if "subject" in placed.allows and root in draft.names("subject", "lookup", "fields"):
        return f"unknown value '{root}'; did you mean 'subject.{root}'?"
    close = nearest(root, sorted(allows))
    if close is not None:
        return f"unknown value '{root}'; did you mean '{close}'?"
    return f"unknown value '{root}'; what may stand here: {allowed}"

"""Which values of a person a plan sends to whom, and which it keeps meanwhile: read off the names in its templates."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plans.model import Plan
    from plans.template_names import DottedName
    from plans.template_places import PlacedText

_OF_THE_PERSON = frozenset(
    {"user_id", "tenant", "retirement_id", "pseudonym", "subject", "saved", "asset", "successor"}
)
#: The fields of the lookup that mails to the person use: where to, the greeting, the language.
_MAILED = ("email", "name", "locale")

_REQUESTS = {
    "find": " (find)",
    "request": "",
    "probe": " (probe)",
    "follow_up": " (follow-up)",
    "undo": " (undo)",
    "on_permanent": " (last resort)",
    "assets": " (owned)",
}
#: What a mirrored source is told names nobody.
_MASKED = "mirror (to mask notes)"
#: What a mail to others than the person tells, and to whom.
_TO_PERSON, _TO_ADMINS, _TO_RECIPIENTS = "mails to the person", "mails to admins", "mails to recipients"


def what_is_sent(plan: "Plan") -> list[dict[str, Any]]:
    """For each service and for the mail server, each value that leaves the house for it, and with what."""
    from plans.template_places import texts_of

    sent: dict[str, dict[str, list[str]]] = {id: {} for id in plan.services}
    for text in texts_of(plan):
        service = receiver_of(plan, text)
        for name in _names_in(text) if service is not None else ():
            if name[0] in _OF_THE_PERSON:
                occasions = sent[service or ""].setdefault(_written(name), [])
                if (occasion := _occasion(plan, text)) not in occasions:
                    occasions.append(occasion)
    if plan.mail is not None:
        sent["mail server"] = _what_is_mailed(plan)
    return [
        {"to": id, "values": [{"value": value, "with": occasions} for value, occasions in values.items()]}
        for id, values in sent.items()
    ]


def _what_is_mailed(plan: "Plan") -> dict[str, list[str]]:
    """Each value that stands in a mail, and in which."""
    from plans.template_places import texts_of

    mailed = [(f"subject.{field}", _TO_PERSON) for field in _mailed(plan)]
    mailed += [(value, _TO_ADMINS) for value in _told_to_admins(plan)]
    mailed += [
        (_written(name), _TO_RECIPIENTS)
        for text in texts_of(plan)
        if text.place.startswith("mail.recipients.")
        for name in _names_in(text)
    ]
    values: dict[str, list[str]] = {}
    for value, mail in dict.fromkeys(mailed):
        values.setdefault(value, []).append(mail)
    return values


def _told_to_admins(plan: "Plan") -> list[str]:
    """What mails to admins tell: who goes, what they owned, and who has it now."""
    if plan.mail is None or not plan.mail.admins:
        return []
    assets = [step.assets for step in plan.steps.values() if step.assets is not None]
    owned = [name for name in ("type", "title") if any(getattr(each, name) for each in assets)]
    fields = {field for policy in plan.successors.values() for field in policy.suitable.fields}
    return [
        "user_id",
        *(["subject.name"] if "name" in plan.subject.lookup.fields else []),
        *(f"asset.{name}" for name in (["id", *owned] if assets else [])),
        *(f"successor.{name}" for name in (["id"] if plan.successors else [])),
        *(f"successor.{name}" for name in ("name", "email") if name in fields),
    ]


def what_is_kept(plan: "Plan") -> list[dict[str, Any]]:
    """Each value in the vault: from which answer it is read, and what names it; kept for nothing where nothing does."""
    kept: list[tuple[DottedName, str, str | None]] = [
        *((("subject", name), "the start", None) for name in plan.subject.given),
        *((("subject", field), "lookup", expression) for field, expression in plan.subject.lookup.fields.items()),
        *((("subject", id), f"also {id}", asked.value) for id, asked in plan.subject.also.items()),
    ]
    kept += [
        (("saved", id, name), id, expression)
        for id, step in plan.steps.items()
        for name, expression in [*(step.find.save.items() if step.find else ()), *step.save.items()]
    ]
    told = [
        {"value": _written(name), "from": source, "reads": expression, "used_by": _users_of(plan, name)}
        for name, source, expression in kept
    ]
    return [*told, *_kept_of_ownership(plan)]


def _kept_of_ownership(plan: "Plan") -> "Iterator[dict[str, Any]]":
    """Who takes over, what the person owns, and which admins hear of it."""
    for id, policy in plan.successors.items():
        steps = frozenset(each for each, step in plan.steps.items() if step.successor == id)
        read = {"id": "the id"} | policy.suitable.fields
        for field, expression in read.items():
            users = _users_of(plan, ("successor", field), steps=steps)
            yield {"value": f"successor.{field}", "from": f"successor {id}", "reads": expression, "used_by": users}
    for id, step in plan.steps.items():
        if step.assets is None:
            continue
        said = {"id": step.assets.id, "type": step.assets.type, "title": step.assets.title} | step.assets.fields
        for field, reads in said.items():
            if reads is not None:
                users = _users_of(plan, ("asset", field), steps=frozenset({id}))
                yield {"value": f"asset.{field}", "from": id, "reads": reads, "used_by": users}
    for admin in plan.mail.admins if plan.mail is not None else ():
        if "{{" in admin:
            yield {"value": "mail.admins", "from": "check", "reads": admin, "used_by": [_TO_ADMINS]}


def _users_of(plan: "Plan", kept: "DottedName", *, steps: frozenset[str] | None = None) -> list[str]:
    """What names a value; `steps` are those that know it, where not all do."""
    from plans.template_places import texts_of

    users = []
    for text in texts_of(plan):
        if steps is not None and (text.path[0] != "steps" or text.path[1] not in steps):
            continue
        # `subject | tojson` names all fields, `subject.address.city` a part of one.
        if any(name[: len(kept)] == kept[: len(name)] for name in _names_in(text)):
            users.append(_occasion(plan, text))
    mailed = {_TO_PERSON: [f"subject.{field}" for field in _mailed(plan)], _TO_ADMINS: _told_to_admins(plan)}
    if plan.mirror is not None and kept[0] == "subject":
        users.append(_MASKED)
    users += [mail for mail, values in mailed.items() if _written(kept) in values]
    return list(dict.fromkeys(users))


def _mailed(plan: "Plan") -> list[str]:
    if plan.mail is None or not plan.mail.to_person:
        return []
    return [field for field in _MAILED if field in plan.subject.lookup.fields]


def _names_in(text: "PlacedText") -> "list[DottedName]":
    from plans.template_names import names_of

    return sorted(names_of(text.text, is_expression=text.is_expression))


def _written(name: "DottedName") -> str:
    """`subject.email`; `subject.*` where a template takes all there is."""
    is_whole = len(name) < {"subject": 2, "saved": 3, "successor": 2, "asset": 2}.get(name[0], 1)
    return ".".join([*name, "*"] if is_whole else name)


def receiver_of(plan: "Plan", text: "PlacedText") -> str | None:
    """Who is sent what a text renders to; None where it is only worked out here."""
    if not text.place.endswith((".request", ".headers.*", ".update", ".cancel")):
        return None
    match text.path:
        case ("subject", "also", str(id), *_):
            return plan.subject.also[id].service
        case ("subject", *_) | ("mirror", *_):
            return plan.subject.lookup.service
        case ("facts", str(id), *_):
            return plan.facts[id].service
        case ("successors", str(id), "candidates", int(index), *_):
            return plan.successors[id].candidates[index].service
        case ("successors", str(id), *_):
            return plan.successors[id].suitable.service
        case ("services", str(id), *_):
            return id
        case ("steps", str(id), *_):
            return plan.steps[id].service
    return None


def _occasion(plan: "Plan", text: "PlacedText") -> str:
    """What a text is for, as people say it: `lookup`, `lock`, `lock (undo)`, `rule sole_admin`."""
    match text.path:
        case ("subject", "also", id, *_):
            return f"also {id}"
        case ("subject", *_):
            return "lookup"
        case ("mirror", part, *_):
            return f"mirror ({part})"
        case ("facts", id, *_):
            return f"fact {id}"
        case ("eligibility", int(index), *_):
            return f"rule {plan.eligibility[index].code}"
        case ("claims", *_):
            return "claim"
        case ("successors", id, part, *_):
            return f"{id} ({part})"
        case ("mail", "admins", *_):
            return _TO_ADMINS
        case ("mail", *_):
            return _TO_RECIPIENTS
        case ("services", *_):
            return "every request"
        case ("steps", id, "assets", "owner", *_):
            return f"{id} (owner)"
        case ("steps", id, part, *_):
            return f"{id}{_REQUESTS.get(str(part), f' ({part})')}"
    return ".".join(str(part) for part in text.path)

"""Which values of a person a plan sends to whom, and which it keeps meanwhile: read off the names in its templates."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plans.model import Plan
    from plans.template_names import DottedName
    from plans.template_places import PlacedText

_OF_THE_PERSON = frozenset({"user_id", "tenant", "retirement_id", "subject", "saved"})
#: The fields of the lookup that mails to the person use: where to, the greeting, the language.
_MAILED = ("email", "name", "locale")

_REQUESTS = {
    "request": "",
    "probe": " (probe)",
    "undo": " (undo)",
    "on_permanent": " (last resort)",
}


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
    told = [
        {"to": id, "values": [{"value": value, "with": occasions} for value, occasions in values.items()]}
        for id, values in sent.items()
    ]
    mailed = [{"value": f"subject.{field}", "with": ["mails to the person"]} for field in _mailed(plan)]
    return [*told, *([{"to": "mail server", "values": mailed}] if plan.mail is not None else [])]


def what_is_kept(plan: "Plan") -> list[dict[str, Any]]:
    """Each value in the vault: from which answer it is read, and what names it; kept for nothing where nothing does."""
    kept: list[tuple[DottedName, str, str]] = [
        (("subject", field), "lookup", expression) for field, expression in plan.subject.lookup.fields.items()
    ]
    kept += [
        (("saved", id, name), id, expression)
        for id, step in plan.steps.items()
        for name, expression in step.save.items()
    ]
    return [
        {"value": _written(name), "from": source, "reads": expression, "used_by": _users_of(plan, name)}
        for name, source, expression in kept
    ]


def _users_of(plan: "Plan", kept: "DottedName") -> list[str]:
    from plans.template_places import texts_of

    users = []
    for text in texts_of(plan):
        # `subject | tojson` names all fields, `subject.address.city` a part of one.
        if any(name[: len(kept)] == kept[: len(name)] for name in _names_in(text)):
            users.append(_occasion(plan, text))
    if kept[0] == "subject" and kept[1] in _mailed(plan):
        users.append("mails to the person")
    return list(dict.fromkeys(users))


def _mailed(plan: "Plan") -> list[str]:
    return [field for field in _MAILED if field in plan.subject.lookup.fields] if plan.mail is not None else []


def _names_in(text: "PlacedText") -> "list[DottedName]":
    from plans.template_names import names_of

    return sorted(names_of(text.text, is_expression=text.is_expression))


def _written(name: "DottedName") -> str:
    """`subject.email`; `subject.*` where a template takes all there is."""
    is_whole = len(name) < {"subject": 2, "saved": 3}.get(name[0], 1)
    return ".".join([*name, "*"] if is_whole else name)


def receiver_of(plan: "Plan", text: "PlacedText") -> str | None:
    """Who is sent what a text renders to; None where it is only worked out here."""
    if not text.place.endswith((".request", ".headers.*")):
        return None
    match text.path:
        case ("subject", *_):
            return plan.subject.lookup.service
        case ("facts", str(id), *_):
            return plan.facts[id].service
        case ("services", str(id), *_):
            return id
        case ("steps", str(id), *_):
            return plan.steps[id].service
    return None


def _occasion(plan: "Plan", text: "PlacedText") -> str:
    """What a text is for, as people say it: `lookup`, `lock`, `lock (undo)`, `rule sole_admin`."""
    match text.path:
        case ("subject", *_):
            return "lookup"
        case ("facts", id, *_):
            return f"fact {id}"
        case ("eligibility", int(index), *_):
            return f"rule {plan.eligibility[index].code}"
        case ("claims", *_):
            return "claim"
        case ("services", *_):
            return "every request"
        case ("steps", id, part, *_):
            return f"{id}{_REQUESTS.get(str(part), f' ({part})')}"
    return ".".join(str(part) for part in text.path)

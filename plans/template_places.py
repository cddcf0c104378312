"""Where templates stand in a plan, and which values may be named there. The plan's check and its reference both read this."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plans.mirror import Mirror
from plans.model import Assets, MailSettings, Plan, Probe, Step, SuccessorPolicy
from plans.requests import KeyPath, Request, texts_in

_IDS = frozenset({"user_id", "tenant", "retirement_id"})
_ANSWER = frozenset({"body", "headers", "status"})
_SUBJECT = frozenset({"subject"})
_SAVED = frozenset({"saved"})
#: What stands for the person where something of theirs stays; known as soon as a step is done.
_PSEUDONYM = frozenset({"pseudonym"})
_SUCCESSOR = frozenset({"successor"})
_ASSET = frozenset({"asset"})
#: One of a list that a service gives.
_ITEM = frozenset({"item"})
_STEP = _IDS | _PSEUDONYM | _SUBJECT | _SAVED
#: An inventory is taken before anything is frozen, when no step has saved anything yet.
_INVENTORY = _IDS | _PSEUDONYM | _SUBJECT
_CHOICE = _IDS | _SUBJECT
#: Claims and mails are about the person, whichever retirement it is.
_PERSON = frozenset({"user_id", "tenant"}) | _SUBJECT


@dataclass(frozen=True, kw_only=True)
class Place:
    """One kind of place: what may be named there, and whether an expression stands there, which needs no `{{ }}`."""

    names: frozenset[str]
    is_expression: bool


_STEP_TEMPLATE = Place(names=_STEP, is_expression=False)
_STEP_CONDITION = Place(names=_STEP, is_expression=True)
_STEP_ANSWER = Place(names=_STEP | _ANSWER, is_expression=True)
_FACT_ANSWER = Place(names=_IDS | _SUBJECT | _ANSWER, is_expression=True)
_SUITABLE_ANSWER = Place(names=_CHOICE | _SUCCESSOR | _ANSWER, is_expression=True)
_LISTED_ANSWER = Place(names=_INVENTORY | _ANSWER, is_expression=True)
_LISTED_ITEM = Place(names=_INVENTORY | _ITEM, is_expression=True)
_RECIPIENT = Place(names=_PERSON, is_expression=False)

#: What a mirrored source's row says, over the lookup's answer.
_ROW = Place(names=_CHOICE | _ANSWER, is_expression=True)

#: Every kind of place by its keys, in reading order; `*` is an id that the plan chooses.
PLACES: Mapping[str, Place] = {
    "subject.lookup.request": Place(names=_IDS | _SUBJECT, is_expression=False),
    "subject.lookup.absent_when": Place(names=_IDS | _SUBJECT | _ANSWER, is_expression=True),
    "subject.lookup.fields.*": Place(names=_IDS | _SUBJECT | _ANSWER, is_expression=True),
    "subject.also.*.request": Place(names=_CHOICE, is_expression=False),
    "subject.also.*.value": Place(names=_CHOICE | _ANSWER, is_expression=True),
    "mirror.state": _ROW,
    "mirror.moved_at": _ROW,
    "mirror.same_when": _ROW,
    "mirror.update": Place(names=_CHOICE | frozenset({"mirror"}), is_expression=False),
    "mirror.cancel": Place(names=_CHOICE, is_expression=False),
    "mirror.verified_when": _ROW,
    "facts.*.request": Place(names=_IDS | _SUBJECT, is_expression=False),
    "facts.*.value": _FACT_ANSWER,
    "facts.*.items": _FACT_ANSWER,
    "facts.*.next_page": _FACT_ANSWER,
    "eligibility.refuse_if": Place(
        names=frozenset({"user_id", "tenant", "subject", "facts"}),
        is_expression=True,
    ),
    # `item` where the claim has `each`.
    "claims.key": Place(names=_PERSON | _ITEM, is_expression=False),
    "claims.each": Place(names=_PERSON, is_expression=True),
    "claims.when": Place(names=_PERSON | _ITEM, is_expression=True),
    "successors.*.candidates.request": Place(names=_CHOICE, is_expression=False),
    "successors.*.candidates.items": _FACT_ANSWER,
    "successors.*.candidates.id": Place(names=_CHOICE | _ITEM, is_expression=True),
    "successors.*.candidates.next_page": _FACT_ANSWER,
    "successors.*.suitable.request": Place(names=_CHOICE | _SUCCESSOR, is_expression=False),
    "successors.*.suitable.when": _SUITABLE_ANSWER,
    "successors.*.suitable.fields.*": _SUITABLE_ANSWER,
    # A plain address is none.
    "mail.admins": Place(names=frozenset({"user_id", "tenant", "subject", "facts"}), is_expression=True),
    "mail.recipients.address": _RECIPIENT,
    "mail.recipients.reference": _RECIPIENT,
    # Sent with the lookup, too, when nothing else is known yet.
    "services.*.headers.*": Place(names=_IDS, is_expression=False),
    "steps.*.find.request": Place(names=_STEP | _SUCCESSOR, is_expression=False),
    "steps.*.find.save.*": _STEP_ANSWER,
    # `asset` where the step has `assets`, `successor` where it names one.
    "steps.*.request": Place(names=_STEP | _ASSET | _SUCCESSOR, is_expression=False),
    "steps.*.assets.request": Place(names=_INVENTORY, is_expression=False),
    "steps.*.assets.items": _LISTED_ANSWER,
    "steps.*.assets.id": _LISTED_ITEM,
    "steps.*.assets.type": _LISTED_ITEM,
    "steps.*.assets.title": _LISTED_ITEM,
    "steps.*.assets.fields.*": _LISTED_ITEM,
    "steps.*.assets.next_page": _LISTED_ANSWER,
    "steps.*.assets.settled_when": _LISTED_ITEM,
    "steps.*.assets.owner.request": Place(names=_STEP | _ASSET | _SUCCESSOR, is_expression=False),
    "steps.*.assets.owner.value": Place(names=_STEP | _ASSET | _SUCCESSOR | _ANSWER, is_expression=True),
    "steps.*.done_when": _STEP_ANSWER,
    "steps.*.save.*": _STEP_ANSWER,
    "steps.*.probe.request": _STEP_TEMPLATE,
    "steps.*.probe.gone_when": _STEP_ANSWER,
    "steps.*.poll.url": _STEP_ANSWER,
    "steps.*.poll.done": _STEP_ANSWER,
    "steps.*.poll.failed": _STEP_ANSWER,
    "steps.*.follow_up.request": _STEP_TEMPLATE,
    "steps.*.follow_up.done": _STEP_ANSWER,
    "steps.*.follow_up.failed": _STEP_ANSWER,
    "steps.*.undo.request": _STEP_TEMPLATE,
    "steps.*.undo.when": _STEP_CONDITION,
    "steps.*.on_permanent.request": Place(names=_STEP | _SUCCESSOR, is_expression=False),
    "steps.*.on_permanent.probe.request": _STEP_TEMPLATE,
    "steps.*.on_permanent.probe.gone_when": _STEP_ANSWER,
}

#: Where secret references are resolved, besides in the templates of requests and headers.
SECRET_PLACES = frozenset(
    {
        "services.*.base_url",
        "services.*.database_url",
        "services.*.settings.*",
        "services.*.auth.token",
        "services.*.auth.username",
        "services.*.auth.password",
        "services.*.auth.key",
        "services.*.auth.token_url",
        "services.*.auth.client_id",
        "services.*.auth.client_secret",
        "services.*.auth.form.*",
    }
)


@dataclass(frozen=True, kw_only=True)
class PlacedText:
    """A template or expression of a plan. `path` is where it stands in the file, `place` the kind, a key of PLACES."""

    path: KeyPath
    place: str
    text: str

    @property
    def allows(self) -> frozenset[str]:
        """The names that may begin a value here."""
        return PLACES[self.place].names

    @property
    def is_expression(self) -> bool:
        """May it stand without `{{ }}`?"""
        return PLACES[self.place].is_expression


def texts_of(plan: Plan) -> Iterator[PlacedText]:
    """Every template and expression of a plan, in reading order."""
    lookup = plan.subject.lookup
    yield from _of_request(lookup.request, ("subject", "lookup", "request"), "subject.lookup.request")
    yield from _of_data(lookup.absent_when, ("subject", "lookup", "absent_when"), "subject.lookup.absent_when")
    yield from _of_data(lookup.fields, ("subject", "lookup", "fields"), "subject.lookup.fields.*")
    for id, also in plan.subject.also.items():
        yield from _of_request(also.request, ("subject", "also", id, "request"), "subject.also.*.request")
        yield from _of_data(also.value, ("subject", "also", id, "value"), "subject.also.*.value")
    if plan.mirror is not None:
        yield from _of_mirror(plan.mirror)
    for id, fact in plan.facts.items():
        yield from _of_request(fact.request, ("facts", id, "request"), "facts.*.request")
        for name in ("value", "items", "next_page"):
            yield from _of_data(getattr(fact, name), ("facts", id, name), f"facts.*.{name}")
    for index, rule in enumerate(plan.eligibility):
        yield from _of_data(rule.refuse_if, ("eligibility", index, "refuse_if"), "eligibility.refuse_if")
    for index, claim in enumerate(plan.claims):
        for name in ("key", "each", "when"):
            yield from _of_data(getattr(claim, name), ("claims", index, name), f"claims.{name}")
    for id, policy in plan.successors.items():
        yield from _of_policy(policy, ("successors", id))
    if plan.mail is not None:
        yield from _of_mail(plan.mail)
    for id, service in plan.services.items():
        headers = getattr(service, "headers", {})
        yield from _of_data(headers, ("services", id, "headers"), "services.*.headers.*")
    for id, step in plan.steps.items():
        yield from texts_of_step(step, ("steps", id))


def texts_of_step(step: Step, at: KeyPath) -> Iterator[PlacedText]:
    """Those of one step, which stands at `at`."""
    if step.find is not None:
        yield from _of_request(step.find.request, (*at, "find", "request"), "steps.*.find.request")
        yield from _of_data(step.find.save, (*at, "find", "save"), "steps.*.find.save.*")
    yield from _of_request(step.request, (*at, "request"), "steps.*.request")
    if step.assets is not None:
        yield from _of_assets(step.assets, (*at, "assets"))
    yield from _of_data(step.done_when, (*at, "done_when"), "steps.*.done_when")
    yield from _of_data(step.save, (*at, "save"), "steps.*.save.*")
    yield from _of_probe(step.probe, (*at, "probe"), "steps.*.probe")
    if step.poll is not None:
        for name in ("url", "done", "failed"):
            yield from _of_data(getattr(step.poll, name), (*at, "poll", name), f"steps.*.poll.{name}")
    if step.follow_up is not None:
        yield from _of_request(step.follow_up.request, (*at, "follow_up", "request"), "steps.*.follow_up.request")
        for name in ("done", "failed"):
            yield from _of_data(getattr(step.follow_up, name), (*at, "follow_up", name), f"steps.*.follow_up.{name}")
    if step.undo is not None:
        yield from _of_request(step.undo.request, (*at, "undo", "request"), "steps.*.undo.request")
        yield from _of_data(step.undo.when, (*at, "undo", "when"), "steps.*.undo.when")
    if step.on_permanent is not None:
        path: KeyPath = (*at, "on_permanent")
        yield from _of_request(step.on_permanent.request, (*path, "request"), "steps.*.on_permanent.request")
        yield from _of_probe(step.on_permanent.probe, (*path, "probe"), "steps.*.on_permanent.probe")


def _of_mirror(mirror: Mirror) -> Iterator[PlacedText]:
    for name in ("state", "moved_at", "same_when"):
        yield from _of_data(getattr(mirror, name), ("mirror", name), f"mirror.{name}")
    yield from _of_request(mirror.update, ("mirror", "update"), "mirror.update")
    yield from _of_request(mirror.cancel, ("mirror", "cancel"), "mirror.cancel")
    yield from _of_data(mirror.verified_when, ("mirror", "verified_when"), "mirror.verified_when")


def _of_policy(policy: SuccessorPolicy, at: KeyPath) -> Iterator[PlacedText]:
    for index, listed in enumerate(policy.candidates):
        path: KeyPath = (*at, "candidates", index)
        yield from _of_request(listed.request, (*path, "request"), "successors.*.candidates.request")
        for name in ("items", "id", "next_page"):
            yield from _of_data(getattr(listed, name), (*path, name), f"successors.*.candidates.{name}")
    path = (*at, "suitable")
    yield from _of_request(policy.suitable.request, (*path, "request"), "successors.*.suitable.request")
    yield from _of_data(policy.suitable.when, (*path, "when"), "successors.*.suitable.when")
    yield from _of_data(policy.suitable.fields, (*path, "fields"), "successors.*.suitable.fields.*")


def _of_mail(mail: MailSettings) -> Iterator[PlacedText]:
    for index, admin in enumerate(mail.admins):
        if "{{" in admin:
            yield from _of_data(admin, ("mail", "admins", index), "mail.admins")
    for index, recipient in enumerate(mail.recipients):
        for name in ("address", "reference"):
            yield from _of_data(
                getattr(recipient, name), ("mail", "recipients", index, name), f"mail.recipients.{name}"
            )


def _of_assets(assets: Assets, at: KeyPath) -> Iterator[PlacedText]:
    place = "steps.*.assets"
    yield from _of_request(assets.request, (*at, "request"), f"{place}.request")
    for name in ("items", "id", "type", "title"):
        yield from _of_data(getattr(assets, name), (*at, name), f"{place}.{name}")
    yield from _of_data(assets.fields, (*at, "fields"), f"{place}.fields.*")
    for name in ("next_page", "settled_when"):
        yield from _of_data(getattr(assets, name), (*at, name), f"{place}.{name}")
    if assets.owner is not None:
        yield from _of_request(assets.owner.request, (*at, "owner", "request"), f"{place}.owner.request")
        yield from _of_data(assets.owner.value, (*at, "owner", "value"), f"{place}.owner.value")


def _of_probe(probe: Probe | None, path: KeyPath, place: str) -> Iterator[PlacedText]:
    if probe is not None:
        yield from _of_request(probe.request, (*path, "request"), f"{place}.request")
        yield from _of_data(probe.gone_when, (*path, "gone_when"), f"{place}.gone_when")


def _of_request(request: Request | None, path: KeyPath, place: str) -> Iterator[PlacedText]:
    if request is not None:
        for inner, text in request.templates():
            yield PlacedText(path=(*path, *inner), place=place, text=text)


def _of_data(data: Any, path: KeyPath, place: str) -> Iterator[PlacedText]:
    for where, text in texts_in(data, path):
        yield PlacedText(path=where, place=place, text=text)

"""Trying an inventory: does it list what the person owns, and nobody else's? And whose is an asset?"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from activities.actions.answers import ROUTE_UNKNOWN, Absent, Answer, Done, meaning_of
from activities.probing import reading_rules
from activities.rendering import RenderingError, holds
from plans.model import Assets, Owner, Step
from starter.exchanges import Exchange
from starter.strangers import stranger_like
from starter.trial.asking import Trying
from starter.trial.doubts import slowness
from starter.trial.findings import Question, Reading, Remark, problem, warning
from starter.trial.lists import Listed, Source, ask_for_list
from starter.trial.reading import read, read_item

#: A trial doesn't read all that somebody owns.
_MOST_PAGES = 20
_OF_ITEM = ("id", "type", "title")


async def ask_assets(trying: Trying, id: str, step: Step, assets: Assets) -> Question:
    """List what the person owns, and what somebody owns who doesn't exist. `trying` knows the first asset afterwards."""
    source = Source(
        part=f"steps.{id}.assets",
        service=step.service or "",
        items=assets.items,
        next_page=assets.next_page,
        absent=assets.absent,
    )
    question, call = trying.begun(part=source.part, service_id=source.service, request=assets.request)
    if call is None:
        return question
    listed = await ask_for_list(trying, question, call, source, most_pages=_MOST_PAGES)
    question = listed.question
    if listed.trouble is not None:
        return question
    left, settled, unsettling = _unsettled(assets, listed.items, context=call.context, place=source.part)
    trying.owned[id] = len(left)
    told = f"owns {listed.told}" if listed.items else "owns nothing"
    told += f"; {settled} of them settled already" if settled else ""
    reads, remarks = _first(trying, id, assets, left, place=source.part)
    said, doubts = await _of_nobody(trying, listed, source, assets)
    return replace(
        question,
        meaning=told,
        reads=reads,
        also=(said,) if said else (),
        remarks=(*question.remarks, *unsettling, *remarks, *_twice(assets, left, call.context, source.part), *doubts),
    )


async def ask_owner(trying: Trying, id: str, step: Step, owner: Owner) -> Question:
    """Whose is the first asset, and whose one that doesn't exist?"""
    part, service = f"steps.{id}.assets.owner", step.service or ""
    asset = trying.assets[id]
    question, call = trying.begun(part=part, service_id=service, request=owner.request, more={"asset": asset})
    if call is None:
        return question
    exchange = await trying.send(call)
    question = replace(question, answer=exchange.said, took=exchange.took)
    rules = reading_rules(call, absent=owner.absent)
    match meaning_of(exchange.answer, rules), exchange.answer:
        case Done(), Answer() as answer:
            found = read(
                {"value": owner.value},
                answer=answer,
                context=call.context,
                place=part,
                show_values=trying.show_values,
            )
            meant, remarks = _whose(trying, part, found.values)
        case Absent(), _:
            what = "It says that the first asset of the list isn't there."
            mend = "Check the path, and that asset.id is what it takes."
            return replace(question, meaning="not there", remarks=(problem("asset_not_found", what, mend=mend),))
        case _:
            remark = await trying.what_is_wrong(exchange, service_id=service)
            return replace(question, meaning="can't be told", remarks=(remark,))
    nobodys = replace(call, context={**call.context, "asset": {**asset, "id": stranger_like(str(asset["id"]))}})
    other = await trying.send(nobodys)
    is_absent = isinstance(meaning_of(other.answer, rules), Absent)
    said = f"of an asset that doesn't exist it says {other.said}" + (", as it should" if is_absent else "")
    slow = slowness(exchange.took, service=call.service, service_id=service)
    doubts = () if is_absent else (_no_absence(other),)
    remarks = (*found.remarks, *remarks, *doubts, *slow)
    return replace(question, meaning=meant, reads=found.readings, also=(said,), remarks=remarks)


def _unsettled(
    assets: Assets, items: list[Any], *, context: Mapping[str, Any], place: str
) -> tuple[list[Any], int, tuple[Remark, ...]]:
    """The items that something is left to do with, how many are settled, and what is wrong with `settled_when`."""
    if assets.settled_when is None:
        return items, 0, ()
    left = []
    for item in items:
        try:
            if not holds(assets.settled_when, {**context, "item": item}):
                left.append(item)
        except RenderingError:
            told = read_item(
                {"settled_when": assets.settled_when}, item=item, context=context, place=place, show_values=False
            )
            return items, 0, told.remarks[:1]
    return left, len(items) - len(left), ()


def _first(
    trying: Trying, id: str, assets: Assets, items: list[Any], *, place: str
) -> tuple[tuple[Reading, ...], tuple[Remark, ...]]:
    """How the first asset reads; of the others only what can't be read."""
    said = {name: getattr(assets, name) for name in _OF_ITEM if getattr(assets, name) is not None}
    expressions: dict[str, str] = said | assets.fields
    reads: tuple[Reading, ...] = ()
    for number, item in enumerate(items):
        context = trying.context
        found = read_item(expressions, item=item, context=context, place=place, show_values=trying.show_values)
        remarks = found.remarks or tuple(_no_id(found.values["id"], place))
        if number == 0:
            reads = found.readings
            if not remarks:
                values = {
                    name: None if found.values.get(name) is None else str(found.values[name]) for name in _OF_ITEM
                }
                trying.assets[id] = {**found.values, **values}
        if remarks:
            return reads, remarks[:1]
    return reads, ()


def _no_id(id: object, place: str) -> Iterator[Remark]:
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        what = f"{place}.id: what is read is no id: a text or a number is one."
        yield problem("asset_without_id", what, mend="Read the field by which the service's paths name it.")


def _twice(assets: Assets, items: list[Any], context: Mapping[str, Any], place: str) -> tuple[Remark, ...]:
    found = [read_item({"id": assets.id}, item=item, context=context, place=place, show_values=False) for item in items]
    ids = [str(each.values["id"]) for each in found if "id" in each.values]
    if len(set(ids)) == len(ids):
        return ()
    what = f"{place}.id: {len(ids) - len(set(ids))} of {len(ids)} assets have the id of another one."
    mend = "Each would be asked for once only: read what tells them apart, or see that the pages don't overlap."
    return (problem("same_id", what, mend=mend),)


async def _of_nobody(trying: Trying, listed: Listed, source: Source, assets: Assets) -> tuple[str, tuple[Remark, ...]]:
    """What an inventory lists of somebody who doesn't exist would be taken from everybody."""
    call = trying.stranger(trying.call(source.service, assets.request))
    question = Question(part=source.part, service=source.service, asks=assets.request.title)
    nobodys = await ask_for_list(trying, question, call, source, most_pages=1)
    said = f"of an id that is nobody's it {{}} ({nobodys.question.answer})"
    if nobodys.trouble is not None:
        return said.format("can't tell"), (_nobody_refused(trying.action.made[-1], source, nobodys.trouble),)
    if not nobodys.items:
        return said.format("lists nothing") + (", as it should" if listed.items else ", too"), ()
    what = f"It lists {nobodys.told} for an id that is nobody's, too: other people's assets would be taken."
    mend = "See that the request names {{ user_id }} where the service looks for it."
    return said.format(f"lists {nobodys.told}"), (problem("lists_everybodys", what, mend=mend),)


def _nobody_refused(exchange: Exchange, source: Source, trouble: Remark) -> Remark:
    if exchange.status in ROUTE_UNKNOWN and exchange.status not in source.absent:
        what = f"For an id that is nobody's it answers {exchange.said}, which isn't in absent."
        mend = (
            f"If it answers so for people who own nothing, their retirements stop; add {source.part}.absent: "
            f"[{exchange.status}], or see that it answers them with an empty list."
        )
        return warning("nobody_is_not_absent", what, mend=mend)
    what = f"For an id that is nobody's the list can't be read ({exchange.said}): {trouble.what}"
    return warning("made_up_id_refused", what, mend="See that people who own nothing get an empty list.")


def _whose(trying: Trying, part: str, values: Mapping[str, Any]) -> tuple[str, tuple[Remark, ...]]:
    if "value" not in values:
        return "can't be read", ()
    if str(values["value"]) == trying.user_id:
        return "the first asset is theirs", ()
    what = f"{part}.value is not the user id of whom the asset was listed for."
    mend = "Read the owner's user id: every refused write would look as if somebody else had been faster."
    return "the first asset is somebody else's", (problem("owner_is_other", what, mend=mend),)


def _no_absence(exchange: Exchange) -> Remark:
    what = f"For an asset that doesn't exist it answers {exchange.said}, which isn't in owner.absent."
    mend = "An asset that somebody has deleted would stop the retirement: name what it answers in absent."
    return warning("nothing_is_not_absent", what, mend=mend)

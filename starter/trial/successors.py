"""Trying who could take over: candidates, and what the service that owns the role says of the first of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from activities.actions.answers import ROUTE_UNKNOWN, Absent, Answer, Done, meaning_of
from activities.ownership.choosing import policies_needed
from activities.probing import reading_rules
from activities.rendering import RenderingError, holds
from plans.model import Candidates, Naming, SuccessorPolicy, Suitable
from starter.strangers import stranger_like
from starter.trial.asking import Trying
from starter.trial.doubts import slowness
from starter.trial.findings import Question, Remark, Ruling, problem, warning
from starter.trial.lists import Source, ask_for_list
from starter.trial.reading import read, read_item

#: A trial doesn't ask about everybody.
_MOST_PAGES, _MOST_ASKED = 3, 5
_NOBODY = tuple(sorted(ROUTE_UNKNOWN))


@dataclass(kw_only=True)
class Sought:
    """Who could take over by one policy, as far as it was asked."""

    policy: str
    rule: SuccessorPolicy
    #: The candidates' ids, each once, without the person.
    ids: list[str] = field(default_factory=list, repr=False)
    suitable: dict[str, Any] | None = field(default=None, repr=False)
    #: How many of them were asked about, and is everything known that decides?
    asked: int = 0
    is_known: bool = True

    @property
    def part(self) -> str:
        """Its place in the plan."""
        return f"successors.{self.policy}"


async def ask_candidates(trying: Trying, sought: Sought, index: int, listed: Candidates) -> Question:
    """List candidates; `sought` knows them afterwards."""
    source = Source(
        part=f"{sought.part}.candidates[{index}]",
        service=listed.service,
        items=listed.items,
        next_page=listed.next_page,
        absent=listed.absent,
    )
    question, call = trying.begun(part=source.part, service_id=listed.service, request=listed.request)
    if call is None:
        sought.is_known = False
        return question
    found = await ask_for_list(trying, question, call, source, most_pages=_MOST_PAGES)
    if found.trouble is not None:
        sought.is_known = False
        return found.question
    ids: list[str] = []
    remarks: list[Remark] = []
    for item in found.items:
        told = read_item({"id": listed.id}, item=item, context=call.context, place=source.part, show_values=False)
        remarks += told.remarks or tuple(_no_id(told.values["id"], source.part))
        if remarks:
            sought.is_known = False
            break
        ids.append(str(told.values["id"]))
    sought.ids += [id for id in dict.fromkeys(ids) if id not in (trying.user_id, *sought.ids)]
    itself = ", the person among them, who is passed over" if trying.user_id in ids else ""
    return replace(
        found.question,
        meaning=f"lists {found.told}{itself}" if found.items else "lists nobody",
        remarks=(*found.question.remarks, *remarks),
    )


async def ask_suitable(trying: Trying, sought: Sought, *, named: str | None) -> list[Question]:
    """Ask about whom the start would name, else about the first candidates until one will do, and once about nobody."""
    ids = [named] if named is not None else sought.ids[:_MOST_ASKED]
    questions: list[Question] = []
    for id in ids:
        question, values = await _ask_about(trying, sought, id)
        sought.asked += 1
        if not questions:
            question = await _with_nobody(trying, sought, question, like=id)
        questions.append(question)
        if values is not None:
            sought.suitable = trying.successors[sought.policy] = values
        if values is not None or not sought.is_known:
            break
    return questions


def conclude(trying: Trying, sought: Sought, *, named: str | None) -> Ruling:
    """Would somebody take over from this person, and does anybody have to?"""
    needed = sought.policy in policies_needed(trying.plan, owning=[id for id, count in trying.owned.items() if count])
    untold = [id for id, step in trying.plan.steps.items() if step.assets is not None and id not in trying.owned]
    if not needed and not untold:
        return Ruling(part=sought.part, says="nobody has to take over: they own nothing that goes to somebody")
    if sought.suitable is not None:
        who = "whom --successor names" if named is not None else "the first candidate who will do"
        shown = f" ({sought.suitable['id']})" if trying.show_values else ""
        return Ruling(part=sought.part, says=f"{who}{shown} would take over")
    if not sought.is_known:
        return Ruling(part=sought.part, says="can't be told")
    says = _nobody(sought, named=named)
    if not needed:
        return Ruling(part=sought.part, says=f"{says}; whether anybody has to can't be told")
    what = f"The person owns something, and {says}: their retirement would end ABORTED (no_successor)."
    mend = "Nothing, if that is meant; else give somebody the role, or name somebody by --successor, as a start may."
    return Ruling(part=sought.part, says=says, remarks=(warning("no_successor", what, mend=mend),))


def _nobody(sought: Sought, *, named: str | None) -> str:
    if named is not None:
        return "whom --successor names may not take over"
    if sought.rule.named is Naming.REQUIRED or not sought.rule.candidates:
        return "nobody is named, and the plan takes nobody else"
    if not sought.ids:
        return "there is no candidate"
    of = f"the first {sought.asked} of {len(sought.ids)}" if len(sought.ids) > sought.asked else "all"
    return f"of {of} candidates nobody may take over"


async def _ask_about(trying: Trying, sought: Sought, id: str) -> tuple[Question, dict[str, Any] | None]:
    """Ask about one person. Their values where they may take over."""
    asked, part = sought.rule.suitable, f"{sought.part}.suitable"
    about = {"successor": {"id": id}}
    question, call = trying.begun(part=part, service_id=asked.service, request=asked.request, more=about)
    if call is None:
        sought.is_known = False
        return question, None
    exchange = await trying.send(call)
    slow = slowness(exchange.took, service=call.service, service_id=asked.service)
    question = replace(question, answer=exchange.said, took=exchange.took, remarks=slow)
    match meaning_of(exchange.answer, reading_rules(call, absent=_NOBODY)), exchange.answer:
        case Done(), Answer() as answer:
            return _judged(trying, sought, question, answer, context=call.context, id=id)
        case Absent(), _:
            known, words = await trying.is_path_known(call, unchecked=None)
            if known:
                return replace(question, meaning="nobody of this id: may not take over"), None
            sought.is_known = False
            what = f"{exchange.said} can't be told from a wrong path: {words or 'it could not be asked'}."
            remark = problem(
                "path_not_proved", what, mend="Check base_url and path, and that candidates have user ids."
            )
            return replace(question, meaning="can't be told", remarks=(remark,)), None
        case _:
            sought.is_known = False
            remark = await trying.what_is_wrong(exchange, service_id=asked.service)
            return replace(question, meaning="can't be told", remarks=(remark,)), None


def _judged(
    trying: Trying, sought: Sought, question: Question, answer: Answer, *, context: dict[str, Any] | Any, id: str
) -> tuple[Question, dict[str, Any] | None]:
    asked, part = sought.rule.suitable, question.part
    condition = read({"when": asked.when}, answer=answer, context=context, place=part, show_values=False)
    if condition.remarks:
        sought.is_known = False
        return replace(question, meaning="can't be told", remarks=(*condition.remarks, *question.remarks)), None
    if not condition.values["when"]:
        return replace(question, meaning="may not take over"), None
    fields = read(asked.fields, answer=answer, context=context, place=f"{part}.fields", show_values=trying.show_values)
    if fields.remarks:
        sought.is_known = False
    return (
        replace(
            question,
            meaning="may take over",
            reads=fields.readings,
            remarks=(*fields.remarks, *_no_truth(condition.values["when"], part), *question.remarks),
        ),
        None if fields.remarks else {**fields.values, "id": id},
    )


async def _with_nobody(trying: Trying, sought: Sought, question: Question, *, like: str) -> Question:
    """What is said of somebody who doesn't exist must not make them suitable."""
    asked: Suitable = sought.rule.suitable
    call = trying.call(asked.service, asked.request, {**trying.context, "successor": {"id": stranger_like(like)}})
    if question.answer is None:
        return question
    exchange = await trying.send(call)
    said = f"of an id that is nobody's it says {exchange.said}"
    answer = exchange.answer
    if isinstance(answer, Answer) and isinstance(meaning_of(answer, reading_rules(call)), Done):
        try:
            is_suitable = holds(asked.when, {**call.context, **answer.values})
        except RenderingError:
            is_suitable = False
        if is_suitable:
            what = f"Somebody who doesn't exist may take over, too ({exchange.said})."
            mend = (
                "See that the request names {{ successor.id }} where the service looks for it, and what `when` reads."
            )
            remark = problem("anybody_is_suitable", what, mend=mend)
            return replace(question, also=(f"{said}: may take over",), remarks=(*question.remarks, remark))
    return replace(question, also=(f"{said}: may not take over, as it should be",))


def _no_id(id: object, place: str) -> Iterator[Remark]:
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        what = f"{place}.id: what is read is no user id: a text or a number is one."
        yield problem("candidate_without_id", what, mend="Read the field that holds the user id.")


def _no_truth(value: object, part: str) -> Iterator[Remark]:
    if not isinstance(value, bool):
        what = f"{part}.when is no true or false, and counts as true."
        yield warning("no_truth", what, mend="Write a comparison: the text 'false' counts as true.")

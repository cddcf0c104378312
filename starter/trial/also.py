"""Trying what is asked of a person besides the lookup."""

from dataclasses import replace

from activities.actions.answers import Absent, Answer, Done, meaning_of
from activities.probing import reading_rules
from plans.model import AlsoAsked
from starter.trial.asking import Trying
from starter.trial.doubts import slowness
from starter.trial.findings import Level, Question, Remark
from starter.trial.reading import read


async def ask_also(trying: Trying, *, id: str, asked: AlsoAsked) -> Question:
    """Ask for one more value; `trying` knows it afterwards, as far as a run would."""
    question, call = trying.begun(part=f"subject.also.{id}", service_id=asked.service, request=asked.request)
    if call is None:
        return question
    exchange = await trying.send(call)
    question = replace(question, answer=exchange.said, took=exchange.took)
    match meaning_of(exchange.answer, reading_rules(call, absent=asked.absent)):
        case Done() if isinstance(exchange.answer, Answer):
            found = read(
                {id: asked.value},
                answer=exchange.answer,
                context=call.context,
                place="subject.also",
                show_values=trying.show_values,
            )
            _keep(trying, id, asked, found.values.get(id), is_known=id in found.values)
            slow = slowness(exchange.took, service=call.service, service_id=asked.service)
            remarks = _bearable(found.remarks, asked)
            return replace(question, meaning="known", reads=found.readings, remarks=(*remarks, *slow))
        case Absent():
            _keep(trying, id, asked, None, is_known=True)
            return replace(question, meaning="there is none: null")
    _keep(trying, id, asked, None, is_known=False)
    remark = await trying.what_is_wrong(exchange, service_id=asked.service)
    return replace(question, meaning="can't be told", remarks=_bearable((remark,), asked))


def _keep(trying: Trying, id: str, asked: AlsoAsked, value: object, *, is_known: bool) -> None:
    if is_known or asked.otherwise_null:
        trying.subject = {**(trying.subject or {}), id: value}


def _bearable(remarks: tuple[Remark, ...], asked: AlsoAsked) -> tuple[Remark, ...]:
    """Trouble with what a retirement does without is no harm to it."""
    if not asked.otherwise_null:
        return remarks
    return tuple(
        replace(remark, level=Level.WARNING, what=f"{remark.what} A run would go on with null.") for remark in remarks
    )

"""Trying what steps ask first: does the service know the person, by which id, and nobody else?"""

from dataclasses import replace

from activities.actions.action import Call
from activities.actions.answers import Absent, Answer, Done, meaning_of
from activities.probing import reading_rules
from plans.model import Find, Step
from starter.trial.asking import Trying
from starter.trial.doubts import no_json, slowness, uncertain
from starter.trial.findings import Question, Remark, problem, warning
from starter.trial.reading import read


async def ask_find(trying: Trying, *, id: str, step: Step, find: Find) -> Question:
    """Ask about the person, and about somebody who doesn't exist; `trying` knows what is saved afterwards."""
    service_id = step.service or ""
    more = trying.context_of(id)
    question, call = trying.begun(part=f"steps.{id}.find", service_id=service_id, request=find.request, more=more)
    if call is None:
        return question
    exchange = await trying.send(call)
    question = replace(question, answer=exchange.said, took=exchange.took)
    match meaning_of(exchange.answer, reading_rules(call, absent=find.absent)):
        case Done() if isinstance(exchange.answer, Answer):
            question = _known(trying, question, call, exchange.answer, id=id, find=find)
        case Absent():
            return await _unknown(trying, question, call, step=step)
        case _:
            remark = await trying.what_is_wrong(exchange, service_id=service_id)
            return replace(question, meaning="can't be told", remarks=(remark,))
    said, doubts = await _about_nobody(trying, call, find=find)
    slow = slowness(exchange.took, service=call.service, service_id=service_id)
    return replace(question, also=(said,), remarks=(*question.remarks, *doubts, *slow))


def _known(trying: Trying, question: Question, call: Call, answer: Answer, *, id: str, find: Find) -> Question:
    found = read(
        find.save,
        answer=answer,
        context=call.context,
        place=f"steps.{id}.find.save",
        show_values=trying.show_values,
    )
    trying.found[id] = found.values
    remarks = found.remarks or (no_json(answer, service=call.service) if find.save else ())
    return replace(question, meaning="something is there", reads=found.readings, remarks=remarks)


async def _unknown(trying: Trying, question: Question, call: Call, *, step: Step) -> Question:
    known, words = await trying.is_path_known(call, unchecked=step.absent_unchecked)
    if not known:
        why = f": {words}" if words else ""
        what = f"{question.answer} can't be told from a wrong path{why}."
        mend = "Check base_url and path. Try it with somebody who has something there."
        remark = problem("path_not_proved", what, mend=mend)
        return replace(question, meaning="can't be told from a wrong path", remarks=(remark,))
    what = "It finds nothing of this person, so what it saves hasn't been seen; the step would end as absent."
    remark = warning("nothing_found", what, mend="Try it with somebody who has something there.")
    return replace(question, meaning=f"nothing there{f'; {words}' if words else ''}", remarks=(remark,))


async def _about_nobody(trying: Trying, call: Call, *, find: Find) -> tuple[str, tuple[Remark, ...]]:
    exchange = await trying.send(trying.stranger(call))
    said = f"of an id that is nobody's it says {exchange.said}"
    match meaning_of(exchange.answer, reading_rules(call, absent=find.absent)):
        case Absent():
            return f"{said}, as it should", ()
        case Done():
            what = f"It answers {exchange.said} for an id that is nobody's, too."
            mend = (
                "See that the request names the person where the service looks for them, and that it answers with a code "
                "of find.absent where nothing is there: the id may be anybody's."
            )
            return said, (problem("knows_everybody", what, mend=mend),)
        case _:
            return said, (uncertain(exchange),)

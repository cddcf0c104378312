"""Trying the lookup: does it know the person, and nobody else?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from activities.actions.action import Call
from activities.actions.answers import Absent, Answer, Done, meaning_of
from activities.probing import reading_rules
from activities.rendering import RenderingError, holds
from plans.checks import is_address
from plans.model import Absent as WhenAbsent
from plans.template_names import names_of
from starter.exchanges import Exchange
from starter.trial.asking import Trying
from starter.trial.doubts import no_json, slowness, uncertain
from starter.trial.findings import Question, Remark, problem, warning
from starter.trial.reading import read
from starter.trial.row import look_at_row

#: Keys under which services give the id of whom they answer about.
_ID_KEYS = ("id", "user_id", "userId")
#: These mean that the lookup doesn't know the person.
_UNKNOWN = (404, 410)


async def look_up(trying: Trying) -> Question:
    """Ask the lookup and read its fields; `trying` knows the subject afterwards, and what its row says."""
    lookup = trying.plan.subject.lookup
    question, call = trying.begun(part="subject.lookup", service_id=lookup.service, request=lookup.request)
    if call is None:
        return question
    exchange = await trying.send(call)
    question = replace(question, answer=exchange.said, took=exchange.took)
    match meaning_of(exchange.answer, reading_rules(call, absent=_UNKNOWN)):
        case Done() if isinstance(exchange.answer, Answer):
            other = _whether_other(lookup.absent_when, exchange.answer, call)
            if other is not None:
                return replace(question, meaning="not seen to be about this person", remarks=(other,))
            return await _known(trying, question, exchange, exchange.answer)
        case Absent():
            return await _unknown(trying, question, call)
        case _:
            remark = await trying.what_is_wrong(exchange, service_id=lookup.service)
            return replace(question, meaning="can't be told", remarks=(remark,))


async def _known(trying: Trying, question: Question, exchange: Exchange, answer: Answer) -> Question:
    lookup, call = trying.plan.subject.lookup, exchange.call
    found = read(
        lookup.fields,
        answer=answer,
        context=call.context,
        place="subject.lookup.fields",
        show_values=trying.show_values,
    )
    trying.subject = found.values
    trying.row = look_at_row(trying, answer=answer, call=call)
    said, doubts = await _about_nobody(trying, call)
    remarks = (
        *(found.remarks or no_json(answer, service=call.service)),
        *_unmailable(trying, found.values),
        *_whose(answer, trying.user_id, call),
        *doubts,
        *slowness(exchange.took, service=call.service, service_id=lookup.service),
    )
    return replace(question, meaning="the person is there", reads=found.readings, also=(said,), remarks=remarks)


async def _unknown(trying: Trying, question: Question, call: Call) -> Question:
    lookup = trying.plan.subject.lookup
    known, words = await trying.is_path_known(call, unchecked=lookup.absent_unchecked)
    if known:
        ends = (
            " A retirement of them would end ABORTED (no_such_subject)."
            if trying.plan.subject.absent is WhenAbsent.REFUSE
            else ""
        )
        mend = f"Give --user the id of somebody who exists; if this one does, the lookup's path or its kind of id is wrong.{ends}"
        remark = problem("nobody_found", f"The lookup doesn't know this person; {words}.", mend=mend)
        return replace(question, meaning="nobody of this id", remarks=(remark,))
    why = words or "it could not be asked without credentials"
    remark = problem(
        "path_not_proved",
        f"{question.answer} can't be told from a wrong path: {why}.",
        mend="Check base_url and path, and give --user the id of somebody who exists. Where the service takes no "
        "credentials, say in subject.lookup.absent_unchecked why its 404 can be believed.",
    )
    return replace(question, meaning="can't be told", remarks=(remark,))


async def _about_nobody(trying: Trying, call: Call) -> tuple[str, tuple[Remark, ...]]:
    exchange = await trying.send(trying.stranger(call))
    said = f"of an id that is nobody's it says {exchange.said}"
    match meaning_of(exchange.answer, reading_rules(call, absent=_UNKNOWN)):
        case Absent():
            return f"{said}, as it should", ()
        case Done() if _is_other(trying, exchange):
            return f"{said}, and absent_when tells that it is somebody else", ()
        case Done():
            what = f"It answers {exchange.said} for an id that is nobody's, too."
            mend = (
                "See that the request names {{ user_id }} where the service looks for it: the answer may be anybody's."
            )
            return said, (problem("knows_everybody", what, mend=mend),)
        case _:
            return said, (uncertain(exchange),)


def _whether_other(absent_when: str | None, answer: Answer, call: Call) -> Remark | None:
    """A remark where the answer is about somebody else by `absent_when`, or doesn't say whom it is about."""
    if absent_when is None:
        return None
    told = read(
        {"absent_when": absent_when},
        answer=answer,
        context=call.context,
        place="subject.lookup",
        show_values=False,
    )
    if told.remarks:
        return told.remarks[0]
    if not told.values["absent_when"]:
        return None
    what = "By absent_when it answers about somebody else, as if it didn't know this person."
    mend = "Give --user the id of somebody who exists; if this one does, absent_when compares the wrong values."
    return problem("somebody_else", what, mend=mend)


def _is_other(trying: Trying, exchange: Exchange) -> bool:
    absent_when, answer = trying.plan.subject.lookup.absent_when, exchange.answer
    if absent_when is None or not isinstance(answer, Answer):
        return False
    try:
        return holds(absent_when, {**exchange.call.context, **answer.values})
    except RenderingError:
        return False


def _unmailable(trying: Trying, values: Mapping[str, Any]) -> tuple[Remark, ...]:
    """A remark where mails to the person could not be sent: nobody would tell them of their cool-off."""
    address = values.get("email")
    if trying.plan.mail is None or address is None or (isinstance(address, str) and is_address(address)):
        return ()
    return (
        problem(
            "no_mail_address",
            "What is read as `email` is no mail address, and the plan writes mails to it.",
            mend="Check subject.lookup.fields.email: is it another field's value?",
        ),
    )


def _whose(answer: Answer, user_id: str, call: Call) -> tuple[Remark, ...]:
    """A remark where the answer is about somebody else."""
    named = {name[0] for _, text in call.request.templates() for name in names_of(text, is_expression=False)}
    if not isinstance(answer.body, Mapping) or "user_id" not in named:
        return ()
    for key in _ID_KEYS:
        value = answer.body.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            if str(value) == user_id:
                return ()
            what = f"The answer's `{key}` is not the user id that was asked for."
            return (warning("other_id", what, mend="Check that it is the same person, under another kind of id."),)
    return ()

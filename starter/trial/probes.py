"""Trying a probe: does it see the person, and nobody else?"""

from dataclasses import replace

from activities.actions.action import Call
from activities.actions.answers import Answer, Held, Permanent, Transient
from activities.probing import Gone, StillThere, ask
from plans.model import Plan, Probe, Step, StepPhase
from plans.template_names import names_of
from starter.exchanges import Exchange
from starter.trial.asking import Trying, is_not_found
from starter.trial.doubts import no_json, slowness, uncertain
from starter.trial.findings import Question, Remark, problem, warning
from starter.trial.meanings import meaning
from starter.trial.reading import read


def probes_of(plan: Plan) -> list[tuple[str, Step, Probe]]:
    """Every probe of a plan: where it stands, and whose it is."""
    found: list[tuple[str, Step, Probe]] = []
    for id, step in plan.steps.items():
        if step.probe is not None:
            found.append((f"steps.{id}.probe", step, step.probe))
        if step.on_permanent is not None and step.on_permanent.probe is not None:
            found.append((f"steps.{id}.on_permanent.probe", step, step.on_permanent.probe))
    return found


def saved_names(probe: Probe) -> list[str]:
    """What a probe needs of the answers of steps, which nobody has yet: `saved.lock.token`."""
    names = {name for _, text in probe.request.templates() for name in names_of(text, is_expression=False)}
    if probe.gone_when is not None:
        names |= names_of(probe.gone_when, is_expression=True)
    return sorted(".".join(name) for name in names if name[0] == "saved")


async def ask_probe(trying: Trying, *, part: str, step: Step, probe: Probe) -> Question:
    """Ask a probe about the person, and about somebody who doesn't exist."""
    service_id = step.service or ""
    question, call = trying.begun(part=part, service_id=service_id, request=probe.request)
    if call is None:
        return question
    trying.on_asking(call.request.title)
    seen = await ask(trying.action, call=call, probe=probe)
    exchange = trying.action.made[-1]
    question = replace(question, answer=exchange.said, took=exchange.took)
    match seen.verdict:
        case StillThere():
            question = replace(question, meaning="the person is there")
            remarks = no_json(exchange.answer, service=call.service) if isinstance(exchange.answer, Answer) else ()
        case Gone():
            meant, remarks = await _not_seen(trying, exchange, step=step, probe=probe)
            question = replace(question, meaning=meant)
        case Transient() | Permanent() | Held():
            told = meaning(exchange.answer, service=call.service, service_id=service_id)
            return replace(question, meaning=told, remarks=(await _no_verdict(trying, exchange, part, step, probe),))
    was_seen = isinstance(seen.verdict, StillThere)
    said, doubts = await _about_nobody(trying, call, probe=probe, was_seen=was_seen)
    slow = slowness(exchange.took, service=call.service, service_id=service_id)
    return replace(question, also=(said,), remarks=(*remarks, *doubts, *slow))


async def _not_seen(trying: Trying, exchange: Exchange, *, step: Step, probe: Probe) -> tuple[str, tuple[Remark, ...]]:
    """The probe says "gone" of somebody to whom nothing has been done yet."""
    known: bool | None = True
    words = "gone_when is true of this answer" if probe.gone_when is not None else ""
    if is_not_found(exchange):
        known, words = await trying.is_path_known(exchange.call, unchecked=step.absent_unchecked)
    if step.phase is StepPhase.FREEZE:
        # Of somebody without sessions, for example, there is nothing to see before the freeze either.
        return f"gone already{f'; {words}' if words else ''}", ()
    if not known:
        what = f"{exchange.said} can't be told from a wrong path, and the probe has seen nobody{_and(words)}."
        mend = "Check base_url and path. Try it with somebody who has something there: they must be seen."
        return "can't be told from a wrong path", (problem("path_not_proved", what, mend=mend),)
    meant = f"gone{_and(words)}"
    if trying.subject is None:
        what = "The probe sees nobody, and whether the person exists isn't known."
        mend = "Give --user the id of somebody who has something there."
        return meant, (warning("nobody_seen", what, mend=mend),)
    what = "The lookup knows the person, the probe doesn't; so it has not been seen to see anybody. Is the path right?"
    mend = "Try it with somebody who has something there. If this person has: check path, id and `gone`."
    return meant, (problem("nobody_seen", what, mend=mend),)


async def _no_verdict(trying: Trying, exchange: Exchange, part: str, step: Step, probe: Probe) -> Remark:
    answer = exchange.answer
    if probe.gone_when is not None and isinstance(answer, Answer) and 200 <= answer.status < 300:
        told = read(
            {"gone_when": probe.gone_when}, answer=answer, context=exchange.call.context, place=part, show_values=False
        )
        if told.remarks:
            return told.remarks[0]
    return await trying.what_is_wrong(exchange, service_id=step.service or "")


async def _about_nobody(trying: Trying, call: Call, *, probe: Probe, was_seen: bool) -> tuple[str, tuple[Remark, ...]]:
    """What the probe says of somebody who doesn't exist is what it will have to say once the person is gone."""
    seen = await ask(trying.action, call=trying.stranger(call), probe=probe)
    exchange = trying.action.made[-1]
    said = f"of an id that is nobody's it says {{}} ({exchange.said})"
    match seen.verdict:
        case Gone():
            return said.format("gone") + (", as it should" if was_seen else ", too"), ()
        case StillThere():
            what = f"It says 'there' for an id that is nobody's, too ({exchange.said})."
            mend = (
                "The path ignores the id, or the service tells it in the body only: check the path, or add gone_when, "
                'for example gone_when: "not body".'
            )
            return said.format("there"), (problem("sees_everybody", what, mend=mend),)
    return said.format("neither yes nor no"), (uncertain(exchange),)


def _and(words: str) -> str:
    return f"; {words}" if words else ""

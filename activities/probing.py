"""Asking whether the person is still there, and how answers to reads and deeds are understood."""

from dataclasses import dataclass

from activities.actions.action import Action, Call
from activities.actions.answers import (
    ROUTE_UNKNOWN,
    Answer,
    Done,
    Held,
    Permanent,
    Rules,
    Transient,
    meaning_of,
)
from activities.first_contact import Worked
from activities.rendering import RenderingError, holds
from plans.model import Probe, Step
from plans.services import HttpService


@dataclass(frozen=True, kw_only=True)
class StillThere:
    """The probe saw the person."""


@dataclass(frozen=True, kw_only=True)
class Gone:
    """The probe did not. `needs_proof`: a wrong URL would say the same."""

    needs_proof: bool


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a probe found, and where."""

    verdict: StillThere | Gone | Transient | Permanent | Held
    detail: str


def reading_rules(call: Call, *, absent: tuple[int, ...] = (), succeeded_before: bool = False) -> Rules:
    """How the answer to a read is understood: as the service's own defaults say."""
    service = call.service
    if not isinstance(service, HttpService):
        return Rules(method=call.request.verb, absent=absent, succeeded_before=succeeded_before)
    return Rules(
        method=call.request.verb,
        absent=absent,
        transient=service.transient,
        permanent=service.permanent,
        succeeded_before=succeeded_before,
    )


def deed_rules(
    call: Call, *, step: Step, worked: Worked, absent: tuple[int, ...] | None = None, polled: bool = False
) -> Rules:
    """How the answer to a step's own request, its undo or its last resort is understood: as the step says.

    `absent`: codes that take the place of the step's.
    """
    return Rules(
        method=call.request.verb,
        absent=step.absent if absent is None else absent,
        transient=step.transient,
        permanent=step.permanent,
        polled=polled,
        succeeded_before=worked.has(call.service),
    )


async def ask(action: Action, *, call: Call, probe: Probe) -> Seen:
    """Ask once."""
    answer = await action.call(call)
    detail = action.describe(call, answer)
    if isinstance(answer, Answer) and answer.status in probe.gone:
        return Seen(verdict=Gone(needs_proof=answer.status in ROUTE_UNKNOWN), detail=detail)
    meaning = meaning_of(answer, reading_rules(call))
    if not isinstance(meaning, Done) or not isinstance(answer, Answer):
        # 410 without being in `gone` means no more here than another refusal.
        trouble = meaning if isinstance(meaning, Transient | Held) else Permanent(code=_code_of(answer))
        return Seen(verdict=trouble, detail=detail)
    if probe.gone_when is None:
        return Seen(verdict=StillThere(), detail=detail)
    try:
        gone = holds(probe.gone_when, {**call.context, **answer.values})
    except RenderingError as error:
        return Seen(verdict=Transient(code=error.code, touched=False), detail=detail)
    return Seen(verdict=Gone(needs_proof=False) if gone else StillThere(), detail=detail)


def _code_of(answer: object) -> str:
    return f"http_{answer.status}" if isinstance(answer, Answer) else getattr(answer, "code", "internal_error")

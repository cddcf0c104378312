"""Asking about the person: the look before the point of no return, and the one that verifies at the end.

One activity asks all services at once. Only those with a queue or a rate of their own are asked apart, each on its lane.
"""

from collections.abc import Iterable, Sequence

from temporalio import workflow

from workflows import calls, outcomes
from workflows.calls import CallFailed
from workflows.holding import HoldEnded, Holding
from workflows.messages import CheckedSubject, CheckSubject, Lane, StepOutline, VerifiedErasure, VerifyErasure
from workflows.names import Activity, StepResult
from workflows.state import RetirementState


async def look_up(state: RetirementState, holding: Holding, *, again: bool = False) -> CheckedSubject:
    """Look the person up, ask the rules, ask every probe once whether the person is there, what they own, and who takes it over.

    At the re-check no probe is asked.

    Raises:
        CallFailed: somebody could not be asked.
        HoldEnded: the hold of a look came to its end.
    """
    outline = state.outline
    argument = CheckSubject(**state.case_ref(), again=again, now=workflow.now())
    call_id = "recheck" if again else "check"
    checked = await holding.call(
        call_id,
        lambda: calls.call_service(
            Activity.CHECK_SUBJECT,
            argument.model_copy(update={"adopt": state.adopted}),
            CheckedSubject,
            call_id=call_id,
            summary="look the person up",
            lane=outline.lookup,
        ),
    )
    if checked.refused is not None or (checked.begin is not None and checked.begin.ended is not None):
        return checked
    present = checked.present
    for lane in _lanes(
        step for step in outline.steps if _has_to_be_asked(step, again=again) and step.lane != outline.lookup
    ):
        argument = CheckSubject(**state.case_ref(), again=again, lane=lane, now=workflow.now())
        summary = f"ask whether the person is there ({lane.name})"
        seen = await _look(holding, argument, call_id=f"{call_id}:{lane.name}", lane=lane, summary=summary)
        if seen.refused is not None:
            return seen
        present = (*present, *(step for step in seen.present if step not in present))
    if outline.successors and not checked.chosen:
        argument = CheckSubject(**state.case_ref(), again=again, choose=True, now=workflow.now())
        summary, call_id = "choose who takes over", f"{call_id}:successors"
        chosen = await _look(holding, argument, call_id=call_id, lane=outline.lookup, summary=summary)
        if chosen.refused is not None:
            return chosen
    return checked.model_copy(update={"present": present})


def _has_to_be_asked(step: StepOutline, *, again: bool) -> bool:
    return step.has_assets or (step.has_probe and not again)


async def verify(state: RetirementState, holding: Holding) -> bool:
    """Ask every probe of an erase step once more: another service may have written the person back. Are all gone?"""
    probed = [
        step
        for step in state.outline.erase
        if step.has_probe and state.outcomes[step.id].result is not StepResult.SKIPPED
    ]
    lanes = _lanes(probed)
    for lane in lanes:
        call_id = "verify" if lane == lanes[0] else f"verify:{lane.name}"
        await _verify(state, holding, call_id, lane=lane, steps=[step.id for step in probed if step.lane == lane])
    return not state.failed


async def _look(holding: Holding, argument: CheckSubject, *, call_id: str, lane: Lane, summary: str) -> CheckedSubject:
    return await holding.call(
        call_id,
        lambda: calls.call_service(
            Activity.CHECK_SUBJECT, argument, CheckedSubject, call_id=call_id, summary=summary, lane=lane
        ),
    )


async def _verify(state: RetirementState, holding: Holding, call_id: str, *, lane: Lane, steps: Sequence[str]) -> None:
    argument = VerifyErasure(**state.case_ref(), steps=tuple(steps), present=state.present, now=workflow.now())
    try:
        verified = await holding.call(
            call_id,
            lambda: calls.call_service(
                Activity.VERIFY_ERASURE,
                argument,
                VerifiedErasure,
                call_id=call_id,
                summary="ask every probe again",
                lane=lane,
            ),
        )
    except CallFailed as failed:
        failure = failed.failure
        for step in failure.steps or steps:
            state.conclude(outcomes.failed(step, code=failure.code, detail=failure.detail, now=workflow.now()))
    except HoldEnded as ended:
        for step in steps:
            outcome = outcomes.decided(step, ended=ended, now=workflow.now())
            if outcome.result is not StepResult.FAILED:  # an operator's word is no proof
                outcome = outcome.model_copy(update={"result": StepResult.UNVERIFIED})
            state.conclude(outcome)
    else:
        for outcome in verified.outcomes:
            state.outcomes[outcome.step] = outcome
            # Recorded by the verification: what an operator said before must not be written over it at the end.
            state.concluded.pop(outcome.step, None)


def _lanes(steps: Iterable[StepOutline]) -> list[Lane]:
    """The lanes of steps, each once, in the plan's order."""
    return list(dict.fromkeys(step.lane for step in steps))

"""A source that keeps a row of the retirement: where it lets a run begin, and what it is told at the end."""

from typing import TypeVar

from temporalio import workflow

from workflows import calls, outcomes
from workflows.calls import CallFailed
from workflows.holding import HoldEnded, Holding
from workflows.messages import Begin, CancelAtSource, Message, Mirrored, MirrorEnd, StepOutline
from workflows.names import Activity, HeldCause, Outcome, Reason, StepResult
from workflows.state import RetirementState
from workflows.step_graph import in_order

M = TypeVar("M", bound=Message)

#: What the source's row is called where a step is named.
MIRROR = "mirror"


class NotMirrored(Exception):
    """The source could not be told. `code` says why; its row stays as it is."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def begin_where(state: RetirementState, begin: Begin) -> None:
    """Take the source's word for where the run begins: what lies before is done, whoever did it."""
    state.begin = begin
    is_before = True
    for step in in_order(state.outline.erase):
        is_before = is_before and step.id != begin.step
        if not step.is_mirrored:
            continue
        if not is_before:
            state.outcomes.pop(step.id, None)  # an earlier run did it, but the source wants it done again
        elif step.id in state.outcomes:
            continue
        elif step.is_deferrable and step.id in state.opened.unended and begin.ended is None:
            state.deferred.add(step.id)  # an earlier run went on without it, and so did the row
        else:
            state.conclude(outcomes.at_source(step.id, now=workflow.now()))


def has_begun(state: RetirementState) -> bool:
    """Has somebody begun with it at the source? Then there is nothing to change one's mind about."""
    return state.begin is not None and not state.begin.waiting


def completes(state: RetirementState, step: StepOutline) -> bool:
    """Is nothing left to do behind this mirrored step, so that the source can be told so in the same go?"""
    outline = state.outline
    others = [each for each in outline.erase if each.id != step.id]
    return (
        not outline.release
        and not outline.verifies_at_source
        and not state.deferred
        and not step.has_probe
        and all(
            not other.has_probe
            and (ended := state.outcomes.get(other.id)) is not None
            and ended.result is not StepResult.FAILED
            for other in others
        )
    )


async def tell_end(state: RetirementState, holding: Holding, *, finished: bool) -> None:
    """Show the end in the source's row, before the run is over. What somebody else has moved stays as it is.

    Raises:
        NotMirrored: a hold came to its end, or the source does not show that nothing is left of the person.
    """
    is_complete = state.begin is not None and state.begin.ended is Outcome.COMPLETE
    if finished and not state.outline.verifies_at_source:
        if is_complete or any(outcome.completed for outcome in state.outcomes.values()):
            return
    failed = next((outcome.step for outcome in state.failed), None)
    if not finished and not _may_tell_failure(state, failed):
        return
    outcome = Outcome.COMPLETE if finished else Outcome.ERRORED
    argument = MirrorEnd(
        **state.case_ref(),
        outcome=outcome,
        now=workflow.now(),
        failed_step=failed,
        again=state.tried_to_complete or is_complete,
    )
    summary = f"tell the source: {outcome}"
    told = await _ask(
        state, holding, Activity.MIRROR_END, argument, Mirrored, summary=summary, otherwise="not_mirrored"
    )
    if told is not None and told.code is not None:
        raise NotMirrored(told.code)


async def cancel(state: RetirementState, holding: Holding) -> None:
    """Take the request back at the source: it would go on without us.

    Raises:
        NotMirrored: it could not be taken back.
    """
    argument = CancelAtSource(**state.case_ref(), now=workflow.now())
    summary = "take the request back at the source"
    await _ask(
        state, holding, Activity.CANCEL_AT_SOURCE, argument, Mirrored, summary=summary, otherwise="not_cancelled"
    )


def _may_tell_failure(state: RetirementState, step: str | None) -> bool:
    """A conflict or a wrong setting is not the person's error: where a hold over that has expired, the row stays as it is."""
    if step is None:
        return False
    if state.outcomes[step].code != Reason.HOLD_EXPIRED:
        return True
    return state.expired.get(step) is HeldCause.CREDENTIALS


async def _ask(
    state: RetirementState,
    holding: Holding,
    activity: Activity,
    argument: Message,
    returns: type[M],
    *,
    summary: str,
    otherwise: str,
) -> M | None:
    """None where an operator says that it was done by hand."""
    lane = state.outline.lookup
    try:
        return await holding.call(
            MIRROR,
            lambda: calls.call_service(activity, argument, returns, call_id=MIRROR, summary=summary, lane=lane),
        )
    except CallFailed as failed:
        raise NotMirrored(failed.failure.code) from None
    except HoldEnded as ended:
        if ended.decision == "done":
            return None
        raise NotMirrored(otherwise) from None

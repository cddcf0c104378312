"""Asking what became of what was accepted: a workflow of its own for each step, which outlives this run."""

import asyncio
import contextlib

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from workflows import names, outcomes
from workflows.follow_up import FollowUp
from workflows.messages import FollowUpOf, StepOutcome, StepOutline
from workflows.state import RetirementState


class Following:
    """Begins follow-ups as soon as their steps have ended. None of them delays anything."""

    def __init__(self, *, state: RetirementState) -> None:
        self._state = state
        self._starts: list[asyncio.Task[None]] = []

    def begin(self, step: StepOutline, outcome: StepOutcome) -> None:
        """Begin, where the step was accepted and the plan asks. One of an earlier run goes on as it is."""
        if step.first_look is None or outcome.at is None or not outcomes.was_accepted(outcome):
            return
        follow_up = FollowUpOf(
            **self._state.case_ref(),
            step=step.id,
            lane=step.lane,
            look_at=outcome.at + step.first_look,
            mail_patience=self._state.outline.mail_patience if self._state.outline.operators else None,
        )
        self._starts.append(asyncio.create_task(self._start(follow_up)))

    async def all_begun(self) -> None:
        """A run that closes before the server knows of its children takes them with it."""
        starts, self._starts = self._starts, []
        for start in starts:
            await start

    async def _start(self, follow_up: FollowUpOf) -> None:
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                FollowUp.run,
                follow_up,
                id=names.follow_up_workflow_id(retirement_id=follow_up.retirement_id, step=follow_up.step),
                task_queue=names.QUEUE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"{follow_up.step}: what became of it?",
            )

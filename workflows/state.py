"""What a run remembers, and how it is shown: to `status`, to the UI, to searches."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from workflows import names
from workflows.messages import (
    Begin,
    Decide,
    Hold,
    MessageRow,
    OpenedCase,
    PlanOutline,
    Result,
    Start,
    Status,
    StepOutcome,
    StepOutline,
    StepStatus,
)
from workflows.names import HeldCause, Outcome, Phase, Reason, StepResult

#: Outcomes after which nothing is left at a service.
GONE = frozenset({StepResult.ERASED, StepResult.ABSENT, StepResult.SCRUBBED, StepResult.UNVERIFIED, StepResult.DONE})

_BEFORE_RETURN = (Phase.OPEN, Phase.CHECK, Phase.FREEZE, Phase.COOL_OFF, Phase.RECHECK)


@dataclass
class RetirementState:
    """Private to one run. Every fact has one flag, set where it becomes true."""

    phase: Phase = Phase.OPEN
    start: Start | None = None
    case: OpenedCase | None = None
    cool_off_ends_at: datetime | None = None
    present: tuple[str, ...] = ()
    rescinded: bool = False
    expedited: bool = False
    past_return: bool = False
    #: Freeze steps begun, in that order: each may have taken effect.
    frozen: list[str] = field(default_factory=list)
    begun_at: dict[str, datetime] = field(default_factory=dict)
    outcomes: dict[str, StepOutcome] = field(default_factory=dict)
    #: Outcomes that no activity has recorded: failures, what an operator decided about a hold, what a resumed run keeps.
    concluded: dict[str, StepOutcome] = field(default_factory=dict)
    undone: dict[str, StepOutcome] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    decisions: dict[str, Decide] = field(default_factory=dict)
    #: What was held until its time was over, and why.
    expired: dict[str, HeldCause] = field(default_factory=dict)
    #: Where a mirrored source says that the run begins.
    begin: Begin | None = None
    #: Mirrored steps that this run has begun: from then on the source's row tells how far they are.
    mirrored: set[str] = field(default_factory=set)
    #: Steps whose service fails: they are tried beside the steps after them.
    deferred: set[str] = field(default_factory=set)
    #: The last mirrored step was to tell the source that all is done.
    tried_to_complete: bool = False
    #: An operator said that whoever else moved the source's row doesn't come back.
    adopted: bool = False
    messages: list[MessageRow] = field(default_factory=list)
    messages_recorded: int = 0
    outcome: Outcome | None = None
    reason: Reason | None = None

    @property
    def opened(self) -> OpenedCase:
        """What open_case found; only asked for once it has answered."""
        assert self.case is not None
        return self.case

    @property
    def outline(self) -> PlanOutline:
        """The plan's outline; only asked for once the case is open."""
        assert self.case is not None and self.case.outline is not None
        return self.case.outline

    @property
    def retirement_id(self) -> str:
        """The case's id; only asked for once the case is open."""
        assert self.case is not None and self.case.retirement_id is not None
        return self.case.retirement_id

    @property
    def ends_at(self) -> datetime:
        """When the cool-off ends; only asked for once the case is open."""
        assert self.cool_off_ends_at is not None
        return self.cool_off_ends_at

    @property
    def may_rescind(self) -> bool:
        """Can it still be taken back? Not, where somebody else has begun with it at the source."""
        is_begun = any(hold.code == names.ANOTHER_DRIVER for hold in self.holds.values())
        return not self.past_return and not is_begun and self.outcome is None

    @property
    def hold_for(self) -> timedelta:
        """How long what is held waits for a person."""
        return self.outline.hold_for

    def conclude(self, outcome: StepOutcome) -> None:
        """Take a step's outcome; what only this run knows of goes into the record when the case is closed."""
        self.outcomes[outcome.step] = outcome
        self.concluded.pop(outcome.step, None)
        if outcome.by is not None or outcome.result in (StepResult.FAILED, StepResult.RETAINED):
            self.concluded[outcome.step] = outcome

    @property
    def failed(self) -> tuple[StepOutcome, ...]:
        """Steps and undos that failed."""
        ended = (*self.outcomes.values(), *self.undone.values())
        return tuple(outcome for outcome in ended if outcome.result is StepResult.FAILED)

    def leave_if_rescinded(self) -> None:
        """To be called after every wait before the point of no return that has a timeout.

        Python's `wait_for` may swallow a cancellation that comes together with what it waits for.

        Raises:
            CancelledError: the way there was cancelled by a rescind.
        """
        if self.rescinded and self.phase in _BEFORE_RETURN:
            raise asyncio.CancelledError

    def case_ref(self) -> dict[str, Any]:
        """What every activity is told about the case (the fields of CaseRef)."""
        assert self.start is not None
        return {
            "retirement_id": self.retirement_id,
            "user_id": self.start.user_id,
            "tenant": self.start.tenant,
            "plan_digest": self.outline.digest,
        }

    @property
    def gone(self) -> tuple[str, ...]:
        """Erase steps after which data is gone already."""
        if self.case is None or self.case.outline is None:
            return ()
        outcomes = [(step.id, self.outcomes.get(step.id)) for step in self.outline.erase]
        return tuple(step for step, outcome in outcomes if outcome is not None and outcome.result in GONE)

    @property
    def unrecorded(self) -> tuple[MessageRow, ...]:
        """Messages that the ledger has not been told of."""
        return tuple(self.messages[self.messages_recorded :])


def status_of(state: RetirementState) -> Status:
    """The public picture of a run."""
    case = state.case
    return Status(
        retirement_id=case.retirement_id if case else None,
        phase=state.phase,
        outcome=state.outcome,
        reason=state.reason,
        plan=case.outline.plan if case and case.outline else None,
        requested_at=case.requested_at if case else None,
        cool_off_ends_at=state.cool_off_ends_at,
        due_at=case.due_at if case else None,
        may_rescind=state.may_rescind,
        steps=_steps_of(state),
        held=tuple(state.holds.values()),
        gone=state.gone,
        messages=tuple(state.messages),
    )


def result_of(
    state: RetirementState, *, outcome: Outcome, reason: Reason | None = None, code: str | None = None
) -> Result:
    """What a run returns."""
    case = state.case
    order = [step.id for _, steps in _phases_of(state) for step in steps]
    return Result.of(
        outcome=outcome,
        retirement_id=case.retirement_id if case else None,
        reason=reason,
        code=code,
        steps=tuple(state.outcomes[step] for step in order if step in state.outcomes),
    )


def details_of(state: RetirementState) -> str:
    """A markdown page for the UI: where the retirement stands, phase by phase, step by step."""
    lines = [f"**{state.outcome or state.phase}**" + (f" ({state.reason})" if state.reason else ""), ""]
    if state.case and state.case.retirement_id:
        lines.append(f"- case `{state.case.retirement_id}`")
    if state.cool_off_ends_at:
        lines.append(f"- cool-off ends {state.cool_off_ends_at:%Y-%m-%d %H:%M} UTC")
    if state.case and state.case.due_at:
        lines.append(f"- legal deadline {state.case.due_at:%Y-%m-%d %H:%M} UTC")
    if state.outcome is None:
        lines.append("- rescind is " + ("refused: past the point of no return" if state.past_return else "possible"))
    lines.extend(f"- **held** at `{hold.step}`: {hold.cause} ({hold.code})" for hold in state.holds.values())
    lines += ["", _row("phase", "step", "state", "since", "why"), "|---|---|---|---|---|"]
    for step in _steps_of(state):
        since = f"{step.since:%Y-%m-%d %H:%M:%S}" if step.since else ""
        lines.append(_row(step.phase, step.step, step.state, since, step.code or ""))
    return "\n".join(lines)


def _row(*cells: str) -> str:
    """A row of a table. The UI draws cells without a margin, so each brings one along."""
    return "| " + " | ".join(f"{cell}\u00a0\u00a0" for cell in cells) + " |"


def _phases_of(state: RetirementState) -> tuple[tuple[Phase, tuple[StepOutline, ...]], ...]:
    """The phases that are made of a plan's steps, in the order of the life."""
    if state.case is None or state.case.outline is None:
        return ()
    outline = state.outline
    return (
        (Phase.FREEZE, outline.freeze),
        (Phase.TRANSFER, outline.transfer),
        (Phase.ERASE, outline.erase),
        (Phase.RELEASE, outline.release),
    )


def _steps_of(state: RetirementState) -> tuple[StepStatus, ...]:
    shown = []
    for phase, steps in _phases_of(state):
        for step in steps:
            outcome = state.undone.get(step.id) or state.outcomes.get(step.id)
            undone = step.id in state.undone and state.undone[step.id].result is not StepResult.FAILED
            begun = state.begun_at.get(step.id)
            if step.id in state.holds:
                shown_state = "held"
            elif undone:
                shown_state = "undone"
            elif outcome is not None:
                shown_state = outcome.result.value
            elif step.id in state.deferred:
                shown_state = "deferred"
            else:
                shown_state = "running" if begun else "waiting"
            shown.append(
                StepStatus(
                    step=step.id,
                    phase=phase,
                    state=shown_state,
                    since=outcome.at if outcome and outcome.at else begun,
                    code=outcome.code if outcome else None,
                    detail=outcome.detail if outcome else None,
                )
            )
    return tuple(shown)


def attributes_of(state: RetirementState) -> list[SearchAttributeUpdate[Any]]:
    """The search attributes of a run. Only codes, ids and dates: they can never be encrypted."""
    held = sorted({hold.cause.value for hold in state.holds.values()})
    known: list[tuple[SearchAttributeKey[Any], Any]] = [
        (names.PHASE_ATTRIBUTE, state.phase.value),
        (names.HELD_ATTRIBUTE, held[0] if held else None),
        (names.OUTCOME_ATTRIBUTE, state.outcome.value if state.outcome else None),
        (names.REASON_ATTRIBUTE, state.reason.value if state.reason else None),
        (names.PLAN_ATTRIBUTE, state.case.outline.plan if state.case and state.case.outline else None),
        (names.TENANT_ATTRIBUTE, state.start.tenant if state.start else None),
        (names.DUE_AT_ATTRIBUTE, state.case.due_at if state.case else None),
        (names.COOL_OFF_ENDS_AT_ATTRIBUTE, state.cool_off_ends_at),
        (names.FAILED_STEP_ATTRIBUTE, [outcome.step for outcome in state.failed] or None),
    ]
    return [
        key.value_unset() if value is None else key.value_set(value)
        for key, value in known
        if value is not None or key is names.HELD_ATTRIBUTE
    ]

"""All that crosses the boundary between clients, workflow and activities.

Every model is frozen and hides its input in errors; every field added later has a default, so that old histories go on replaying.
Nothing here ever holds a value of the person: ids, codes, counts and dates only.
"""

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict

from workflows.names import MAIN, Direction, HeldCause, Mail, Outcome, Phase, Reason, StepResult, WorkState


class Message(BaseModel):
    """Immutable; errors about it never show its contents; unknown fields of newer senders are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Skip(Message):
    """An operator's word that a step is to be left out. It stays in the record under their id."""

    step: str
    by: str
    reason_code: str


class Start(Message):
    """What a backend asks for. Read leniently from any JSON by `workflows.reading.read_start`."""

    user_id: str
    tenant: str | None = None
    plan: str | None = None
    request_id: str | None = None
    requested_by: str | None = None
    requested_at: datetime | None = None
    cool_off: timedelta | None = None
    reason_code: str | None = None
    locale: str | None = None
    again: bool = False
    resume: str | None = None
    current_plan: bool = False
    go_back: bool = False
    skip: tuple[Skip, ...] = ()
    #: The user id of who takes over; whether they may is asked of the service that owns the role.
    successor: str | None = None


class Wish(Message):
    """A rescind or an expedite: who asks, and why, as a code."""

    by: str | None = None
    reason_code: str | None = None
    #: Set where `by` or `reason_code` could not be recorded as sent (free text, an address): they are then dropped.
    unreadable: bool = False


class Extend(Wish):
    """A longer cool-off, until an instant or by a duration."""

    until: datetime | None = None
    by_duration: timedelta | None = None


class Decide(Wish):
    """An operator's way out of a hold: `retry`, `skip`, `done`, `close`; `adopt` where a source's row is another's."""

    step: str | None = None
    decision: str | None = None


class Answer(Message):
    """The answer to a message. A refusal is an answer, never an exception."""

    accepted: bool
    code: str
    #: After the point of no return: the steps whose data is gone already.
    gone: tuple[str, ...] = ()
    cool_off_ends_at: datetime | None = None


class MessageRow(Message):
    """A message as the ledger keeps it, append-only."""

    kind: str
    accepted: bool
    code: str
    at: datetime
    by: str | None = None
    reason_code: str | None = None


class Lane(Message):
    """Where calls go: the service's queue, and the key under which the server holds its rate."""

    queue: str | None = None
    rate_key: str | None = None

    @property
    def name(self) -> str:
        """What tells lanes apart, for ids and people."""
        return ":".join(part for part in (self.queue, self.rate_key) if part) or MAIN


class StepOutline(Message):
    """What the workflow has to know of a step to branch on it."""

    id: str
    after: tuple[str, ...] = ()
    has_undo: bool = False
    has_probe: bool = False
    #: Where the data stays on purpose: for how long from the request, and on which ground.
    retained_for: timedelta | None = None
    ground: str | None = None
    lane: Lane = Lane()
    #: It moves what the person owns, one by one.
    has_assets: bool = False
    #: A source is told when it begins and ends.
    is_mirrored: bool = False
    #: How long after it was accepted is asked for the first time what became of it; None: never.
    first_look: timedelta | None = None
    #: While its service is failing the steps after it go on.
    is_deferrable: bool = False


class PlanOutline(Message):
    """Everything of a plan that the workflow branches on. The plan itself stays in the ledger, under its digest."""

    format: int = 1
    plan: str
    digest: str
    freeze: tuple[StepOutline, ...] = ()
    transfer: tuple[StepOutline, ...] = ()
    erase: tuple[StepOutline, ...] = ()
    release: tuple[StepOutline, ...] = ()
    cool_off: timedelta
    longest_cool_off: timedelta
    reminders: tuple[timedelta, ...] = ()
    expedite_allowed: bool = False
    mails: bool = False
    operators: bool = False
    admins: bool = False
    recipients: bool = False
    #: Somebody takes over, and has to be chosen.
    successors: bool = False
    mail_patience: timedelta = timedelta(days=3)
    #: Where lookup, facts and rules are asked, with the probes that lie on the same lane.
    lookup: Lane = Lane()
    #: A source keeps a row of the retirement: it decides where a run begins.
    has_mirror: bool = False
    #: It can be asked to take a request back.
    cancels_at_source: bool = False
    #: It is asked at the end whether something is left of the person.
    verifies_at_source: bool = False
    hold_for: timedelta = timedelta(days=7)

    @property
    def steps(self) -> tuple[StepOutline, ...]:
        """All steps, in the order of their phases."""
        return (*self.freeze, *self.transfer, *self.erase, *self.release)


class StepOutcome(Message):
    """How one step ended. `code` says why, `detail` (method, path template, HTTP status) where; neither holds a value."""

    step: str
    result: StepResult
    code: str | None = None
    detail: str | None = None
    until: datetime | None = None
    by: str | None = None
    at: datetime | None = None
    #: The last mirrored step has told the source, too, that all is done.
    completed: bool = False


class OpenCase(Message):
    """Input of open_case. `run_key` is the first run's id, which a reset keeps."""

    start: Start
    run_key: str
    now: datetime


class OpenedCase(Message):
    """What open_case found. With `refused` set nothing was touched and `retirement_id` names the case in the way."""

    retirement_id: str | None = None
    refused: Reason | None = None
    outline: PlanOutline | None = None
    #: The case's state in the ledger: `open` unless an earlier run of the case came further.
    state: str = "open"
    #: An earlier run of this case ended before its end; this one goes on with it.
    resumed: bool = False
    #: Why the case is going back, where it is.
    reason: Reason | None = None
    code: str | None = None
    requested_at: datetime | None = None
    cool_off_ends_at: datetime | None = None
    due_at: datetime | None = None
    #: Of earlier runs of this case: steps that ended, freeze steps already undone, and who was seen by a probe before the point.
    ended: tuple[StepOutcome, ...] = ()
    undone: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    #: Steps that earlier runs have begun, and that didn't end.
    unended: tuple[str, ...] = ()


class CaseRef(Message):
    """The case an activity works on, and whose it is."""

    retirement_id: str
    user_id: str
    tenant: str | None = None
    plan_digest: str


class CheckSubject(CaseRef):
    """Input of check_subject. At the re-check nobody is looked up into the vault again, only asked for.

    `lane`: ask only the probes and inventories on this lane; everything else has been asked before.
    `choose`: only choose who takes over, now that all inventories are there.
    """

    again: bool = False
    now: datetime
    lane: Lane | None = None
    choose: bool = False
    #: An operator says that whoever has left the source's row at work doesn't come back.
    adopt: bool = False


class Begin(Message):
    """Where a run begins by the source's row: before `step`, behind all of them (None), or not at all (`ended`)."""

    step: str | None = None
    #: The row says that this very step is at work: its call is repeated, without saying so again.
    working: bool = False
    #: Nobody has begun with it yet.
    waiting: bool = False
    #: The source says that it is over: nothing is done or written.
    ended: Outcome | None = None


class CheckedSubject(Message):
    """What check_subject found. `present` names the steps whose probe saw the person, `refused` stops the retirement."""

    refused: Reason | None = None
    code: str | None = None
    present: tuple[str, ...] = ()
    #: Who takes over was chosen, too: no inventory lies on another lane.
    chosen: bool = False
    #: Where a mirrored source says that the run begins.
    begin: Begin | None = None


class RunStep(CaseRef):
    """Input of run_step and undo_step. `present`: did the probe see the person before the point of no return?"""

    step: str
    now: datetime
    present: bool | None = None
    #: For a step that is mirrored: it was begun before in this run, so the source's row tells how far it came.
    again: bool = False
    #: The source's row says already that it is at work.
    working: bool = False
    #: What somebody else has done with it counts as done.
    adopt: bool = False
    #: Behind this step nothing is left to do: the source is told so in the same go.
    completes: bool = False
    #: Where its service is failing it is to be deferred, so that the steps after it need not wait.
    defer: bool = False
    #: It was deferred: it is tried beside the steps after it, and the source's row is theirs by now.
    aside: bool = False


class MirrorEnd(CaseRef):
    """Input of mirror_end: tell the source that all is done, or which step failed."""

    outcome: Outcome
    now: datetime
    failed_step: str | None = None
    #: It was tried before, with the last step: the source's row tells whether it came through.
    again: bool = False


class Mirrored(Message):
    """The source's row shows the end. `code`: what its last look found wrong."""

    code: str | None = None


class CancelAtSource(CaseRef):
    """Input of cancel_at_source: the person has changed their mind, and the source is to know."""

    now: datetime


class PassPoint(Message):
    """Input of pass_point_of_no_return. `retained` says what stays on purpose, and until when."""

    retirement_id: str
    now: datetime
    retained: tuple[StepOutcome, ...] = ()
    messages: tuple[MessageRow, ...] = ()


class TurnBack(Message):
    """Input of turn_back: `open → going_back`, before any undo or mail."""

    retirement_id: str
    reason: Reason
    #: What stood in the way, where the reason alone doesn't say it.
    code: str | None = None
    now: datetime
    messages: tuple[MessageRow, ...] = ()
    #: Only for a case resumed with `go_back`: `past_return → going_back`, allowed while nothing can be gone.
    from_past_return: bool = False


class Moved(Message):
    """Whether a compare-and-set of the case's state took place. A refused move is a conflict, and held."""

    moved: bool
    state: str
    #: Another retirement was faster to the same exclusive claim: this one goes back.
    claim_lost: bool = False
    #: Who was to take over is being retired, too: this one goes back.
    successor_lost: bool = False
    #: Somebody else is about to hand over to this very person: this one waits for them.
    awaited: bool = False


class VerifyErasure(CaseRef):
    """Input of verify_erasure: the steps to ask about once more, and who was seen before."""

    steps: tuple[str, ...]
    present: tuple[str, ...] = ()
    now: datetime


class VerifiedErasure(Message):
    """The final outcome of every step asked about."""

    outcomes: tuple[StepOutcome, ...] = ()


class RecordMessages(Message):
    """Input of record_messages. A date is set where a message moved it."""

    retirement_id: str
    messages: tuple[MessageRow, ...]
    cool_off_ends_at: datetime | None = None


class CloseCase(Message):
    """Input of close_case. For ERRORED the case stays open for a resume and keeps its vault."""

    retirement_id: str
    outcome: Outcome
    now: datetime
    reason: Reason | None = None
    direction: Direction | None = None
    #: Outcomes of steps and of undos that no activity has recorded.
    concluded: tuple[StepOutcome, ...] = ()
    concluded_undos: tuple[StepOutcome, ...] = ()
    messages: tuple[MessageRow, ...] = ()
    #: Holders of the vault whose mail will not be sent, after all.
    no_longer_held_by: tuple[str, ...] = ()


class Closed(Message):
    """The case's state after a record was made."""

    state: str


class SendMail(CaseRef):
    """Input of send_mail. `last` gives up the mail's hold on the vault when it is sent or given up."""

    mail: Mail
    #: Makes the idempotency key unique among mails of a kind (a reminder's date, an extension's count).
    number: str = ""
    now: datetime
    last: bool = False
    #: How long this attempt may go on: the run waits only a moment, the delivery workflow for the plan's patience.
    patience: timedelta | None = None
    cool_off_ends_at: datetime | None = None
    reason: str | None = None
    failed_steps: tuple[str, ...] = ()


class MailReport(Message):
    """How a mail fared: `sent`, `given_up`, `no_address`, `later`."""

    result: str
    code: str | None = None


class Failure(Message):
    """The details of an activity that failed for good: what, where, with which answer. Built, never forwarded."""

    code: str
    step: str | None = None
    detail: str | None = None
    held: HeldCause | None = None
    #: The steps concerned, where one call asks about several.
    steps: tuple[str, ...] = ()
    #: It is to be tried again beside the steps after it, no sooner than after this.
    deferred_for: timedelta | None = None


class Progress(Message):
    """How far a long step is, as its heartbeats tell."""

    step: str
    done: int
    of: int


class Hold(Message):
    """A pause that waits for a cause to go away, or for a person."""

    step: str
    cause: HeldCause
    code: str
    since: datetime
    expires_at: datetime


class StepStatus(Message):
    """A step as `status` shows it."""

    step: str
    phase: str
    state: str
    since: datetime | None = None
    code: str | None = None
    detail: str | None = None


class Status(Message):
    """The public answer of the `status` query."""

    retirement_id: str | None = None
    phase: Phase
    outcome: Outcome | None = None
    reason: Reason | None = None
    plan: str | None = None
    requested_at: datetime | None = None
    cool_off_ends_at: datetime | None = None
    due_at: datetime | None = None
    may_rescind: bool = True
    steps: tuple[StepStatus, ...] = ()
    held: tuple[Hold, ...] = ()
    gone: tuple[str, ...] = ()
    messages: tuple[MessageRow, ...] = ()


class Result(Message):
    """What a retirement returns, and, as the details of RetirementErrored, how far it came."""

    outcome: Outcome
    retirement_id: str | None = None
    reason: Reason | None = None
    code: str | None = None
    direction: Direction | None = None
    steps: tuple[StepOutcome, ...] = ()
    skipped: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        outcome: Outcome,
        retirement_id: str | None = None,
        reason: Reason | None = None,
        code: str | None = None,
        direction: Direction | None = None,
        steps: tuple[StepOutcome, ...] = (),
    ) -> Self:
        """Build a result that names its skipped, unverified, retained and failed steps."""

        def named(result: StepResult) -> tuple[str, ...]:
            return tuple(step.step for step in steps if step.result is result)

        return cls(
            outcome=outcome,
            retirement_id=retirement_id,
            reason=reason,
            code=code,
            direction=direction,
            steps=steps,
            skipped=named(StepResult.SKIPPED),
            unverified=named(StepResult.UNVERIFIED),
            retained=named(StepResult.RETAINED),
            failed=named(StepResult.FAILED),
        )


class CheckTransfer(CaseRef):
    """Input of check_transfer: may whoever is named take over in each of these steps?"""

    steps: tuple[str, ...]
    now: datetime


class AskFollowUp(CaseRef):
    """Input of follow_up: what became of a step that was accepted?"""

    step: str


class FollowedUp(Message):
    """What is known by now. `next_look_at` is None where it has ended, or somebody has said how it ended."""

    state: WorkState
    next_look_at: datetime | None = None
    code: str | None = None
    #: Operators have to hear of it: it failed, and nobody else says so.
    alarms: bool = False


class FollowUpOf(CaseRef):
    """Input of FollowUp. `look_at` is when it is asked next."""

    step: str
    lane: Lane
    look_at: datetime
    #: How long operators are tried to be told of a failure; None where the plan names none.
    mail_patience: timedelta | None = None

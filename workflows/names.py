"""Every name that outlives a process: queues, types, ids, attributes, codes.

A stored name is a promise to histories, dashboards and other people's scripts. This module is only added to.
"""

from enum import StrEnum

from temporalio.common import SearchAttributeKey

WORKFLOW_TYPE = "RetireUser"
MAIL_WORKFLOW_TYPE = "DeliverMail"
TRANSFER_WORKFLOW_TYPE = "TransferOwnership"
FOLLOW_UP_WORKFLOW_TYPE = "FollowUp"
WORKFLOW_ID_PREFIX = "retire-user-"
TRANSFER_WORKFLOW_ID_PREFIX = "transfer-ownership-"

#: Workflows, ledger and mail.
QUEUE = "retirement"
#: Everything that calls a service of the plan.
CALLS_QUEUE = "retirement-calls"
#: The fairness key of calls that no rate holds back. Without one a call would take over its workflow's, and that one's limit.
UNLIMITED_KEY = "*"
#: How RETIREMENT_QUEUES calls all that needs no queue of its own: workflows, ledger, mail, calls of most services.
MAIN = "main"

RESCIND = "rescind"
EXTEND = "extend"
EXPEDITE = "expedite"
DECIDE = "decide"
STATUS = "status"

#: Who else holds the vault's entry of a transfer: whoever asked for it, until they have been shown what became of each asset.
REPORT_HOLDER = "report"
#: The memo by which a run of a transfer is told from that of an earlier one.
TRANSFER_MEMO = "transfer_id"

#: The code of a hold over a source's row on which somebody else seems to be at work.
ANOTHER_DRIVER = "another_driver"

#: The error type that closes a run as Failed when a retirement is ERRORED.
ERRORED_ERROR = "RetirementErrored"
#: The error type that closes a run as Failed when its start message can't be used.
BAD_REQUEST_ERROR = "BadRequest"


class Activity(StrEnum):
    """Activity types, as the UI shows them."""

    OPEN_CASE = "open_case"
    CHECK_SUBJECT = "check_subject"
    RUN_STEP = "run_step"
    UNDO_STEP = "undo_step"
    PASS_POINT_OF_NO_RETURN = "pass_point_of_no_return"
    TURN_BACK = "turn_back"
    VERIFY_ERASURE = "verify_erasure"
    RECORD_MESSAGES = "record_messages"
    CLOSE_CASE = "close_case"
    SEND_MAIL = "send_mail"
    TAKE_UP_TRANSFER = "take_up_transfer"
    CHECK_TRANSFER = "check_transfer"
    MIRROR_END = "mirror_end"
    CANCEL_AT_SOURCE = "cancel_at_source"
    FOLLOW_UP = "follow_up"


class Phase(StrEnum):
    """Where a retirement stands."""

    OPEN = "open"
    CHECK = "check"
    FREEZE = "freeze"
    COOL_OFF = "cool_off"
    RECHECK = "recheck"
    TRANSFER = "transfer"
    ERASE = "erase"
    VERIFY = "verify"
    RELEASE = "release"
    TELL = "tell"
    GOING_BACK = "going_back"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a retirement ended."""

    COMPLETE = "COMPLETE"
    ABORTED = "ABORTED"
    ERRORED = "ERRORED"


class Reason(StrEnum):
    """Why a retirement was aborted. The case named is in the result."""

    RESCINDED = "rescinded"
    NO_SUCH_SUBJECT = "no_such_subject"
    NOT_ELIGIBLE = "not_eligible"
    NO_SUCCESSOR = "no_successor"
    CLAIM_LOST = "claim_lost"
    LOOKUP_FAILED = "lookup_failed"
    FREEZE_FAILED = "freeze_failed"
    HOLD_EXPIRED = "hold_expired"
    ABANDONED = "abandoned"
    ALREADY_RUNNING = "already_running"
    ERRORED_BEFORE = "errored_before"
    ALREADY_COMPLETE = "already_complete"
    DUPLICATE_REQUEST = "duplicate_request"
    NOT_RESUMABLE = "not_resumable"


class StepResult(StrEnum):
    """How one step of a plan ended."""

    ERASED = "erased"
    ABSENT = "absent"
    RETAINED = "retained"
    DONE = "done"
    SCRUBBED = "scrubbed"
    TRANSFERRED = "transferred"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    SKIPPED = "skipped"
    MANUAL = "manual"

    @property
    def was_accepted(self) -> bool:
        """Did a service take it on, so that it can be asked later what became of it?"""
        return self in (StepResult.ERASED, StepResult.UNVERIFIED, StepResult.DONE)


class WorkState(StrEnum):
    """How far work is that outlives its retirement, or that a person does."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


class AssetResult(StrEnum):
    """What became of one thing that the person owned."""

    MOVED = "moved"
    ANONYMISED = "anonymised"
    DELETED = "deleted"
    ALREADY_OWNED = "already_owned"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    RETRYING = "retrying"

    @property
    def is_settled(self) -> bool:
        """Is nothing left to do with it?"""
        return self not in (AssetResult.REFUSED, AssetResult.RETRYING)


class Direction(StrEnum):
    """Which way an ERRORED case may be resumed."""

    FORWARD = "forward"
    BACK = "back"


class HeldCause(StrEnum):
    """Why a step waits for a person or for its cause to go away."""

    CREDENTIALS = "credentials"
    CONFIGURATION = "configuration"
    CONFLICT = "conflict"
    VAULT = "vault"


class Audience(StrEnum):
    """Whom a mail is for. But for operators, each holds the vault until its last mail is sent or given up, under this name."""

    PERSON = "mail"
    OPERATORS = "operators"
    ADMINS = "admins"
    RECIPIENTS = "recipients"


class Mail(StrEnum):
    """The mails of a retirement; each is a folder under templates/."""

    RECEIVED = "received"
    REMINDER = "reminder"
    EXTENDED = "extended"
    RESCINDED = "rescinded"
    ABORTED = "aborted"
    COMPLETE = "complete"
    ERRORED = "errored"
    HELD = "held"
    DEADLINE = "deadline"
    NO_SUCCESSOR = "no_successor"
    HANDOVER = "handover"
    DISCLOSED = "disclosed"
    WORK_FAILED = "work_failed"

    @property
    def audience(self) -> Audience:
        """Whom it is for."""
        match self:
            case Mail.ERRORED | Mail.HELD | Mail.DEADLINE | Mail.WORK_FAILED:
                return Audience.OPERATORS
            case Mail.NO_SUCCESSOR | Mail.HANDOVER:
                return Audience.ADMINS
            case Mail.DISCLOSED:
                return Audience.RECIPIENTS
        return Audience.PERSON


PHASE_ATTRIBUTE = SearchAttributeKey.for_keyword("RetirementPhase")
OUTCOME_ATTRIBUTE = SearchAttributeKey.for_keyword("RetirementOutcome")
REASON_ATTRIBUTE = SearchAttributeKey.for_keyword("RetirementReason")
PLAN_ATTRIBUTE = SearchAttributeKey.for_keyword("RetirementPlan")
TENANT_ATTRIBUTE = SearchAttributeKey.for_keyword("RetirementTenant")
HELD_ATTRIBUTE = SearchAttributeKey.for_keyword("RetirementHeld")
FAILED_STEP_ATTRIBUTE = SearchAttributeKey.for_keyword_list("RetirementFailedStep")
DUE_AT_ATTRIBUTE = SearchAttributeKey.for_datetime("RetirementDueAt")
COOL_OFF_ENDS_AT_ATTRIBUTE = SearchAttributeKey.for_datetime("RetirementCoolOffEndsAt")

#: What `retire setup` registers. Their types can never change on a live namespace.
SEARCH_ATTRIBUTES = (
    PHASE_ATTRIBUTE,
    OUTCOME_ATTRIBUTE,
    REASON_ATTRIBUTE,
    PLAN_ATTRIBUTE,
    TENANT_ATTRIBUTE,
    HELD_ATTRIBUTE,
    FAILED_STEP_ATTRIBUTE,
    DUE_AT_ATTRIBUTE,
    COOL_OFF_ENDS_AT_ATTRIBUTE,
)


def calls_queue(queue: str | None) -> str:
    """The task queue for calls of a service, by the `queue` that the plan gives it."""
    return CALLS_QUEUE if queue is None else f"{CALLS_QUEUE}-{queue}"


def queue_served_as(task_queue: str) -> str:
    """How RETIREMENT_QUEUES names what serves a task queue."""
    return task_queue.removeprefix(f"{CALLS_QUEUE}-") if task_queue.startswith(f"{CALLS_QUEUE}-") else MAIN


def workflow_id(*, user_id: str, tenant: str | None = None) -> str:
    """The one workflow id under which a data subject is retired, so that anybody can address it."""
    return f"{WORKFLOW_ID_PREFIX}{tenant}-{user_id}" if tenant else f"{WORKFLOW_ID_PREFIX}{user_id}"


def transfer_workflow_id(*, user_id: str, tenant: str | None = None) -> str:
    """The one workflow id under which is handed over what somebody owns, without retiring them."""
    return f"{TRANSFER_WORKFLOW_ID_PREFIX}{tenant}-{user_id}" if tenant else f"{TRANSFER_WORKFLOW_ID_PREFIX}{user_id}"


def mail_workflow_id(*, retirement_id: str, mail: Mail, number: str = "") -> str:
    """The workflow id under which a mail that can't be sent at once is delivered. `number` tells mails of a kind apart."""
    return f"mail-{retirement_id}-{mail}" + (f"-{number}" if number else "")


def follow_up_workflow_id(*, retirement_id: str, step: str) -> str:
    """The workflow id under which is asked what became of a step that was accepted."""
    return f"follow-up-{retirement_id}-{step}"

"""What the ledger takes and gives: frozen, typed, and without a value of the person but where the name says vault."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypedDict

from workflows.messages import StepOutcome
from workflows.names import AssetResult, Direction, Outcome, Reason, StepResult, WorkState


class CaseState(StrEnum):
    """On which side of the point of no return a case stands. `past_return → going_back` only while nothing is gone."""

    OPEN = "open"
    PAST_RETURN = "past_return"
    GOING_BACK = "going_back"
    CLOSED = "closed"


class CaseKind(StrEnum):
    """What a case is about: a person's retirement, or only the hand-over of what they own."""

    RETIREMENT = "retirement"
    TRANSFER = "transfer"


class StepAction(StrEnum):
    """What a row counts attempts of: a step, the undo of a freeze step, or a mail, which has no outcome here."""

    DO = "do"
    UNDO = "undo"
    MAIL = "mail"


class People(TypedDict, total=False):
    """Others whom a retirement concerns."""

    #: The user id that the request names as successor.
    named: str | None
    #: Only assets that the request names are handed over.
    only_named: bool
    #: Addresses of those who hear what became of the person's assets.
    admins: list[str]


class VaultValues(TypedDict):
    """The opened vault entry: the fields of the lookup, what each step saved, and who takes over, by policy."""

    subject: dict[str, Any]
    saved: dict[str, dict[str, Any]]
    successors: dict[str, dict[str, Any]]
    people: People


def no_values() -> VaultValues:
    """An entry in which nothing was kept yet."""
    return VaultValues(subject={}, saved={}, successors={}, people={})


class Transactions(NamedTuple):
    """How many transactions this process has begun."""

    reads: int
    writes: int


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """A plan as the case was given it: normalised, under its digest. `document["steps"][id]["phase"]` is read here."""

    digest: str
    name: str
    format: int
    document: dict[str, Any]

    @property
    def phases(self) -> dict[str, str]:
        """The phase of each step."""
        return {step: str(body.get("phase")) for step, body in self.document.get("steps", {}).items()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One retirement, or one hand-over. `workflow_id` names the subject and is gone once the case is closed."""

    retirement_id: str
    kind: CaseKind = CaseKind.RETIREMENT
    subject_key: str = ""
    workflow_id: str | None = field(repr=False)
    state: CaseState
    outcome: Outcome | None
    reason: Reason | None
    #: What stood in the way, where the reason alone doesn't say it.
    code: str | None = None
    direction: Direction | None
    plan: str
    plan_digest: str
    run_key: str
    #: The run that resumed the case last, if any.
    resumed_run_key: str | None
    request_id: str | None
    requested_by: str | None
    reason_code: str | None
    tenant: str | None
    locale: str | None
    requested_at: datetime
    opened_at: datetime
    cool_off_ends_at: datetime
    due_at: datetime
    #: When its state or outcome changed last.
    since: datetime
    closed_at: datetime | None
    #: The resolved base address of each service: a worker of another environment must not erase there.
    hosts: Mapping[str, str]
    #: The steps whose probe saw the person before the point of no return; None until they were asked.
    present: tuple[str, ...] | None
    #: What it claims at the point of no return (hashes), and the version of each when the facts were asked.
    claims: Mapping[str, int] | None
    shredded_at: datetime | None

    @property
    def is_live(self) -> bool:
        """Is a run at work on it? An ERRORED case is open, but waits for a resume."""
        return self.state is not CaseState.CLOSED and self.outcome is None

    @property
    def is_errored(self) -> bool:
        """Does it wait for a resume?"""
        return self.state is not CaseState.CLOSED and self.outcome is Outcome.ERRORED


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """How a step (or its undo) fared so far."""

    step: str
    action: StepAction
    service: str | None = None
    result: StepResult | None = None
    code: str | None = None
    detail: str | None = None
    until: datetime | None = None
    by: str | None = None
    at: datetime | None = None
    #: The first failed attempt since the last success or resume: patience counts from here.
    first_failed_at: datetime | None = None
    failures: int = 0
    last_code: str | None = None
    #: It may have taken effect although no outcome says so.
    touched: bool = False
    #: How often the service said done while the person was still there: part of the next idempotency key.
    lies: int = 0
    #: How often its own request got no answer in time since the last success or resume: the next one may wait longer.
    timeouts: int = 0

    @property
    def has_ended(self) -> bool:
        """Is it over for good? A failed step runs again when the case is resumed."""
        return self.result is not None and self.result is not StepResult.FAILED

    @property
    def outcome(self) -> StepOutcome | None:
        """The recorded outcome as it crosses the boundary."""
        if self.result is None:
            return None
        return StepOutcome(
            step=self.step,
            result=self.result,
            code=self.code,
            detail=self.detail,
            until=self.until,
            by=self.by,
            at=self.at,
        )


@dataclass(frozen=True, kw_only=True)
class StepStart:
    """What a step needs to begin. `values` is None where the vault entry is missing: held, never absent."""

    case: Case
    row: StepRow | None
    values: VaultValues | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One thing that the person owns, as its service tells of it."""

    id: str = field(repr=False)
    type: str | None = field(default=None, repr=False)
    title: str | None = field(default=None, repr=False)
    #: What the plan needs besides for its request: a version.
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def as_values(self) -> dict[str, Any]:
        """As it is sealed."""
        return {"id": self.id, "type": self.type, "title": self.title, "fields": dict(self.fields)}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """As it was sealed."""
        return cls(id=values["id"], type=values["type"], title=values["title"], fields=values["fields"])


@dataclass(frozen=True, kw_only=True)
class AssetRow:
    """How one asset fared so far. `key` is the ledger's name for it, which tells nothing."""

    step: str
    key: str
    position: int
    #: The last inventory that listed it; 0 where somebody named it and none did.
    inventory: int
    asset: Asset
    result: AssetResult | None = None
    code: str | None = None
    #: How often it had to be asked for anew: it was listed again, or a resume tries what was refused. Part of the key.
    lies: int = 0


@dataclass(frozen=True, kw_only=True)
class MailRow:
    """One attempt at a mail that came to a result."""

    mail: str
    number: str
    result: str
    code: str | None
    at: datetime


class WorkKind(StrEnum):
    """Who is at work after a step has ended."""

    #: A service that accepted it, and is asked what became of it.
    VENDOR = "vendor"
    #: Somebody of ours.
    MANUAL = "manual"


@dataclass(frozen=True, kw_only=True)
class NewWork:
    """Work that begins where a step ends. It holds the vault until it has ended, or until `held_until`."""

    kind: WorkKind
    held_until: datetime
    next_look_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """Work that outlives its retirement, or that a person does."""

    retirement_id: str
    step: str
    kind: WorkKind
    state: WorkState
    opened_at: datetime
    #: When the vendor is asked next.
    next_look_at: datetime | None = None
    ended_at: datetime | None = None
    #: Who said that it ended; None where the vendor did.
    by: str | None = None
    code: str | None = None

    @property
    def is_left(self) -> bool:
        """Is there something left to do? What a vendor has given up is, until somebody has said what became of it."""
        return self.state is WorkState.OPEN or (self.state is WorkState.FAILED and self.by is None)


@dataclass(frozen=True, kw_only=True)
class CaseOpening:
    """What opening found. With `refused` set, nothing was touched and `case` is the one in the way."""

    case: Case | None
    refused: Reason | None
    resumed: bool
    steps: tuple[StepRow, ...]


@dataclass(frozen=True, kw_only=True)
class Resume:
    """One resume of a case: by whom, in which direction, under which plan."""

    at: datetime
    run_key: str
    direction: Direction
    plan_digest: str
    by: str | None
    reason_code: str | None

"""The plan: who is retired, when, where and how, written as data by the people who own the services."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from plans.fields import Duration, Expression, Identifier, PlanModel, StatusCode, Template
from plans.mirror import Mirror, MirroredStates
from plans.requests import Request
from plans.services import Service

_DAY = timedelta(hours=24)


class Lookup(PlanModel):
    """Where the person is looked up. It is asked again when the cool-off is over."""

    service: Identifier = Field(description="The service that knows the person.")
    request: Request = Field(description="What it is asked. 404 and 410 (or no row) mean that it doesn't know them.")
    fields: dict[Identifier, Expression] = Field(
        default={}, description="Read from the answer into the vault; templates name them as `subject.x`."
    )
    absent_when: Expression | None = Field(
        default=None,
        description="True over the answer where it is about somebody else, or about nobody: then it counts as a 404.",
    )
    absent_unchecked: str | None = Field(
        default=None,
        min_length=1,
        description="Why a 404 need not be proved to come from a right path (a service without credentials).",
    )
    patience: Duration = Field(default=_DAY, description="How long failures are tried again, counted from the first.")


class Absent(StrEnum):
    """What happens when the lookup does not know the person."""

    REFUSE = "refuse"
    PROCEED = "proceed"


class AlsoAsked(PlanModel):
    """One more value of the person, from another service. Asked once, after the first lookup, and kept like its fields."""

    service: Identifier = Field(description="The service that is asked; on the lookup's queue.")
    request: Request = Field(description="What it is asked; it may only read.")
    value: Expression = Field(description="The value, read from the answer.")
    absent: tuple[StatusCode, ...] = Field(
        default=(404, 410), description="Answers that mean that there is none: null."
    )
    otherwise_null: bool = Field(
        default=False, description="Null, too, where the service refuses or patience runs out: the retirement goes on."
    )
    patience: Duration = Field(default=_DAY, description="How long failures are tried again, counted from the first.")


class Subject(PlanModel):
    """Who is retired."""

    given: tuple[Identifier, ...] = Field(
        default=(),
        description="Personal values by which the source knows the person (a username). Whoever starts the retirement hands "
        "them over sealed, never through Temporal; requests name them as `subject.x`, the lookup's, too.",
    )
    lookup: Lookup = Field(description="Where the person is looked up.")
    also: dict[Identifier, AlsoAsked] = Field(
        default={}, description="More values of the person, from other services; templates name them as `subject.x`."
    )
    absent: Absent = Field(default=Absent.REFUSE, description="What happens when the lookup does not know the person.")


class Fact(PlanModel):
    """Something that the rules must know, asked at the check and again at the re-check; it is not kept."""

    service: Identifier = Field(description="The service that is asked; on the lookup's queue.")
    request: Request = Field(description="What it is asked; it may only read.")
    value: Expression = Field(default="body", description="The fact, read from the answer. Not beside `items`.")
    items: Expression | None = Field(
        default=None, description="A list in the answer: the fact is this list, over all pages."
    )
    next_page: Expression | None = Field(
        default=None,
        description="The address of the next page, of the same origin; empty or null on the last one "
        "(`body.next | default(none)`, where the last one leaves it out).",
    )
    absent: tuple[StatusCode, ...] = Field(
        default=(), description="Answers that mean that there is none: the fact is then an empty list, or null."
    )
    patience: Duration = Field(default=_DAY, description="How long failures are tried again, counted from the first.")

    @model_validator(mode="after")
    def _pages_hold_items(self) -> Self:
        if self.next_page is not None and self.items is None:
            raise ValueError("next_page needs items: say which list of each page is meant")
        return self


class Rule(PlanModel):
    """A rule of eligibility. Whoever it refuses is told by its code, and nothing has been done."""

    refuse_if: Expression = Field(description="An expression over `subject`, `facts`, `user_id` and `tenant`.")
    code: Identifier = Field(description="What stood in the way, as a code: it is shown, logged and searched for.")


class Claim(PlanModel):
    """What only one retirement may have at a time: of the last two admins who go at the same instant, one goes."""

    key: Template = Field(
        description="What is claimed (`org-admin:{{ subject.org }}`). The ledger keeps only its hash."
    )
    each: Expression | None = Field(
        default=None,
        description="A list of at most 1000 (`subject.teams`): the key is claimed for each `item` of it "
        "(`team-owner:{{ item }}`), and nothing where it is empty.",
    )
    when: Expression | None = Field(
        default=None, description="Claimed only where this is true; beside `each`, for the items of which it is."
    )


class Candidates(PlanModel):
    """People who may be asked to take over, as a service lists them."""

    service: Identifier = Field(description="The service that is asked; on the lookup's queue.")
    request: Request = Field(description="What it is asked; it may only read.")
    items: Expression = Field(description="The list in the answer, over all pages.")
    id: Expression = Field(description="The user id of each `item` of the list.")
    next_page: Expression | None = Field(
        default=None, description="The address of the next page, of the same origin; empty or null on the last one."
    )
    absent: tuple[StatusCode, ...] = Field(default=(), description="Answers that mean that there are none.")


class Suitable(PlanModel):
    """Asked of the service that owns the role, about one person: at the check, at the re-check, and at the write."""

    service: Identifier = Field(description="The service that is asked; on the lookup's queue.")
    request: Request = Field(
        description="What it is asked about `successor.id`. 404 and 410 (or no row) mean that there is nobody of that id."
    )
    when: Expression = Field(description="True over the answer where this person may take over.")
    fields: dict[Identifier, Expression] = Field(
        default={},
        description="Read from the answer; templates name them as `successor.x` (`name`, `email` for mails).",
    )


class Naming(StrEnum):
    """May whoever asks for the retirement name the successor?"""

    ALLOWED = "allowed"
    REQUIRED = "required"
    REFUSED = "refused"


class SuccessorPolicy(PlanModel):
    """Who takes over: whom the request names, or the first of the candidates who is suitable."""

    named: Naming = Field(
        default=Naming.ALLOWED,
        description="May the request name the successor? `required`: nobody else is taken; `refused`: only candidates are.",
    )
    candidates: tuple[Candidates, ...] = Field(
        default=(), description="Whom to ask, in this order: org admins, holders of a role."
    )
    suitable: Suitable = Field(description="How the service that owns the role tells whether somebody may take over.")
    patience: Duration = Field(default=_DAY, description="How long failures are tried again, counted from the first.")


class Owner(PlanModel):
    """How a service tells whose an asset is."""

    request: Request = Field(description="What it is asked about `asset.id`; it may only read.")
    value: Expression = Field(description="The owner's user id, read from the answer.")
    absent: tuple[StatusCode, ...] = Field(default=(404, 410), description="Answers that mean that it isn't there.")


class Becomes(StrEnum):
    """What becomes of an asset."""

    MOVED = "moved"
    ANONYMISED = "anonymised"
    DELETED = "deleted"


class Assets(PlanModel):
    """What the person owns at a service. The step's request is made for each of them."""

    request: Request = Field(description="What lists them; it may only read.")
    items: Expression = Field(description="The list in the answer, over all pages.")
    id: Expression = Field(description="The id of each `item` of the list.")
    type: Expression | None = Field(default=None, description="What kind of thing an `item` is, for lists and mails.")
    title: Expression | None = Field(
        default=None, description="What people call an `item`. It stays in the vault, and in mails to admins."
    )
    fields: dict[Identifier, Expression] = Field(
        default={}, description="More of an `item` that the request needs (a version); templates name it as `asset.x`."
    )
    next_page: Expression | None = Field(
        default=None, description="The address of the next page, of the same origin; empty or null on the last one."
    )
    absent: tuple[StatusCode, ...] = Field(default=(), description="Answers that mean that the person owns nothing.")
    settled_when: Expression | None = Field(
        default=None, description="True over a listed `item` that nothing is left to do with (its name was replaced)."
    )
    owner: Owner | None = Field(
        default=None,
        description="Whose an asset is. Asked where a write is refused, as somebody else may have been faster; and before "
        "each write that doesn't say whose it has to be.",
    )
    becomes: Becomes = Field(default=Becomes.MOVED, description="What the request does with an asset.")


class CoolOff(PlanModel):
    """The time in which the person may change their mind."""

    duration: Duration = Field(default=timedelta(days=14), description="How long it lasts, from the request.")
    reminders: tuple[Duration, ...] = Field(default=(), description="When the person is reminded, before its end.")
    max: Duration | None = Field(
        default=None, description="How far it may be extended, from the request. Without it, not at all."
    )
    expedite: Literal["allowed", "refused"] = Field(default="refused", description="May it be cut short?")

    @model_validator(mode="after")
    def _max_is_not_shorter(self) -> Self:
        if self.max is not None and self.max < self.duration:
            raise ValueError("max is shorter than duration; raise max or leave it out")
        return self

    @property
    def longest(self) -> timedelta:
        """How far the cool-off may be extended, counted like `duration` from the request."""
        return self.max if self.max is not None else self.duration


class Recipient(PlanModel):
    """Somebody to whom the person's data was disclosed."""

    address: Template = Field(description="The mail address.")
    reference: Template = Field(
        default="{{ user_id }}", description="The id under which they know the person: all that the mail tells of them."
    )


class MailSettings(PlanModel):
    """Who writes to whom."""

    sender: str = Field(alias="from", description="Who writes: `name@host`, or `Name <name@host>`.")
    support: str | None = Field(default=None, description="Whom the person may write to.")
    to_person: bool = Field(
        default=True, description="Is the person written to? Not, where another system writes to them already."
    )
    operators: tuple[str, ...] = Field(
        default=(), description="Who hears of what is held or ERRORED, and of a legal deadline that comes near."
    )
    deadline_near: Duration = Field(
        default=timedelta(days=7),
        description="How long before the legal deadline operators hear of what isn't finished.",
    )
    admins: tuple[Expression, ...] = Field(
        default=(),
        description="Who hears what became of the person's assets, and of a retirement that found no successor: addresses, "
        "or expressions in `{{ }}` over `subject` and `facts` that give one or a list.",
    )
    recipients: tuple[Recipient, ...] = Field(
        default=(),
        description="To whom the person's data was disclosed: they are told that it was erased (GDPR Art. 19).",
    )
    language: str = Field(
        default="en",
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        description="The language of mails to admins and recipients, a tag like `de`; English where there are none in it.",
    )
    patience: Duration = Field(default=timedelta(days=3), description="How long a mail is tried.")


class Probe(PlanModel):
    """A read that tells whether the person is still there: a code in `gone` says no, another 2xx says yes."""

    request: Request = Field(description="What is asked; it may only read.")
    gone: tuple[StatusCode, ...] = Field(
        default=(404, 410), description="Answers that say that nobody is there. A SELECT without a row answers 404."
    )
    gone_when: Expression | None = Field(
        default=None,
        description="Tells it from the answer's `body`, where the service never answers 404. "
        "A SQL probe's default is `body.value == 0`: a count.",
    )


#: A poll with at most this between two questions is asked several times within one activity.
SHORT_POLL = timedelta(seconds=2)


class Poll(PlanModel):
    """How to ask an asynchronous service, which answered 202, whether it has finished."""

    url: Expression = Field(
        description="Where to ask, read from the answer (`headers.location`, `body.status_url`); of the service's origin."
    )
    done: Expression = Field(description="True over the polled answer when the service has finished.")
    failed: Expression | None = Field(default=None, description="True when it has given up.")
    every: Duration = Field(default=timedelta(seconds=30), description="How often it is asked.")


class Undo(PlanModel):
    """Restores what a freeze step found."""

    request: Request = Field(description="What restores it.")
    when: Expression | None = Field(default=None, description="Restored only where this is true.")
    absent: tuple[StatusCode, ...] | None = Field(
        default=None, description="Answers that mean that nothing is left to restore. Default: those of the step."
    )


class LastResort(PlanModel):
    """What is done where the request is refused for good: the step then ends as `scrubbed`, not as `erased`."""

    request: Request = Field(description="For example: replace name and address by something that is nobody's.")
    probe: Probe | None = Field(
        default=None, description="Tells whether the person can still be seen after it (usually by `gone_when`)."
    )


class Find(PlanModel):
    """Asked before the step's request: by which id the service knows the person, or that it doesn't know them.

    It only reads. What it found is kept before the request is made, so that a repeat after a crash asks for the same again.
    """

    request: Request = Field(description="What is asked; it may only read.")
    save: dict[Identifier, Expression] = Field(
        default={},
        description="Read from the answer into the vault; the step's request names it as `saved.<step>.x`, too.",
    )
    absent: tuple[StatusCode, ...] = Field(
        default=(404, 410), description="Answers that mean that nothing is there: the step ends as `absent`."
    )


class FollowUp(PlanModel):
    """How to ask, when a step was accepted, what became of it in the end. The retirement doesn't wait for it.

    The record lists it as open until the service says that it is done or failed, or until its time is over: then it has failed.
    """

    request: Request = Field(description="What is asked; it may only read. It may name what the step itself has saved.")
    done: Expression = Field(description="True over the answer when the service has finished.")
    failed: Expression | None = Field(default=None, description="True over the answer when the service has given up.")
    first: Duration = Field(
        default=timedelta(hours=1), description="How long after it was accepted it is asked for the first time."
    )
    every: Duration = Field(
        default=_DAY, description="How often it is asked then. An answer that can't be used is waited out, too."
    )
    duration: Duration = Field(
        alias="for",
        default=timedelta(days=60),
        description="How long it is asked, from when it was accepted; the vault keeps the person's values meanwhile.",
    )


class Retain(PlanModel):
    """A retention ground: the data stays, on purpose."""

    ground: str = Field(min_length=1, description="Why, in words that the person is told.")
    duration: Duration = Field(alias="for", description="For how long, from the request.")


class StepPhase(StrEnum):
    """The phases that are made of a plan's steps."""

    FREEZE = "freeze"
    #: Right after the point of no return: what the person owned goes to somebody else before anything is erased.
    TRANSFER = "transfer"
    ERASE = "erase"
    #: Identifiers are blocked or freed, once everything is erased and verified: nobody takes over a half-deleted account.
    RELEASE = "release"


class Identifiers(StrEnum):
    """What becomes of a name that the person had."""

    BLOCKED = "blocked"
    FREED = "freed"


class Step(PlanModel):
    """One thing to do at one service, or one thing kept there on purpose."""

    phase: StepPhase = Field(
        description="When: `freeze` before the cool-off, `transfer` and then `erase` after it, `release` last of all."
    )
    after: tuple[Identifier, ...] = Field(
        default=(), description="Steps of the same phase that must have succeeded before. All others run in parallel."
    )
    service: Identifier | None = Field(default=None, description="The service that is asked.")
    request: Request | None = Field(
        default=None, description="What it is asked to do; beside `assets`, with each of them."
    )
    assets: Assets | None = Field(default=None, description="Transfer steps only: what the person owns there.")
    successor: Identifier | None = Field(
        default=None,
        description="Transfer and erase steps: who takes over, one of `successors`; the request names them as `successor.x`.",
    )
    find: Find | None = Field(
        default=None, description="What is asked before the request: by which id it is to be made."
    )
    timeout: Duration | None = Field(
        default=None,
        description="How long the step's own request may take, at most 10m, in place of the service's `timeout`.",
    )
    longest_timeout: Duration | None = Field(
        default=None,
        description="After each request that got no answer in time the next may take twice as long, up to this; at most 10m. "
        "Without it each may take the same.",
    )
    done_when: Expression | None = Field(
        default=None,
        description="A 2xx says that it is done only where this is true of the answer; "
        "otherwise the step is tried again (`not_done`).",
    )
    absent: tuple[StatusCode, ...] = Field(
        default=(), description="Answers that mean that nothing is there. 410 to a DELETE means it anyway."
    )
    absent_unchecked: str | None = Field(
        default=None, min_length=1, description="Why a 404 need not be proved to come from a right path."
    )
    transient: tuple[StatusCode, ...] = Field(
        default=(), description="Answers that may be otherwise later, besides 408, 425, 429 and 5xx: tried again."
    )
    permanent: tuple[StatusCode, ...] = Field(
        default=(), description="Answers that will be the same every time although they look transient."
    )
    save: dict[Identifier, Expression] = Field(
        default={}, description="Read from the answer into the vault; later templates name them as `saved.<step>.x`."
    )
    probe: Probe | None = Field(default=None, description="Tells whether the person is still there.")
    unprobed: str | None = Field(
        default=None, min_length=1, description="Why an erase step has no probe. It then ends as `unverified`."
    )
    poll: Poll | None = Field(default=None, description="How to ask whether work that was accepted (202) is done.")
    undo: Undo | None = Field(default=None, description="Freeze steps only: restores what the step found.")
    no_undo: str | None = Field(
        default=None, min_length=1, description="Why a freeze step has nothing to restore (sessions that were ended)."
    )
    on_permanent: LastResort | None = Field(
        default=None, description="Erase steps only: what is done where the request is refused for good."
    )
    identifiers: Identifiers | None = Field(
        default=None,
        description="Release steps only: the step blocks a name for others, or frees it. "
        "Its probe then asks for the name: `gone` means free.",
    )
    retain: Retain | None = Field(default=None, description="The data stays, on this ground; nothing is asked.")
    follow_up: FollowUp | None = Field(
        default=None,
        description="Erase steps only: how to ask, after the retirement, what became of what was accepted.",
    )
    manual: str | None = Field(
        default=None,
        min_length=1,
        description="What a person has to do; nothing is asked, and the record lists it as open until they say that it is done. "
        "It is shown as it stands, so it holds no value of anybody's.",
    )
    mirrored: MirroredStates | None = Field(
        default=None, description="Erase steps of a plan with a `mirror`: the source's states of this step."
    )
    deferrable: bool = Field(
        default=False,
        description="Mirrored steps of other services than the source: while the service fails, the steps after this one go on, "
        "and those of its states that were not reached are skipped. `complete` waits for it.",
    )
    patience: Duration = Field(default=_DAY, description="How long failures are tried again, counted from the first.")


def _written_short(claim: object) -> Any:
    return {"key": claim} if isinstance(claim, str) else claim


#: A named law, or a duration. GDPR Art. 12(3): one month. CCPA §1798.130(a)(2): 45 days.
LegalDeadline = Literal["gdpr", "ccpa"] | Duration


class Plan(PlanModel):
    """A whole plan."""

    plan: Identifier = Field(description="The plan's name, which is also its file's.")
    subject: Subject = Field(description="Who is retired.")
    facts: dict[Identifier, Fact] = Field(default={}, description="What the rules must know.")
    eligibility: tuple[Rule, ...] = Field(default=(), description="Who may not be retired, or not yet.")
    claims: tuple[Annotated[Claim, BeforeValidator(_written_short)], ...] = Field(
        default=(), description="What only one retirement may have at a time. A text is short for its `key`."
    )
    deadline: LegalDeadline = Field(
        default="gdpr", description="The legal deadline: `gdpr` (a month), `ccpa` (45 days), or a duration."
    )
    successors: dict[Identifier, SuccessorPolicy] = Field(
        default={}, description="Who takes over what the person owned, by names that steps refer to."
    )
    mirror: Mirror | None = Field(
        default=None,
        description="A source that keeps a row with the state of each retirement: it decides where a run begins, and is told "
        "how far it is.",
    )
    hold_for: Duration = Field(
        default=timedelta(days=7),
        description="How long what is held waits for a person. Then it goes back (before the point of no return) or stops.",
    )
    cool_off: CoolOff = Field(default=CoolOff(), description="The time in which the person may change their mind.")
    mail: MailSettings | None = Field(default=None, description="Who writes to whom. Without it nobody is told.")
    services: dict[Identifier, Service] = Field(description="The systems that hold something of the person.")
    steps: dict[Identifier, Step] = Field(description="What is done, in which phase.")

"""The plan: services and steps as data, written by the people who own the services."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from workflows.durations import format_duration, parse_duration

#: Step and plan ids reach metrics, logs and search attributes: literals of a small alphabet.
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
#: HTTP status codes.
StatusCode = Annotated[int, Field(ge=100, le=599)]
Expression = str
Template = str


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
]


class PlanModel(BaseModel):
    """Closed and immutable; a plan's errors never show the value (it may be a secret put in the wrong place)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Method(StrEnum):
    """HTTP methods a plan may use."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class Request(PlanModel):
    """One HTTP request. `path`, `query`, `headers` and the strings inside `json` are templates."""

    method: Method
    path: Template = Field(pattern=r"^/")
    query: dict[str, Template] = {}
    headers: dict[str, Template] = {}
    body: Any = Field(default=None, alias="json")

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True, serialize_by_alias=True
    )


class NoAuth(PlanModel):
    """The service asks for no credentials."""

    type: Literal["none"] = "none"


class BearerAuth(PlanModel):
    """A fixed token, sent as `Authorization: Bearer …`. `token` is a secret reference."""

    type: Literal["bearer"] = "bearer"
    token: str


class ClientCredentialsAuth(PlanModel):
    """OAuth 2 client credentials (RFC 6749 §4.4); the secret is a reference; the token is shared and renewed."""

    type: Literal["oauth2_client_credentials"] = "oauth2_client_credentials"
    token_url: str
    client_id: str
    client_secret: str
    scope: str | None = None


Auth = Annotated[NoAuth | BearerAuth | ClientCredentialsAuth, Field(discriminator="type")]


class Service(PlanModel):
    """A system that holds something of the data subject."""

    base_url: str
    auth: Auth = NoAuth()
    timeout: Duration = timedelta(seconds=10)


class Lookup(PlanModel):
    """Where the person is looked up. `fields` are read from the answer into the vault and serve templates as `subject.x`."""

    service: Identifier
    request: Request
    fields: dict[Identifier, Expression] = {}
    patience: Duration = timedelta(hours=24)


class Absent(StrEnum):
    """What happens when the lookup does not know the person."""

    REFUSE = "refuse"
    PROCEED = "proceed"


class Subject(PlanModel):
    """Who is retired."""

    lookup: Lookup
    absent: Absent = Absent.REFUSE


class CoolOff(PlanModel):
    """The time in which the person may change their mind. Reminders are durations before its end."""

    duration: Duration = timedelta(days=14)
    reminders: tuple[Duration, ...] = ()
    max: Duration | None = None
    expedite: Literal["allowed", "refused"] = "refused"

    @model_validator(mode="after")
    def _max_is_not_shorter(self) -> Self:
        if self.max is not None and self.max < self.duration:
            raise ValueError("max is shorter than duration; raise max or leave it out")
        return self

    @property
    def longest(self) -> timedelta:
        """How far the cool-off may be extended, counted like `duration` from the request."""
        return self.max if self.max is not None else self.duration


class MailSettings(PlanModel):
    """Who writes to whom. `sender` is written `from` in the plan."""

    sender: str = Field(alias="from")
    support: str | None = None
    operators: tuple[str, ...] = ()
    patience: Duration = timedelta(days=3)

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True, serialize_by_alias=True
    )


class Probe(PlanModel):
    """A read that tells whether the person is still there: a code in `gone` says no, 2xx says yes.

    `gone_when` (an expression over `body`) tells it from the body of a 2xx, where the service never answers 404.
    """

    request: Request
    gone: tuple[StatusCode, ...] = (404, 410)
    gone_when: Expression | None = None


class Poll(PlanModel):
    """How to ask an asynchronous service whether it has finished.

    `url` is an expression over the answer (`headers.location`, `body.status_url`); it must stay on the service's own origin.
    `done` and `failed` are expressions over the body of the polled answer.
    """

    url: Expression
    done: Expression
    failed: Expression | None = None
    every: Duration = timedelta(seconds=30)


class Undo(PlanModel):
    """Restores what a freeze step found. Skipped where `when` (an expression) is false."""

    request: Request
    when: Expression | None = None


class Retain(PlanModel):
    """A retention ground: the data stays, on purpose, for a time counted from the request."""

    ground: str = Field(min_length=1)
    duration: Duration = Field(alias="for")

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True, serialize_by_alias=True
    )


class StepPhase(StrEnum):
    """The phases that are made of a plan's steps."""

    FREEZE = "freeze"
    ERASE = "erase"
    #: Identifiers are blocked or freed, once everything is erased and verified: nobody takes over a half-deleted account.
    RELEASE = "release"


class Step(PlanModel):
    """One thing to do at one service, or one thing kept there on purpose."""

    phase: StepPhase
    after: tuple[Identifier, ...] = ()
    service: Identifier | None = None
    request: Request | None = None
    absent: tuple[StatusCode, ...] = ()
    absent_unchecked: str | None = Field(default=None, min_length=1)
    save: dict[Identifier, Expression] = {}
    probe: Probe | None = None
    poll: Poll | None = None
    undo: Undo | None = None
    retain: Retain | None = None
    patience: Duration = timedelta(hours=24)

    @model_validator(mode="after")
    def _says_what_to_do(self) -> Self:
        if self.retain is not None:
            if self.request is not None or self.undo is not None or self.probe is not None:
                raise ValueError("retain keeps the data, so request, probe and undo have no place beside it")
            if self.phase is not StepPhase.ERASE:
                raise ValueError("retain belongs to the erase phase")
            return self
        if self.request is None or self.service is None:
            raise ValueError("needs service and request (or retain, where the data stays)")
        if self.phase is StepPhase.FREEZE and self.undo is None:
            raise ValueError("a freeze step needs undo: whoever rescinds gets the account back")
        if self.phase is not StepPhase.FREEZE and self.undo is not None:
            raise ValueError("undo is only for freeze steps; after the point of no return nothing can be undone")
        return self


#: A named law, or a duration. GDPR Art. 12(3): one month. CCPA §1798.130(a)(2): 45 days.
LegalDeadline = Literal["gdpr", "ccpa"] | Duration


class Plan(PlanModel):
    """A whole plan."""

    plan: Identifier
    subject: Subject
    deadline: LegalDeadline = "gdpr"
    cool_off: CoolOff = CoolOff()
    mail: MailSettings | None = None
    services: dict[Identifier, Service]
    steps: dict[Identifier, Step]

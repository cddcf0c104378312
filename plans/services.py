"""The systems that hold something of the data subject, and how they are reached."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from plans.fields import Duration, Identifier, PlanModel, RateField, Reference, StatusCode, Template

#: A header's name, or an authentication scheme's: a token in the words of RFC 9110 §5.6.2.
_WORD = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


class NoAuth(PlanModel):
    """The service asks for no credentials."""

    type: Literal["none"] = "none"


class BearerAuth(PlanModel):
    """A fixed token, sent as `Authorization: Bearer …`."""

    type: Literal["bearer"] = "bearer"
    token: Reference = Field(description="The token, as a secret reference.")


class BasicAuth(PlanModel):
    """User name and password (RFC 7617)."""

    type: Literal["basic"] = "basic"
    username: Reference = Field(description="The user name; may be a secret reference.")
    password: Reference = Field(description="The password, as a secret reference.")


class ApiKeyAuth(PlanModel):
    """A fixed key in a header of its own."""

    type: Literal["api_key"] = "api_key"
    header: str = Field(default="X-API-Key", pattern=_WORD, description="The header's name.")
    key: Reference = Field(description="The key, as a secret reference.")


class ClientCredentialsAuth(PlanModel):
    """OAuth 2 client credentials (RFC 6749 §4.4). The token is shared by all calls of a worker, and renewed.

    It is renewed before its `expires_in` is over; without one only when it is refused (401).
    """

    type: Literal["oauth2_client_credentials"] = "oauth2_client_credentials"
    token_url: Reference = Field(description="Where tokens are given out.")
    client_id: Reference = Field(description="Who we are.")
    client_secret: Reference = Field(description="The secret, as a secret reference.")
    scope: str | None = Field(default=None, description="Asked for, where the service wants one.")
    scheme: str = Field(
        default="Bearer",
        pattern=_WORD,
        description="The word before the token in `Authorization`, where the service wants another one (`JWT`).",
    )
    credentials: Literal["basic", "body"] = Field(
        default="basic",
        description="How the token endpoint hears who we are: `basic` as `Authorization: Basic`, `body` by the form fields "
        "client_id and client_secret, and no `Authorization` at all.",
    )
    form: dict[str, Reference] = Field(
        default={},
        description="More form fields of the token request, sent last and as written (`{token_type: jwt}`); "
        "values may be secret references.",
    )


Auth = Annotated[
    NoAuth | BearerAuth | BasicAuth | ApiKeyAuth | ClientCredentialsAuth,
    Field(discriminator="type"),
]


class Limits(PlanModel):
    """How much a service bears."""

    rate: RateField | None = Field(
        default=None,
        description="Most calls over all workers (`20/s`, `300/m`), held by the Temporal server; `retire setup` sets it.",
    )
    concurrent: int = Field(
        default=50, ge=1, le=1000, description="Most calls in flight at a time from one worker; others give way."
    )


class _Service(PlanModel):
    limits: Limits = Field(default=Limits(), description="How much the service bears.")
    timeout: Duration = Field(default=timedelta(seconds=10), description="How long one call may take.")
    patience: Duration | None = Field(
        default=None, description="The default of `patience` for all that is asked of this service."
    )
    queue: Identifier | None = Field(
        default=None,
        description="Only workers that serve this queue (RETIREMENT_QUEUES) call the service: "
        "for a network that the others don't reach. They need Temporal and the ledger's database, too.",
    )


class HttpService(_Service):
    """A service that is reached by HTTP."""

    type: Literal["http"] = "http"
    base_url: Reference = Field(description="Its address, with http:// or https://; paths are put behind it.")
    auth: Auth = Field(default=NoAuth(), description="How a call shows who it is. Without it, not at all.")
    headers: dict[str, Template] = Field(default={}, description="Headers of every request.")
    absent: tuple[StatusCode, ...] = Field(default=(), description="The default of `absent` for the service's steps.")
    transient: tuple[StatusCode, ...] = Field(
        default=(), description="The default of `transient` for the service's steps."
    )
    permanent: tuple[StatusCode, ...] = Field(
        default=(), description="The default of `permanent` for the service's steps."
    )


class SqlService(_Service):
    """A database, reached through SQLAlchemy."""

    type: Literal["sql"]
    database_url: Reference = Field(
        description="An SQLAlchemy URL (`postgresql+psycopg://…`), as a secret reference: it holds a password."
    )


class PythonService(_Service):
    """Python code of an installed package, for what YAML can't say."""

    type: Literal["python"]
    settings: dict[Identifier, Reference] = Field(
        default={}, description="Handed to the code with each call; values may be secret references."
    )


def _type_of(data: object) -> str:
    return str(data.get("type", "http")) if isinstance(data, dict) else str(getattr(data, "type", "http"))


Service = Annotated[
    Annotated[HttpService, Tag("http")] | Annotated[SqlService, Tag("sql")] | Annotated[PythonService, Tag("python")],
    Discriminator(_type_of),
]

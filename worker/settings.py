"""Everything an operator can set, read once at the start. How to reach Temporal is Temporal's own (TEMPORAL_ADDRESS)."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from plans.fields import Duration, Identifier
from workflows.names import MAIN

PREFIX = "RETIREMENT_"


def _split(value: object) -> object:
    """Each once: two workers of one process would only share the work of one."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(","))) if isinstance(value, str) else value


#: Names separated by commas.
Queues = Annotated[tuple[Identifier, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]


class SettingsError(Exception):
    """A setting is missing or can't be used. The text names the variable, the accepted form and an example, never the value."""


class Settings(BaseSettings):
    """Settings from the environment, each under the prefix RETIREMENT_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, hide_input_in_errors=True, frozen=True, extra="ignore")

    database_url: str = Field(
        default=f"sqlite:///{Path.cwd() / 'retirement.db'}",
        description="Ledger database, an SQLAlchemy URL.",
        examples=["postgresql+psycopg://retirement@db/retirement"],
    )
    keys_file: Path = Field(
        default=Path("retirement-keys.json"),
        description="File with the subject key and the vault's key ring. Keep it apart from the database.",
        examples=["/run/secrets/retirement-keys.json"],
    )
    plans_dir: Path = Field(
        default=Path("plans"), description="Folder with the plans (*.yaml).", examples=["/etc/retirement/plans"]
    )
    plan: str = Field(default="sandbox", description="The plan for starts that name none.", examples=["acme"])
    smtp_host: str = Field(default="127.0.0.1", description="Mail server.", examples=["mail.example.org"])
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.", examples=["587"])
    smtp_tls: Literal["none", "starttls", "tls"] = Field(
        default="starttls",
        description="Encryption of the mail connection: none, starttls or tls.",
        examples=["starttls"],
    )
    smtp_user: str | None = Field(default=None, description="User at the mail server.", examples=["retirement"])
    smtp_password: SecretStr | None = Field(default=None, description="Password at the mail server.", examples=["…"])
    smtp_timeout: Duration = Field(
        default=timedelta(seconds=30), description="Time limit of one attempt to send a mail.", examples=["30s"]
    )
    templates_dir: Path | None = Field(
        default=None, description="Folder whose mail templates win over ours.", examples=["/etc/retirement/templates"]
    )
    health_address: str | None = Field(
        default=None, description="Address on which the worker serves /healthz.", examples=["127.0.0.1:8081"]
    )
    metrics_address: str | None = Field(
        default=None, description="Address on which the worker serves Prometheus metrics.", examples=["127.0.0.1:9464"]
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log level that is written.", examples=["INFO"]
    )
    queues: Queues = Field(
        default=(MAIN,),
        description="What this worker serves, with commas: `main` (workflows, ledger, mail, and all services without a queue "
        "of their own) and the queues that plans give to services.",
        examples=["main,intranet"],
    )
    graceful_shutdown: Duration = Field(
        default=timedelta(seconds=20),
        description="How long a stopping worker lets its activities finish.",
        examples=["20s"],
    )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: naming every variable that can't be used, its accepted form and an example.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_url=False):
            name = str(problem["loc"][0])
            field = Settings.model_fields[name]
            example = field.examples[0] if field.examples else ""
            lines.append(f"{PREFIX}{name.upper()}: {problem['msg']}. {field.description} Example: {example}")
        raise SettingsError("\n".join(lines)) from None

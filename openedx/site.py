"""What operator commands must know of a site besides its plan: one YAML file, `--site FILE`."""

import unicodedata
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationError

from openedx.certificates.paths import CertificatePaths
from plans.fields import Duration, Identifier, PlanModel, Reference
from plans.services import Auth, NoAuth
from plans.yaml_reading import KeyPath, Problem, read_yaml

#: What the driver's scripts do unless they are told otherwise.
_ARCHIVE_BATCH, _GUARD, _BATCH, _COOL_OFF_DAYS = 100, 300, 200, 7
#: What the model's library would say in words of its own.
_IN_WORDS = {
    "missing": "is required, and isn't there; add it",
    "extra_forbidden": "is no setting of a site; check its spelling, or remove it",
    "string_pattern_mismatch": "has characters that it can't have; see the example, openedx/site.yaml",
    "string_type": "isn't a text; write one",
    "path_type": "isn't a path; write one",
}


class SiteError(Exception):
    """A site's file that can't be used. The text lists every problem as `file:line: key.path: what is wrong; how to mend`."""


class DirectoryPlace(PlanModel):
    """A folder of this machine, or one that is mounted there."""

    directory: Path = Field(description="The folder; it has to be there.")


class BucketPlace(PlanModel):
    """A bucket of an object store that speaks S3."""

    bucket: str = Field(min_length=1, max_length=255, description="The bucket's name; it has to be there.")
    prefix: str = Field(default="", description="Put before every key, as `retirement/`.")
    region: str = Field(default="us-east-1", min_length=1, description="The region that requests are signed for.")
    endpoint: str | None = Field(
        default=None, description="The store's address, where it isn't Amazon's: https://minio.example.org"
    )
    access_key_id: Reference = Field(default="${env:AWS_ACCESS_KEY_ID}", description="Who we are, as a reference.")
    secret_access_key: Reference = Field(
        default="${env:AWS_SECRET_ACCESS_KEY}", description="The secret, as a reference."
    )
    session_token: Reference | None = Field(
        default=None, description="Beside keys that last for a while only: the session's token, as a reference."
    )
    encryption: Literal["AES256", "aws:kms", "none"] = Field(
        default="AES256",
        description="How the store encrypts objects at rest; `none` leaves it to the bucket's own setting.",
    )


def _kind_of_place(data: object) -> str:
    return (
        "directory"
        if isinstance(data, DirectoryPlace) or (isinstance(data, dict) and "directory" in data)
        else "bucket"
    )


Place = Annotated[
    Annotated[DirectoryPlace, Tag("directory")] | Annotated[BucketPlace, Tag("bucket")],
    Discriminator(_kind_of_place),
]


class Collect(PlanModel):
    """How many learners a sweep may bring in."""

    guard: int = Field(default=_GUARD, ge=0, description="More new learners than this in one sweep: nobody is started.")
    batch: int = Field(default=_BATCH, ge=1, description="Most runs of due learners that one sweep starts.")
    paused: bool = Field(default=False, description="Start nobody; what runs goes on.")


class Archive(PlanModel):
    """Where learners who are done are archived before the LMS forgets them."""

    to: Place = Field(description="`{bucket: …}` or `{directory: …}`.")
    batch_size: int = Field(default=_ARCHIVE_BATCH, ge=1, le=5000, description="Learners in one object.")
    pause: Duration = Field(default=timedelta(seconds=10), description="Between two batches.")
    cool_off_days: int = Field(default=37, ge=0, description="Learners stay this long after their request at least.")
    fields: Literal["full", "minimal"] = Field(
        default="full", description="`minimal` leaves out original username, e-mail and name."
    )
    retention_days: int | None = Field(default=None, ge=1, description="When an object expires. Default: never.")


def _as_partners_call_themselves(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


PartnerName = Annotated[str, Field(min_length=1), AfterValidator(_as_partners_call_themselves)]


class Reports(PlanModel):
    """What partners are told about learners of theirs."""

    platform: str = Field(min_length=1, description="Part of each file's name.")
    partners: dict[str, tuple[PartnerName, ...]] = Field(
        default={}, description="The partners of each organisation, by its name in the LMS."
    )
    to: Place | None = Field(
        default=None, description="One folder a partner is below it: `{directory: …}` or `{bucket: …, prefix: …}`."
    )
    retention_days: int | None = Field(
        default=None, ge=1, description="Reports older than this are destroyed daily. Default: never."
    )


class BlankByCommand(PlanModel):
    """The LMS' own command, started where this product runs."""

    command: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments; `--certificate_ids` and the ids are put behind them."
    )
    timeout: Duration = Field(
        default=timedelta(minutes=4), description="How long a run over at most 100 ids may take; it is ended then."
    )


class BlankByUrl(PlanModel):
    """An endpoint of the site that takes `{"certificate_ids": […]}`."""

    url: Reference = Field(description="Its address.")
    auth: Auth = Field(default=NoAuth(), description="How a call shows who it is, as for a plan's service.")
    timeout: Duration = Field(default=timedelta(minutes=2), description="How long one call may take.")


def _kind_of_blanking(data: object) -> str:
    return "url" if isinstance(data, BlankByUrl) or (isinstance(data, dict) and "url" in data) else "command"


class Certificates(PlanModel):
    """PDF certificates outside the LMS."""

    listing: Path | None = Field(default=None, description="The CSV that was exported from the LMS' database.")
    files: Place = Field(description="Where the files are: `{directory: …}` or `{bucket: …, prefix: …}`.")
    paths: CertificatePaths = Field(default=CertificatePaths(), description="The files' paths below it.")
    blank: Annotated[
        Annotated[BlankByCommand, Tag("command")] | Annotated[BlankByUrl, Tag("url")], Discriminator(_kind_of_blanking)
    ] = Field(description="How the LMS forgets a certificate's links: `{command: […]}` or `{url: …}`.")


class Usernames(PlanModel):
    """Services, besides the LMS and its forum, that know learners by their usernames."""

    ecommerce: Reference | None = Field(default=None, description="Its address.")
    discovery: Reference | None = Field(default=None, description="Its address.")
    credentials: Reference | None = Field(default=None, description="Its address.")


def _days(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is no number of days; write one, as 7")
    return value


class Site(PlanModel):
    """A site."""

    site: Identifier = Field(description="The site's id: learners run as `<site>-<id of their row>`. Never change it.")
    plan: Identifier = Field(description="The plan's name.")
    cool_off_days: Annotated[int, BeforeValidator(_days)] = Field(
        default=_COOL_OFF_DAYS, ge=0, description="Days between a learner's request and the first step."
    )
    collect: Collect = Field(default=Collect(), description="How many learners a sweep may bring in.")
    archive: Archive | None = Field(default=None, description="For `retire openedx archive`.")
    reports: Reports | None = Field(
        default=None, description="For `retire openedx partner-report` and `destroy-reports`."
    )
    certificates: Certificates | None = Field(default=None, description="For `retire openedx purge-certificates`.")
    usernames: Usernames = Field(default=Usernames(), description="For `retire openedx replace-usernames`.")
    kept: dict[str, Any] = Field(default={}, description="Keys of the driver's file that nothing here reads.")


def load_site(path: Path) -> Site:
    """Read a site's file.

    Raises:
        SiteError: it can't be used; the text holds no value of the file.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SiteError(f"{path}: there is no such file; check the path") from None
    except OSError as error:
        raise SiteError(f"{path}: can't be read ({error.strerror}); check its kind and permissions") from None
    document = read_yaml(raw)
    if not document.problems and isinstance(document.data, dict):
        try:
            return Site.model_validate(document.data)
        except ValidationError as refused:
            problems = [
                document.problem(_place_of(each["loc"]), _told(each["type"], each["msg"]))
                for each in refused.errors(include_url=False, include_input=False)
            ]
    else:
        problems = document.problems or [Problem(line=1, where="", what="isn't a mapping; begin with `site: <id>`")]
    raise SiteError("\n".join(problem.told(str(path)) for problem in sorted(problems))) from None


def _place_of(loc: tuple[str | int, ...]) -> KeyPath:
    """The place in the file: pydantic puts the kind of a place (`directory`, `bucket`) before what is in it."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        is_kind = (
            part in ("directory", "bucket", "command", "url") and index and loc[index - 1] in ("to", "files", "blank")
        )
        if not is_kind:
            path.append(part)
    return tuple(path)


def _told(kind: str, message: str) -> str:
    if kind in _IN_WORDS:
        return _IN_WORDS[kind]
    said = message.removeprefix("Value error, ")
    return said if kind == "value_error" else f"can't be used: {said[:1].lower()}{said[1:]}"

"""Reading the driver's configuration file (YAML or JSON): what it says, and everything wrong with it, by line.

Nothing is called. A value of the file is never told: it may be a secret in the wrong place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from openedx.driver_doubts import doubts_about
from openedx.kept import without_secrets
from openedx.methods import SERVICES, Kind
from openedx.pipeline import ExtraService, Row, read_extra_services, read_pipeline
from plans.yaml_reading import Document, KeyPath, Problem, Severity, dotted, read_yaml

#: Keys of the file that are read here; the secrets and settings of services stand in the table of methods.
_OWN = frozenset(
    {
        "client_id",
        "client_secret",
        "oauth_token_url",
        "base_urls",
        "retirement_pipeline",
        "fetch_ecommerce_segment_id",
        "s3_archive",
        "partner_report_platform_name",
        "org_partner_mapping",
        "EXTRA_SERVICES_TO_RETIRE_FROM",
    }
)
#: Known, and read by nothing here: kept as they are.
_ONLY_KEPT = frozenset(
    {
        "drive_partners_folder",
        "denied_notification_domains",
        "hubspot_aws_region",
        "hubspot_from_address",
        "hubspot_alert_email",
        "salesforce_domain",
        "salesforce_assignee",
    }
)
_SECRETS = frozenset(key for service in SERVICES.values() for key in service.secrets)
_SETTINGS = frozenset(
    key for service in SERVICES.values() for key in (*service.settings, service.address_key or "") if key
)
_BASE_URLS = tuple(service.base_url_key for service in SERVICES.values() if service.base_url_key is not None)
_UNKNOWN = "is no key that is known here, so nothing reads it; the site's file keeps it"
_NEEDED = "nothing works without it"
#: YAML 1.1, which the driver reads, has more words for a truth value than plans have.
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


@dataclass(frozen=True, kw_only=True)
class DriverFile:
    """What the file says; no secret is in it."""

    client_id: str
    base_urls: Mapping[str, str]
    token_url: str | None
    rows: tuple[Row, ...]
    extra_services: Mapping[str, ExtraService]
    fetch_tracking_id: bool
    #: Settings of vendors that aren't secret, by key.
    settings: Mapping[str, str]
    bucket: str | None
    platform: str | None
    partners: Mapping[str, tuple[str, ...]]
    #: What nothing here reads, without its secrets.
    kept: Mapping[str, Any] = field(default_factory=dict)


def read_driver_file(
    raw: bytes, *, prefix: str, keep_dead: bool = False
) -> tuple[DriverFile | None, tuple[Problem, ...]]:
    """The file, None where it can't be used, and its problems by line: errors and warnings.

    `prefix` begins the names of the variables that stand for secrets. `keep_dead` takes rows of withdrawn methods that could
    still be called, with a warning.
    """
    if not raw.strip():
        return None, (Problem(line=1, where="", what="is empty; name the driver's configuration file"),)
    document = read_yaml(raw)
    if document.problems:
        return None, tuple(sorted(document.problems))
    if not isinstance(document.data, dict):
        return None, (document.problem((), "isn't a mapping of keys; name the driver's configuration file"),)
    reading = _Reading(document, prefix=prefix, keep_dead=keep_dead)
    file = reading.file()
    problems = tuple(sorted(set(reading.problems)))
    refused = any(problem.severity is Severity.ERROR for problem in problems)
    return None if refused else file, problems


class _Reading:
    """Reads key by key, and goes on after a mistake so that all are told."""

    def __init__(self, document: Document, *, prefix: str, keep_dead: bool) -> None:
        self._document = document
        self._data: dict[str, Any] = document.data
        self._prefix = prefix
        self._keep_dead = keep_dead
        self.problems: list[Problem] = []

    def file(self) -> DriverFile:
        client_id = self._text(("client_id",), needed=True)
        if self._data.get("client_secret") in (None, ""):
            self._missing(("client_secret",), _NEEDED)
        elif isinstance(self._data["client_secret"], dict | list | bool):
            self._error(("client_secret",), "isn't a text; write one")
        urls = self._base_urls()
        extra = read_extra_services(self._document, address=self._address, refuse=self._error)
        rows = read_pipeline(
            self._document, extra=extra, keep_dead=self._keep_dead, refuse=self._error, warn=self._warning
        )
        settings = self._settings(rows)
        fetches = self._truth("fetch_ecommerce_segment_id")
        if fetches and not self._at(("base_urls", "ecommerce")):
            self._error(("fetch_ecommerce_segment_id",), "needs base_urls.ecommerce, which is missing; add it")
        users: dict[str, Row] = {}
        for row in rows:
            users.setdefault(row.method.service, row)
        for row in users.values():
            self._service(row)
        for path, what in doubts_about(rows, self._data):
            self._warning(path, what)
        return DriverFile(
            client_id=client_id or "",
            base_urls=urls,
            token_url=self._address(("oauth_token_url",)) if "oauth_token_url" in self._data else None,
            rows=rows,
            extra_services=extra,
            fetch_tracking_id=fetches,
            settings=settings,
            bucket=self._bucket(),
            platform=self._text(("partner_report_platform_name",)),
            partners=self._partners(),
            kept=self._kept(),
        )

    def _error(self, path: KeyPath, what: str) -> None:
        self.problems.append(self._document.problem(path, what, check="driver-file"))

    def _warning(self, path: KeyPath, what: str) -> None:
        self.problems.append(self._document.problem(path, what, severity=Severity.WARNING, check="driver-file"))

    def _missing(self, path: KeyPath, why: str) -> None:
        self._error(path, f"is missing, and {why}; add it")

    def _at(self, path: KeyPath) -> Any:
        here: Any = self._data
        for part in path:
            if isinstance(here, list) and isinstance(part, int):
                here = here[part]
            else:
                here = here.get(part) if isinstance(here, dict) else None
        return here

    def _text(self, path: KeyPath, *, needed: bool = False) -> str | None:
        """A text; numbers count as their digits. `${` and `{{` would become something else in a plan."""
        value = self._at(path)
        if value is None or value == "":
            if needed:
                self._missing(path, _NEEDED)
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            self._error(path, "isn't a text; write one")
            return None
        text = str(value)
        if "${" in text or "{{" in text or not text.isprintable():
            self._error(path, "has ${, {{ or a character that can't be printed; write the value itself")
            return None
        return text

    def _truth(self, key: str) -> bool:
        value = self._data.get(key)
        if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        if value is None or isinstance(value, bool):
            return bool(value)
        self._error((key,), "is neither true nor false; write one of them")
        return False

    def _address(self, path: KeyPath) -> str | None:
        """An address without slashes at its end."""
        text = self._text(path)
        if text is None:
            return None
        try:
            parts = urlsplit(text)
            is_whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:
            is_whole = False
        if not is_whole or any(character.isspace() for character in text):
            self._error(path, "isn't an absolute address; begin with https:// and the host")
        elif parts.username is not None or parts.password is not None:
            self._error(path, "has credentials in it, which would get into the plan; take them out")
        elif parts.query or parts.fragment:
            self._error(path, "has a ? or #, and paths are put behind it; take it out")
        else:
            return text.rstrip("/")
        return None

    def _base_urls(self) -> dict[str, str]:
        urls = self._data.get("base_urls")
        if not isinstance(urls, dict):
            if urls is None:
                self._missing(("base_urls", "lms"), "every learner is looked up there")
            else:
                self._error(("base_urls",), "isn't a mapping of services to addresses; write lms: https://…")
            return {}
        if not urls.get("lms"):
            self._missing(("base_urls", "lms"), "every learner is looked up there")
        read = {key: self._address(("base_urls", key)) for key in _BASE_URLS if urls.get(key)}
        return {key: address for key, address in read.items() if address is not None}

    def _service(self, row: Row) -> None:
        """What the service of a row can't do without. It is missed where it is used."""
        service = SERVICES.get(row.method.service)
        if service is None:
            return
        needed: list[KeyPath] = [(key,) for key in (*service.secrets, *service.settings)]
        if service.base_url_key is not None and service.kind is not Kind.LMS:
            needed.insert(0, ("base_urls", service.base_url_key))
        if self._data.get(service.address_key or ""):
            # Another address stands in place of the one that these are parts of.
            needed = [path for path in needed if f"{{{path[-1]}}}" not in (service.address or "")]
        for path in needed:
            value = self._at(path)
            if value is None or value == "":
                at: KeyPath = ("retirement_pipeline", row.index)
                self._error(at, f"needs {dotted(path)}, which is missing; add it")
            elif path[-1] in service.secrets and isinstance(value, dict | list | bool):
                self._error(path, "isn't a text; write one")

    def _settings(self, rows: tuple[Row, ...]) -> dict[str, str]:
        """Those of services that the pipeline uses; they become parts of addresses and paths."""
        read: dict[str, str] = {}
        for service in (SERVICES[name] for name in {row.method.service for row in rows} if name in SERVICES):
            if service.address_key is not None and self._data.get(service.address_key):
                address = self._address((service.address_key,))
                read |= {service.address_key: address} if address is not None else {}
            for key in service.settings:
                text = self._text((key,))
                if text is None or service.kind is Kind.BY_HAND:
                    continue
                if not all(character.isalnum() or character in "-_." for character in text):
                    self._error((key,), "has characters that no address has; write letters, digits, -, _ and dots")
                    continue
                read[key] = text
        return dict(sorted(read.items()))

    def _bucket(self) -> str | None:
        archive = self._data.get("s3_archive")
        if archive is None:
            return None
        if not isinstance(archive, dict):
            self._error(("s3_archive",), "isn't a mapping; write bucket_name: … below it")
            return None
        return self._text(("s3_archive", "bucket_name"))

    def _partners(self) -> dict[str, tuple[str, ...]]:
        mapping = self._data.get("org_partner_mapping")
        if mapping is None:
            return {}
        if not isinstance(mapping, dict):
            self._error(("org_partner_mapping",), "isn't a mapping of organisations to lists of partners")
            return {}
        partners: dict[str, tuple[str, ...]] = {}
        for org, names in mapping.items():
            if isinstance(names, list) and names and all(isinstance(name, str) and name for name in names):
                partners[org] = tuple(names)
            else:
                self._error(("org_partner_mapping", org), "isn't a list of partners' names; write [Name, …]")
        return partners

    def _kept(self) -> dict[str, Any]:
        """What nothing here reads. A secret among it is not kept, only the name of a variable for it."""
        unknown: dict[str, Any] = {}
        for key in self._data.keys() - (_OWN | _ONLY_KEPT | _SECRETS | _SETTINGS):
            self._warning((key,), _UNKNOWN)
            unknown[key] = self._data[key]
        for outer, inner in (("base_urls", _BASE_URLS), ("s3_archive", ("bucket_name",))):
            more = self._data.get(outer)
            for key, value in more.items() if isinstance(more, dict) else ():
                if key not in inner:
                    self._warning((outer, key), _UNKNOWN)
                    unknown.setdefault(outer, {})[key] = value
        kept = {key: value for key, value in self._data.items() if key in _ONLY_KEPT and value is not None}
        kept |= {key: without_secrets(value, name=key, prefix=self._prefix) for key, value in unknown.items()}
        return dict(sorted(kept.items()))

"""What tests may change about a site: its states, its version of the LMS, its credentials."""

from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.lms.states import COMMON_STATES, States


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A site as it is now. Every field can be changed while it runs; a reset brings the defaults back."""

    #: The table of retirement states, in order.
    states: tuple[str, ...] = COMMON_STATES
    client_id: str = "retirement"
    client_secret: str = field(default="stand-in-client-secret-7f3a", repr=False)
    #: Seconds until a token that is issued from now on expires.
    token_lifetime: float = 3600
    #: Does the token endpoint say `expires_in`?
    tells_expiry: bool = True
    #: May the service account retire? Otherwise its calls to the LMS are answered with 403.
    may_retire: bool = True
    #: May it cancel (`change_userretirementstatus`)?
    may_cancel: bool = True
    #: The path below which the LMS is served, such as `/campus`; the services beside it are not moved.
    prefix: str = ""
    #: The path of the site's own service, below /extra.
    extra_path: str = "api/forget"
    #: Names of routes that this site's version lacks: 404 with and without credentials.
    missing_routes: tuple[str, ...] = ()
    #: Does L1 find a username in other letter case, as a case-insensitive collation of MySQL does?
    lookup_ignores_case: bool = False
    #: Does the cleanup take `redacted_username` and so on, as newer versions do?
    redacts_at_cleanup: bool = True
    #: `ENABLE_ACCOUNT_DELETION`.
    account_deletion: bool = True
    #: Field headings of partner reports by organisation, which older versions send as `orgs_config`.
    orgs_config: dict[str, list[str]] = field(default_factory=dict)
    #: By service (lms, ecommerce, …): old usernames that it fails to replace.
    failing_replacements: dict[str, list[str]] = field(default_factory=dict)
    #: Ids of certificates whose links can't be blanked.
    failing_certificates: tuple[int, ...] = ()
    segment_slug: str = "stand-in"
    segment_token: str = field(default="stand-in-segment-token-91bc", repr=False)
    braze_key: str = field(default="stand-in-braze-key-27de", repr=False)
    amplitude_key: str = field(default="stand-in-amplitude-key-40aa", repr=False)
    amplitude_secret: str = field(default="stand-in-amplitude-secret-5e11", repr=False)
    hubspot_key: str = field(default="stand-in-hubspot-key-c8f0", repr=False)
    #: False for benchmarks: requests are counted, not kept.
    records: bool = True

    def __post_init__(self) -> None:
        States(names=self.states)

    @classmethod
    def read(cls, raw: Any) -> "Settings":
        """Read settings from JSON; what is left out has its default.

        Raises:
            ValueError: an unknown field, or states that no LMS would hold.
        """
        known = {each.name for each in fields(cls)}
        if not isinstance(raw, dict) or not set(raw) <= known:
            raise ValueError(f"settings are an object with any of: {', '.join(sorted(known))}")
        tuples = ("states", "missing_routes", "failing_certificates")
        given: dict[str, Any] = {name: tuple(value) if name in tuples else value for name, value in raw.items()}
        return cls(**given)

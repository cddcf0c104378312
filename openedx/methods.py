"""What the driver's pipeline may name: each service and method with the call it stands for, as a step of a plan.

A method is a service and a name, as the driver's file writes them. Paths, bodies and rules are those of the LMS and its
neighbours (Open edX: retirement); whatever a site has otherwise is changed in the plan afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a service is, which decides how it is asked."""

    #: The LMS: the account is there, and the row.
    LMS = "lms"
    #: A service of the site that takes the LMS' tokens.
    OPEN_EDX = "open_edx"
    #: A company's service with keys of its own.
    VENDOR = "vendor"
    #: Nothing is called: a person does it.
    BY_HAND = "by_hand"


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service of the driver's file."""

    #: How rows of the pipeline write it, and how a plan does.
    name: str
    id: str
    kind: Kind
    #: The key of `base_urls` that has its address; None for vendors, whose address is known.
    base_url_key: str | None = None
    #: A vendor's address: `{key}` stands for a key of the file. `address_key` is one that holds another address.
    address: str | None = None
    address_key: str | None = None
    #: Keys of the file that it can't do without: those that are secret, and the others.
    secrets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    #: How a vendor is shown who asks; values name keys of the file.
    auth: Mapping[str, str] = field(default_factory=dict)
    #: What to know about it, as a comment in the plan.
    comment: str = ""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of a service: the step that it becomes."""

    service: str
    name: str
    #: Method and path of HTTP; `{key}` stands for a key of the file. Empty where nothing is called.
    verb: str = ""
    path: str = ""
    #: The body, as a plan writes it; None is an empty one.
    body: Any = None
    #: The body where the site doesn't fetch tracking ids: a plan may name only what somebody asks for.
    body_without_tracking_id: Any = None
    #: Answers that mean that the learner isn't there, provided that the route exists. Elsewhere they are errors.
    absent: tuple[int, ...] = ()
    #: More of the step: `done_when`, `find`, `save`, `follow_up`, `manual`.
    more: Mapping[str, Any] = field(default_factory=dict)
    #: Why nobody can tell afterwards that it was done.
    unprobed: str = ""
    #: Warned of at the import.
    doubt: str = ""
    #: Why Open edX has withdrawn it; the import refuses it.
    withdrawn: str = ""
    comment: str = ""


_NOT_FOUND = (404, 410)
_USERNAME = {"username": "{{ subject.username }}"}
_NO_CALL = "the service has no call that tells"
_ASYNCHRONOUS = "the vendor only accepts the request; follow_up asks what became of it"
#: Strings, in this order; without a tracking id there is no third one.
_SEGMENT_USERS = (
    "{{ [subject.lms_user_id | string, subject.username] + "
    "([subject.tracking_id | string] if subject.tracking_id else []) }}"
)
_SEGMENT_USERS_WITHOUT = "{{ [subject.lms_user_id | string, subject.username] }}"
#: First after an hour, then daily, for 60 days.
_ASKED = {"first": "1h", "every": "1d", "for": "60d"}

SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service(name="LMS", id="lms", kind=Kind.LMS, base_url_key="lms"),
        Service(name="CREDENTIALS", id="credentials", kind=Kind.OPEN_EDX, base_url_key="credentials"),
        Service(name="ECOMMERCE", id="ecommerce", kind=Kind.OPEN_EDX, base_url_key="ecommerce"),
        Service(name="LICENSE_MANAGER", id="license_manager", kind=Kind.OPEN_EDX, base_url_key="license_manager"),
        Service(name="DEMOGRAPHICS", id="demographics", kind=Kind.OPEN_EDX, base_url_key="demographics"),
        Service(name="DISCOVERY", id="discovery", kind=Kind.OPEN_EDX, base_url_key="discovery"),
        Service(
            name="SEGMENT",
            id="segment",
            kind=Kind.VENDOR,
            base_url_key="segment",
            secrets=("segment_auth_token",),
            settings=("segment_workspace_slug",),
            auth={"type": "bearer", "token": "segment_auth_token"},
        ),
        Service(
            name="BRAZE",
            id="braze",
            kind=Kind.VENDOR,
            address="https://rest.{braze_instance}.braze.com",
            address_key="braze_base_url",
            secrets=("braze_api_key",),
            settings=("braze_instance",),
            auth={"type": "bearer", "token": "braze_api_key"},
        ),
        Service(
            name="AMPLITUDE",
            id="amplitude",
            kind=Kind.VENDOR,
            address="https://amplitude.com",
            address_key="amplitude_base_url",
            secrets=("amplitude_api_key", "amplitude_secret_key"),
            auth={"type": "basic", "username": "amplitude_api_key", "password": "amplitude_secret_key"},
        ),
        Service(
            name="HUBSPOT",
            id="hubspot",
            kind=Kind.VENDOR,
            address="https://api.hubapi.com",
            address_key="hubspot_base_url",
            secrets=("hubspot_api_key",),
            auth={"type": "bearer", "token": "hubspot_api_key"},
        ),
        Service(
            name="SALESFORCE",
            id="salesforce",
            kind=Kind.BY_HAND,
            secrets=("salesforce_user", "salesforce_password", "salesforce_token"),
            settings=("salesforce_domain", "salesforce_assignee"),
        ),
        Service(name="SAILTHRU", id="sailthru", kind=Kind.VENDOR),
    )
}

#: The last of what is done at the LMS and the site's own services: it renames and deactivates the account.
LAST = ("LMS", "retirement_lms_retire")
PARTNERS = ("LMS", "retirement_partner_queue")
#: The one method of a service that is named in EXTRA_SERVICES_TO_RETIRE_FROM.
EXTRA_METHOD = "retire_learner"


def _suppressed(users: str) -> dict[str, Any]:
    return {"regulation_type": "Suppress_With_Delete", "attributes": {"name": "userId", "values": users}}


def _lms(name: str, path: str, **more: Any) -> Method:
    given = {"verb": "POST", "body": _USERNAME, "unprobed": "the LMS has no call that tells", **more}
    return Method(service="LMS", name=name, path=path, **given)


_ALL: tuple[Method, ...] = (
    _lms("retirement_retire_forum", "/api/discussion/v1/accounts/retire_forum/", absent=_NOT_FOUND),
    _lms(
        "retirement_retire_mailings",
        "/api/user/v1/accounts/retire_mailings/",
        doubt="current LMS versions have no such call any more, as retirement_lms_retire_misc does it: "
        "`retire openedx check` tells whether yours has; if not, remove the row",
        comment="Gone from current LMS versions, where retire_misc does it: see `retire openedx check`.",
    ),
    _lms(
        "retirement_unenroll",
        "/api/enrollment/v1/unenroll/",
        comment="Some LMS versions have it at /api/enrollment/v1/enrollment/unenroll/: change the path, if yours does.",
    ),
    _lms("retirement_retire_notes", "/api/edxnotes/v1/retire_user/"),
    _lms("retirement_lms_retire_misc", "/api/user/v1/accounts/retire_misc/"),
    _lms(
        "retirement_lms_retire",
        "/api/user/v1/accounts/retire/",
        comment="Renames and deactivates the account: the last at the LMS and the site's own services.",
    ),
    _lms(
        "retirement_partner_queue",
        "/api/user/v1/accounts/retirement_partner_report/",
        verb="PUT",
        comment="Only queues the learner: `retire openedx partner-report` tells the partners.",
    ),
    _lms(
        "retirement_retire_proctoring_data",
        "/api/edx_proctoring/v1/retire_user/{{ subject.lms_user_id }}/",
        body=None,
    ),
    _lms(
        "retirement_retire_proctoring_backend_data",
        "/api/edx_proctoring/v1/retire_backend_user/{{ subject.lms_user_id }}/",
        body=None,
        more={"done_when": "not (body is mapping and false in (body.values() | list))"},
        comment="The answer tells it for each backend: while one says false, it is asked again.",
    ),
    _lms(
        "retirement_deactivate_logout",
        "/api/user/v1/accounts/deactivate_logout/",
        withdrawn="it can't work, as the LMS wants the learner's own password for it, and the request for retirement "
        "has locked the account anyway",
    ),
    Method(
        service="CREDENTIALS",
        name="retire_learner",
        verb="POST",
        path="/user/retire/",
        body=_USERNAME,
        unprobed=_NO_CALL,
    ),
    Method(
        service="ECOMMERCE",
        name="retire_learner",
        verb="POST",
        path="/api/v2/user/retire/",
        body=_USERNAME,
        unprobed=_NO_CALL,
        comment="Most ecommerce versions have no such call: see `retire openedx check`.",
    ),
    Method(
        service="LICENSE_MANAGER",
        name="retire_learner",
        verb="POST",
        path="/api/v1/retire_user/",
        body={"lms_user_id": "{{ subject.lms_user_id }}", "original_username": "{{ subject.username }}"},
        absent=_NOT_FOUND,
        unprobed=_NO_CALL,
    ),
    Method(
        service="DEMOGRAPHICS",
        name="retire_learner",
        verb="POST",
        path="/demographics/api/v1/retire_demographics/",
        body={"lms_user_id": "{{ subject.lms_user_id }}"},
        absent=_NOT_FOUND,
        unprobed=_NO_CALL,
    ),
    Method(
        service="SEGMENT",
        name="delete_and_suppress_learner",
        verb="POST",
        path="/v1beta/workspaces/{segment_workspace_slug}/regulations",
        body=_suppressed(_SEGMENT_USERS),
        body_without_tracking_id=_suppressed(_SEGMENT_USERS_WITHOUT),
        more={
            "save": {"regulate_id": "body.regulate_id"},
            "follow_up": {
                "request": {
                    "method": "GET",
                    "path": "/v1beta/workspaces/{segment_workspace_slug}/regulations/{{ saved.{step}.regulate_id }}",
                },
                "done": "body.overall_status == 'FINISHED'",
                "failed": "body.overall_status in ['FAILED', 'INVALID', 'PARTIAL_SUCCESS']",
                **_ASKED,
            },
        },
        unprobed=_ASYNCHRONOUS,
    ),
    Method(
        service="BRAZE",
        name="delete_user",
        verb="POST",
        path="/users/delete",
        body={"external_ids": ["{{ subject.lms_user_id | string }}"]},
        unprobed="the vendor only accepts the request, and has no call that tells",
    ),
    Method(
        service="AMPLITUDE",
        name="delete_user",
        verb="POST",
        path="/api/2/deletions/users",
        body={
            "user_ids": ["{{ subject.lms_user_id | string }}"],
            "ignore_invalid_id": "true",
            "requester": "user-retirement-pipeline",
        },
        more={
            "save": {"day": "(body if body is mapping else body[0]).day"},
            "follow_up": {
                "request": {
                    "method": "GET",
                    "path": "/api/2/deletions/users",
                    "query": {"start_day": "{{ saved.{step}.day }}", "end_day": "{{ saved.{step}.day }}"},
                },
                "done": "(body | map(attribute='status') | unique | list) == ['done']",
                **_ASKED,
            },
        },
        unprobed=_ASYNCHRONOUS,
    ),
    Method(
        service="HUBSPOT",
        name="delete_user",
        verb="DELETE",
        path="/contacts/v1/contact/vid/{{ saved.{step}.vid }}",
        absent=_NOT_FOUND,
        more={
            "find": {
                "request": {"method": "GET", "path": "/contacts/v1/contact/email/{{ subject.email }}/profile"},
                "save": {"vid": "body.vid"},
                "absent": [404, 410],
            }
        },
        unprobed="the vendor's search for a contact that was just deleted is not to be relied on",
    ),
    Method(
        service="SALESFORCE",
        name="retire_learner",
        more={
            "manual": "In Salesforce, look for a Lead with the learner's e-mail address (`retire work show` has it), "
            "and delete or anonymise every one. "
            "Where there is none, nothing is to be done."
        },
        comment="Nothing is called: the step is an open work item until somebody says that it is done.",
    ),
    Method(
        service="SAILTHRU",
        name="delete_user",
        withdrawn="Open edX gave Sailthru up in 2021, and its driver has no code for it any more",
    ),
)

METHODS: Mapping[tuple[str, str], Method] = {(method.service, method.name): method for method in _ALL}
#: Why a service has no methods at all.
WITHOUT_METHODS: Mapping[str, str] = {
    "DISCOVERY": "it keeps nothing that a retirement erases, and is only asked when usernames are replaced",
}


def extra_method(*, service: str, path: str) -> Method:
    """The method of a service that is named in EXTRA_SERVICES_TO_RETIRE_FROM."""
    return Method(
        service=service,
        name=EXTRA_METHOD,
        verb="POST",
        path=f"/{path.strip('/')}/",
        body={"edx_lms_user_id": "{{ subject.lms_user_id }}"},
        unprobed=_NO_CALL,
    )


def methods_of(service: str) -> list[str]:
    """The methods of a service that can still be used."""
    return sorted(name for of, name in METHODS if of == service and not METHODS[of, name].withdrawn)

"""The driver's file as a plan and a site's file. Pure: the same file and options give the same texts, byte for byte."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from openedx.driver_file import DriverFile
from openedx.import_comments import PLAN_COMMENTS, PLAN_HEADING, SITE_COMMENTS, SITE_HEADING
from openedx.kept import reference_to, variable_for
from openedx.methods import SERVICES, Kind
from openedx.plan_steps import steps_of
from openedx.writing import write_yaml
from plans.model import Plan
from plans.worst_case import SHORTEST_MONTH, worst_case
from plans.yaml_reading import KeyPath, Problem, Severity
from workflows.durations import format_duration

_DAY = timedelta(days=1)
_CLIENT_SECRET = "client_secret"  # noqa: S105 - the name of a key
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9_-]+")
#: The id of a site whose address is a number.
_NAMELESS = "openedx"
#: What one request may take at most: those about states, and (in each step) those that erase.
_STATUS_TIMEOUT = "30s"
_ACCOUNTS = "/api/user/v1/accounts"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the driver is given besides its file, and how things are called here."""

    plan: str
    site: str | None = None
    cool_off_days: int = 7
    #: USER_COUNT_ERROR_THRESHOLD and MAX_USER_BATCH_SIZE.
    guard: int = 300
    batch: int = 200
    #: Variables for secrets are called PREFIX_NAME_OF_THE_KEY.
    prefix: str = "OPENEDX"
    #: Who is mailed about what is held or ERRORED, and by whom. Learners are never written to: the LMS does that.
    operators: tuple[str, ...] = ()
    mail_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The two files, and what whoever runs them has to know."""

    site_id: str
    plan: str
    site: str
    #: Variables that have to be set where workers and commands run; the names only.
    variables: tuple[str, ...]
    problems: tuple[Problem, ...]


def import_site(file: DriverFile, *, options: Options) -> Imported:
    """The plan and the site's file that do what the driver does with this file."""
    plan, comments = _plan(file, options)
    problems = _fit_deadline(plan, options)
    site_id = options.site or site_id_of(file.base_urls["lms"])
    site = _site(file, site_id=site_id, options=options)
    return Imported(
        site_id=site_id,
        plan=write_yaml(
            plan,
            heading=PLAN_HEADING,
            comments=comments,
            blocks=_blocks(plan),
        ),
        site=write_yaml(site, heading=SITE_HEADING, comments=SITE_COMMENTS, blocks={("reports",), ("archive",)}),
        variables=_variables(file, options),
        problems=problems,
    )


def site_id_of(address: str) -> str:
    """The first part of the LMS' host name: `courses` of https://courses.example.org."""
    host = urlsplit(address).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        name = _NOT_IN_AN_ID.sub("-", host.split(".")[0].lower()).strip("-_")
        return name if name[:1].isalpha() else _NAMELESS
    return _NAMELESS


def _plan(file: DriverFile, options: Options) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """The plan as data, and the comments that explain it."""
    steps, about_steps = steps_of(file)
    subject: dict[str, Any] = {
        "given": ["username", "row_id"],
        "lookup": {
            "service": "lms",
            "request": {"method": "GET", "path": f"{_ACCOUNTS}/{{{{ subject.username }}}}/retirement_status/"},
            "absent_when": "body.id != subject.row_id",
            "absent_unchecked": "without a request the LMS answers 404; `retire openedx check` proves its address",
            "fields": {
                "lms_user_id": "body.user.id",
                "email": "body.original_email",
                "name": "body.original_name",
                "retired_username": "body.retired_username",
                "retired_email": "body.retired_email",
            },
        },
    }
    if file.fetch_tracking_id:
        subject["also"] = {
            "tracking_id": {
                "service": "ecommerce",
                "request": {"method": "GET", "path": "/api/v2/retirement/tracking_id/{{ subject.username }}/"},
                "value": "body.ecommerce_tracking_id",
                "absent": [404, 410],
                "otherwise_null": True,
                "patience": "24h",
            }
        }
    plan = {
        "plan": options.plan,
        "subject": subject,
        "mirror": _mirror(),
        "hold_for": "7d",
        "deadline": "gdpr",
        "cool_off": {"duration": f"{options.cool_off_days}d", "expedite": "allowed"},
        **_mail(options),
        "services": _services(file, options),
        "steps": steps,
    }
    if options.cool_off_days == 0:
        plan["cool_off"] = {"duration": 0}
    comments = {path: text for path, text in PLAN_COMMENTS.items() if _is_in(plan, path)}
    return plan, comments | {("steps", id): text for id, text in about_steps.items()}


def _mail(options: Options) -> dict[str, Any]:
    if not options.operators:
        return {}
    sender = options.mail_from or options.operators[0]
    return {"mail": {"from": sender, "to_person": False, "operators": list(options.operators)}}


def _mirror() -> dict[str, Any]:
    return {
        "service": "lms",
        "state": "body.current_state.state_name",
        "moved_at": "body.modified",
        "same_when": "body.original_username == subject.username",
        "update": {
            "method": "PATCH",
            "path": f"{_ACCOUNTS}/update_retirement_status/",
            "json": {
                "username": "{{ subject.username }}",
                "new_state": "{{ mirror.state }}",
                "response": "{{ mirror.note }}",
            },
        },
        "cancel": {
            "method": "POST",
            "path": f"{_ACCOUNTS}/cancel_retirement/",
            "json": {"retirement_id": "{{ subject.row_id }}"},
        },
        "cancel_by_hand": "manage.py lms cancel_user_retirement_request <e-mail of the learner>",
        "waiting": "PENDING",
        "errored": "ERRORED",
        "aborted": "ABORTED",
        "complete": "COMPLETE",
        "complete_note": "Learner retirement complete.",
        "mask": "[learner]",
        "adopt_after": "1h",
    }


def _services(file: DriverFile, options: Options) -> dict[str, Any]:
    """Those that the plan asks, each with everything that can be changed about it."""
    used = [row.method.service for row in file.rows]
    names = dict.fromkeys(["LMS", *(["ECOMMERCE"] if file.fetch_tracking_id else []), *used])
    services: dict[str, Any] = {}
    for name in names:
        known = SERVICES.get(name)
        if known is None:
            extra = file.extra_services[name]
            services[extra.id] = _with_token(file, options, base_url=extra.base_url)
        elif known.kind in (Kind.LMS, Kind.OPEN_EDX):
            services[known.id] = _with_token(file, options, base_url=file.base_urls[known.base_url_key or known.id])
        elif known.kind is Kind.VENDOR:
            address = file.base_urls.get(known.base_url_key or "") or file.settings.get(known.address_key or "")
            services[known.id] = {
                "base_url": address or (known.address or "").format(**file.settings),
                "auth": {
                    key: value if key == "type" else reference_to(value, prefix=options.prefix)
                    for key, value in known.auth.items()
                },
                **_manners(),
            }
    return services


def _with_token(file: DriverFile, options: Options, *, base_url: str) -> dict[str, Any]:
    """A service that takes the LMS' tokens; all of them share one."""
    return {
        "base_url": base_url,
        "auth": {
            "type": "oauth2_client_credentials",
            "token_url": file.token_url or f"{file.base_urls['lms']}/oauth2/access_token",
            "client_id": file.client_id,
            "client_secret": reference_to(_CLIENT_SECRET, prefix=options.prefix),
            "scheme": "JWT",
            "credentials": "body",
            "form": {"token_type": "jwt"},
        },
        "headers": {"Content-Type": "application/json"},
        **_manners(),
    }


def _manners() -> dict[str, Any]:
    return {"transient": [409], "permanent": [403], "limits": {"concurrent": 16}, "timeout": _STATUS_TIMEOUT}


def _fit_deadline(plan: dict[str, Any], options: Options) -> tuple[Problem, ...]:
    """A month where the worst case fits into it, else the shortest time it fits into; and how far people may put it off."""
    cool_off = _DAY * options.cool_off_days
    lasting = worst_case(Plan.model_validate(plan), cool_off=cool_off)
    slack = (SHORTEST_MONTH - lasting.total) // _DAY
    if slack >= 0:
        longest = min(2 * options.cool_off_days, options.cool_off_days + slack)
        if longest > options.cool_off_days:
            duration = plan["cool_off"].pop("duration")
            plan["cool_off"] = {"duration": duration, "max": f"{longest}d", **plan["cool_off"]}
        return ()
    days = -(-lasting.total // _DAY)
    plan["deadline"] = f"{days}d"
    what = (
        f"a learner's retirement may last {format_duration(lasting.total)} when every step fails for as long as it is tried "
        f"again, which is more than the month of GDPR Art. 12(3): the plan's deadline is {days}d. "
        "Shorten the cool-off, or patience in the plan, and write deadline: gdpr"
    )
    return (Problem(line=0, where="", what=what, severity=Severity.WARNING, check="deadline"),)


def _site(file: DriverFile, *, site_id: str, options: Options) -> dict[str, Any]:
    site: dict[str, Any] = {
        "site": site_id,
        "plan": options.plan,
        "cool_off_days": options.cool_off_days,
        "collect": {"guard": options.guard, "batch": options.batch, "paused": False},
    }
    if file.bucket is not None:
        site["archive"] = {
            "to": {"bucket": file.bucket},
            "batch_size": 100,
            "pause": "10s",
            "cool_off_days": options.cool_off_days + 30,
            "fields": "full",
        }
    if file.platform is not None:
        partners = {
            org: [unicodedata.normalize("NFKC", name) for name in names] for org, names in file.partners.items()
        }
        site["reports"] = {"platform": file.platform, "partners": partners}
    usernames = {
        name: file.base_urls[name] for name in ("ecommerce", "discovery", "credentials") if name in file.base_urls
    }
    if usernames:
        site["usernames"] = usernames
    if file.kept:
        site["kept"] = dict(file.kept)
    return site


def _variables(file: DriverFile, options: Options) -> tuple[str, ...]:
    used = dict.fromkeys(row.method.service for row in file.rows)
    keys = [value for name in used if name in SERVICES for key, value in SERVICES[name].auth.items() if key != "type"]
    return tuple(variable_for(key, prefix=options.prefix) for key in dict.fromkeys([_CLIENT_SECRET, *keys]))


def _blocks(plan: Mapping[str, Any]) -> set[KeyPath]:
    """What is read line by line, also where it would fit on one."""
    named: set[KeyPath] = {(section, id) for section in ("services", "steps") for id in plan[section]}
    return named | {("subject",), ("subject", "lookup"), ("subject", "also"), ("mirror",), ("services",), ("steps",)}


def _is_in(data: Mapping[str, Any], path: KeyPath) -> bool:
    here: Any = data
    for part in path:
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True

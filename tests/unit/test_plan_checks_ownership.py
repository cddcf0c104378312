"""Ways of handing over what somebody owned that are right, and not complained of; and what each lack is told as."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from plans.checks import findings_in
from plans.checks.findings import Check
from tests.support.plans import TEAM_PLAN

Data = dict[str, Any]

_TEAM: Data = yaml.safe_load(TEAM_PLAN.read_text())
_GET = {"method": "GET", "path": "/documents", "query": {"owner": "{{ user_id }}"}}
_PUT = {"method": "PUT", "path": "/documents/{{ asset.id }}/author", "json": {"author": "{{ pseudonym }}"}}
_MINE = {"id": "{{ user_id }}"}


def told(data: Data) -> list[Check]:
    return [finding.check for finding in findings_in(data, here=False)[1]]


def owned(**changes: Any) -> Data:
    """What the documents' service lists of a person."""
    return {"request": _GET, "items": "body.documents", "id": "item.id"} | changes


def handing_over(**changes: Any) -> Callable[[Data], None]:
    """Another step that hands documents over, without a successor unless it names one."""

    def change(data: Data) -> None:
        data["steps"]["drafts"] = {"phase": "transfer", "service": "documents", "assets": owned()} | changes

    return change


def _ghost(data: Data) -> None:
    """An account of nobody's is made first, and gets everything."""
    data["steps"]["ghost"] = {
        "phase": "transfer",
        "service": "accounts",
        "request": {"method": "PUT", "path": "/ghosts/{{ pseudonym }}"},
        "save": {"id": "body.id"},
    }
    request = {
        "method": "PUT",
        "path": "/documents/{{ asset.id }}/owner",
        "json": {"owner": "{{ saved.ghost.id }}", "expected": "{{ user_id }}"},
    }
    data["steps"]["drafts"] = {
        "phase": "transfer",
        "after": ["ghost"],
        "service": "documents",
        "assets": owned(),
        "request": request,
    }


def _reassigned(data: Data) -> None:
    """The service moves everything itself when the account goes."""
    profile = data["steps"]["profile"]
    profile["successor"] = "colleague"
    profile["request"] = profile["request"] | {"query": {"reassign_to": "{{ successor.id }}"}}


def _forced(data: Data) -> None:
    """Who takes over is named only where the plain erasure is refused."""
    forum = data["steps"]["forum"]
    forum["successor"] = "colleague"
    request = {"method": "POST", "path": "/authors/{{ user_id }}/merge", "json": {"into": "{{ successor.name }}"}}
    forum["on_permanent"] = {"request": request, "probe": forum["probe"]}


def _in_a_database(data: Data) -> None:
    data["services"]["crm"] = {"type": "sql", "database_url": "postgresql+psycopg://us:${env:P}@crm.example/crm"}
    data["steps"]["customers"] = {
        "phase": "transfer",
        "service": "crm",
        "successor": "colleague",
        "assets": {
            "request": {"sql": "SELECT id, name FROM customers WHERE agent = :id LIMIT 1000", "parameters": _MINE},
            "items": "body.rows",
            "id": "item.id",
            "title": "item.name",
            "type": "'customer'",
        },
        "request": {
            "sql": "UPDATE customers SET agent = :new WHERE id = :customer AND agent = :id",
            "parameters": {"new": "{{ successor.id }}", "customer": "{{ asset.id }}", **_MINE},
        },
    }


def _only_named(data: Data) -> None:
    policy = data["successors"]["colleague"]
    policy["named"] = "required"
    del policy["candidates"]


def _policy(**changes: Any) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        data["successors"]["colleague"] |= changes

    return change


def _suitable(**changes: Any) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        data["successors"]["colleague"]["suitable"] |= changes

    return change


def _mail(**changes: Any) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        data["mail"] |= changes

    return change


_ANONYMISED = owned(becomes="anonymised", settled_when="item.author == pseudonym", fields={"etag": "item.etag"})

RIGHT: dict[str, Callable[[Data], None]] = {
    "a deleted user of their own": _ghost,
    "keep with the name replaced": handing_over(
        assets=_ANONYMISED, request=_PUT | {"headers": {"If-Match": "{{ asset.etag }}"}}
    ),
    "delete": handing_over(
        assets=owned(becomes="deleted"),
        request={"method": "DELETE", "path": "/documents/{{ asset.id }}", "query": {"owner": "{{ user_id }}"}},
        absent=[404],
    ),
    "put into the bin": handing_over(
        assets=owned(becomes="deleted"),
        request={"method": "POST", "path": "/bin", "json": {"id": "{{ asset.id }}", "owner": "{{ user_id }}"}},
    ),
    "to the tenant's own archive": handing_over(
        request=_PUT | {"json": {"owner": "archive-{{ tenant }}", "expected": "{{ user_id }}"}}
    ),
    "a service that can't compare, and tells whose it is": handing_over(
        assets=owned(owner={"request": {"method": "GET", "path": "/documents/{{ asset.id }}"}, "value": "body.owner"}),
        request=_PUT | {"json": {"owner": "{{ pseudonym }}"}},
    ),
    "reassigned by the service": _reassigned,
    "named by the last resort only": _forced,
    "in a database": _in_a_database,
    "only whom the request names": _only_named,
    "only candidates": _policy(named="refused"),
    "a role holder by the answer's list": _suitable(when="'author' in body.roles and user_id not in body.team"),
    "all of an asset": handing_over(
        assets=owned(becomes="anonymised", settled_when="item.author == pseudonym", owner=None),
        request=_PUT | {"json": {"author": "{{ pseudonym }}", "was": "{{ user_id }}", "of": "{{ asset }}"}},
    ),
    "recipients": _mail(
        recipients=[
            {"address": "data@partner.example"},
            {"address": "{{ subject.email }}", "reference": "{{ tenant }}/{{ user_id }}"},
        ]
    ),
    "an admin by address": _mail(admins=["admins@sandbox.example", "{{ subject.email }}"]),
    "an alarm as soon as the deadline is over": _mail(deadline_near="0s"),
}


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_not_complained_of(change: Callable[[Data], None]) -> None:
    data = copy.deepcopy(_TEAM)
    change(data)
    assert data != _TEAM
    assert told(data) == []


def _without(*path: str) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        *outer, key = path
        here = data
        for part in outer:
            here = here[part]
        del here[key]

    return change


WRONG: dict[str, tuple[Callable[[Data], None], list[Check]]] = {
    "nobody to choose": (_policy(named="refused", candidates=[]), [Check.NOBODY_TO_CHOOSE]),
    "a constant role": (_suitable(when="user_id != successor.id"), [Check.CONSTANT]),
    "nobody's write": (handing_over(request=_PUT | {"json": {"owner": "x"}}), [Check.MOVED_WHERETO, Check.UNCOMPARED]),
    "saved by a later step": (
        handing_over(
            request=_PUT | {"json": {"owner": "{{ saved.late.id }}", "was": "{{ user_id }}"}}, assets=owned(owner=None)
        ),
        [Check.UNKNOWN_VALUE],
    ),
    "an admin of no fact": (_mail(admins=["{{ facts.leads }}"]), [Check.UNKNOWN_VALUE]),
    "no patience at all": (_policy(patience="0s"), [Check.NO_TIME]),
    "no successors": (
        _without("successors"),
        [Check.UNKNOWN_SUCCESSOR],
    ),
    "no mail": (_without("mail"), [Check.NO_MAIL]),
    "no suitable": (_without("successors", "colleague", "suitable"), [Check.MISSING]),
    "no list": (_without("steps", "documents", "assets", "items"), [Check.MISSING]),
}


@pytest.mark.parametrize(("change", "checks"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_told_once(change: Callable[[Data], None], checks: list[Check]) -> None:
    data = copy.deepcopy(_TEAM)
    change(data)
    assert told(data) == checks


@pytest.mark.parametrize(
    ("statement", "is_limited"),
    [
        ("SELECT id FROM customers WHERE agent = :id LIMIT 1000", True),
        ("select id from customers where agent = :id\nfetch first 500 rows only", True),
        ("SELECT TOP 1000 id FROM customers WHERE agent = :id", True),
        ("SELECT id FROM customers WHERE agent = :id", False),
        ("SELECT id, limits FROM customers WHERE agent = :id", False),
    ],
)
def test_a_database_lists_a_part_at_a_time(statement: str, is_limited: bool) -> None:
    data = copy.deepcopy(_TEAM)
    _in_a_database(data)
    data["steps"]["customers"]["assets"]["request"]["sql"] = statement
    assert told(data) == ([] if is_limited else [Check.SQL_LIMIT])


def test_what_an_earlier_transfer_step_saves_needs_its_after() -> None:
    data = copy.deepcopy(_TEAM)
    _ghost(data)
    del data["steps"]["drafts"]["after"]
    assert told(data) == [Check.SAVED_LATER]


def test_an_erase_step_may_name_what_a_transfer_step_has_saved() -> None:
    data = copy.deepcopy(_TEAM)
    _ghost(data)
    data["steps"]["forum"]["request"] = {"method": "POST", "path": "/authors/{{ user_id }}/to/{{ saved.ghost.id }}"}
    assert told(data) == []
    data["steps"]["lock"]["request"]["path"] += "/{{ saved.ghost.id }}"
    assert told(data) == [Check.SAVED_LATER]

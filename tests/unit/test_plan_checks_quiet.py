"""What is right is not complained of: a check that cries wolf is switched off."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from plans.checks import findings_in
from plans.yaml_reading import dotted

Data = dict[str, Any]

_SANDBOX: Data = yaml.safe_load((Path(__file__).parents[2] / "plans" / "sandbox.yaml").read_text())
_PERSON = {"id": "{{ user_id }}"}


def told(data: Data) -> list[str]:
    return [f"{dotted(finding.path)}: {finding.what}" for finding in findings_in(data, here=False)[1]]


def a_step(**changes: Any) -> Data:
    """An erase step at the forum."""
    path = "/notes/{{ user_id }}"
    return {
        "phase": "erase",
        "service": "forum",
        "request": {"method": "DELETE", "path": path},
        "absent": [404],
        "probe": {"request": {"method": "GET", "path": path}},
    } | changes


def an_sql_step(*statements: str, **changes: Any) -> Data:
    """An erase step in a database."""
    probe = {"request": {"sql": "select count(*) from notes where author = :id", "parameters": _PERSON}}
    request = {"sql": list(statements) if len(statements) > 1 else statements[0], "parameters": _PERSON}
    return {"phase": "erase", "service": "crm", "request": request, "probe": probe} | changes


def an_sql_probe(statement: str) -> Data:
    return {"request": {"sql": statement, "parameters": _PERSON}}


def with_step(step: Data, *, id: str = "notes") -> Callable[[Data], None]:
    def change(data: Data) -> None:
        if step["service"] == "crm":
            data["services"]["crm"] = {
                "type": "sql",
                "database_url": "postgresql+psycopg://us:${env:P}@crm.example/crm",
            }
        data["steps"][id] = step

    return change


def with_service(**service: Any) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        data["services"]["forum"] |= service

    return change


def with_saved(place: Callable[[Data], None]) -> Callable[[Data], None]:
    """A freeze step that saves a value and can't end as absent."""

    def change(data: Data) -> None:
        data["steps"]["hold"] = {
            "phase": "freeze",
            "service": "forum",
            "request": {"method": "POST", "path": "/authors/{{ user_id }}/holds"},
            "save": {"id": "body.id"},
            "undo": {"request": {"method": "POST", "path": "/holds/{{ saved.hold.id }}/lift"}},
            "probe": {"request": {"method": "GET", "path": "/holds/{{ saved.hold.id }}"}},
        }
        place(data)

    return change


def _facts(data: Data) -> None:
    request = {"method": "GET", "path": "/orgs/{{ subject.roles[0] }}/admins"}
    data["facts"] = {
        "admins": {"service": "accounts", "request": request, "items": "body.all", "next_page": "body.next"}
    }
    data["eligibility"] = [
        {"refuse_if": "facts.admins | length == 1 and 'admin' in subject.roles", "code": "sole_admin"}
    ]
    data["claims"] = ["admin:{{ subject.roles[0] }}", {"key": "all:{{ tenant }}", "when": "'admin' in subject.roles"}]
    data["claims"] += [
        {"key": "{{ tenant }}:{{ item.id }}", "each": "subject.roles", "when": "item.is_owned"},
        {"key": "{{ item }}", "each": "{{ subject.roles }}", "when": "subject.email"},
    ]


def _python(data: Data) -> None:
    data["services"]["code"] = {"type": "python", "settings": {"bucket": "people", "api_key": "${env:KEY}"}}
    data["steps"]["code"] = {
        "phase": "erase",
        "service": "code",
        "request": {"call": "erase_author", "arguments": {"who": "{{ user_id }}"}},
        "probe": {"request": {"call": "find_author", "arguments": {"who": ["{{ subject.email }}"]}}},
    }


def _release(data: Data) -> None:
    name = "/names/{{ subject.username }}"
    data["steps"]["name"] = {
        "phase": "release",
        "service": "accounts",
        "request": {"method": "PUT", "path": name},
        "identifiers": "blocked",
        "probe": {"request": {"method": "GET", "path": name}},
    }


def _path(path: str, **more: Any) -> Callable[[Data], None]:
    return with_step(a_step(request={"method": "POST", "path": path} | more))


def _delete_after_hold(data: Data) -> None:
    data["steps"]["notes"] = a_step(request={"method": "DELETE", "path": "/holds/{{ saved.hold.id }}/notes"})


def _own_absent(data: Data) -> None:
    data["services"]["forum"]["absent"] = [404]
    step = a_step()
    del step["absent"]
    data["steps"]["notes"] = step


RIGHT: dict[str, Callable[[Data], None]] = {
    "404 by the service's default": _own_absent,
    "404 on purpose as refused": with_step(a_step(absent=[], permanent=[404])),
    "saved in the freeze, named in the erasure": with_saved(_delete_after_hold),
    "an address of this machine": with_service(base_url="http://127.0.0.1:8001/api/"),
    "an address of this machine by name": with_service(base_url="http://localhost:8001"),
    "an address within a reference": with_service(base_url="http://${env:FORUM_HOST}/api"),
    "an API key in the header of that name": with_service(
        auth={"type": "api_key", "header": "Authorization", "key": "${env:KEY}"}
    ),
    "a header with a secret": with_service(headers={"X-Api-Key": "${env:KEY}", "X-Tenant": "{{ tenant }}"}),
    "the person in a header of the service": lambda data: (
        with_service(headers={"X-User": "{{ user_id }}"})(data),
        _path("/me/notes/erase")(data),
    )[0],
    "a job that knows the person by the retirement": _path("/jobs/{{ retirement_id }}/start"),
    "a query in the path": _path("/notes?author={{ user_id }}"),
    "a colon in a path": _path("/authors/{{ user_id }}:erase"),
    "the word tenant in a path": _path("/tenant/{{ tenant }}/user_id/{{ user_id }}"),
    "a loop": _path(
        "/notes", json={"all": "{% for role in subject.roles %}{{ role }} {{ loop.index }}{% endfor %}", **_PERSON}
    ),
    "a method, a filter, a function of Jinja2": _path(
        "/notes/{{ subject.email.lower() | urlencode }}",
        json={"n": "{{ range(3) | list }}", "x": "{{ subject['name'] }}"},
    ),
    "braces of JSON": _path("/notes", json={"filter": "{id}", **_PERSON}),
    "a nested answer": with_step(a_step(save={"first": "(body.attributes | default({})).locale | default(none)"})),
    "a poll at a place that the step knows": with_step(
        a_step(poll={"url": "'/jobs/' ~ user_id", "done": "status == 200 and body.done", "every": "1m"})
    ),
    "a probe by the answer": with_step(
        a_step(
            probe={
                "request": {"method": "GET", "path": "/notes/{{ user_id }}"},
                "gone": [],
                "gone_when": "not body.all",
            }
        )
    ),
    "no probe, and why": lambda data: with_step(
        {k: v for k, v in a_step(unprobed="nobody can ask").items() if k != "probe"}
    )(data),
    "facts, rules and claims": _facts,
    "a python service": _python,
    "a released name": _release,
    "SQL": with_step(an_sql_step("DELETE FROM notes WHERE author = :id;")),
    "SQL with a literal and a comment": with_step(
        an_sql_step("/* all; of them */ DELETE FROM notes -- where\n WHERE kind = 'a; b' AND author = :id")
    ),
    "SQL by a subquery": with_step(
        an_sql_step("DELETE FROM notes WHERE author IN (SELECT key FROM authors WHERE (id = :id))")
    ),
    "SQL by a join": with_step(
        an_sql_step("UPDATE notes SET text = '' FROM (SELECT key FROM authors WHERE id = :id) a WHERE a.key = author")
    ),
    "SQL by a WITH": with_step(
        an_sql_step(
            "WITH gone AS (DELETE FROM authors WHERE id = :id RETURNING key) DELETE FROM notes "
            "WHERE author IN (SELECT key FROM gone)",
            probe=an_sql_probe("SELECT 1 FROM authors, notes WHERE author = key AND id = :id"),
        )
    ),
    "SQL that names its table in other words": with_step(
        an_sql_step(
            'DELETE FROM ONLY "shop" . "Notes" WHERE author = :id', "SELECT id FROM people WHERE id = :id FOR UPDATE"
        )
    ),
    "SQL that asks for a likeness of something else": with_step(
        an_sql_step("DELETE FROM notes WHERE author = :id AND text LIKE 'draft%'")
    ),
    "SQL that calls": with_step(an_sql_step("CALL erase_author(:id)")),
    "SQL that inserts": with_step(
        an_sql_step(
            "INSERT INTO blocked (id) VALUES (:id) ON CONFLICT DO NOTHING", "DELETE FROM notes WHERE author = :id"
        )
    ),
    "SQL casts": with_step(an_sql_step("DELETE FROM notes WHERE author = CAST(:id AS integer) AND day < now()::date")),
}


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_not_complained_of(change: Callable[[Data], None]) -> None:
    data = copy.deepcopy(_SANDBOX)
    change(data)
    assert data != _SANDBOX
    assert told(data) == []

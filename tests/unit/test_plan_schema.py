"""The schema that editors use agrees with the model: what loads is right for an editor, and a wrong shape is marked."""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from plans.fields import parse_rate
from plans.loading import PlanError, load_plan
from plans.reference_words import REQUESTS
from plans.schema import plan_schema
from plans.yaml_reading import read_yaml
from starter.main import app
from workflows.durations import parse_duration

ROOT = Path(__file__).parents[2]
SCHEMA = plan_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
PLANS = sorted((ROOT / "plans").glob("*.yaml"))

PLAN = """\
plan: acme
subject:
  given: [handle]
  lookup:
    service: accounts
    request: {method: GET, path: "/users/{{ user_id }}"}
    absent_when: body.id != user_id
    fields: {email: body.email}
  also:
    number:
      service: crm
      request: {method: GET, path: "/numbers/{{ subject.handle }}"}
      value: body.number
      absent: [404]
      otherwise_null: true
      patience: 2h
mirror:
  service: accounts
  state: body.state
  moved_at: body.moved_at
  same_when: body.handle == subject.handle
  update: {method: PATCH, path: "/rows/{{ subject.handle }}", json: {state: "{{ mirror.state }}", note: "{{ mirror.note }}"}}
  cancel: {method: DELETE, path: "/rows/{{ subject.handle }}"}
  cancel_by_hand: ask the accounts team
  waiting: PENDING
  errored: ERRORED
  aborted: ABORTED
  complete: COMPLETE
  complete_note: All is done.
  mask: "[somebody]"
  adopt_after: 2h
  verified_when: not body.email
hold_for: 3d
facts:
  admins: {service: accounts, request: {method: GET, path: /admins}, items: body.items, next_page: body.next}
eligibility: [{refuse_if: "facts.admins | length == 1", code: sole_admin}]
claims: ["org-admin", {key: "owner:{{ item }}", each: "subject.email | list", when: "subject.email"}]
successors:
  colleague:
    named: refused
    candidates: [{service: accounts, request: {method: GET, path: /admins}, items: body.items, id: item.id, absent: [404]}]
    suitable:
      service: accounts
      request: {method: GET, path: "/users/{{ successor.id }}"}
      when: body.active
      fields: {name: body.name}
    patience: 2d
cool_off: {duration: 0, max: 1d 12h}
mail:
  from: accounts@acme.example
  admins: ["{{ facts.admins | map(attribute='email') }}", admins@acme.example]
  recipients: [{address: "{{ subject.email }}", reference: "{{ user_id }}"}]
  deadline_near: 3d
  language: pt-BR
services:
  accounts:
    base_url: "${env:ACCOUNTS_URL}"
    auth: {type: api_key, key: "${env:ACCOUNTS_KEY}"}
    limits: {rate: 20/s, concurrent: 8}
  orders: {type: sql, database_url: "${env:ORDERS_URL}", timeout: 90s}
  archive: {type: python, settings: {bucket: "${env:BUCKET}"}}
  crm:
    base_url: "${env:CRM_URL}"
    auth:
      type: oauth2_client_credentials
      token_url: "${env:CRM_URL}/token"
      client_id: retirement
      client_secret: "${env:CRM_SECRET}"
      scheme: JWT
      credentials: body
      form: {token_type: jwt}
steps:
  lock: {phase: freeze, service: accounts, request: {method: POST, path: "/lock/{{ user_id }}"}, no_undo: a session}
  orders:
    phase: erase
    service: orders
    request: {sql: [DELETE FROM orders WHERE id = :id, DELETE FROM customers WHERE id = :id], parameters: {id: "{{ user_id }}"}}
    probe: {request: {sql: SELECT count(*) FROM customers WHERE id = :id, parameters: {id: "{{ user_id }}"}}}
  archive:
    phase: erase
    service: archive
    request: {call: erase_author, arguments: {id: "{{ user_id }}", deep: 7}}
    unprobed: nobody can tell
  contact:
    phase: erase
    service: crm
    mirrored: {working: RETIRING_CONTACT, done: CONTACT_COMPLETE}
    find: {request: {method: GET, path: /contacts, query: {mail: "{{ subject.email }}"}}, save: {vid: body.vid}, absent: [404]}
    request: {method: DELETE, path: "/contacts/{{ saved.contact.vid }}", query: {number: "{{ subject.number }}"}}
    timeout: 2m
    longest_timeout: 10m
    done_when: body.deleted
    absent: [404]
    unprobed: nobody can tell
  invoices: {phase: erase, retain: {ground: tax, for: 3650d}}
  name:
    phase: release
    service: accounts
    request: {method: PUT, path: "/names/{{ user_id }}", json: {free: [true, 1.5, null]}}
    identifiers: freed
  notes:
    phase: transfer
    service: orders
    successor: colleague
    assets:
      request: {sql: "SELECT * FROM notes WHERE author = :id", parameters: {id: "{{ user_id }}"}}
      items: body.rows
      id: item.id
      type: "'note'"
      title: item.subject
      fields: {version: item.version}
      settled_when: item.author == pseudonym
      owner:
        request: {sql: "SELECT author FROM notes WHERE id = :id", parameters: {id: "{{ asset.id }}"}}
        value: body.value
        absent: [404]
      becomes: anonymised
    request:
      sql: UPDATE notes SET author = :new, lead = :lead WHERE id = :id AND version = :version
      parameters: {id: "{{ asset.id }}", version: "{{ asset.version }}", new: "{{ pseudonym }}", lead: "{{ successor.name }}"}
"""


def read(text: str) -> Any:
    """The text as plans are read."""
    return read_yaml(text.encode()).data


def marks(data: Any) -> list[str]:
    """What an editor would mark: where, and by which rule."""
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_the_command_prints_it() -> None:
    result = CliRunner().invoke(app, ["plan", "schema"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == SCHEMA


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_ready_plan_is_right(path: Path) -> None:
    assert marks(read(path.read_text())) == []


def plans_of_the_documentation() -> Iterator[tuple[str, str]]:
    """Every whole plan shown on a page, with the page's name."""
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]):
        for block in re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(), flags=re.DOTALL | re.MULTILINE):
            if re.search(r"^plan: ", text := textwrap.dedent(block), flags=re.MULTILINE):
                yield page.name, text


def test_every_plan_of_the_documentation_is_right() -> None:
    shown = list(plans_of_the_documentation())
    assert {"README.md", "plan-reference.md"} <= {page for page, _ in shown}
    assert {page: told for page, text in shown if (told := marks(read(text)))} == {}


def test_every_kind_of_thing_is_right(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(PLAN)
    load_plan(tmp_path / "acme.yaml")
    assert marks(read(PLAN)) == []


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_example_of_a_request_is_right(kind: str) -> None:
    request = Draft202012Validator({"$ref": "#/$defs/Request", "$defs": SCHEMA["$defs"]})
    assert list(request.iter_errors(read(REQUESTS[kind]))) == []


@pytest.mark.parametrize(
    ("was", "instead", "where"),
    [
        ("plan: acme", "plan: Acme Inc", "$.plan"),
        ("plan: acme", "plan: acme\ncolour: blue", "$"),
        ("plan: acme\n", "", "$"),
        ("duration: 0,", "duration: 14,", "$.cool_off.duration"),
        ("duration: 0,", "duration: soon,", "$.cool_off.duration"),
        ("duration: 0,", "duration: [],", "$.cool_off.duration"),
        ("duration: 0,", "duraton: 0,", "$.cool_off"),
        ("eligibility: [{refuse_if", "eligibility: [{refuse", "$.eligibility[0]"),
        ("items: body.items, ", "", "$.facts.admins"),
        ('claims: ["org-admin", {key', 'claims: ["org-admin", {kye', "$.claims[1]"),
        ('claims: ["org-admin"', "claims: [7", "$.claims[0]"),
        ('each: "subject.email | list"', "each: [a, b]", "$.claims[1].each"),
        ("rate: 20/s", "rate: 20", "$.services.accounts.limits.rate"),
        ("rate: 20/s", "rate: 20/d", "$.services.accounts.limits.rate"),
        ("concurrent: 8", "concurrent: 0", "$.services.accounts.limits.concurrent"),
        ("type: api_key", "type: apikey", "$.services.accounts.auth.type"),
        ("{type: api_key, ", "{", "$.services.accounts.auth"),
        ('key: "${env:ACCOUNTS_KEY}"', 'token: "${env:ACCOUNTS_KEY}"', "$.services.accounts.auth"),
        ("type: sql, database_url", "type: sql, base_url", "$.services.orders"),
        ("{type: sql, ", "{", "$.services.orders"),
        ("type: python", "type: ruby", "$.services.archive.type"),
        ("orders: {type", "Orders: {type", "$.services"),
        ("method: GET", "method: get", "$.subject.lookup.request.method"),
        ('path: "/lock', 'path: "lock', "$.steps.lock.request.path"),
        ("{method: POST, ", "{", "$.steps.lock.request"),
        ("{call: erase_author, ", "{call: erase_author, method: GET, ", "$.steps.archive.request"),
        ("parameters: {id:", "params: {id:", "$.steps.orders.request"),
        ("phase: freeze", "phase: frees", "$.steps.lock.phase"),
        (", no_undo: a session", "", "$.steps.lock"),
        ("no_undo: a session", "no_undo: a, undo: {request: {method: PUT, path: /x}}", "$.steps.lock"),
        ("    unprobed: nobody can tell\n", "", "$.steps.archive"),
        ("phase: freeze, service: accounts, ", "phase: freeze, ", "$.steps.lock"),
        ("retain: {ground: tax, ", "absent: [404], retain: {ground: tax, ", "$.steps.invoices"),
        ("phase: erase, retain", "phase: freeze, retain", "$.steps.invoices.phase"),
        ("retain: {ground: tax, for: 3650d}", "retain: {ground: tax}", "$.steps.invoices.retain"),
        ("identifiers: freed", "unprobed: x", "$.steps.name"),
        ("identifiers: freed", "absent: [four]", "$.steps.name.absent[0]"),
        ("identifiers: freed", "absent: [600]", "$.steps.name.absent[0]"),
        ("      when: body.active\n", "", "$.successors.colleague.suitable"),
        ("named: refused", "named: never", "$.successors.colleague.named"),
        ("items: body.items, id: item.id", "items: body.items", "$.successors.colleague.candidates[0]"),
        ("{address: ", "{adress: ", "$.mail.recipients[0]"),
        ("language: pt-BR", "language: Português", "$.mail.language"),
        ("      id: item.id\n", "", "$.steps.notes.assets"),
        ("becomes: anonymised", "becomes: gone", "$.steps.notes.assets.becomes"),
        ("        value: body.value\n", "", "$.steps.notes.assets.owner"),
        ("    successor: colleague\n", "    successor: A colleague\n", "$.steps.notes.successor"),
        ("phase: transfer", "phase: release", "$.steps.notes"),
        ("    successor: colleague\n", "    successor: colleague\n    timeout: 1m\n", "$.steps.notes"),
        ("given: [handle]", "given: [Handle]", "$.subject.given[0]"),
        ("given: [handle]", "given: handle", "$.subject.given"),
        ("      value: body.number\n", "", "$.subject.also.number"),
        ("otherwise_null: true", "otherwise_null: maybe", "$.subject.also.number.otherwise_null"),
        ("  moved_at: body.moved_at\n", "", "$.mirror"),
        ("  waiting: PENDING\n", "", "$.mirror"),
        ("update: {method: PATCH, path", "update: {path", "$.mirror.update"),
        ("update: {method: PATCH, path", "update: {sql: SELECT 1, path", "$.mirror.update"),
        ("adopt_after: 2h", "adopt_after: 2", "$.mirror.adopt_after"),
        ('mask: "[somebody]"', 'mask: ""', "$.mirror.mask"),
        ("hold_for: 3d", "hold_for: 3", "$.hold_for"),
        (", done: CONTACT_COMPLETE", "", "$.steps.contact.mirrored"),
        ("working: RETIRING_CONTACT", 'working: ""', "$.steps.contact.mirrored.working"),
        ("identifiers: freed", "mirrored: {working: A, done: B}", "$.steps.name"),
        ("scheme: JWT", "scheme: JWT token", "$.services.crm.auth.scheme"),
        ("credentials: body", "credentials: query", "$.services.crm.auth.credentials"),
        ("{token_type: jwt}", "{token_type: 7}", "$.services.crm.auth.form.token_type"),
        ("longest_timeout: 10m", "longest_timeout: 600", "$.steps.contact.longest_timeout"),
        ("done_when: body.deleted", "done_if: body.deleted", "$.steps.contact"),
        ("find: {request", "find: {requests", "$.steps.contact.find"),
        ("save: {vid: body.vid}, absent: [404]", "save: [body.vid]", "$.steps.contact.find.save"),
    ],
)
def test_a_wrong_shape_is_marked_where_it_is_and_does_not_load(
    tmp_path: Path, was: str, instead: str, where: str
) -> None:
    text = PLAN.replace(was, instead, 1)
    assert text != PLAN
    (tmp_path / "acme.yaml").write_text(text)
    with pytest.raises(PlanError):
        load_plan(tmp_path / "acme.yaml")
    told = {mark.split(": ")[0] for mark in marks(read(text))}
    assert where in told, told


#: The gallery's mistakes that an editor can see: they are about one object's keys and values.
OF_SHAPE = {
    "assets-alone",
    "nobody-to-choose",
    "yaml",
    "unknown-field",
    "missing",
    "wrong-value",
    "fact-value",
    "nothing-to-do",
    "retain-alone",
    "manual",
    "deferrable",
    "wrong-phase",
    "no-undo",
    "undo-twice",
    "unprobed",
    "probed-and-unprobed",
    "six-mistakes",
}
GALLERY = sorted((Path(__file__).parent / "bad_plans").iterdir())


def test_the_gallery_shows_every_mistake_of_shape() -> None:
    assert {path.stem.partition("--")[0] for path in GALLERY} >= OF_SHAPE


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.name)
def test_of_the_gallery_an_editor_marks_the_wrong_shapes_and_nothing_else(path: Path) -> None:
    assert bool(marks(read(path.read_text()))) is (path.stem.partition("--")[0] in OF_SHAPE)


ASSETS = {"request": {"method": "GET", "path": "/all/{{ user_id }}"}, "items": "body", "id": "item"}
REQUEST = {"method": "PUT", "path": "/x/{{ user_id }}"}
#: Where somebody takes over the request says who, and which asset it is about.
NAMED = {"assets": "/{{ asset.id }}", "successor": "/to/{{ successor.id }}"}
#: What a step's `successor` names.
SUCCESSORS = read(PLAN)["successors"]
PROBE = {"request": {"method": "GET", "path": "/x/{{ user_id }}"}}
#: One right value for each key of a step whose place depends on other keys.
KEYS = {
    "service": "accounts",
    "request": REQUEST,
    "assets": ASSETS,
    "successor": "colleague",
    "save": {"receipt": "body.receipt"},
    "poll": {"url": "headers.location", "done": "body.done"},
    "probe": PROBE,
    "unprobed": "nobody can tell",
    "undo": {"request": {"method": "POST", "path": "/back/{{ user_id }}"}},
    "no_undo": "nothing to give back",
    "on_permanent": {"request": {"method": "PATCH", "path": "/x/{{ user_id }}"}, "probe": PROBE},
    "identifiers": "blocked",
    "retain": {"ground": "tax", "for": "10d"},
    "absent": [404],
}


def editor_and_loading_agree(folder: Path, phase: str, keys: set[str]) -> bool:
    """A step of these keys is marked where it doesn't load, and only there. Does it load?"""
    request = {**REQUEST, "path": REQUEST["path"] + "".join(path for key, path in NAMED.items() if key in keys)}
    step = {key: KEYS[key] for key in KEYS if key in keys} | ({"request": request} if "request" in keys else {})
    data = {
        "plan": "acme",
        "subject": {"lookup": {"service": "accounts", "request": PROBE["request"]}},
        "services": {"accounts": {"base_url": "${env:ACCOUNTS_URL}"}},
        **({"successors": SUCCESSORS} if "successor" in keys else {}),
        "steps": {
            "invoices": {"phase": "erase", "retain": KEYS["retain"]},
            "tried": {"phase": phase, **step},
        },
    }
    path = folder / "acme.yaml"
    path.write_text(yaml.safe_dump(data))
    try:
        load_plan(path)
        loads = True
    except PlanError:
        loads = False
    assert loads == (marks(data) == [])
    return loads


#: What makes a step of a phase right; whatever is added or left out makes it wrong, or another right one.
RIGHT = [
    ("freeze", {"service", "request", "no_undo"}),
    ("transfer", {"service", "request"}),
    ("transfer", {"service", "request", "assets", "successor"}),
    ("erase", {"service", "request", "probe"}),
    ("erase", {"retain"}),
    ("release", {"service", "request"}),
]


@pytest.mark.parametrize(("phase", "right"), RIGHT)
def test_a_step_with_what_its_phase_needs_is_right(tmp_path: Path, phase: str, right: set[str]) -> None:
    assert editor_and_loading_agree(tmp_path, phase, right)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("phase", "right"), RIGHT)
def test_one_key_more_or_less_makes_a_step_wrong_as_in_the_model(
    tmp_path: Path, phase: str, right: set[str], key: str
) -> None:
    editor_and_loading_agree(tmp_path, phase, right ^ {key})


@settings(deadline=None, max_examples=50, derandomize=True)
@given(phase=st.sampled_from(["freeze", "transfer", "erase", "release"]), keys=st.sets(st.sampled_from(sorted(KEYS))))
def test_the_keys_of_a_step_go_together_as_in_the_model(
    tmp_path_factory: pytest.TempPathFactory, phase: str, keys: set[str]
) -> None:
    editor_and_loading_agree(tmp_path_factory.getbasetemp(), phase, keys)


@pytest.mark.parametrize("text", ["14d", "1h30m", " 2 w ", "0", "250ms", "1d 12h", 0])
def test_a_duration_that_loads_is_right(text: str | int) -> None:
    parse_duration(text)
    assert marks({**read(PLAN), "cool_off": {"duration": text}}) == []


@pytest.mark.parametrize("text", ["", "14", "d", "14 days", "1.5h", "-1d", "14D", 14, 0.5, True, None])
def test_a_duration_that_does_not_load_is_marked(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)
    assert marks({**read(PLAN), "deadline": text}) != []
    assert marks({**read(PLAN), "cool_off": {"duration": text}}) != []


@pytest.mark.parametrize(("text", "is_rate"), [("20/s", True), ("300 / m", True), ("0/s", False), ("20/d", False)])
def test_a_rate_is_right_where_it_loads(text: str, is_rate: bool) -> None:
    data = read(PLAN)
    data["services"]["accounts"]["limits"]["rate"] = text
    assert (marks(data) == []) is is_rate
    if is_rate:
        parse_rate(text)


def test_it_reads_as_people_write() -> None:
    """No titles that pydantic made up, no nulls, durations as plans write them, and every key explained."""
    text = json.dumps(SCHEMA)
    assert '"null"' not in text and '"P1D"' not in text and "PT" not in text
    assert [line for line in re.findall(r'"title": "[^"]*"', text)] == ['"title": "Retirement plan"']
    step = SCHEMA["$defs"]["Step"]["properties"]
    assert step["patience"] == {
        "$ref": "#/$defs/Duration",
        "description": "How long failures are tried again, counted from the first.",
        "default": "1d",
    }
    unexplained = [
        (name, key)
        for name, definition in SCHEMA["$defs"].items()
        for key, part in definition.get("properties", {}).items()
        if "description" not in part and "$ref" not in part and "const" not in part
    ]
    assert unexplained == [("Service", "type"), ("Auth", "type")]

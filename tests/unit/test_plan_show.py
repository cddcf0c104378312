"""`retire plan show`: a plan's life, its requests, and what becomes of the person's values, in three forms."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from plans.loading import PlanError, load_plan
from plans.services import HttpService, SqlService
from starter.exit_codes import ExitCode
from starter.main import app
from starter.output import show
from starter.picture.addresses import address_of
from starter.picture.facts import facts_of
from starter.picture.rails import MOST_RAILS, rows_of
from starter.picture.text import lines_of
from tests.support.plans import SANDBOX_PLAN

ROOT = Path(__file__).parents[2]
#: Everything that a plan may say of ownership, once.
TEAM = (Path(__file__).parent / "shown_plans" / "team.yaml").read_text()

#: Everything that a plan may say, once.
PLAN = """\
plan: acme
subject:
  lookup:
    service: accounts
    request: {method: GET, path: "/users/{{ user_id }}"}
    fields: {email: "{{ body.email }}", org: body.org, locked: body.locked, phone: body.phone}
    absent_unchecked: accounts asks for no credentials
  absent: proceed
facts:
  admins:
    service: accounts
    request: {method: GET, path: "/orgs/{{ subject.org }}/admins"}
    items: body.items
    next_page: body.next
    absent: [404]
eligibility: [{refuse_if: "facts.admins | length == 1", code: sole_admin}]
claims: [{key: "org-admin:{{ subject.org }}", when: subject.org}]
deadline: 30d
cool_off: {duration: 14d, reminders: [7d, 1d], max: 60d, expedite: allowed}
mail: {from: accounts@acme.example, support: help@acme.example, operators: [ops@acme.example]}
services:
  accounts:
    base_url: "https://accounts.example/api"
    auth: {type: basic, username: retirement, password: "${env:ACCOUNTS_PASSWORD}"}
    headers: {X-Key: s3cret}
    limits: {rate: 20/s, concurrent: 8}
    timeout: 5s
    queue: inner
  orders: {type: sql, database_url: "postgresql+psycopg://retirement:${env:ORDERS_PASSWORD}@db.example/orders?sslmode=require"}
  archive: {type: python, settings: {bucket: "${env:BUCKET}", depth: s3cret}}
steps:
  lock:
    phase: freeze
    service: accounts
    request: {method: POST, path: "/users/{{ user_id }}/lock"}
    save: {token: body.token}
    undo: {when: not subject.locked, request: {method: PUT, path: "/users/{{ user_id }}/lock", json: "{{ saved.lock.token }}"}}
  sessions:
    phase: freeze
    after: [lock]
    service: accounts
    request: {method: DELETE, path: "/users/{{ user_id }}/sessions", headers: {X-Reason: "${file:/etc/reason}"}}
    no_undo: whoever rescinds logs in again
    absent: [404]
    absent_unchecked: many have none
  carts:
    phase: erase
    service: orders
    request: {sql: DELETE FROM carts WHERE id = :id, parameters: {id: "{{ user_id }}"}}
    probe: {request: {sql: SELECT count(*) FROM carts WHERE id = :id, parameters: {id: "{{ user_id }}"}}}
  archive:
    phase: erase
    service: archive
    request: {call: erase_author, arguments: {who: "{{ subject }}"}}
    unprobed: the archive is written on tape
    patience: 3d
  newsletter:
    phase: erase
    after: [carts]
    service: accounts
    request: {method: POST, path: /deletions, json: {email: "{{ subject.email }}"}}
    transient: [409]
    permanent: [503]
    poll: {url: headers.location, done: body.done, failed: body.failed, every: 10s}
    on_permanent:
      request: {method: PATCH, path: "/subscribers/{{ user_id }}", json: {email: null}}
      probe: {request: {method: GET, path: "/subscribers/{{ user_id }}"}, gone_when: body.email is none}
    probe: {request: {method: GET, path: "/subscribers/{{ user_id }}"}, gone: [404]}
  invoices: {phase: erase, retain: {ground: kept for ten years under tax law, for: 3650d}}
  profile:
    phase: erase
    after: [carts, archive, newsletter]
    service: accounts
    request: {method: DELETE, path: "/users/{{ user_id }}"}
    absent: [404, 410]
    probe: {request: {method: GET, path: "/users/{{ user_id }}", query: {token: "{{ saved.lock.token }}"}}}
  name:
    phase: release
    service: accounts
    request: {method: PUT, path: "/names/{{ user_id }}"}
    identifiers: blocked
    probe: {request: {method: GET, path: "/names/{{ user_id }}"}}
"""

TEXT = """\
plan      acme
deadline  30d from the request
cool-off  14d from the request; reminders 7d, 1d before its end; may be extended to 60d; expedite
          allowed
mail      from accounts@acme.example; support help@acme.example; operators ops@acme.example, also 7d
          before the deadline; tried for 3d

CHECK  may they go, and are they there? Changes nothing.
  look up          accounts: GET /users/{{ user_id }}
                   reads into the vault: email, org, locked, phone
                   not known there: proceed all the same
                   a 404 is believed: accounts asks for no credentials
                   patience 1d
  fact admins      accounts: GET /orgs/{{ subject.org }}/admins
                   reads body.items; next page: body.next; none there: 404; patience 1d
  rule sole_admin  refuses where facts.admins | length == 1
  probes           are they there? Asked once for carts, newsletter, name

FREEZE  locks without destroying; whoever rescinds gets it back
  ╭── lock at accounts
  │     request   POST /users/{{ user_id }}/lock
  │     undo      PUT /users/{{ user_id }}/lock; where not subject.locked
  │     saves     token
  │     patience  1d
  ╰─▶ sessions at accounts
        after     lock
        request   DELETE /users/{{ user_id }}/sessions
        no undo   whoever rescinds logs in again
        absent    404: nothing there
                  a 404 is believed: many have none
        patience  1d

COOL-OFF  the person may change their mind
  wait    14d from the request
  remind  7d, 1d before the end

RE-CHECK  time has passed: is it still so? Skipped where there was no cool-off.
  look up  again: GET /users/{{ user_id }}
  facts    again: admins
  rules    again: sole_admin

━━━ POINT OF NO RETURN ━━━  a rescind wins before it, and is refused after it
  claims  org-admin:{{ subject.org }}, where subject.org; whoever comes second goes back

ERASE  in parallel, but for what waits
  ╭────── carts at orders
  │         request   DELETE FROM carts WHERE id = :id
  │         probe     SELECT count(*) FROM carts WHERE id = :id; gone: 404, 410, or where body.value
  │                   == 0
  │         patience  1d
  │ ╭──── archive at archive
  │ │       request   call erase_author
  │ │       unprobed  the archive is written on tape; ends as unverified
  │ │       absent    404: nothing there
  │ │       patience  3d
  │ │     invoices
  │ │       retain  kept for ten years under tax law; for 3650d
  ╰─│─┬─▶ newsletter at accounts
    │ │     after        carts
    │ │     request      POST /deletions
    │ │     probe        GET /subscribers/{{ user_id }}; gone: 404
    │ │     transient    409: tried again
    │ │     permanent    503: refused for good
    │ │     last resort  PATCH /subscribers/{{ user_id }}; ends as scrubbed
    │ │     its probe    GET /subscribers/{{ user_id }}; gone: 404, 410, or where body.email is none
    │ │     poll         a 202 is asked about at headers.location, every 10s; done where body.done;
    │ │                  failed where body.failed
    │ │     patience     1d
    ╰─┴─▶ profile at accounts
            after     carts, archive, newsletter
            request   DELETE /users/{{ user_id }}
            probe     GET /users/{{ user_id }}; gone: 404, 410
            absent    404, 410: nothing there
            patience  1d

VERIFY  every probe is asked once more
  probes  are they gone? Asked again for carts, newsletter, profile

RELEASE  identifiers are blocked or freed, once all is erased and verified
  name at accounts
    request      PUT /names/{{ user_id }}
    probe        GET /names/{{ user_id }}; gone: 404, 410
    identifiers  blocked; for this probe, gone means free
    patience     1d

TELL  what was erased and what is kept
  mails  in all of the life: received, reminder, complete

WHO IS ASKED WHAT
  accounts
    address                             http, https://accounts.example/api
    auth                                basic
    headers                             X-Key
    needs                               ${env:ACCOUNTS_PASSWORD}, ${file:/etc/reason}
    limits                              at most 20/s over all workers; 8 calls at a time, 5s each
    queue                               only workers that serve inner
    · lookup                            GET /users/{{ user_id }}
    · admins (fact)                     GET /orgs/{{ subject.org }}/admins
    · lock                              POST /users/{{ user_id }}/lock
    · lock (undo)                       PUT /users/{{ user_id }}/lock
    · sessions                          DELETE /users/{{ user_id }}/sessions
    · newsletter                        POST /deletions
    · newsletter (probe)                GET /subscribers/{{ user_id }}
    · newsletter (last resort)          PATCH /subscribers/{{ user_id }}
    · newsletter (last resort's probe)  GET /subscribers/{{ user_id }}
    · profile                           DELETE /users/{{ user_id }}
    · profile (probe)                   GET /users/{{ user_id }}
    · name                              PUT /names/{{ user_id }}
    · name (probe)                      GET /names/{{ user_id }}
  orders
    address          sql, postgresql+psycopg://retirement:${env:ORDERS_PASSWORD}@db.example/orders?…
    needs            ${env:ORDERS_PASSWORD}
    limits           50 calls at a time, 10s each
    · carts          DELETE FROM carts WHERE id = :id
    · carts (probe)  SELECT count(*) FROM carts WHERE id = :id
  archive
    address    python, code of an installed package
    needs      ${env:BUCKET}
    limits     50 calls at a time, 10s each
    · archive  call erase_author

WHAT LEAVES THE HOUSE
  accounts
    user_id           with lookup, lock, lock (undo), sessions, newsletter (probe), newsletter (last
                      resort), profile, profile (probe), name, name (probe)
    subject.org       with fact admins
    saved.lock.token  with lock (undo), profile (probe)
    subject.email     with newsletter
  orders
    user_id  with carts, carts (probe)
  archive
    subject.*  with archive
  mail server
    subject.email  with mails to the person

WHAT IS KEPT IN THE VAULT MEANWHILE, AND SHREDDED AT THE END
  subject.email     {{ body.email }} of lookup; for archive, newsletter, mails to the person
  subject.org       body.org of lookup; for fact admins, claim, archive
  subject.locked    body.locked of lookup; for lock (undo), archive
  subject.phone     body.phone of lookup; for archive
  saved.lock.token  body.token of lock; for lock (undo), profile (probe)

HOW LONG IT MAY TAKE
  at worst      if everything fails for as long as the plan bears it, and then succeeds; what is
                held is not counted
  deadline      30d at the least
  cool-off 14d  cool-off 14d → re-check 1d → archive 3d → profile 1d → verify 1d → name 1d = 21d: in
                time
  cool-off 60d  cool-off 60d → re-check 1d → archive 3d → profile 1d → verify 1d → name 1d = 67d:
                37d too late
"""

PICTURE = """\
flowchart TB
  phase_check(["check<br/>look up: accounts<br/>facts: admins<br/>rules: sole#95;admin<br/>probes: carts, newsletter,<br/>name"])
  subgraph phase_freeze["freeze"]
    freeze_1["lock at accounts<br/>POST<br/>/users/#123;#123; user#95;id #125;#125;/lock"]
    freeze_2["sessions at accounts<br/>DELETE<br/>/users/#123;#123; user#95;id #125;#125;<br/>/sessions"]
    freeze_1 --> freeze_2
  end
  phase_cool_off(["cool#45;off<br/>14d<br/>reminders: 7d, 1d"])
  phase_recheck(["re#45;check<br/>facts: admins<br/>rules: sole#95;admin"])
  point_of_no_return{{"point of no return<br/>claims:<br/>org#45;admin:<br/>#123;#123; subject#46;org #125;#125;"}}
  subgraph phase_erase["erase"]
    erase_1["carts at orders<br/>DELETE FROM carts WHERE id<br/>#61; :id"]
    erase_2["archive at archive<br/>call erase#95;author"]
    erase_3["newsletter at accounts<br/>POST /deletions"]
    erase_4["invoices<br/>keeps for 3650d: kept for<br/>ten years under tax law"]:::kept
    erase_5["profile at accounts<br/>DELETE<br/>/users/#123;#123; user#95;id #125;#125;"]
    erase_1 --> erase_3
    erase_1 --> erase_5
    erase_2 --> erase_5
    erase_3 --> erase_5
  end
  phase_verify(["verify<br/>probes: carts, newsletter,<br/>profile"])
  subgraph phase_release["release"]
    release_1["name at accounts<br/>PUT /names/#123;#123; user#95;id #125;#125;"]
  end
  phase_tell(["tell<br/>mails: received, reminder,<br/>complete"])
  phase_check --> phase_freeze
  phase_freeze --> phase_cool_off
  phase_cool_off --> phase_recheck
  phase_recheck ==> point_of_no_return
  point_of_no_return ==> phase_erase
  phase_erase --> phase_verify
  phase_verify --> phase_release
  phase_release --> phase_tell
  classDef point fill:#fde2e1,stroke:#b3261e,stroke-width:5px,color:#000
  classDef kept fill:#fff4d6,stroke:#8a6d00,color:#000
  class point_of_no_return point
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(PLAN)
    return path


def shown(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["plan", "show", *map(str, arguments)], prog_name="retire")


def test_the_text(plan: Path) -> None:
    result = shown(plan)
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout == TEXT


def test_the_picture(plan: Path) -> None:
    result = shown(plan, "--format", "mermaid")
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout == PICTURE


def test_json_by_either_option_is_the_same(plan: Path) -> None:
    assert shown(plan, "--json").stdout == shown(plan, "--format", "json").stdout
    refused = shown(plan, "--json", "--format", "mermaid")
    assert refused.exit_code == ExitCode.USAGE
    assert refused.stderr.endswith("--json is short for --format json; give one of the two.\n")


def test_the_names_in_json_stay(plan: Path) -> None:
    facts = json.loads(shown(plan, "--json").stdout)
    assert list(facts) == (["plan", "deadline", "cool_off", "mail", "phases", "services", "sent", "kept", "worst_case"])
    assert [phase["phase"] for phase in facts["phases"]] == (
        "check freeze cool_off recheck point_of_no_return transfer erase verify release tell".split()
    )
    assert facts["phases"][1]["steps"][0] == {
        "step": "lock",
        "after": [],
        "service": "accounts",
        "successor": None,
        "assets": None,
        "request": "POST /users/{{ user_id }}/lock",
        "probe": None,
        "unprobed": None,
        "undo": {"request": "PUT /users/{{ user_id }}/lock", "when": "not subject.locked"},
        "no_undo": None,
        "absent": [],
        "absent_unchecked": None,
        "transient": [],
        "permanent": [],
        "on_permanent": None,
        "poll": None,
        "save": ["token"],
        "identifiers": None,
        "retain": None,
        "patience": "1d",
    }
    assert facts["sent"][2] == {"to": "archive", "values": [{"value": "subject.*", "with": ["archive"]}]}
    assert facts["worst_case"]["cases"][1]["in_time"] is False


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value in it that isn't empty, with its place."""
    match data:
        case dict():
            for key, value in data.items():
                yield from leaves(value, (*path, key))
        case list():
            for index, value in enumerate(data):
                yield from leaves(value, (*path, index))
        case None:
            return
        case _:
            yield path, data


def changed(data: Any, path: tuple[str | int, ...], value: object) -> Any:
    """The same with another value at one place."""
    if not path:
        return value
    if isinstance(data, dict):
        return {key: changed(part, path[1:], value) if key == path[0] else part for key, part in data.items()}
    return [changed(part, path[1:], value) if index == path[0] else part for index, part in enumerate(data)]


@pytest.mark.parametrize("source", [PLAN, SANDBOX_PLAN.read_text(), TEAM], ids=["acme", "sandbox", "team"])
def test_the_text_tells_every_fact_of_the_json(tmp_path: Path, source: str) -> None:
    """Each value is changed in turn: the text must change with it, and show what it has become."""
    [name] = re.findall(r"^plan: (\w+)", source, flags=re.MULTILINE)
    (tmp_path / f"{name}.yaml").write_text(source)
    facts = facts_of(load_plan(tmp_path / f"{name}.yaml"))
    assert json.loads(shown(tmp_path / f"{name}.yaml", "--json").stdout).keys() == facts.keys()
    lines = [line.text for line in lines_of(facts, width=100)]
    places = list(leaves(facts))
    assert len(places) > 100
    untold = []
    for path, value in places:
        if path[-1] == "phase" or path[-2:] == ("lookup", "absent"):
            # Closed lists of words; the text says them in sentences.
            continue
        other = {str: "zebra", int: 777, bool: not value, timedelta: timedelta(days=777)}[type(value)]
        retold = [line.text for line in lines_of(changed(facts, path, other), width=100)]
        is_shown = isinstance(other, bool) or show(other) in " ".join(retold)
        if retold == lines or not is_shown:
            untold.append(path)
    assert untold == []


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_asked(plan: Path, width: int) -> None:
    told = lines_of(facts_of(load_plan(plan)), width=width)
    # An address or a path without a space is left whole, on a line of its own.
    assert [line.text for line in told if len(line.text) > width and " " in line.text.strip()] == []


def test_a_plan_that_can_t_be_used_is_refused_with_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(PLAN.replace("user_id }}/lock", "usr_id }}/lock").replace("absent: proceed", "absent: maybe"))
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    problems = str(caught.value)
    assert len(problems.splitlines()) == 3
    for form in ("text", "mermaid"):
        result = shown(path, "--format", form)
        assert (result.exit_code, result.stdout) == (ExitCode.NOT_SET_UP, "")
        assert result.stderr == f"Error: {problems}\n"
    assert json.loads(shown(path, "--json").stdout) == {"error": problems, "exit_code": 10}


def test_no_secret_is_resolved_or_shown(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNTS_PASSWORD", "ORDERS_PASSWORD", "BUCKET"):
        monkeypatch.setenv(name, "s3cret")
    for form in ("text", "mermaid", "json"):
        assert "s3cret" not in shown(plan, "--format", form).stdout


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("https://accounts.example:8443/api", "https://accounts.example:8443/api"),
        ("${env:URL}/admin/${env:REALM}", "${env:URL}/admin/${env:REALM}"),
        ("https://retirement@accounts.example", "https://retirement@accounts.example"),
        ("https://retirement:hush@accounts.example:80/?key=hush", "https://retirement:…@accounts.example:80/?…"),
        ("https://${env:U}:hush${env:P}@x/?k=${file:/k}&z=hush", "https://${env:U}:…${env:P}@x/?…${file:/k}…"),
    ],
)
def test_an_address_is_told_as_written_but_for_what_may_be_secret(written: str, told: str) -> None:
    assert address_of(HttpService(base_url=written)) == told
    assert address_of(SqlService(type="sql", database_url=written)) == told


#: Texts that mean something to mermaid, markdown, HTML or a terminal.
HOSTILE = [
    'a "quoted" [x] (y) {z} | end; subgraph',
    "1. a list",
    "- another `with` **marks** _of_ ~~it~~",
    "<script>alert(1)</script> &lt;b&gt; <br/>",
    "#quot; #35; ﬂ°°35¶ß",
    "%%{init: {'theme': 'dark'}}%% --> == ~~~",
    "a\\nb\\\\n \\u202e \\e[2J 日本語 مرحبا é",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_a_plan_says_is_text_in_the_picture(tmp_path: Path, hostile: str) -> None:
    ground = json.dumps(hostile, ensure_ascii=False).replace("\\\\", "\\")
    steps = f"{{end: {{phase: erase, retain: {{ground: {ground}, for: 1d}}}}, click: {{phase: erase, after: [end], "
    steps += 'service: subgraph, request: {method: DELETE, path: "/{{ user_id }}"}, absent: [404], unprobed: x}}'
    path = tmp_path / "class.yaml"
    path.write_text(
        "plan: class\n"
        'subject: {lookup: {service: subgraph, request: {method: GET, path: "/{{ user_id }}"}}}\n'
        'services: {subgraph: {base_url: "${env:URL}", auth: {type: bearer, token: "${env:TOKEN}"}}}\n'
        f"steps: {steps}\n"
    )
    result = shown(path, "--format", "mermaid")
    assert result.exit_code == 0, result.stderr
    label = r'"((?:[\w ,:/]|#\d+;|<br/>)+)"'
    grammar = (
        rf"flowchart TB|subgraph \w+\[{label}\]|end|\w+(?:\[{label}\]|\(\[{label}\]\)|{{{{{label}}}}})(?::::kept)?"
        r"|\w+ (?:-->|==>) \w+|classDef \w+ [\w:#,-]+|class point_of_no_return point"
    )
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert [line for line in lines if not re.fullmatch(grammar, line)] == []
    assert "erase_1 --> erase_2" in lines
    [said] = [line for line in lines if line.startswith("erase_1[")]
    read = re.sub(r"#(\d+);", lambda code: chr(int(code.group(1))), said.replace("<br/>", " "))
    expected = show(" ".join(load_plan(path).steps["end"].retain.ground.split()))  # type: ignore[union-attr]
    assert expected.replace(" ", "") in read.replace(" ", "")


def drawn(after: dict[str, list[str]]) -> list[str]:
    return [f"{row.margin}{row.id}" for row in rows_of(after)]


def test_rails_of_a_diamond() -> None:
    assert drawn({"a": [], "b": ["a"], "c": ["a"], "d": ["a", "b", "c"], "e": []}) == [
        "╭────── a",
        "│       e",
        "├─┬───▶ b",
        "╰─│─┬─▶ c",
        "  ╰─┴─▶ d",
    ]


def test_steps_that_nothing_orders_have_no_rails() -> None:
    assert drawn({"a": [], "b": []}) == ["a", "b"]


def test_too_many_rails_are_not_drawn() -> None:
    many: dict[str, list[str]] = {f"s{number}": [] for number in range(MOST_RAILS + 1)}
    assert drawn({**many, **{f"t{number}": [f"s{number}"] for number in range(MOST_RAILS + 1)}})[0] == "s0"


graphs = st.integers(1, 9).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            f"s{n}": st.lists(st.sampled_from([f"s{m}" for m in range(n)]), unique=True) if n else st.just([])
            for n in range(size)
        }
    )
)


@given(after=graphs, order=st.randoms(use_true_random=False))
def test_rails_say_who_waits_for_whom(after: dict[str, list[str]], order: Any) -> None:
    """Read as a person reads it, the drawing gives back the order of the steps."""
    names = list(after)
    order.shuffle(names)
    rows = rows_of({name: after[name] for name in names})
    assert sorted(row.id for row in rows) == sorted(names)
    assert len({len(row.margin) for row in rows}) == 1
    if not rows[0].margin:
        # Nothing orders them, or it would take too many rails.
        return
    begun: dict[int, list[str]] = {}
    read: dict[str, set[str]] = {}
    for row in rows:
        waits = row.margin.endswith("▶ ")
        read[row.id] = set()
        for column, sign in enumerate(row.margin[:-2:2]):
            if sign in "╭┬":
                begun[column] = [row.id]
            elif sign in "├┼" and not waits:
                begun[column].append(row.id)
            elif sign in "├┼╰┴":
                read[row.id] |= set(begun[column])
    assert closure(read) == closure({name: set(befores) for name, befores in after.items()})


def closure(after: dict[str, set[str]]) -> dict[str, set[str]]:
    """All that each waits for, directly or not."""
    known = {name: set(befores) for name, befores in after.items()}
    for _ in known:
        known = {name: befores.union(*(known[before] for before in befores)) for name, befores in known.items()}
    return known


def on_a_terminal(path: Path, *, columns: int) -> str:
    """What the command writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "starter.main", "plan", "show", str(path)],
        cwd=ROOT,
        stdout=theirs,
        env={**environment, "TERM": "xterm-256color"},
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:
            # How Linux says that the other end of a terminal has been closed.
            pass
        finally:
            os.close(ours)
        assert process.wait(timeout=60) == 0
    return written.decode()


def test_a_terminal_gets_its_own_width_and_stress(plan: Path) -> None:
    seen = on_a_terminal(plan, columns=80)
    assert "\x1b[1mFREEZE" in seen and "\x1b[1;31m━━━ POINT OF NO RETURN" in seen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen).replace("\r\n", "\n")
    assert plain.splitlines() == [line.text for line in lines_of(facts_of(load_plan(plan)), width=80)]

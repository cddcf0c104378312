"""What the plan reference says beyond the model: the example, the values, what an answer means, how a step ends."""

from dataclasses import dataclass

from workflows.names import StepResult

EXAMPLE = """\
# yaml-language-server: $schema=plan.schema.json
plan: acme
subject:
  lookup:
    service: accounts
    request: {method: GET, path: "/users/{{ user_id }}"}
    fields: {email: "{{ body.email }}", name: "{{ body.name }}", locked: "{{ body.locked }}"}
deadline: gdpr
cool_off: {duration: 14d, reminders: [7d, 1d], max: 21d}
mail: {from: accounts@acme.example, support: help@acme.example, operators: [ops@acme.example]}
services:
  accounts:
    base_url: "${env:ACCOUNTS_URL}"
    auth: {type: bearer, token: "${env:ACCOUNTS_TOKEN}"}
  orders:
    type: sql
    database_url: "${env:ORDERS_DATABASE_URL}"
steps:
  lock:
    phase: freeze
    service: accounts
    request: {method: POST, path: "/users/{{ user_id }}/lock"}
    undo: {when: "not subject.locked", request: {method: POST, path: "/users/{{ user_id }}/unlock"}}
  carts:
    phase: erase
    service: orders
    request: {sql: "DELETE FROM carts WHERE customer = :id", parameters: {id: "{{ user_id }}"}}
    probe: {request: {sql: "SELECT count(*) FROM carts WHERE customer = :id", parameters: {id: "{{ user_id }}"}}}
  invoices:
    phase: erase
    service: orders
    retain: {ground: "invoices are kept for ten years under tax law", for: 3650d}
  profile:
    phase: erase
    after: [carts]
    service: accounts
    request: {method: DELETE, path: "/users/{{ user_id }}"}
    absent: [404]
    probe: {request: {method: GET, path: "/users/{{ user_id }}"}}
"""

#: One request of each kind that uses every key it may have.
REQUESTS = {
    "HttpRequest": """\
method: POST
path: "/customers/{{ user_id }}/erasures"
query: {region: eu}
headers: {X-Reason: "retirement {{ retirement_id }}"}
json: {email: "{{ subject.email }}", roles: "{{ subject.roles }}", keep: [invoices]}
""",
    "SqlRequest": """\
sql:
  - DELETE FROM messages WHERE author = :id
  - UPDATE threads SET author = NULL WHERE author = :id
parameters: {id: "{{ user_id }}"}
""",
    "PythonRequest": """\
call: revoke_certificates
arguments: {serials: "{{ saved.lock.serials }}"}
""",
}

#: What is said of an object besides its docstring and the table of its keys.
NOTES = {
    "_Service": "Steps name it by its key. What else it has depends on its type.",
    "SuccessorPolicy": "Steps name it by its key, as `successor: colleague`. "
    "Nobody is chosen where the person owns nothing that has to go to somebody. "
    "[What the person owned](#what-the-person-owned) shows it at work.",
    "Candidates": "Candidates are asked about in their order, page by page, until one is suitable. "
    "The person themselves, and whoever is being retired, is passed over.",
    "Suitable": "Asked about whom the request names, and about candidates. "
    "What it says after the point of no return stops the retirement as ERRORED, where it is no, before anything is erased.",
    "Assets": "Taken before anything is frozen, again after the cool-off, and again until nothing is left. "
    "The step's `request` is made for each asset under an `Idempotency-Key` of its own; "
    "`save`, `probe` and `poll` have no place beside it.",
    "AlsoAsked": "Where there is none it is null: a query leaves it out, and no path can be made of it.",
    "Mirror": "For a system that shows its own people where each retirement stands, and lets only one at a time work on it. "
    "At a step's beginning and end the row is moved to the step's [two states](#mirrored), and at the end to `complete`, or to "
    "`errored` where a step has failed. Whoever rescinds is taken back there by `cancel`. "
    "A run begins behind the last step that the row shows as done, whoever did it; "
    "a row in `errored`, `aborted` or `complete` is left as it is. "
    "The lookup is asked for as long as the source is away: `patience` doesn't count there.",
    "MirroredStates": "No state stands for two things. The `after` of mirrored steps gives them one order, "
    "which is the order of the source's states.",
    "Owner": "A 409 or another refusal may mean that somebody else was faster: then this tells whose the asset is by now.",
    "Step": "It has `service` and `request`, or `retain` or `manual` in their place. "
    "A freeze step needs `undo` or `no_undo`, an erase step `probe` or `unprobed`. "
    "A transfer step has `assets`, or is one request that is done once, as to make the account that assets go to.",
    "HttpRequest": "Each call that isn't a GET carries an `Idempotency-Key`, which is the same for every repeat of it.",
    "SqlRequest": "A repeat does the statements again, so write them so that they don't mind: "
    "DELETE, or UPDATE to a fixed value.",
    "PythonRequest": "What the function is given, and what it may raise, is said with an example in "
    "`activities/actions/python_call.py`.",
}

#: What every name of a template stands for, in reading order.
NAMES = {
    "user_id": "the id the retirement was started with",
    "tenant": "the tenant it was started with; null without one",
    "retirement_id": "the retirement's own id, which says nothing of the person",
    "pseudonym": "`deleted-…`: what stands for the person where something of theirs stays; the same in all services",
    "subject": "`subject.x`: what [`fields`](#subjectlookup) of the lookup has read, what was `given` beforehand, and what "
    "[`also`](#subjectalso) has asked for. Until the lookup is answered, only what was `given`",
    "saved": "`saved.<step>.x`: what `save` or [`find`](#find) of an earlier step has read, or the step's own `find`",
    "successor": "`successor.id` and `successor.x`: who takes over, and what [`fields`](#suitable) has read of them; "
    "in a step that names a `successor`. In `suitable` only the id",
    "asset": "`asset.id`, `asset.type`, `asset.title`, `asset.x`: the one that is asked for, and what [`fields`](#assets) "
    "has read of it; in a step that has `assets`",
    "item": "one of the list that has been read, or of a [claim's](#claims) `each`",
    "mirror": "the state to which the [row](#mirror) is moved, and the `note` that says why",
    "body": "the answer's JSON; `row`, `rows`, `value`, `affected` from a database; what Python code has returned",
    "headers": "the answer's headers, names in lower case (HTTP only)",
    "status": "the answer's status; 200 from a database and from Python code",
    "facts": "`facts.<id>`: what has been asked under [`facts`](#facts)",
}


@dataclass(frozen=True, kw_only=True)
class AnswerMeaning:
    """A row of the table: which answers, and what becomes of the step. `kind` is the meaning's name in the code."""

    answers: str
    means: str
    kind: str


#: Read from the top: the first row that fits counts.
ANSWERS = (
    AnswerMeaning(
        answers="202, where the step has `poll`",
        means="the service works on it: it is asked again, every `poll.every`, for as long as the patience lasts",
        kind="Working",
    ),
    AnswerMeaning(
        answers="any other 2xx",
        means="done; where the step has `done_when`, only if that is true, and tried again otherwise. "
        "An unusable body matters only where a value is needed, and the step is then tried again",
        kind="Done",
    ),
    AnswerMeaning(
        answers="a code in `absent`",
        means="nothing is there. A 404 or 410 is believed once the address is proved to be right (see below)",
        kind="Absent",
    ),
    AnswerMeaning(answers="a code in `permanent`", means="refused for good", kind="Permanent"),
    AnswerMeaning(answers="a code in `transient`", means="tried again", kind="Transient"),
    AnswerMeaning(answers="410, to a DELETE", means="nothing is there, as with `absent`", kind="Absent"),
    AnswerMeaning(
        answers="408, 425, 429, 5xx but not 501 or 505; no connection, no answer in time",
        means="tried again. A `Retry-After` is heeded",
        kind="Transient",
    ),
    AnswerMeaning(
        answers="401",
        means="held: credentials. An OAuth 2 token is renewed first, once, and the request repeated",
        kind="Held",
    ),
    AnswerMeaning(
        answers="403, before any step of this service has succeeded",
        means="held: credentials. Later on it is about this request, and refused for good",
        kind="Held",
    ),
    AnswerMeaning(answers="1xx, 3xx, 501, 505, any other 4xx", means="refused for good", kind="Permanent"),
)

#: How a step may end.
RESULTS = {
    StepResult.ERASED: "the person was there before, and is gone now: both seen by the probe",
    StepResult.ABSENT: "the person was not there, and is not there",
    StepResult.RETAINED: "kept on purpose: `retain` says why and for how long",
    StepResult.TRANSFERRED: "everything that the person owned there was handed over, or what the step says; "
    "the inventory lists nothing any more",
    StepResult.DONE: "a freeze or release step did what it was to do; so did a transfer step without `assets`",
    StepResult.SCRUBBED: "the request was refused for good, and `on_permanent` was done in its place",
    StepResult.UNVERIFIED: "the service said done, and nothing proves it: there is no probe, or it can't tell",
    StepResult.FAILED: "refused for good, out of patience, or the person is still there: the retirement ends ERRORED "
    "(before the point of no return it goes back)",
    StepResult.SKIPPED: "left out by an operator, under their id and a reason code",
    StepResult.MANUAL: "nothing was asked: a person has to do it, and `retire work` lists it as open until they say that "
    "it is done",
}

HEAD = """# Plan reference

A plan says in YAML who is retired, from which services, and how it is proved that they are gone.
This page is generated from the plan's model. `retire plan check` checks a plan against it, and against what no table can say.

A short plan, complete:

```yaml
{example}```

[plans/sandbox.yaml](../plans/sandbox.yaml) is a longer one, with comments; \
[plans/sandbox_team.yaml](../plans/sandbox_team.yaml) hands over what people own.

## While you write

- `retire plan schema > plan.schema.json` writes a JSON Schema beside your plan. \
With the example's first line, an editor that has the YAML language server (VS Code with the YAML extension, Neovim and others) \
completes keys, explains them and marks mistakes.
- `retire plan check FILE` tells everything that is wrong, with its line and how to mend it.
- `retire plan show FILE` shows what the plan does: phase by phase, who is asked what, what leaves the house, how long it takes. \
`--format mermaid` draws it for a wiki page.

## Contents"""

VALUES = """## Durations and rates

A duration is a number and a unit, or several: `250ms`, `30s`, `90m`, `24h`, `14d`, `2w`, `1h30m`. `0` is no time at all; \
a day is 24 hours.
A rate is a number of calls and `s`, `m` or `h`: `20/s`, `300/m`, `1000/h`.
A name is made of lower-case letters, digits, `-` and `_`, begins with a letter, and has at most 63 of them.

## Secrets

`${env:NAME}` is the value of a variable in the worker's environment, `${file:/path}` the text of a file on its disk, \
without a last line break.
They are resolved in the worker at the moment of the call, and never stored, logged or shown.
They may stand where a form says so, and in the templates of requests and headers. \
A value of the person that looks like one is data.
Where one can't be resolved the step is *held*: it waits, visibly, until somebody has mended it."""

TEMPLATES = """## Templates

A template is a text with [Jinja2](https://jinja.palletsprojects.com/en/stable/templates/) in it: `/users/{{ user_id }}`.
An expression is what stands between the braces, with or without them: `not subject.locked`, `{{ body.email }}`.
A value is always encoded for its place: percent-encoded into a path or query, as a parameter into SQL, as a string into JSON.
In `json`, `parameters` and `arguments` a text that is nothing but `{{ … }}` keeps the value's type: a list stays a list.
A name that isn't there is an error, never an empty text.
"""

ANSWERS_HEAD = """## What an answer means

The first row that fits counts.
A database answers 200, or 404 where a SELECT finds no row; a lost connection, a deadlock or a time limit is tried again, \
a statement or value that it can't take is refused for good, a refused login is held.
Python code answers 200, or 404 where it raises `NotThere`; `TryLater` means tried again, `Refused` refused for good.
For a probe its `gone` stands in place of `absent`, for `find` its own `absent`; for the lookup 404 and 410 do.
"""

ANSWERS_END = """**Tried again**: until the patience is over, which begins with the first failure, and five times at least. \
The waits grow, up to five minutes.

**Refused for good** before the point of no return means that the retirement goes back; \
after it, that it ends ERRORED once everything else is done. \
An erase step that has `on_permanent` does that instead.

**Held** means that somebody has to mend something. \
The step looks again every few minutes and goes on by itself; after [`hold_for`](#the-plan) the retirement goes back, \
or ends ERRORED where the point of no return has been passed.

**A wrong URL also answers 404.** \
So a 404 or 410 is believed where the probe saw the person before, where the same URL without credentials answers otherwise, \
or where `absent_unchecked` says why it need not be proved."""

RESULTS_HEAD = """## How a step ends

As exactly one of these, which `retire report` lists.
"""

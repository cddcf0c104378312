"""Ids that try to be more than data. Where a request changes something, they can at worst hit a test user."""

from collections.abc import Iterator, Mapping
from typing import Any

from ledger.cases import new_retirement_id
from starter.conformance.bench import Bench
from starter.conformance.verdicts import LeftOut

#: Harmless wherever they arrive: nobody is called so.
_ODD = {
    "a path upwards (../x)": "../x",
    "a slash, a question mark and an equals sign (a/b?c=d)": "a/b?c=d",
    "spaces": "two  words",
    "letters beyond ASCII": "übung-日本語-\U0001f9ea",
    "quotes (' or 1=1 --)": "' or 1=1 --",
    "braces ({{ 7*7 }})": "{{ 7*7 }}",
    "500 characters": "x" * 500,
}
#: For reads only: who takes these for a pattern would change everybody.
_PATTERNS = {"a percent sign alone (%)": "%", "an asterisk alone (*)": "*", "an underscore alone (_)": "_"}
#: Made around the id of a test user: who takes the id apart arrives at that user.
_AROUND = {
    "a path that leads back to somebody else (x/../id)": "x/../{id}",
    "a query behind somebody else's id (id?x=1)": "{id}?x=1",
    "a fragment behind somebody else's id (id#x)": "{id}#x",
    "a parameter behind somebody else's id (id;x=1)": "{id};x=1",
    "a slash behind somebody else's id (id/)": "{id}/",
    "a space behind somebody else's id": "{id} ",
}


def hostile_contexts(bench: Bench, *, changing: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What templates may name, with the user id and every text of the subject made hostile; each with its name."""
    try:
        victim = bench.bystander
    except LeftOut:
        victim = bench.main
    known = bench.context(victim)
    forms = {**_ODD, **_AROUND} if changing else {**_ODD, **_PATTERNS, **_AROUND}
    for name, form in forms.items():
        subject = {
            key: form.replace("{id}", value) if isinstance(value, str) and value else value
            for key, value in (victim.subject or {}).items()
        }
        user_id = form.replace("{id}", victim.user_id)[:512]
        changed = {**known, "user_id": user_id, "retirement_id": new_retirement_id(), "saved": {}}
        yield name, changed if victim.subject is None else {**changed, "subject": subject}

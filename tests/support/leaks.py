"""A person whose data can't be mistaken for anything else, and a search for every form in which they could have leaked."""

import base64
import html
import json
import quopri
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory

from sandbox.client import Person


@dataclass(frozen=True, kw_only=True)
class Canary:
    """What somebody is called, and where they are reached. `mark` (letters) tells one canary from another."""

    mark: str
    number: str

    @property
    def name(self) -> str:
        """Not in ASCII, so that every way of escaping shows."""
        return f"{self.mark.capitalize()}erine {self.mark.capitalize()}quillf\u00e6ther"

    @property
    def phone(self) -> str:
        """With a plus, as a query or a form would change it."""
        return f"+49 1555-{self.number}"

    @property
    def username(self) -> str:
        """What they log in by."""
        return f"nick+{self.mark}ette"

    @property
    def domain(self) -> str:
        """All of their addresses end so."""
        return f"{self.mark}vogel.example"

    @property
    def fragments(self) -> tuple[str, ...]:
        """Parts of their data, any of which gives them away."""
        first, last = self.name.split()
        return first, last, self.domain, f"1555-{self.number}", f"{self.mark}ette"

    @property
    def email(self) -> str:
        """One address."""
        return f"{self.mark}.q@{self.domain}"

    def person(self, user_id: str, **details: Any) -> Person:
        """Somebody with these data, under an opaque id."""
        return Person(
            user_id=user_id,
            username=f"{self.username}.{user_id}",
            name=self.name,
            email=f"{self.mark}.{user_id}@{self.domain}",
            phone=self.phone,
            **details,
        )


def forms_of(text: str) -> dict[str, bytes]:
    """A text as it is written in clear, in URLs, in JSON, in base64 at each alignment, in mails, in logs, in dumps."""
    escaped = json.dumps(text)[1:-1]
    forms = {
        "clear": text.encode(),
        "percent-encoded": quote(text, safe="").encode(),
        "percent-encoded in a form": quote_plus(text).encode(),
        "percent-encoded twice": quote(quote(text, safe=""), safe="").encode(),
        "JSON-escaped": escaped.encode(),
        "JSON-escaped twice": json.dumps(escaped)[1:-1].encode(),
        "HTML-escaped": html.escape(text).encode("ascii", "xmlcharrefreplace"),
        "quoted-printable": quopri.encodestring(text.encode()),
        "backslash-escaped": repr(text.encode())[2:-1].encode(),
        "latin-1": text.encode("latin-1", "replace"),
        "UTF-16 LE": text.encode("utf-16-le"),
        "UTF-16 BE": text.encode("utf-16-be"),
        "in the label of a metric": re.sub(r"[^a-zA-Z0-9_]", "_", text).encode(),
        "hexadecimal": text.encode().hex().encode(),
    }
    for shift in range(3):
        # The characters at both ends hold bits of the neighbours, too.
        encoded = base64.b64encode(b"_" * shift + text.encode())
        whole = encoded[(0, 2, 3)[shift] : (shift + len(text.encode())) // 3 * 4]
        forms[f"base64 at {shift}"] = whole
        forms[f"base64 for URLs at {shift}"] = whole.replace(b"+", b"-").replace(b"/", b"_")
    return forms


def traces_of(fragments: Iterable[str], content: bytes) -> set[str]:
    """Which fragments are found in a content, and in what form: `kanarivogel.example: base64 at 1`."""
    lowered = content.lower()
    found = set()
    for fragment in fragments:
        # Many forms of a plain word are the same, and contents are long.
        hits: dict[tuple[bool, bytes], bool] = {}
        for form, needle in forms_of(fragment).items():
            # Base64 is about case; all the rest is found in capitals, too.
            is_base64 = form.startswith("base64")
            look = (is_base64, needle if is_base64 else needle.lower())
            if look not in hits:
                hits[look] = look[1] in (content if is_base64 else lowered)
            if hits[look]:
                found.add(f"{fragment}: {form}")
    return found


def all_of(history: WorkflowHistory, *, without_words: bool = False) -> bytes:
    """A history as the server sends it, where payloads are bare bytes, and as JSON, where they are in base64.

    `without_words` leaves out what the senders of messages wrote: it is theirs, and in the history before any of our code runs.
    """
    if without_words:
        history = WorkflowHistory(workflow_id=history.workflow_id, events=_without_words(history).events)
    return History(events=history.events).SerializeToString() + b"\n" + history.to_json().encode()


def _without_words(history: WorkflowHistory) -> History:
    copy = History()
    copy.CopyFrom(History(events=history.events))
    for event in copy.events:
        for attributes, field in (
            ("workflow_execution_started_event_attributes", "input"),
            ("workflow_execution_signaled_event_attributes", "input"),
        ):
            if event.HasField(attributes):  # type: ignore[arg-type]  # its stub lists the names one by one
                getattr(event, attributes).ClearField(field)
        if event.HasField("workflow_execution_update_accepted_event_attributes"):
            accepted = event.workflow_execution_update_accepted_event_attributes
            accepted.accepted_request.input.ClearField("args")
    return copy


def content_of(folder: Path, pattern: str) -> bytes:
    """All bytes of the files of a folder, with write-ahead logs and whatever else lies beside them."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file())

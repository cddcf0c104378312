"""The LMS calls that show and move retirement rows, clean them up and cancel them."""

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.lms.calls import Answer, Call, Refused, Route
from sandbox.lms.settings import Settings
from sandbox.lms.states import COMPLETE, PENDING, States
from sandbox.lms.store import Store, instant, now, retired_address, status_object

_ACCOUNTS = "/api/user/v1/accounts"
_REDACTIONS = ("redacted_username", "redacted_email", "redacted_name")


class Statuses:
    """Everything about a row but the erasing."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._states = States(names=settings.states)

    def routes(self) -> Iterable[Route]:
        """The calls."""
        yield _route("status", "GET", "{username}/retirement_status", self.status)
        yield _route("update", "PATCH", "update_retirement_status", self.update)
        yield _route("queue", "GET", "retirement_queue", self.queue, "cool_off_days", "states", "limit")
        dates = ("start_date", "end_date", "state")
        yield _route("by_date", "GET", "retirements_by_status_and_date", self.by_date, *dates)
        yield _route("cleanup", "POST", "retirement_cleanup", self.cleanup)
        yield _route("cancel", "POST", "cancel_retirement", self.cancel)

    def status(self, call: Call) -> Answer:
        """One row by original username, which finds the learner after the rename, too."""
        call.nothing_sent()
        row = self._store.row_named(call.arguments["username"], any_case=self._settings.lookup_ignores_case)
        return Answer(status=404) if row is None else Answer(body=self._object(row))

    def update(self, call: Call) -> Answer:
        """Move a row."""
        body = call.json
        if not isinstance(body, dict):
            raise Refused(400, "a JSON object is expected")
        username = body.get("username")
        row = self._store.row_named(username) if isinstance(username, str) else None
        if row is None:
            return Answer(status=404)
        update = call.read({"username": str, "new_state": str, "response": str} | _force(body))
        force = update.get("force", False)
        why_not = self._states.refusal(current=row["state"], new=update["new_state"], force=force)
        if why_not is not None:
            raise Refused(400, why_not)
        self._store.move(row, state=update["new_state"], response=update["response"])
        return Answer(status=204)

    def queue(self, call: Call) -> Answer:
        """Rows in these states whose cool-off is over."""
        call.nothing_sent()
        days = _number(_single(call, "cool_off_days"), least=0, name="cool_off_days")
        states = call.values("states")
        if not states:
            raise Refused(400, 'Param "states" required with at least one state.')
        if len(set(states)) != len(states) or not all(map(self._states.knows, states)):
            known = [state for state in states if self._states.knows(state)]
            raise Refused(400, f"Unknown state. Requested: {states} Found: {known}")
        limit = None
        if call.values("limit"):
            limit = _number(_single(call, "limit"), least=1, name="limit")
        # A hundred thousand years are not in the calendar of the database either: everything is younger then.
        before = now() - days * 86_400 * 1_000_000
        return Answer(body=[self._object(row) for row in self._store.rows(states, before=before, limit=limit)])

    def by_date(self, call: Call) -> Answer:
        """Rows in one state that were created between two days, both included."""
        call.nothing_sent()
        start, end = (_day(_single(call, name)) for name in ("start_date", "end_date"))
        if max(start, end) > datetime.now(UTC) or start > end:
            raise Refused(400, "Dates must be today or earlier, and start must be earlier than end.")
        state = _single(call, "state")
        if not self._states.knows(state):
            raise Refused(400, "Unknown retirement state.")
        rows = self._store.rows([state], since=instant(start), before=instant(end + timedelta(days=1)))
        return Answer(body=[self._object(row) for row in rows])

    def cleanup(self, call: Call) -> Answer:
        """Delete rows that are complete: all of them or none."""
        keys: dict[str, type] = {"usernames": list}
        if self._settings.redacts_at_cleanup and isinstance(call.json, dict):
            keys |= {key: str for key in _REDACTIONS if key in call.json}
        body = call.read(keys)
        rows = [self._store.row_named(name) for name in body["usernames"] if isinstance(name, str)]
        found = {row["id"]: row for row in rows if row is not None and row["state"] == COMPLETE}
        if len(found) != len(body["usernames"]):
            raise Refused(400, "Not all usernames exist in the COMPLETE state.")
        with self._store.change():
            for row in found.values():
                # Where rows are only marked as deleted downstream, what they said must be gone by then.
                redacted = {key: body.get(key, "redacted") for key in _REDACTIONS}
                self._store.effect("cleanup", user_id=row["user_id"], row_id=row["id"], detail=redacted)
                self._store.database.execute("delete from retirements where id = ?", (row["id"],))
        return Answer(status=204)

    def cancel(self, call: Call) -> Answer:
        """Rescind: the row goes, and so does the lock of the account."""
        body = call.json if isinstance(call.json, dict) else {}
        if "retirement_id" not in body:
            raise Refused(400, {"message": "retirement_id must be specified."})
        row = self._store.row(call.read({"retirement_id": int})["retirement_id"])
        if row is None:
            raise Refused(400, {"message": "Retirement does not exist!"})
        if row["state"] != PENDING:
            raise Refused(
                400,
                {
                    "message": "Retirement requests can only be cancelled for users in the PENDING state. Current "
                    f"request state for '{row['original_username']}': {row['state']}"
                },
            )
        cancel(row, store=self._store)
        return Answer(body={"success": True})

    def _object(self, row: sqlite3.Row) -> dict[str, Any]:
        return status_object(row, states=self._states)


def cancel(row: sqlite3.Row, *, store: Store) -> None:
    """Give the account back: the address as it was, and a password nobody knows, which the learner resets."""
    with store.change():
        store.database.execute("delete from retirements where id = ?", (row["id"],))
        store.database.execute("delete from retirement_requests where user_id = ?", (row["user_id"],))
        store.database.execute(
            "update users set email = ?, password = hex(randomblob(12)) where id = ?",
            (row["original_email"], row["user_id"]),
        )
        store.effect("cancel", user_id=row["user_id"], row_id=row["id"])


def ask_for_retirement(user: sqlite3.Row, *, store: Store) -> None:
    """What the learner's own request does, at once: lock the account and make the row."""
    with store.change():
        moment = now()
        store.request_retirement(user["id"], created=moment, modified=moment)
        store.effect("request", user_id=user["id"], detail={"email": retired_address(user["email"])})


def _route(name: str, method: str, path: str, endpoint: Any, *query: str) -> Route:
    return Route(name=name, service="lms", method=method, path=f"{_ACCOUNTS}/{path}/", endpoint=endpoint, query=query)


def _force(body: dict[str, Any]) -> dict[str, type]:
    return {"force": bool} if "force" in body else {}


def _single(call: Call, name: str) -> str:
    values = call.values(name)
    if len(values) != 1:
        raise Refused(400, f"Missing required parameter: {json.dumps(name)}")
    return values[0]


def _number(text: str, *, least: int, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) >= least):
        raise Refused(400, f"Invalid argument for {name}, must be {least} or more.")
    return int(text)


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(400, "Invalid start or end date") from None

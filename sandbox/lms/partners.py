"""The LMS calls about partner reports: queue a learner, hand the rows out, take them off."""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from sandbox.lms.calls import Answer, Call, Refused, Route
from sandbox.lms.settings import Settings
from sandbox.lms.states import allows_steps
from sandbox.lms.store import Store, now, told

_REPORT = "/api/user/v1/accounts/retirement_partner_report/"
_CLEANUP = "/api/user/v1/accounts/retirement_partner_report_cleanup/"


class Partners:
    """Rows about learners of whose retirement partners are told."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """The calls."""
        yield Route(name="partner_queue", service="lms", method="PUT", path=_REPORT, endpoint=self.queue)
        yield Route(name="partner_report", service="lms", method="POST", path=_REPORT, endpoint=self.report)
        yield Route(name="partner_cleanup", service="lms", method="POST", path=_CLEANUP, endpoint=self.cleanup)

    def queue(self, call: Call) -> Answer:
        """Make a report row, for a learner who was ever enrolled with an organisation."""
        username = call.read({"username": str})["username"]
        row = self._store.row_named(username)
        if row is None:
            return Answer(status=404)
        if not allows_steps(row["state"]):
            raise Refused(500, f"{username} is in {row['state']}, not a valid state to perform retirement actions on.")
        if self._orgs(row["user_id"]):
            with self._store.change():
                self._store.database.execute(
                    "insert or ignore into partner_reports (user_id, original_username, original_email, original_name,"
                    " created, processing) values (?, ?, ?, ?, ?, 0)",
                    (
                        row["user_id"],
                        row["original_username"],
                        row["original_email"],
                        row["original_name"],
                        now(),
                    ),
                )
                self._store.effect("partner_queue", user_id=row["user_id"], row_id=row["id"])
        return Answer(status=204)

    def report(self, call: Call) -> Answer:
        """Hand out the rows that were not handed out yet, and mark them."""
        call.nothing_sent()
        with self._store.change():
            rows = self._store.database.execute(
                "select * from partner_reports where processing = 0 order by id"
            ).fetchall()
            self._store.database.execute("update partner_reports set processing = 1 where processing = 0")
            if rows:
                self._store.effect("partner_report", user_id=None, detail=[row["user_id"] for row in rows])
        return Answer(body=[self._object(row) for row in rows])

    def cleanup(self, call: Call) -> Answer:
        """Take rows off that were handed out: all of them or none."""
        body = call.json
        if not isinstance(body, list) or not all(_is_name(entry) for entry in body):
            raise Refused(400, "a list of objects with original_username alone is expected")
        names = [entry["original_username"] for entry in body]
        if not names:
            raise Refused(400, "No original_usernames given.")
        found = {name: row for name in names if (row := self._being_processed(name)) is not None}
        if len(found) != len(names):
            raise Refused(400, f"{len(names)} original_usernames given, {len(found)} found!")
        with self._store.change():
            for row in found.values():
                self._store.database.execute("delete from partner_reports where id = ?", (row["id"],))
                self._store.effect("partner_cleanup", user_id=row["user_id"])
        return Answer(status=204)

    def _being_processed(self, name: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._store.database.execute(
            "select * from partner_reports where original_username = ? and processing = 1", (name,)
        ).fetchone()
        return found

    def _orgs(self, user_id: int) -> list[str]:
        user = self._store.user(user_id)
        return list(dict.fromkeys(org for org, _ in json.loads(user["enrollments"]))) if user else []

    def _object(self, row: sqlite3.Row) -> dict[str, Any]:
        orgs = self._orgs(row["user_id"])
        told_of = {key: row[key] for key in ("user_id", "original_username", "original_email", "original_name")}
        answer: dict[str, Any] = {**told_of, "orgs": orgs, "created": told(row["created"])}
        configured = [
            {"org": org, "field_headings": self._settings.orgs_config[org]}
            for org in orgs
            if org in self._settings.orgs_config
        ]
        return {**answer, "orgs_config": configured} if configured else answer


def _is_name(entry: object) -> bool:
    return (
        isinstance(entry, dict) and set(entry) == {"original_username"} and isinstance(entry["original_username"], str)
    )

"""Third parties, each with keys of its own: Segment, Braze, Amplitude, HubSpot. What they promise happens later."""

import json
import secrets
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.lms.calls import Answer, Call, Guard, Refused, Route
from sandbox.lms.settings import Settings
from sandbox.lms.store import Store

_REGULATIONS = "/segment/v1beta/workspaces/{slug}/regulations"
_AMPLITUDE = "/amplitude/api/2/deletions/users"
_HUBSPOT = "/hubspot/contacts/v1/contact"
_REGULATION_TYPES = ("Suppress_With_Delete", "Suppress", "Unsuppress")
#: Segment refuses a request with so many values.
_TOO_MANY_VALUES = 5_000
#: A contact's number at HubSpot is the LMS user id and this.
VID = 90_000_000


class Vendors:
    """All of them."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """The calls, each below the path that stands for the vendor's host."""
        segment, hubspot = (Guard.SEGMENT, "segment"), (Guard.HUBSPOT, "hubspot")
        yield _route("segment", *segment, "POST", _REGULATIONS, self._regulate)
        yield _route("segment_status", *segment, "GET", f"{_REGULATIONS}/{{regulate_id}}", self._regulation)
        yield _route("braze", Guard.BRAZE, "braze", "POST", "/braze/users/delete", self._braze)
        yield _route("amplitude", Guard.AMPLITUDE, "amplitude", "POST", _AMPLITUDE, self._amplitude)
        amplitude = ("GET", _AMPLITUDE, self._amplitude_jobs, "start_day", "end_day")
        yield _route("amplitude_status", Guard.AMPLITUDE, "amplitude", *amplitude)
        yield _route("hubspot", *hubspot, "GET", f"{_HUBSPOT}/email/{{email}}/profile", self._contact)
        yield _route("hubspot_delete", *hubspot, "DELETE", f"{_HUBSPOT}/vid/{{vid}}", self._delete_contact)

    def _regulate(self, call: Call) -> Answer:
        self._check_slug(call)
        body = call.read({"regulation_type": str, "attributes": dict})
        attributes = body["attributes"]
        values = attributes.get("values")
        if set(attributes) != {"name", "values"} or attributes["name"] != "userId" or not _texts(values):
            raise Refused(400, {"error": "attributes are a name, userId, and values, texts"})
        if body["regulation_type"] not in _REGULATION_TYPES or len(values) >= _TOO_MANY_VALUES:
            raise Refused(400, {"error": f"regulation_type or the number of values; types: {_REGULATION_TYPES}"})
        regulate_id = f"reg_{secrets.token_hex(10)}"
        with self._store.change():
            kept = (regulate_id, body["regulation_type"], json.dumps(values), "INITIALIZED")
            self._store.database.execute("insert into regulations values (?, ?, ?, ?)", kept)
            self._store.effect("segment", user_id=_user_id(values[0]), detail=values)
        return Answer(body={"regulate_id": regulate_id})

    def _regulation(self, call: Call) -> Answer:
        self._check_slug(call)
        call.nothing_sent()
        regulate_id = call.arguments["regulate_id"]
        found = self._store.database.execute("select * from regulations where id = ?", (regulate_id,)).fetchone()
        if found is None:
            return Answer(status=404, body={"error": "no such regulation"})
        return Answer(body={"id": regulate_id, "regulation_type": found["type"], "overall_status": found["status"]})

    def _braze(self, call: Call) -> Answer:
        ids = call.read({"external_ids": list})["external_ids"]
        if not _texts(ids):
            raise Refused(400, {"message": "external_ids are texts"})
        self._store.effect("braze", user_id=_user_id(ids[0]), detail=ids)
        return Answer(status=201, body={"deleted": len(ids), "message": "success"})

    def _amplitude(self, call: Call) -> Answer:
        body = call.read({"user_ids": list, "ignore_invalid_id": str, "requester": str})
        if not _texts(body["user_ids"]) or body["ignore_invalid_id"].lower() != "true":
            raise Refused(400, {"error": "user_ids are texts; ignore_invalid_id is the text true"})
        # Jobs are gathered for a while before they run.
        day = (datetime.now(UTC) + timedelta(days=11)).date().isoformat()
        with self._store.change():
            for user_id in body["user_ids"]:
                job = (day, user_id, "staging")
                self._store.database.execute("insert into amplitude_jobs values (?, ?, ?)", job)
                self._store.effect("amplitude", user_id=_user_id(user_id))
        return Answer(body=self._job(day))

    def _amplitude_jobs(self, call: Call) -> Answer:
        call.nothing_sent()
        asked = dict(call.query)
        if set(asked) != {"start_day", "end_day"}:
            raise Refused(400, {"error": "start_day and end_day are needed"})
        found = self._store.database.execute(
            "select distinct day from amplitude_jobs where day between ? and ? order by day",
            (asked["start_day"], asked["end_day"]),
        )
        return Answer(body=[self._job(row["day"]) for row in found.fetchall()])

    def _job(self, day: str) -> dict[str, Any]:
        rows = self._store.database.execute("select * from amplitude_jobs where day = ?", (day,)).fetchall()
        ids = [{"amplitude_id": 10_000_000 + number, "user_id": row["user_id"]} for number, row in enumerate(rows)]
        return {"day": day, "status": rows[0]["status"], "amplitude_ids": ids}

    def _contact(self, call: Call) -> Answer:
        call.nothing_sent()
        user = self._store.user_once_at(call.arguments["email"])
        if user is None or self._is_gone(user):
            return Answer(status=404, body={"status": "error", "message": "contact does not exist"})
        return Answer(body={"vid": user["id"] + VID, "is-contact": True})

    def _delete_contact(self, call: Call) -> Answer:
        call.nothing_sent()
        vid = call.arguments["vid"]
        user = self._store.user(int(vid) - VID) if vid.isascii() and vid.isdigit() and len(vid) < 16 else None
        if user is None or self._is_gone(user):
            return Answer(status=404, body={"status": "error", "message": "contact does not exist"})
        self._store.effect("hubspot", user_id=user["id"])
        return Answer(body={"vid": int(vid), "deleted": True, "reason": "OK"})

    def _is_gone(self, user: sqlite3.Row) -> bool:
        deleted = self._store.database.execute(
            "select 1 from effects where effect = 'hubspot' and user_id = ?", (user["id"],)
        )
        return deleted.fetchone() is not None or not self._store.is_known(user, to="hubspot")

    def _check_slug(self, call: Call) -> None:
        if call.arguments["slug"] != self._settings.segment_slug:
            raise Refused(404, {"error": "no such workspace"})


def _route(name: str, guard: Guard, service: str, method: str, path: str, endpoint: Any, *query: str) -> Route:
    return Route(
        name=name, service=service, method=method, path=path, endpoint=endpoint, guard=guard, query=tuple(query)
    )


def _texts(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) and value for value in values)


def _user_id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None

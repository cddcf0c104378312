"""The control pages of the stand-in, which tests use and no fault touches."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from sandbox.lms.calls import Answer, Refused
from sandbox.lms.certificates import Certificates
from sandbox.lms.faults import Fault
from sandbox.lms.settings import Settings
from sandbox.lms.states import States
from sandbox.lms.statuses import ask_for_retirement, cancel
from sandbox.lms.store import instant, status_object, told

if TYPE_CHECKING:
    from sandbox.lms.app import StandIn

CONTROL = "/_sandbox/"

_CHANGEABLE = ("state", "last_state", "created", "modified")


class Control:
    """`/_sandbox/…`: who is there, what was asked, what shall go wrong."""

    def __init__(self, *, site: "StandIn") -> None:
        self._site = site
        self._pages: dict[str, Callable[..., Answer]] = {
            "POST learners": self._add_learners,
            "GET learners": self._learners,
            "GET row": self._row,
            "PATCH row": self._change_row,
            "DELETE row": self._delete_row,
            "POST retirement": self._ask_for_retirement,
            "POST cancel": self._cancel,
            "GET requests": self._requests,
            "DELETE requests": self._forget_requests,
            "GET counts": lambda **_: Answer(body=dict(site.recording.counts)),
            "GET effects": self._effects,
            "GET partner_reports": self._partner_reports,
            "GET certificates": lambda **_: Answer(body=self._certificates().rows()),
            "POST certificates": self._add_certificates,
            "POST blank": self._blank,
            "GET listing": lambda **_: Answer(body={"csv": self._certificates().listing()}),
            "GET regulations": self._regulations,
            "PATCH regulations": self._change_regulations,
            "PATCH amplitude": self._change_amplitude,
            "POST faults": self._add_fault,
            "GET faults": lambda **_: Answer(body=site.faults.listed()),
            "DELETE faults": self._behave,
            "POST release": self._release,
            "GET settings": lambda **_: Answer(body=asdict(site.settings)),
            "PATCH settings": self._set,
            "DELETE tokens": self._revoke,
            "POST tokens": self._learner_token,
            "POST reset": self._reset,
        }

    def answer(self, *, method: str, path: str, query: str, body: bytes) -> Answer:
        """One control page."""
        page = self._pages.get(f"{method} {unquote(path.removeprefix(CONTROL))}")
        if page is None:
            return Answer(status=404, body={"error": f"the pages are: {', '.join(self._pages)}"})
        try:
            given = json.loads(body) if body else {}
            asked = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
            return page(given=given, asked=asked)
        except Refused as refused:
            return refused.answer
        except (ValueError, KeyError, TypeError, sqlite3.IntegrityError) as error:
            return Answer(status=400, body={"error": f"{type(error).__name__}: {error}"})

    # Learners and their rows.

    def _add_learners(self, *, given: Any, **_: Any) -> Answer:
        store = self._site.store
        with store.change():
            added = [store.add_learner(learner) for learner in given["learners"]]
        return Answer(status=201, body=[self._learner(user_id) for user_id in added])

    def _learners(self, **_: Any) -> Answer:
        users = self._site.store.database.execute("select id from users order by id").fetchall()
        return Answer(body=[self._learner(user["id"]) for user in users])

    def _learner(self, user_id: int) -> dict[str, Any]:
        """All that is kept about a learner; `row` is null where there is none."""
        store = self._site.store
        user, row = store.user(user_id), store.row_of_user(user_id)
        assert user is not None
        kept = {**dict(user), "enrollments": json.loads(user["enrollments"])}
        return {**kept, "unknown_to": json.loads(user["unknown_to"]), "row": None if row is None else self._object(row)}

    def _row(self, *, asked: dict[str, str], **_: Any) -> Answer:
        return Answer(body=self._object(self._find(asked)))

    def _change_row(self, *, given: Any, asked: dict[str, str], **_: Any) -> Answer:
        row = self._find(asked)
        if not set(given) <= set(_CHANGEABLE):
            raise ValueError(f"a row has, to be changed: {', '.join(_CHANGEABLE)}")
        for name, value in given.items():
            kept = instant(value) if name in ("created", "modified") else value
            self._site.store.database.execute(f"update retirements set {name} = ? where id = ?", (kept, row["id"]))  # noqa: S608 - one of four names
        return Answer(body=self._object(self._find({"id": str(row["id"])})))

    def _delete_row(self, *, asked: dict[str, str], **_: Any) -> Answer:
        self._site.store.database.execute("delete from retirements where id = ?", (self._find(asked)["id"],))
        return Answer(status=204)

    def _ask_for_retirement(self, *, given: Any, **_: Any) -> Answer:
        user = self._site.store.user_named(given["username"])
        if user is None:
            raise Refused(404, {"error": "nobody has that username"})
        ask_for_retirement(user, store=self._site.store)
        return Answer(status=201, body=self._object(self._find({"username": given["username"]})))

    def _cancel(self, *, asked: dict[str, str], **_: Any) -> Answer:
        cancel(self._find(asked), store=self._site.store)
        return Answer(status=204)

    def _find(self, asked: dict[str, str]) -> sqlite3.Row:
        store = self._site.store
        row = store.row(int(asked["id"])) if "id" in asked else store.row_named(asked["username"])
        if row is None:
            raise Refused(404, {"error": "no such row"})
        return row

    def _object(self, row: sqlite3.Row) -> dict[str, Any]:
        # The log is for the pages of administrators; the API never shows it.
        return {**status_object(row, states=States(names=self._site.settings.states)), "responses": row["responses"]}

    # What was seen and done.

    def _requests(self, *, asked: dict[str, str], **_: Any) -> Answer:
        row_id = int(asked["row_id"]) if "row_id" in asked else None
        return Answer(body=self._site.recording.listed(after=int(asked.get("after", 0)), row_id=row_id))

    def _forget_requests(self, **_: Any) -> Answer:
        self._site.recording.clear()
        return Answer(status=204)

    def _effects(self, **_: Any) -> Answer:
        rows = self._site.store.database.execute("select * from effects order by number").fetchall()
        return Answer(body=[{**dict(row), "detail": row["detail"] and json.loads(row["detail"])} for row in rows])

    # What lies beside the rows.

    def _partner_reports(self, **_: Any) -> Answer:
        rows = self._site.store.database.execute("select * from partner_reports order by id").fetchall()
        return Answer(body=[{**dict(row), "created": told(row["created"])} for row in rows])

    def _certificates(self) -> Certificates:
        return Certificates(store=self._site.store, settings=self._site.settings)

    def _add_certificates(self, *, given: Any, **_: Any) -> Answer:
        with self._site.store.change():
            return Answer(status=201, body=[self._certificates().add(each) for each in given["certificates"]])

    def _blank(self, *, given: Any, **_: Any) -> Answer:
        processed, failed = self._certificates().blank(given["certificate_ids"])
        return Answer(body={"processed": processed, "failed": failed})

    def _regulations(self, **_: Any) -> Answer:
        rows = self._site.store.database.execute("select * from regulations order by rowid").fetchall()
        return Answer(body=[{**dict(row), "values": json.loads(row["values"])} for row in rows])

    def _change_regulations(self, *, given: Any, **_: Any) -> Answer:
        self._site.store.database.execute("update regulations set status = ?", (given["status"],))
        return Answer(status=204)

    def _change_amplitude(self, *, given: Any, **_: Any) -> Answer:
        self._site.store.database.execute("update amplitude_jobs set status = ?", (given["status"],))
        return Answer(status=204)

    # What shall be different.

    def _add_fault(self, *, given: Any, **_: Any) -> Answer:
        fault = Fault.read(given)
        if fault.route is not None and fault.route not in self._site.routes.names:
            raise ValueError(f"the routes are: {', '.join(self._site.routes.names)}")
        return Answer(status=201, body={"number": self._site.faults.add(fault)})

    def _behave(self, **_: Any) -> Answer:
        self._site.faults.clear(done=True)
        return Answer(status=204)

    def _release(self, *, given: Any, **_: Any) -> Answer:
        found = self._site.faults.release(given["number"], done=given["done"])
        return Answer(status=204) if found else Answer(status=404, body={"error": "no such fault"})

    def _set(self, *, given: Any, **_: Any) -> Answer:
        kept = asdict(self._site.settings)
        settings = Settings.read({**kept, **given})
        unknown = set(settings.missing_routes) - set(self._site.routes.names)
        if unknown:
            raise ValueError(f"the routes are: {', '.join(self._site.routes.names)}")
        self._site.change_settings(settings)
        return Answer(body=asdict(self._site.settings))

    def _revoke(self, **_: Any) -> Answer:
        self._site.tokens.revoke_all()
        return Answer(status=204)

    def _learner_token(self, *, given: Any, **_: Any) -> Answer:
        lifetime = self._site.settings.token_lifetime
        return Answer(
            status=201, body={"token": self._site.tokens.issue(lifetime=lifetime, username=given["username"])}
        )

    def _reset(self, **_: Any) -> Answer:
        self._site.reset()
        return Answer(status=204)

"""The LMS calls that erase. They work only while the learner's row is in the start state of a step."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.lms.calls import Answer, Call, Refused, Route
from sandbox.lms.states import allows_steps
from sandbox.lms.store import Store

#: What an endpoint does once the learner is found and the state is right.
_Effect = Callable[[sqlite3.Row], Answer]


class Steps:
    """The erasing calls."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    def routes(self) -> Iterable[Route]:
        """The calls."""
        yield self._step("retire_forum", "/api/discussion/v1/accounts/retire_forum/", self._only("forum"))
        yield self._step("retire_mailings", "/api/user/v1/accounts/retire_mailings/", self._only("mailings"))
        yield self._step("unenroll", "/api/enrollment/v1/unenroll/", self._unenroll)
        yield self._step("unenroll_older", "/api/enrollment/v1/enrollment/unenroll/", self._unenroll)
        yield self._step("retire_notes", "/api/edxnotes/v1/retire_user/", self._only("notes"), wrong_state=405)
        yield self._step("retire_misc", "/api/user/v1/accounts/retire_misc/", self._only("misc"))
        yield self._step("retire", "/api/user/v1/accounts/retire/", self._retire)
        yield self._proctoring("retire_proctoring", "retire_user", Answer(status=204))
        done = Answer(body={"backend": True})
        yield self._proctoring("retire_proctoring_backend", "retire_backend_user", done)

    def _step(self, name: str, path: str, effect: _Effect, *, wrong_state: int = 500) -> Route:
        def endpoint(call: Call) -> Answer:
            username = call.read({"username": str})["username"]
            row = self._store.row_named(username)
            user = None if row is None else self._store.user(row["user_id"])
            if row is None or user is None or not self._store.is_known(user, to=name):
                return Answer(status=404)
            if not allows_steps(row["state"]):
                why = f"{username} is in {row['state']}, not a valid state to perform retirement actions on."
                raise Refused(wrong_state, why)
            with self._store.change():
                return effect(row)

        return Route(name=name, service="lms", method="POST", path=path, endpoint=endpoint)

    def _proctoring(self, name: str, path: str, done: Answer) -> Route:
        def endpoint(call: Call) -> Answer:
            call.nothing_sent()
            given = call.arguments["user_id"]
            user = self._store.user(int(given)) if given.isascii() and given.isdigit() and len(given) < 16 else None
            if user is None or not self._store.is_known(user, to=name):
                return Answer(status=404)
            self._store.effect(name.removeprefix("retire_"), user_id=user["id"])
            return done

        template = f"/api/edx_proctoring/v1/{path}/{{user_id}}/"
        return Route(name=name, service="lms", method="POST", path=template, endpoint=endpoint)

    def _only(self, effect: str) -> _Effect:
        def done(row: sqlite3.Row) -> Answer:
            self._note(effect, row)
            return Answer(status=204)

        return done

    def _unenroll(self, row: sqlite3.Row) -> Answer:
        user = self._store.user(row["user_id"])
        assert user is not None
        enrollments = json.loads(user["enrollments"])
        left = [f"course-v1:{org}+Demo+2026" for org, active in enrollments if active]
        self._store.database.execute(
            "update users set enrollments = ? where id = ?",
            (json.dumps([[org, False] for org, _ in enrollments]), user["id"]),
        )
        self._note("unenroll", row, detail=left)
        return Answer(body=left) if left else Answer(status=204)

    def _retire(self, row: sqlite3.Row) -> Answer:
        """Rename, anonymise, deactivate. Certificates keep everything but the name on them."""
        self._store.database.execute(
            "update users set username = ?, email = ?, name = '', active = 0, password = null where id = ?",
            (row["retired_username"], row["retired_email"], row["user_id"]),
        )
        self._store.database.execute("update certificates set name = '' where user_id = ?", (row["user_id"],))
        self._note("retire", row)
        return Answer(status=204)

    def _note(self, effect: str, row: sqlite3.Row, *, detail: Any = None) -> None:
        self._store.effect(effect, user_id=row["user_id"], row_id=row["id"], detail=detail)

"""The account service: who people are, and real login sessions. Honours Idempotency-Key."""

import argparse
import hashlib
import hmac
import json
import secrets
import time
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from sandbox.server import arguments_parser, main
from sandbox.service import Answer, Call, Route, Service, control, read_number

CLIENT_ID = "retirement"

#: How many people a page of a list holds.
_ON_A_PAGE = 20
_LAST_PAGE = 99_999


class Accounts(Service):
    """Accounts with passwords and sessions for people, OAuth 2 client credentials for machines."""

    name: ClassVar[str] = "accounts"
    honours_keys: ClassVar[bool] = True
    schema: ClassVar[str] = """
        create table if not exists users (
            id text primary key, username text not null unique, name text, email text, phone text, locale text,
            org text, roles text not null, locked integer not null, salt blob not null, password blob not null);
        create table if not exists sessions (
            token text primary key, user_id text not null references users on delete cascade);
        create table if not exists access_tokens (token text primary key, expires_at real not null);
        pragma foreign_keys = on;
    """

    def __init__(self, *, database: Path, token_lifetime: float) -> None:
        super().__init__(database=database)
        self._token_lifetime = token_lifetime

    def routes(self) -> Iterable[Route]:
        """People log in; machines look up, lock, unlock, delete, and list who has a role or is admin of an org."""
        return (
            Route(method="POST", path="/login", endpoint=self._log_in, needs_token=False),
            Route(method="GET", path="/me", endpoint=self._show_me, needs_token=False),
            Route(method="POST", path="/oauth/token", endpoint=self._issue_token, needs_token=False),
            Route(method="GET", path="/users/{user_id}", endpoint=self._show_user),
            Route(method="POST", path="/users/{user_id}/lock", endpoint=self._lock),
            Route(method="POST", path="/users/{user_id}/unlock", endpoint=self._unlock),
            Route(method="DELETE", path="/users/{user_id}/sessions", endpoint=self._end_sessions),
            Route(method="DELETE", path="/users/{user_id}", endpoint=self._delete_user),
            Route(method="GET", path="/roles/{role}/users", endpoint=self._list_by_role),
            Route(method="GET", path="/orgs/{org}/admins", endpoint=self._list_admins),
        )

    def controls(self) -> Iterable[Route]:
        """What else happens to people while one is being retired: no effect is noted."""
        return (
            control("PUT", "users/{user_id}/roles", self._set_roles),
            control("DELETE", "users/{user_id}", self._remove_person),
        )

    def add_person(self, person: dict[str, Any]) -> None:
        """Keep a person, with the hash of their password."""
        salt = secrets.token_bytes(16)
        self.database.execute(
            "insert or replace into users values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                person["user_id"],
                person["username"],
                person["name"],
                person["email"],
                person["phone"],
                person["locale"],
                person["org"],
                json.dumps(person["roles"]),
                person["locked"],
                salt,
                _hash(person["password"], salt=salt),
            ),
        )

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """The account and how many sessions it has."""
        row = self.database.execute(
            "select *, (select count(*) from sessions where user_id = users.id) as sessions from users where id = ?",
            (user_id,),
        ).fetchone()
        return row and {**_public(row), "sessions": row["sessions"]}

    def allows(self, call: Call) -> bool:
        """An access token is good until it expires."""
        row = self.database.execute(
            "select 1 from access_tokens where token = ? and expires_at > ?", (call.bearer, time.time())
        ).fetchone()
        return row is not None

    def forget_token(self, call: Call) -> None:
        """The access token of the call is gone; a new one has to be asked for."""
        self.database.execute("delete from access_tokens where token = ?", (call.bearer,))

    def _log_in(self, call: Call) -> Answer:
        row = self.database.execute(
            "select * from users where username = ?", (str(call.body.get("username")),)
        ).fetchone()
        if row is None or not hmac.compare_digest(
            row["password"], _hash(str(call.body.get("password")), salt=row["salt"])
        ):
            return Answer(status=401, body={"error": "wrong username or password"})
        if row["locked"]:
            return Answer(status=423, body={"error": "this account is locked"})
        token = secrets.token_urlsafe(24)
        self.database.execute("insert into sessions values (?, ?)", (token, row["id"]))
        return Answer(body={"token": token})

    def _show_me(self, call: Call) -> Answer:
        row = self.database.execute(
            "select users.* from users join sessions on sessions.user_id = users.id where token = ?", (call.bearer,)
        ).fetchone()
        return Answer(body=_public(row)) if row else Answer(status=401, body={"error": "not logged in"})

    def _issue_token(self, call: Call) -> Answer:
        client_id, client_secret = _client_credentials(call)
        if call.body.get("grant_type") != "client_credentials":
            return Answer(status=400, body={"error": "unsupported_grant_type"})
        if client_id != CLIENT_ID or not hmac.compare_digest(client_secret.encode(), self.secret.encode()):
            return Answer(status=401, body={"error": "invalid_client"}, headers={"www-authenticate": "Basic"})
        token = secrets.token_urlsafe(24)
        self.database.execute("delete from access_tokens where expires_at < ?", (time.time(),))
        self.database.execute("insert into access_tokens values (?, ?)", (token, time.time() + self._token_lifetime))
        return Answer(body={"access_token": token, "token_type": "Bearer", "expires_in": int(self._token_lifetime)})

    def _show_user(self, call: Call) -> Answer:
        row = self._user(call)
        return Answer(body=_public(row)) if row else _nobody()

    def _lock(self, call: Call) -> Answer:
        row = self._user(call)
        if row is None:
            return _nobody()
        self.database.execute("update users set locked = 1 where id = ?", (call.user_id,))
        self.database.execute("delete from sessions where user_id = ?", (call.user_id,))
        self.effect(call, "lock")
        return Answer(body={"was_locked": bool(row["locked"])})

    def _unlock(self, call: Call) -> Answer:
        row = self._user(call)
        if row is None:
            return _nobody()
        self.database.execute("update users set locked = 0 where id = ?", (call.user_id,))
        self.effect(call, "unlock")
        return Answer(body={"was_locked": bool(row["locked"])})

    def _end_sessions(self, call: Call) -> Answer:
        ended = self.database.execute("delete from sessions where user_id = ?", (call.user_id,)).rowcount
        self.effect(call, "end_sessions")
        return Answer(body={"ended": ended})

    def _delete_user(self, call: Call) -> Answer:
        if self.database.execute("delete from users where id = ?", (call.user_id,)).rowcount == 0:
            return _nobody()
        self.effect(call, "erase")
        return Answer(status=204)

    def _list_by_role(self, call: Call) -> Answer:
        """Whoever has a role, locked or not."""
        return self._page_of_holders(call, role=call.arguments["role"], org=None)

    def _list_admins(self, call: Call) -> Answer:
        """The admins of an org, locked or not."""
        return self._page_of_holders(call, role="admin", org=call.arguments["org"])

    def _page_of_holders(self, call: Call, *, role: str, org: str | None) -> Answer:
        """A page of those who have a role, in one org or anywhere; `next` is null on the last one."""
        page = read_number(call.query.get("page", "1"), most=_LAST_PAGE)
        if page is None:
            return Answer(status=400, body={"error": f"page must be a number from 1 to {_LAST_PAGE}"})
        rows = self.database.execute(
            "select * from users where exists (select 1 from json_each(roles) where value = ?)"
            " and (? is null or org = ?) order by id limit ? offset ?",
            (role, org, org, _ON_A_PAGE + 1, (page - 1) * _ON_A_PAGE),
        ).fetchall()
        more = f"?page={page + 1}" if len(rows) > _ON_A_PAGE else None
        return Answer(body={"users": [_public(row) for row in rows[:_ON_A_PAGE]], "next": more})

    def _set_roles(self, call: Call) -> Answer:
        changed = self.database.execute(
            "update users set roles = ? where id = ?", (json.dumps(call.body["roles"]), call.arguments["user_id"])
        ).rowcount
        return Answer(status=204) if changed else _nobody()

    def _remove_person(self, call: Call) -> Answer:
        gone = self.database.execute("delete from users where id = ?", (call.arguments["user_id"],)).rowcount
        return Answer(status=204) if gone else _nobody()

    def _user(self, call: Call) -> Any:
        return self.database.execute("select * from users where id = ?", (call.user_id,)).fetchone()


def _nobody() -> Answer:
    return Answer(status=404, body={"error": "no such user"})


def _public(row: Any) -> dict[str, Any]:
    names = ("id", "username", "name", "email", "phone", "locale", "org")
    return {**{name: row[name] for name in names}, "roles": json.loads(row["roles"]), "locked": bool(row["locked"])}


def _hash(password: str, *, salt: bytes) -> bytes:
    # Few rounds: a thousand people are seeded at once, and these passwords guard nothing.
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 100)


def _client_credentials(call: Call) -> tuple[str, str]:
    """RFC 6749 §2.3.1: HTTP Basic, with both parts form-encoded, or fields of the body."""
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return unquote(client_id), unquote(secret)
    return str(call.body.get("client_id", "")), str(call.body.get("client_secret", ""))


def _make(arguments: argparse.Namespace) -> Accounts:
    return Accounts(database=arguments.database, token_lifetime=arguments.token_lifetime)


if __name__ == "__main__":
    _parser = arguments_parser(name=Accounts.name)
    _parser.add_argument("--token-lifetime", type=float, default=300, help="seconds an access token is good for")
    main(make=_make, parser=_parser)

"""The newsletter vendor: deletes when it finds the time. Ignores Idempotency-Key: each request is another job."""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from sandbox.faults import FaultKind
from sandbox.server import arguments_parser, main
from sandbox.service import Answer, Call, Route, Service


class Newsletter(Service):
    """Subscribers, and a queue of deletions that are worked on for a while."""

    name: ClassVar[str] = "newsletter"
    schema: ClassVar[str] = """
        create table if not exists subscribers (id text primary key, name text, email text not null);
        create index if not exists subscribers_by_email on subscribers (email);
        create table if not exists deletions (
            number integer primary key, user_id text not null, ends_at real not null, fate text not null,
            state text not null default 'working');
        create index if not exists deletions_at_work on deletions (ends_at) where state = 'working';
    """

    def __init__(self, *, database: Path, working_time: float) -> None:
        super().__init__(database=database)
        self._working_time = working_time

    def routes(self) -> Iterable[Route]:
        """A deletion is asked for by address or id, then asked about."""
        return (
            Route(method="GET", path="/subscribers/{user_id}", endpoint=self._show_subscriber),
            Route(method="POST", path="/deletions", endpoint=self._accept, lies_itself=True),
            Route(method="GET", path="/deletions/{number}", endpoint=self._show_deletion),
        )

    def add_person(self, person: dict[str, Any]) -> None:
        """Keep a subscriber."""
        self.database.execute(
            "insert or replace into subscribers values (?, ?, ?)", (person["user_id"], person["name"], person["email"])
        )

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """The subscriber."""
        row = self.database.execute("select * from subscribers where id = ?", (user_id,)).fetchone()
        return row and dict(row)

    def user_of(self, call: Call) -> str | None:
        """A deletion names an address or an id; what is asked about a deletion is about its person."""
        if "number" in call.arguments:
            query, value = "select user_id from deletions where number = ?", call.arguments["number"]
        elif "email" in call.body:
            query, value = "select id from subscribers where email = ?", str(call.body["email"])
        else:
            return str(call.body["user"]) if "user" in call.body else call.arguments.get("user_id")
        row = self.database.execute(query, (value,)).fetchone()
        return row and str(row[0])

    def settle(self) -> None:
        """End the deletions whose time has come."""
        due = self.database.execute(
            "select * from deletions where state = 'working' and ends_at <= ?", (time.time(),)
        ).fetchall()
        for job in due:
            self.database.execute("begin immediate")
            if job["fate"] == "erase":
                gone = self.database.execute("delete from subscribers where id = ?", (job["user_id"],)).rowcount
                if gone:
                    self.journal.effect(user_id=job["user_id"], effect="erase", key=None)
            state = "failed" if job["fate"] == "fail" else "done"
            self.database.execute("update deletions set state = ? where number = ?", (state, job["number"]))
            self.database.execute("commit")

    def _show_subscriber(self, call: Call) -> Answer:
        kept = self.kept(user_id=call.arguments["user_id"])
        return Answer(body=kept) if kept else Answer(status=404, body={"error": "no such subscriber"})

    def _accept(self, call: Call) -> Answer:
        if not {"email", "user"} & set(call.body):
            return Answer(status=422, body={"error": "name an email or a user"})
        fault = call.fault
        fate = "lie" if call.lying else "fail" if fault and fault.kind is FaultKind.JOB_FAILS else "erase"
        late = fault.seconds if fault and fault.kind in (FaultKind.JOB_FAILS, FaultKind.JOB_LATE) else 0
        row = self.database.execute(
            "insert into deletions (user_id, ends_at, fate) values (?, ?, ?)",
            (call.user_id or "", time.time() + self._working_time + late, fate),
        )
        self.effect(call, "accept_deletion")
        return Answer(status=202, body={"state": "working"}, headers={"location": f"/deletions/{row.lastrowid}"})

    def _show_deletion(self, call: Call) -> Answer:
        row = self.database.execute(
            "select state from deletions where number = ?", (call.arguments["number"],)
        ).fetchone()
        return Answer(body={"state": row["state"]}) if row else Answer(status=404, body={"error": "no such deletion"})


def _make(arguments: argparse.Namespace) -> Newsletter:
    return Newsletter(database=arguments.database, working_time=arguments.working_time)


if __name__ == "__main__":
    _parser = arguments_parser(name=Newsletter.name)
    _parser.add_argument("--working-time", type=float, default=0.5, help="seconds a deletion takes")
    main(make=_make, parser=_parser)

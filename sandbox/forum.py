"""The forum: authors and their posts. Knows no Idempotency-Key; a repeated deletion is answered 404."""

from collections.abc import Iterable
from typing import Any, ClassVar

from sandbox.server import arguments_parser, main
from sandbox.service import Answer, Call, Route, Service


class Forum(Service):
    """Authors, posts, and mutes: named reasons why an author can't post, each of which comes and goes alone."""

    name: ClassVar[str] = "forum"
    schema: ClassVar[str] = """
        create table if not exists authors (id text primary key, name text, email text);
        create table if not exists posts (
            number integer primary key, author_id text not null references authors on delete cascade, text text);
        create table if not exists mutes (
            author_id text not null references authors on delete cascade, reason text not null,
            primary key (author_id, reason));
        create index if not exists posts_by_author on posts (author_id);
        pragma foreign_keys = on;
    """

    def routes(self) -> Iterable[Route]:
        """Authors are read, muted for a reason, and deleted with their posts."""
        return (
            Route(method="GET", path="/authors/{user_id}", endpoint=self._show_author),
            Route(method="PUT", path="/authors/{user_id}/mutes/{reason}", endpoint=self._mute),
            Route(method="DELETE", path="/authors/{user_id}/mutes/{reason}", endpoint=self._unmute),
            Route(method="DELETE", path="/authors/{user_id}", endpoint=self._delete_author),
        )

    def add_person(self, person: dict[str, Any]) -> None:
        """Keep an author who has written `posts` posts."""
        self.database.execute(
            "insert or replace into authors values (?, ?, ?)", (person["user_id"], person["name"], person["email"])
        )
        self.database.executemany(
            "insert into posts (author_id, text) values (?, ?)",
            [(person["user_id"], f"Post {number} by {person['name']}") for number in range(1, person["posts"] + 1)],
        )

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """The author, the number of posts, and the mutes."""
        row = self.database.execute("select * from authors where id = ?", (user_id,)).fetchone()
        if row is None:
            return None
        posts = self.database.execute("select count(*) from posts where author_id = ?", (user_id,)).fetchone()[0]
        mutes = self.database.execute("select reason from mutes where author_id = ? order by reason", (user_id,))
        return {**dict(row), "posts": posts, "mutes": [mute["reason"] for mute in mutes]}

    def _show_author(self, call: Call) -> Answer:
        kept = self.kept(user_id=call.arguments["user_id"])
        return Answer(body=kept) if kept else _nobody()

    def _mute(self, call: Call) -> Answer:
        if self.kept(user_id=call.arguments["user_id"]) is None:
            return _nobody()
        added = self.database.execute(
            "insert or ignore into mutes values (?, ?)", (call.user_id, call.arguments["reason"])
        ).rowcount
        if added:
            self.effect(call, "mute")
        return Answer(status=204)

    def _unmute(self, call: Call) -> Answer:
        if self.kept(user_id=call.arguments["user_id"]) is None:
            return _nobody()
        removed = self.database.execute(
            "delete from mutes where author_id = ? and reason = ?", (call.user_id, call.arguments["reason"])
        ).rowcount
        if removed:
            self.effect(call, "unmute")
        return Answer(status=204)

    def _delete_author(self, call: Call) -> Answer:
        if self.database.execute("delete from authors where id = ?", (call.user_id,)).rowcount == 0:
            return _nobody()
        self.effect(call, "erase")
        return Answer(status=204)


def _nobody() -> Answer:
    return Answer(status=404, body={"error": "no such author"})


if __name__ == "__main__":
    main(make=lambda arguments: Forum(database=arguments.database), parser=arguments_parser(name=Forum.name))

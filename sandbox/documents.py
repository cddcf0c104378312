"""The documents: pages and slides, each with one owner. Honours Idempotency-Key; ownership moves by compare-and-set."""

from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlencode

from sandbox.server import arguments_parser, main
from sandbox.service import Answer, Call, Route, Service, control, read_number

_ON_A_PAGE = 100
_MOST_ON_A_PAGE = 1_000
_LAST_PAGE = 99_999
#: How many titles are shown of what somebody owns.
_TITLES_SHOWN = 10


class Documents(Service):
    """Documents and who owns them. People are known here only by what is theirs."""

    name: ClassVar[str] = "documents"
    honours_keys: ClassVar[bool] = True
    schema: ClassVar[str] = """
        create table if not exists documents (
            id text primary key, title text not null, kind text not null check (kind in ('page', 'slide')),
            owner text not null, owner_name text not null, version integer not null);
        create index if not exists documents_by_owner on documents (owner, id);
    """

    def routes(self) -> Iterable[Route]:
        """What somebody owns is listed; a document is read, handed over, given another owner's name, deleted."""
        return (
            Route(method="GET", path="/documents", endpoint=self._list_owned),
            Route(method="GET", path="/documents/{document_id}", endpoint=self._show),
            Route(method="PUT", path="/documents/{document_id}/owner", endpoint=self._hand_over),
            Route(method="PATCH", path="/documents/{document_id}", endpoint=self._rename_owner),
            Route(method="DELETE", path="/documents/{document_id}", endpoint=self._delete),
        )

    def controls(self) -> Iterable[Route]:
        """Documents are added many at a time, and seen without pages."""
        return (
            control("POST", "documents", self._add),
            control("GET", "documents", self._show_all),
            control("GET", "documents/{document_id}", self._show),
        )

    def add_person(self, person: dict[str, Any]) -> None:
        """Keep `documents` pages of a person, under ids made of theirs. Repeating it takes them back."""
        self._write(
            {
                "id": f"{person['user_id']}-{number:05}",
                "title": f"Page {number} by {person['name']}",
                "kind": "page",
                "owner": person["user_id"],
                "owner_name": person["name"],
                "version": 1,
            }
            for number in range(1, person["documents"] + 1)
        )

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """How many documents somebody owns, and the titles of the first; None where they own none."""
        count = self.database.execute("select count(*) from documents where owner = ?", (user_id,)).fetchone()[0]
        first = self.database.execute(
            "select title, owner_name from documents where owner = ? order by id limit ?", (user_id, _TITLES_SHOWN)
        ).fetchall()
        if not first:
            return None
        return {
            "id": user_id,
            "name": first[0]["owner_name"],
            "documents": count,
            "titles": [row["title"] for row in first],
        }

    def user_of(self, call: Call) -> str | None:
        """Whoever owns the document now; a list is about its owner."""
        if "document_id" not in call.arguments:
            return call.query.get("owner")
        row = self._document(call)
        return row and str(row["owner"])

    def _list_owned(self, call: Call) -> Answer:
        """What somebody owns, ordered by id; `next` is null on the last page."""
        owner = call.query.get("owner")
        page = read_number(call.query.get("page", "1"), most=_LAST_PAGE)
        per_page = read_number(call.query.get("per_page", str(_ON_A_PAGE)), most=_MOST_ON_A_PAGE)
        if owner is None or page is None or per_page is None:
            error = f"say owner, page (from 1) and per_page (1 to {_MOST_ON_A_PAGE})"
            return Answer(status=400, body={"error": error})
        rows = self.database.execute(
            "select * from documents where owner = ? order by id limit ? offset ?",
            (owner, per_page + 1, (page - 1) * per_page),
        ).fetchall()
        following: str | None = None
        if len(rows) > per_page:
            named = {"per_page": call.query["per_page"]} if "per_page" in call.query else {}
            following = f"?{urlencode({'owner': owner, 'page': page + 1, **named})}"
        return Answer(body={"documents": [dict(row) for row in rows[:per_page]], "next": following})

    def _show(self, call: Call) -> Answer:
        row = self._document(call)
        return Answer(body=dict(row)) if row else _nothing()

    def _hand_over(self, call: Call) -> Answer:
        """Compare-and-set: whoever is `expected` to own it gives it to `owner`."""
        wish = {name: call.body.get(name) for name in ("owner", "owner_name", "expected")}
        if not all(isinstance(value, str) and value for value in wish.values()):
            return Answer(status=422, body={"error": "name the owner, the owner_name and who is expected to own it"})
        row = self._document(call)
        if row is None:
            return _nothing()
        if row["owner"] != wish["expected"]:
            return Answer(status=409, body={"error": "somebody else owns it", "owner": row["owner"]})
        if row["owner"] != wish["owner"]:
            self.database.execute(
                "update documents set owner = ?, owner_name = ?, version = version + 1 where id = ?",
                (wish["owner"], wish["owner_name"], row["id"]),
            )
            self.effect(call, "transfer", asset_id=row["id"])
        return self._show(call)

    def _rename_owner(self, call: Call) -> Answer:
        """Only the name that is shown changes: the owner stays."""
        name = call.body.get("owner_name")
        if not isinstance(name, str) or not name:
            return Answer(status=422, body={"error": "name the owner_name"})
        row = self._document(call)
        if row is None:
            return _nothing()
        if row["owner_name"] != name:
            self.database.execute(
                "update documents set owner_name = ?, version = version + 1 where id = ?", (name, row["id"])
            )
            self.effect(call, "rename_owner", asset_id=row["id"])
        return self._show(call)

    def _delete(self, call: Call) -> Answer:
        document_id = call.arguments["document_id"]
        if self.database.execute("delete from documents where id = ?", (document_id,)).rowcount == 0:
            return _nothing()
        self.effect(call, "erase", asset_id=document_id)
        return Answer(status=204)

    def _add(self, call: Call) -> Answer:
        documents = call.body["documents"]
        with self.database:  # rolls back where a document can't be read
            self.database.execute("begin immediate")
            self._write(documents)
        return Answer(status=201, body={"added": len(documents)})

    def _show_all(self, call: Call) -> Answer:
        owner = call.query.get("owner")
        rows = self.database.execute(
            "select * from documents where ? is null or owner = ? order by id", (owner, owner)
        ).fetchall()
        return Answer(body=[dict(row) for row in rows])

    def _write(self, documents: Iterable[dict[str, Any]]) -> None:
        self.database.executemany(
            "insert or replace into documents values (:id, :title, :kind, :owner, :owner_name, :version)", documents
        )

    def _document(self, call: Call) -> Any:
        return self.database.execute(
            "select * from documents where id = ?", (call.arguments["document_id"],)
        ).fetchone()


def _nothing() -> Answer:
    return Answer(status=404, body={"error": "no such document"})


if __name__ == "__main__":
    main(make=lambda arguments: Documents(database=arguments.database), parser=arguments_parser(name=Documents.name))

"""The invoices: customers and what they were billed. Tax law keeps them, so nothing here can be deleted."""

from collections.abc import Iterable
from typing import Any, ClassVar

from sandbox.server import arguments_parser, main
from sandbox.service import Answer, Call, Route, Service


class Invoices(Service):
    """Customers and their invoices, to be read only."""

    name: ClassVar[str] = "invoices"
    schema: ClassVar[str] = """
        create table if not exists customers (id text primary key, name text, email text, invoices integer not null);
    """

    def routes(self) -> Iterable[Route]:
        """Customers are read."""
        return (Route(method="GET", path="/customers/{user_id}", endpoint=self._show_customer),)

    def add_person(self, person: dict[str, Any]) -> None:
        """Keep a customer with `invoices` invoices."""
        self.database.execute(
            "insert or replace into customers values (?, ?, ?, ?)",
            (person["user_id"], person["name"], person["email"], person["invoices"]),
        )

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """The customer and the number of invoices."""
        row = self.database.execute("select * from customers where id = ?", (user_id,)).fetchone()
        return row and dict(row)

    def _show_customer(self, call: Call) -> Answer:
        kept = self.kept(user_id=call.arguments["user_id"])
        return Answer(body=kept) if kept else Answer(status=404, body={"error": "no such customer"})


if __name__ == "__main__":
    main(make=lambda arguments: Invoices(database=arguments.database), parser=arguments_parser(name=Invoices.name))

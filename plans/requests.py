"""What can be asked of a service: one kind of request for each kind of service."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from plans.fields import Data, Identifier, PlanModel, Template

#: Where a text stands: keys and indexes from the top.
KeyPath = tuple[str | int, ...]

_LONGEST_TITLE = 120

#: Where installed packages offer code for plans to call. What isn't offered there can't be called by a plan.
CALLS_GROUP = "account_retirement.calls"


class Method(StrEnum):
    """HTTP methods a plan may use."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class HttpRequest(PlanModel):
    """One HTTP request to a service of type `http`. `path`, `query`, `headers` and the texts inside `json` are templates."""

    method: Method = Field(description="The HTTP method.")
    path: Template = Field(
        pattern=r"^/", description="Below the service's base_url. A value is percent-encoded into its segment."
    )
    query: dict[str, Template] = Field(default={}, description="Query parameters. One whose value is null is left out.")
    headers: dict[str, Template] = Field(default={}, description="Headers beside those of the service.")
    body: Data = Field(
        default=None,
        alias="json",
        description="The body, as JSON. Its structure is the plan's; texts are templates, and one that is nothing "
        "but `{{ … }}` keeps the value's type.",
    )

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return self.method.value

    @property
    def title(self) -> str:
        """Method and path template: all that may be told of a request."""
        return f"{self.method.value} {self.path}"

    @property
    def only_reads(self) -> bool:
        """Does asking this change nothing?"""
        return self.method is Method.GET

    def templates(self) -> Iterator[tuple[KeyPath, str]]:
        """Every template, and where it stands."""
        yield ("path",), self.path
        yield from texts_in(self.query, ("query",))
        yield from texts_in(self.headers, ("headers",))
        yield from texts_in(self.body, ("json",))


class SqlRequest(PlanModel):
    """Statements of one transaction in a database (service of type `sql`).

    Values are bound to `:name` and never become part of a statement. The answer's `body` has `row` (the first row of the last
    statement), `rows`, `truncated` (were there more than 1000 rows?), `value` (the first column of `row`) and `affected` (rows
    changed by all statements). A SELECT that finds no row answers 404.
    A request may be done again after a crash or a lost answer: write statements that don't mind.
    """

    sql: tuple[str, ...] | str = Field(
        description="One statement, or several that are done in one transaction, in this order."
    )
    parameters: dict[Identifier, Data] = Field(
        default={}, description="The value of each `:name` in the statements; texts are templates."
    )

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements, in order."""
        return (self.sql,) if isinstance(self.sql, str) else self.sql

    @property
    def verb(self) -> str:
        """None: a statement is no HTTP request."""
        return ""

    @property
    def title(self) -> str:
        """The statements, on one line: they hold no value."""
        text = " ".join("; ".join(self.statements).split())
        return text if len(text) <= _LONGEST_TITLE else text[: _LONGEST_TITLE - 1] + "…"

    @property
    def only_reads(self) -> bool:
        """Is every statement a SELECT? (A WITH may hide a DELETE.)"""
        return all(statement.lstrip("( \n\t").lower().startswith("select") for statement in self.statements)

    def templates(self) -> Iterator[tuple[KeyPath, str]]:
        """Every template, and where it stands."""
        yield from texts_in(self.parameters, ("parameters",))


class PythonRequest(PlanModel):
    """A call of Python code that an installed package offers as an entry point (service of type `python`)."""

    call: Identifier = Field(
        description="The entry point's name, in the group `account_retirement.calls` of an installed package."
    )
    arguments: dict[str, Data] = Field(
        default={}, description="What the function is given as `arguments`; texts are templates."
    )

    @property
    def verb(self) -> str:
        """None: a function is no HTTP request."""
        return ""

    @property
    def title(self) -> str:
        """The entry point's name."""
        return f"call {self.call}"

    @property
    def only_reads(self) -> bool:
        """Nobody can tell from outside."""
        return False

    def templates(self) -> Iterator[tuple[KeyPath, str]]:
        """Every template, and where it stands."""
        yield from texts_in(self.arguments, ("arguments",))


def texts_in(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every text in plain data, with where it stands."""
    match data:
        case str():
            yield path, data
        case dict():
            for key, value in data.items():
                yield from texts_in(value, (*path, key))
        case list() | tuple():
            for index, value in enumerate(data):
                yield from texts_in(value, (*path, index))


def _kind_of(data: object) -> str:
    """Which kind of request this is, told by its one key that no other kind has."""
    match data:
        case SqlRequest() | {"sql": _}:
            return "sql"
        case PythonRequest() | {"call": _}:
            return "python"
    return "http"


Request = Annotated[
    Annotated[HttpRequest, Tag("http")] | Annotated[SqlRequest, Tag("sql")] | Annotated[PythonRequest, Tag("python")],
    Discriminator(_kind_of),
]

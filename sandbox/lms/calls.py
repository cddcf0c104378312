"""A request and its answer as the stand-in's endpoints see them, and the checks of bodies and queries."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said. A body of bytes is sent as it is, None is no body, anything else is JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request is answered with this, and nothing is done about it."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(status)
        self.answer = Answer(status=status, body=body)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, read. Names of headers are in small letters; `path` is as it came, percent signs and all."""

    method: str
    path: str
    arguments: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The query's pairs in order, empty values too."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """The fields of a form in order."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    @cached_property
    def json(self) -> Any:
        """The body's JSON; None where it holds none."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None

    @cached_property
    def media_type(self) -> str:
        """`application/json`, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def values(self, name: str) -> list[str]:
        """All values of one query parameter."""
        return [value for key, value in self.query if key == name]

    def read(self, keys: Mapping[str, type]) -> dict[str, Any]:
        """The body, which must be an object with exactly these keys.

        Raises:
            Refused: 400; the text names the key, as the LMS does.
        """
        body = self.json
        if not isinstance(body, dict):
            raise Refused(400, "a JSON object is expected")
        for key, kind in keys.items():
            if key not in body:
                raise Refused(400, f"Required key '{key}' is missing")
            # JSON's true is an int to Python.
            if not isinstance(body[key], kind) or (kind is int and isinstance(body[key], bool)):
                raise Refused(400, f"Key '{key}' has a value of the wrong type")
        for key in body:
            if key not in keys:
                raise Refused(400, f"Unknown key '{key}'")
        return body

    def nothing_sent(self) -> None:
        """The body must be empty.

        Raises:
            Refused: 400.
        """
        if self.body:
            raise Refused(400, "no body is expected")


class Guard(StrEnum):
    """Who may call a route."""

    OPEN = "open"
    #: The service account, with `Authorization: JWT …` and JSON as content type.
    JWT = "jwt"
    #: The learner, with a token of their own.
    LEARNER = "learner"
    SEGMENT = "segment"
    BRAZE = "braze"
    AMPLITUDE = "amplitude"
    HUBSPOT = "hubspot"


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path such as `/users/{user_id}/`, who may call it, and who answers."""

    #: Unique: by it tests tell requests apart and choose which to mistreat.
    name: str
    service: str
    method: str
    path: str
    endpoint: Callable[[Call], Answer]
    guard: Guard = Guard.JWT
    #: The query parameters it knows; others are refused.
    query: tuple[str, ...] = ()

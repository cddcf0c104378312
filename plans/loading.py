"""Loading a plan: one YAML file, checked as a whole, with every problem told at once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from plans.checks import findings_in
from plans.model import Plan
from plans.yaml_reading import Document, KeyPath, Problem, read_yaml

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_SUFFIX = ".yaml"

#: What pydantic found, in words that say how to mend it. Its own messages may quote the value.
_WORDS = {
    "missing": "is missing; add it",
    "extra_forbidden": "isn't known here; check its spelling and indentation, or remove it",
    "string_type": "isn't text; put it in quotes",
    "string_too_short": "is empty; write something, or remove the key",
    "int_type": "isn't a whole number; write one without quotes",
    "int_parsing": "isn't a whole number; write one without quotes",
    "int_from_float": "isn't a whole number; write one without quotes",
    "greater_than_equal": "is too small; an HTTP status is 100 to 599",
    "less_than_equal": "is too large; an HTTP status is 100 to 599",
    "tuple_type": "isn't a list; write [one, another]",
    "list_type": "isn't a list; write [one, another]",
    "dict_type": "isn't a mapping; write `key: value` lines, indented",
    "model_type": "isn't a mapping; write `key: value` lines, indented",
    "model_attributes_type": "isn't a mapping; write `key: value` lines, indented",
    "union_tag_not_found": "has no `type`; add `type: none`, `bearer` or `oauth2_client_credentials`",
    "union_tag_invalid": "has an unknown `type`; write one of {expected_tags}",
    "literal_error": "isn't accepted; write {expected}",
    "enum": "isn't accepted; write {expected}",
}
_NOT_A_NAME = "isn't a name; write lower-case letters, digits, - and _, a letter first, at most 63"
_NOT_A_DEADLINE = "isn't a deadline; write gdpr, ccpa, or a duration such as 30d"
_PATTERNS = {"^/": "doesn't begin with /; write the path below the service's base_url"}


class PlanError(Exception):
    """A plan that can't be used. The text lists every problem as `file:line: key.path: what is wrong; how to mend`."""


def load_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        PlanError: it can't be used; the text holds no value of the file.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise PlanError(f"{path}: is a folder; name the plan's file in it") from None
    except OSError as error:
        raise PlanError(f"{path}: can't be read ({error.strerror}); check its permissions") from None
    document = read_yaml(raw)
    plan, found = _checked(document)
    # Where the YAML itself is wrong, what the model makes of the rest of that line would only confuse.
    unreadable = {(problem.line, problem.where) for problem in document.problems}
    problems = sorted(
        {*document.problems, *(problem for problem in found if (problem.line, problem.where) not in unreadable)}
    )
    if plan is None or problems:
        raise PlanError("\n".join(problem.told(str(path)) for problem in problems)) from None
    return plan


class Plans:
    """The plans of a folder, by name: `acme` is `acme.yaml`. A file is read again once it has changed."""

    def __init__(self, folder: Path, default: str) -> None:
        self._folder = folder
        self._default = default
        self._loaded: dict[str, tuple[tuple[int, int, int], Plan]] = {}

    def get(self, name: str | None = None) -> Plan:
        """The plan of that name, or the default one.

        Raises:
            PlanError: there is none, or it can't be used.
        """
        name = self._default if name is None else name
        # The name comes with a start message: it never becomes a path, and never a text, unless it is a plain name.
        if not _NAME.fullmatch(name):
            raise PlanError(f"the plan's name {_NOT_A_NAME}; known: {self._known()}")
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            stat = path.stat()
        except OSError:
            raise PlanError(f"unknown plan '{name}'; known: {self._known()}") from None
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        loaded = self._loaded.get(name)
        if loaded is None or loaded[0] != version:
            plan = load_plan(path)
            if plan.plan != name:
                raise PlanError(f"{path}:1: plan: isn't the file's name; write `plan: {name}`, or rename the file")
            loaded = self._loaded[name] = (version, plan)
        return loaded[1]

    def names(self) -> tuple[str, ...]:
        """The names of all plans in the folder, sorted."""
        return tuple(sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.stem)))

    def _known(self) -> str:
        return ", ".join(self.names()) or f"none, as {self._folder} holds no *{_SUFFIX}; check RETIREMENT_PLANS_DIR"


def _checked(document: Document) -> tuple[Plan | None, list[Problem]]:
    if document.data is None and document.problems:
        return None, []
    if not isinstance(document.data, dict):
        return None, [document.problem((), "isn't a mapping; begin with `plan: <name>`")]
    try:
        plan = Plan.model_validate(document.data)
    except ValidationError as error:
        return None, list(_told(error.errors(include_url=False, include_input=False), document))
    return plan, [document.problem(path, what) for path, what in findings_in(plan)]


def _told(errors: list[ErrorDetails], document: Document) -> Iterator[Problem]:
    for error in errors:
        path = _place_of(error, document.data)
        # The one union without a `type`: pydantic tells of each branch, which is one problem to whoever writes a plan.
        yield document.problem(path, _NOT_A_DEADLINE if path == ("deadline",) else _text_of(error))


def _place_of(error: ErrorDetails, data: Any) -> KeyPath:
    """The error's place in the file. Pydantic's also names branches of unions, which nobody has written."""
    path: list[str | int] = []
    for part in error["loc"]:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not (error["type"] == "missing" and part is error["loc"][-1]):
            continue
        path.append(part)
    return tuple(path)


def _text_of(error: ErrorDetails) -> str:
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "value_error":
        # Our own validators: their texts name no value.
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context.get("pattern")), _NOT_A_NAME)
    return _WORDS.get(kind, "isn't accepted here; see the plan reference in docs/").format(**context)

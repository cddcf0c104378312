"""A plan as far as it can be read: one wrong field must not hide what is wrong elsewhere.

What the model refuses is told and taken out, and what it then misses is filled by something harmless, until the model accepts
the rest. The other checks look at that rest. What was taken out or filled is `lost`, and nothing is said about it twice.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from plans.checks.findings import Finding
from plans.checks.language import Model, meant_by, place_of
from plans.checks.shape import told
from plans.defaults import with_defaults
from plans.model import Plan
from plans.requests import KeyPath
from plans.template_places import PlacedText, texts_of

_MOST_ROUNDS = 100
_REQUEST = {"method": "GET", "path": "/"}
_LOOKUP = {"service": "unreadable", "request": _REQUEST}

#: What stands for a required field that is missing or can't be read, so that the rest around it can be checked.
_STAND_INS: Mapping[str, Any] = {
    "plan": "unreadable",
    "subject": {"lookup": _LOOKUP},
    "lookup": _LOOKUP,
    "services": {},
    "steps": {},
    "service": "unreadable",
    "request": _REQUEST,
    "method": "GET",
    "path": "/",
    "phase": "erase",
    "base_url": "https://unreadable.invalid",
    "from": "unreadable@unreadable.invalid",
    "refuse_if": "subject",
    "code": "unreadable",
    "key": "${env:UNREADABLE}",
    "url": "body",
    "done": "body",
    "items": "body",
    "id": "item",
    "value": "body",
    "suitable": {"service": "unreadable", "request": _REQUEST, "when": "body"},
    "when": "body",
    "address": "unreadable@unreadable.invalid",
    "ground": "unreadable",
    "for": "1d",
}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A plan as far as it can be read. Ids that are no names are replaced by some that are, in all of it."""

    #: As the file has it.
    data: Mapping[str, Any]
    #: What the model accepts of it.
    written: Plan
    #: Where something stands that isn't in `written`, or something is missing.
    lost: frozenset[KeyPath]
    #: How the file calls what has another id here, by its path here.
    renamed: Mapping[KeyPath, str] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        """The same with the services' defaults."""
        return with_defaults(self.written)

    @cached_property
    def texts(self) -> tuple[PlacedText, ...]:
        """Every template and expression that could be read, in reading order."""
        return tuple(texts_of(self.written))

    def texts_at(self, path: KeyPath) -> list[PlacedText]:
        """Those that stand at or below a place."""
        return [each for each in self._texts_by_owner.get(path[:2], []) if each.path[: len(path)] == path]

    @cached_property
    def _texts_by_owner(self) -> Mapping[KeyPath, list[PlacedText]]:
        by_owner: dict[KeyPath, list[PlacedText]] = {}
        for each in self.texts:
            by_owner.setdefault(each.path[:2], []).append(each)
        return by_owner

    def is_whole(self, *path: str | int) -> bool:
        """Was all of it read, and all that it stands in? What lacks something may have said it in what was lost."""
        return not any(lost[: len(path)] == path or path[: len(lost)] == lost for lost in self.lost)

    def is_lost(self, path: KeyPath) -> bool:
        """Could this not be read, or something that it stands in? It has been told already."""
        return any(path[: len(lost)] == lost for lost in self.lost)

    def names(self, *path: str | int) -> list[str]:
        """The ids of a mapping in the file, also of what couldn't be read."""
        here = _at(self.data, path)
        return [self.renamed.get((*path, key), key) for key in here] if isinstance(here, dict) else []

    def knows(self, *path: str | int) -> bool:
        """Are the ids of a mapping known, so that another one is a mistake?"""
        here = _at(self.data, path)
        return self.is_whole(*path) if here is None else isinstance(here, dict)

    def path_in_file(self, path: KeyPath) -> KeyPath:
        """The same place as the file calls it."""
        return tuple(self.renamed.get(path[: index + 1], part) for index, part in enumerate(path))


def read_draft(data: Mapping[str, Any]) -> tuple[Draft, tuple[Finding, ...]]:
    """Read a plan as far as possible, with what the model says about the rest."""
    reading = _Reading(data)
    written = reading.run()
    draft = Draft(data=reading.data, written=written, lost=frozenset(reading.lost), renamed=reading.renamed)
    return draft, tuple(dict.fromkeys(reading.findings))


class _Reading:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data: dict[str, Any] = deepcopy(dict(data))
        self.findings: list[Finding] = []
        self.lost: set[KeyPath] = set()
        self.renamed: dict[KeyPath, str] = {}
        self._rest: dict[str, Any] = deepcopy(self.data)
        self._is_first_round = True
        self._guesses: set[KeyPath] = set()

    def run(self) -> Plan:
        for _ in range(_MOST_ROUNDS):
            try:
                # The names that Python code uses for `from`, `json` and `for` are none of the language.
                return Plan.model_validate(self._rest, by_alias=True, by_name=False)
            except ValidationError as refused:
                errors = refused.errors(include_url=False, include_input=False)
            if not self._rename(errors):
                self._take_out(errors)
        # Not reached by any plan known; if it is, what has been told so far is all that can be told.
        self.lost.add(())
        return Plan.model_validate({name: _STAND_INS[name] for name in ("plan", "subject", "services", "steps")})

    def _rename(self, errors: list[ErrorDetails]) -> bool:
        """Give parts whose id is no name another one, so that what they hold is checked all the same."""
        wrong = [place_of(each["loc"])[0] for each in errors if each["loc"][-1] == "[key]"]
        wrong = [path for path in wrong if isinstance(_at(self._rest, path), dict)]
        for path in wrong:
            self.findings.append(told(next(e for e in errors if place_of(e["loc"])[0] == path), path=path, models=()))
            self._call_otherwise(path, f"unreadable-{len(self.renamed) + 1}")
        return bool(wrong)

    def _take_out(self, errors: list[ErrorDetails]) -> None:
        # Unknown keys first: one that was meant for a missing field says so, and the field then isn't told as missing.
        ordered = sorted(errors, key=lambda problem: problem["type"] != "extra_forbidden")
        # Placed before anything is taken out: two errors may be about one value, which several shapes are tried for.
        placed = [(each, *self._placed(each)) for each in ordered]
        for each, path, models in placed:
            if each["type"] == "missing":
                if not _exists(self._rest, path):
                    self._tell(each, path, models, around=path[:-1])
                    self._fill(path)
            elif each["type"] == "extra_forbidden":
                self._tell(each, path, models, around=path[:-1])
                self._take_for(path, meant_by(str(path[-1]), models))
            else:
                self._tell(each, path, models, around=path)
                self._lose(path)
        self._is_first_round = False

    def _take_for(self, path: KeyPath, meant: str | None) -> None:
        """Read an unknown field as the one that it was likely meant for, so that what it holds is checked, too."""
        guess = (*path[:-1], meant or "")
        is_free = meant is not None and not _exists(self.data, guess)
        if is_free and isinstance(_at(self._rest, path), dict | list):
            self._call_otherwise(path, str(meant))
            self._guesses.add(guess)
        else:
            self.lost |= {guess} if is_free else set()
            self._remove(path)

    def _call_otherwise(self, path: KeyPath, name: str) -> None:
        """Give a field or a part of the plan another key, in its place among the others."""
        *outer, key = path
        self.renamed[(*outer, name)] = self.renamed.get(path, str(key))
        for tree in (self.data, self._rest):
            parent = _at(tree, outer)
            assert isinstance(parent, dict)
            items = [(name if each == key else each, value) for each, value in parent.items()]
            parent.clear()
            parent.update(items)

    def _placed(self, problem: ErrorDetails) -> tuple[KeyPath, tuple[Model, ...]]:
        """Where it is in what is left of the file, or what is missing from there."""
        path, models = place_of(problem["loc"])
        missing = path[-1:] if problem["type"] == "missing" else ()
        here = path[: len(path) - len(missing)]
        while here and not _exists(self._rest, here):
            here = here[:-1]
        return (*here, *missing), models

    def _tell(self, problem: ErrorDetails, path: KeyPath, models: tuple[Model, ...], *, around: KeyPath) -> None:
        """Tell it, unless it is only there because of something told before: in the first round the file itself is judged."""
        lost = [lost[len(around) :] for lost in self.lost if lost[: len(around)] == around]
        if problem["type"] == "value_error":
            # A rule of the model names the fields that it is about.
            lost = [inner for inner in lost if not inner or str(inner[0]) in problem["msg"]]
        # A field that was taken for another one needn't have been meant so.
        if path not in self.lost | self._guesses and (self._is_first_round or not lost):
            self.findings.append(told(problem, path=path, models=models))

    def _fill(self, path: KeyPath) -> None:
        """Put something harmless where a required field is missing; without such a thing, do without all around it."""
        parent, name = _at(self._rest, path[:-1]), str(path[-1])
        if name in _STAND_INS and isinstance(parent, dict):
            self.lost.add(path)
            parent[name] = deepcopy(_STAND_INS[name])
        else:
            self._lose(path[:-1])

    def _lose(self, path: KeyPath) -> None:
        """Take a value out; of a list all of it, as the others' numbers would change."""
        while path and isinstance(path[-1], int):
            path = path[:-1]
        self.lost.add(path)
        self._remove(path)

    def _remove(self, path: KeyPath) -> None:
        if path and isinstance(parent := _at(self._rest, path[:-1]), dict):
            parent.pop(path[-1], None)


def _at(data: Any, path: Any) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _exists(data: Any, path: KeyPath) -> bool:
    parent = _at(data, path[:-1])
    if isinstance(parent, dict):
        return path[-1] in parent
    return isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent)

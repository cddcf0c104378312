"""The plan language as its models say it: which fields stand where, and which one a wrong one was meant for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag

from plans.model import Plan
from plans.requests import KeyPath

#: What people write for a field that is called otherwise here.
_CALLED_OTHERWISE: Mapping[str, tuple[str, ...]] = {
    "args": ("arguments",),
    "backoff": ("patience",),
    "check": ("probe",),
    "compensate": ("undo",),
    "condition": ("when",),
    "credentials": ("auth",),
    "data": ("json",),
    "database": ("database_url",),
    "delay": ("duration",),
    "depends_on": ("after",),
    "dsn": ("database_url",),
    "endpoint": ("base_url", "path"),
    "function": ("call",),
    "grace_period": ("cool_off",),
    "heir": ("successor",),
    "host": ("base_url",),
    "if": ("when", "refuse_if"),
    "interval": ("every",),
    "inventory": ("assets",),
    "keep": ("retain",),
    "max_attempts": ("patience",),
    "needs": ("after",),
    "next": ("next_page",),
    "params": ("parameters", "query"),
    "payload": ("json",),
    "rate_limit": ("limits",),
    "reason": ("ground",),
    "requires": ("after",),
    "retries": ("patience",),
    "retry": ("patience",),
    "revert": ("undo",),
    "rollback": ("undo",),
    "rules": ("eligibility",),
    "statement": ("sql",),
    "store": ("save",),
    "uri": ("base_url", "path"),
    "url": ("base_url", "path"),
    "verb": ("method",),
    "verify": ("probe",),
    "wait": ("duration",),
}
_MOST_PLACES = 3


Model = type[BaseModel]


@dataclass(frozen=True)
class _Kind:
    """One member of a union, or what stands alone; `tag` is the word by which a union chooses it."""

    annotation: Any
    tag: str | None = None

    @property
    def model(self) -> Model | None:
        is_model = isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel)
        return self.annotation if is_model else None


def place_of(loc: Sequence[str | int]) -> tuple[KeyPath, tuple[Model, ...]]:
    """Where an error of pydantic stands in the file, and the models that describe that place.

    Pydantic's own place also names branches of unions, which nobody has written.
    """
    path: list[str | int] = []
    here = [_Kind(Plan)]
    for index, part in enumerate(loc):
        chosen = [kind for kind in here if kind.tag == part] if len(here) > 1 else []
        inner = [kind for outer in here for kind in _below(outer, part)]
        if chosen:
            here = chosen
        elif inner:
            path.append(part)
            here = inner
        elif index == len(loc) - 1 and isinstance(part, str) and _models(here) and part != "[key]":
            # A key that no model knows.
            path.append(part)
    return tuple(path), _models(here)


def fields_of(models: Sequence[Model]) -> list[str]:
    """The fields of models, as plans write them."""
    return [_written(name, model) for model in models for name in model.model_fields]


def meant_by(key: str, models: Sequence[Model]) -> str | None:
    """The field of these models that an unknown key was likely meant for."""
    known = fields_of(models)
    others = (other for other in _CALLED_OTHERWISE.get(key.lower(), ()) if other in known)
    return next(others, None) or nearest(key, known)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, if any is."""
    folded = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    close = get_close_matches(name.lower().replace("-", "_"), list(folded), n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def places_below(key: str, models: Sequence[Model]) -> list[str]:
    """Where a field of that name stands within these models, as `request.path`."""
    return _nearest_places(place for model in models for place in _places_in(model).get(key, ()))


def places_of(key: str) -> list[str]:
    """Where a field of that name stands in a plan, as `steps.<id>.probe`."""
    return _nearest_places(_places_in(Plan).get(key, ()))


def _nearest_places(places: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(places))
    shortest = min((place.count(".") for place in found), default=0)
    return [place for place in found if place.count(".") == shortest][:_MOST_PLACES]


@cache
def _places_in(model: Model) -> Mapping[str, tuple[str, ...]]:
    places: dict[str, list[str]] = {}
    for key, place in _walk(model, ""):
        places.setdefault(key, []).append(place)
    return {key: tuple(found) for key, found in places.items()}


def _walk(model: Model, prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        place = f"{prefix}{_written(name, model)}"
        yield _written(name, model), place
        for kind in _kinds(field.annotation):
            suffix, inner = _inside(kind.annotation)
            for each in _models(inner or [kind]):
                yield from _walk(each, f"{place}{suffix}.")


def _inside(annotation: Any) -> tuple[str, list[_Kind]]:
    """What a mapping or a list holds, and how its place is written."""
    match get_origin(annotation):
        case origin if origin is dict:
            return ".<id>", _kinds(get_args(annotation)[1])
        case origin if origin is tuple:
            return "[]", _kinds(get_args(annotation)[0])
    return "", []


def _written(name: str, model: Model) -> str:
    return model.model_fields[name].alias or name


def _below(kind: _Kind, part: str | int) -> list[_Kind]:
    """What lies one key or index deeper."""
    if kind.model is not None:
        fields = kind.model.model_fields.items()
        named = [field for name, field in fields if part in (name, _written(name, kind.model))]
        return [inner for field in named for inner in _kinds(field.annotation)]
    suffix, inside = _inside(kind.annotation)
    return inside if isinstance(part, int) == (suffix == "[]") else []


def _kinds(annotation: Any, tag: str | None = None) -> list[_Kind]:
    """The members of a union, without what pydantic hangs on them."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return _kinds(inner, next((each.tag for each in metadata if isinstance(each, Tag)), tag))
    if get_origin(annotation) in (Union, UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each)]
    if annotation is NoneType:
        return []
    kind = _Kind(annotation)
    if tag is None and kind.model is not None and "type" in kind.model.model_fields:
        words = kind.model.model_fields["type"].annotation
        tag = get_args(words)[0] if get_origin(words) is Literal else None
    return [_Kind(annotation, tag)]


def _models(kinds: Sequence[_Kind]) -> tuple[Model, ...]:
    return tuple(kind.model for kind in kinds if kind.model is not None)

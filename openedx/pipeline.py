"""Reading the driver's pipeline: rows of start state, end state, service and method."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from openedx.methods import EXTRA_METHOD, METHODS, SERVICES, WITHOUT_METHODS, Method, extra_method, methods_of
from plans.yaml_reading import Document, KeyPath

#: States that every LMS has, and that no step may be in.
REQUIRED_STATES = ("PENDING", "ERRORED", "ABORTED", "COMPLETE")
_DONE = "_COMPLETE"
_LONGEST_STATE = 30
#: Of names in plans, with room for a number.
_LONGEST_NAME = 56
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_KEY = "retirement_pipeline"
_EXTRA = "EXTRA_SERVICES_TO_RETIRE_FROM"

#: Tells a problem: its place, what is wrong and how to mend it.
Tell = Callable[[KeyPath, str], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the pipeline, and where it stands in the file."""

    start: str
    end: str
    method: Method
    index: int
    line: int


@dataclass(frozen=True, kw_only=True)
class ExtraService:
    """A service of the site's own. `id` is its name in the plan."""

    name: str
    id: str
    base_url: str
    path: str


def name_of(text: str, *, taken: Collection[str], otherwise: str) -> str:
    """A name as plans have them, made of a text; the same name a second time gets a number."""
    name = _NOT_IN_A_NAME.sub("_", text.lower()).strip("_")
    if not name[:1].isalpha():
        name = f"{otherwise}_{name}".rstrip("_")
    number, unique = 1, name[:_LONGEST_NAME]
    while unique in taken:
        number += 1
        unique = f"{name[:_LONGEST_NAME]}_{number}"
    return unique


def read_extra_services(
    document: Document, *, address: Callable[[KeyPath], str | None], refuse: Tell
) -> dict[str, ExtraService]:
    """The services of EXTRA_SERVICES_TO_RETIRE_FROM by name."""
    entries = document.data.get(_EXTRA)
    if entries is None:
        return {}
    if not isinstance(entries, list):
        refuse((_EXTRA,), "isn't a list; write entries of name, service_base_url and retirement_url_path")
        return {}
    services: dict[str, ExtraService] = {}
    for index, entry in enumerate(entries):
        at: KeyPath = (_EXTRA, index)
        wanted = ("name", "service_base_url", "retirement_url_path")
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) and entry[key] for key in wanted):
            refuse(at, f"has not all of {', '.join(wanted)} as texts; add what is missing")
            continue
        name, path = entry["name"], entry["retirement_url_path"].strip("/")
        if name in SERVICES or name in services:
            refuse((*at, "name"), "is the name of another service; choose one of its own")
        elif not path or any(character.isspace() or character in "{}$?#" for character in path):
            refuse((*at, "retirement_url_path"), "isn't a path; write it as in retire/user/, without {, $, ? and #")
        else:
            base_url = address((*at, "service_base_url"))
            taken = {*(known.id for known in SERVICES.values()), *(known.id for known in services.values())}
            id = name_of(name, taken=taken, otherwise="service")
            services[name] = ExtraService(name=name, id=id, base_url=base_url or "", path=path)
    return services


def read_pipeline(
    document: Document, *, extra: Mapping[str, ExtraService], keep_dead: bool, refuse: Tell, warn: Tell
) -> tuple[Row, ...]:
    """The rows that can be used; every other one is refused."""
    rows = document.data.get(_KEY)
    if rows is None:
        refuse((_KEY,), "is missing, and without it there is nothing to retire learners by; add its rows")
        return ()
    if not isinstance(rows, list) or not rows:
        refuse((_KEY,), "isn't a list of rows; write [start state, end state, SERVICE, method] for each step")
        return ()
    read = [_row(document, index, extra=extra, refuse=refuse) for index in range(len(rows))]
    whole = tuple(row for row in read if row is not None)
    _states(whole, refuse=refuse, warn=warn)
    for row in whole:
        if row.method.withdrawn and not (keep_dead and row.method.verb):
            how = "remove the row, or keep it by --keep-dead" if row.method.verb else "remove the row"
            refuse(
                (_KEY, row.index),
                f"{row.method.name} of {row.method.service} is withdrawn: {row.method.withdrawn}; {how}",
            )
        elif row.method.withdrawn:
            warn(
                (_KEY, row.index),
                f"{row.method.name} of {row.method.service} is withdrawn, and kept as you ask: {row.method.withdrawn}",
            )
        if row.method.doubt:
            warn((_KEY, row.index), f"{row.method.name}: {row.method.doubt}")
    return whole


def _row(document: Document, index: int, *, extra: Mapping[str, ExtraService], refuse: Tell) -> Row | None:
    at: KeyPath = (_KEY, index)
    row = document.data[_KEY][index]
    if not isinstance(row, list) or len(row) != 4 or not all(isinstance(part, str) and part for part in row):
        refuse(at, "isn't a row of four texts; write [start state, end state, SERVICE, method]")
        return None
    start, end, service, name = row
    method = _method(service, name, at=at, extra=extra, refuse=refuse)
    if method is None:
        return None
    return Row(start=start, end=end, method=method, index=index, line=document.line_of(at))


def _method(service: str, name: str, *, at: KeyPath, extra: Mapping[str, ExtraService], refuse: Tell) -> Method | None:
    """The method that a row names; None where it can't be used, which has been told then."""
    if service in extra:
        if name == EXTRA_METHOD:
            return extra_method(service=service, path=extra[service].path)
        refuse((*at, 3), f"is no method of an extra service; known: {EXTRA_METHOD}")
        return None
    if service not in SERVICES:
        known = ", ".join([*SERVICES, *extra])
        refuse((*at, 2), f"is no service{_meant(service, [*SERVICES, *extra])}; known: {known}, and those of {_EXTRA}")
        return None
    method = METHODS.get((service, name))
    if method is None:
        if service in WITHOUT_METHODS:
            refuse((*at, 2), f"{service} has no call for retirements: {WITHOUT_METHODS[service]}; remove the row")
        else:
            known = ", ".join(methods_of(service)) or "none any more"
            refuse((*at, 3), f"is no method of {service}{_meant(name, methods_of(service))}; known: {known}")
    return method


def _meant(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _states(rows: tuple[Row, ...], *, refuse: Tell, warn: Tell) -> None:
    """Every state once, and none that the LMS would take for another thing."""
    first: dict[str, int] = {}
    for row in rows:
        for place, state in enumerate((row.start, row.end)):
            at: KeyPath = (_KEY, row.index, place)
            which = "end" if place else "start"
            if len(state) > _LONGEST_STATE:
                refuse(
                    at,
                    f"is a state of {len(state)} characters, and the LMS takes {_LONGEST_STATE}; shorten it there and here",
                )
            if state in REQUIRED_STATES:
                refuse(
                    at, f"is one of the LMS' own states ({', '.join(REQUIRED_STATES)}); name the step's {which} state"
                )
            elif place == 0 and state.endswith(_DONE):
                refuse(at, f"is a start state that ends in {_DONE}, in which the LMS refuses every call; name another")
            elif place == 1 and not state.endswith(_DONE):
                warn(
                    at,
                    f"is an end state that doesn't end in {_DONE}; the LMS then still takes the step for being at work",
                )
            if state in first:
                refuse(at, f"is a state that stands on line {first[state]} already; each step needs two of its own")
            first.setdefault(state, row.line)

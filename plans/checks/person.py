"""Requests that would do the same to everybody, because nothing in them says who is meant."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.sql import statements_of
from plans.checks.templates import is_valid, names_in
from plans.checks.walking import Asked, Role, requests_of
from plans.requests import HttpRequest, KeyPath, SqlRequest, texts_in
from plans.services import HttpService
from plans.template_names import DottedName, names_of
from plans.template_places import PlacedText

#: What says who is meant: names that stand for the person.
_PERSON = frozenset({"user_id", "subject", "saved", "pseudonym"})
_WHAT = {
    Role.LOOKUP: "finds the same person for everybody",
    Role.ALSO: "asks the same for everybody",
    Role.UPDATE: "moves the same row for everybody",
    Role.CANCEL: "takes back the same request for everybody",
    Role.FIND: "finds the same for everybody",
    Role.DEED: "does the same for everybody",
    Role.PROBE: "asks the same for everybody",
    Role.FOLLOW_UP: "asks the same for everybody",
    Role.UNDO: "does the same for everybody",
    Role.LAST_RESORT: "does the same for everybody",
    Role.SUITABLE: "asks the same about every successor",
    Role.ASSETS: "lists the same for everybody",
    Role.OWNER: "asks the same about every asset",
}
_MEND = "name user_id, subject.… or saved.… in {{ }}"


@dataclass(frozen=True, kw_only=True)
class _Meant:
    """What a request has to name, so that it isn't the same every time."""

    what: str
    #: Names, and values of names, of which one is enough.
    by: frozenset[str]
    #: Who or what they stand for, and how to write it.
    whom: str
    mend: str

    def is_in(self, name: DottedName) -> bool:
        """Does this name say it? All of an asset (`asset`) does, its title doesn't."""
        is_all_of_it = len(name) == 1 and any(each.startswith(f"{name[0]}.") for each in self.by)
        return is_all_of_it or bool({name[0], ".".join(name[:2])} & self.by)

    def told(self) -> str:
        """What is wrong, as a plan's author is told."""
        return f"{self.what}, as no template in it names {self.whom}; {self.mend}"


_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\$\{[^}]*\}", re.DOTALL)
#: How other languages write a value into a path: {id}, <id>, :id.
_OTHER_BRACES = re.compile(r"\{[^{}]*\}|<[^<>/]*>|(?<=/):[A-Za-z_]\w*")
_BARE_NAME = re.compile(r"(user_id|pseudonym|(subject|successor|asset)\.\w+|saved\.\w+\.\w+)")


def everybody(draft: Draft) -> Iterator[Finding]:
    """Requests that don't say who is meant. Facts may be about all."""
    for asked in requests_of(draft.written):
        own, meant = draft.texts_at(asked.path), _meant(asked)
        # A name that is unknown or can't be read is told by itself; it may well be meant for the person.
        is_clear = all(is_valid(each) for each in own) and all(
            name[0] in each.allows for each in own for name in names_in(each)
        )
        if meant is None or not is_clear or not draft.is_whole(*asked.path):
            continue
        if isinstance(asked.request, SqlRequest):
            yield from _statements(asked.request, asked.path, meant)
        elif not any(meant.is_in(name) for each in own for name in names_in(each)):
            if meant.by != _PERSON or not _is_named_otherwise(draft, asked, own):
                yield error(Check.EVERYBODY, asked.path, meant.told())


def _meant(asked: Asked) -> _Meant | None:
    """Facts and candidates may be about all."""
    if asked.role not in _WHAT:
        return None
    assets = asked.step.assets if asked.step is not None else None
    if asked.role is Role.SUITABLE:
        whom, mend = "the successor", "name successor.id in {{ }}"
        return _Meant(what=_WHAT[asked.role], by=frozenset({"successor"}), whom=whom, mend=mend)
    if assets is not None and asked.role in (Role.DEED, Role.OWNER):
        by = frozenset({"asset.id", *(f"asset.{name}" for name in assets.fields)})
        what = "does the same for every asset" if asked.role is Role.DEED else _WHAT[asked.role]
        return _Meant(what=what, by=by, whom="the asset", mend="name asset.id in {{ }}")
    if asked.role is Role.ASSETS:
        return _Meant(what=_WHAT[asked.role], by=_PERSON, whom="the person", mend="name user_id or subject.… in {{ }}")
    return _Meant(what=_WHAT[asked.role], by=_PERSON, whom="the person", mend=_MEND)


def without_braces(draft: Draft) -> Iterator[Finding]:
    """Names of values that stand as plain text: they are sent as they are."""
    for asked in requests_of(draft.written):
        if not isinstance(asked.request, HttpRequest):
            continue
        path = (*asked.path, "path")
        plain = _TEMPLATE.sub("\0", asked.request.path)
        if _OTHER_BRACES.search(plain) is not None:
            yield warning(
                Check.NO_BRACES,
                path,
                "has a value in it that isn't written as a template, and is sent as it stands; write {{ user_id }}",
            )
        named = {".".join(name) for name in names_of(asked.request.path, is_expression=False)}
        for segment in plain.split("?")[0].split("/"):
            if _BARE_NAME.fullmatch(segment) is not None and segment not in named:
                what = f"has '{segment}' as plain text, which is sent as it stands; write {{{{ {segment} }}}}"
                yield warning(Check.NO_BRACES, path, what)
        for place, text in asked.request.templates():
            if place != ("path",) and _BARE_NAME.fullmatch(text.strip()) is not None:
                yield warning(
                    Check.NO_BRACES,
                    (*asked.path, *place),
                    f"is plain text, which is sent as it stands; write {{{{ {text.strip()} }}}}",
                )


def _is_named_otherwise(draft: Draft, asked: Asked, own: list[PlacedText]) -> bool:
    """By the retirement's id, where an earlier request told it to the service; by a header that every request has."""
    named = {name[0] for each in own if each.path[len(asked.path)] != "headers" for name in names_in(each)}
    service = draft.written.services.get(asked.service or "")
    headers = service.headers if isinstance(service, HttpService) else {}
    by_header = {name[0] for text in headers.values() for name in names_of(text, is_expression=False)}
    return "retirement_id" in named or bool(by_header & _PERSON) or asked.service not in draft.written.services


def _statements(request: SqlRequest, at: KeyPath, meant: _Meant) -> Iterator[Finding]:
    """Each change must be made to the person; of a request that only reads, one statement must ask for them."""
    theirs = {name for name, data in request.parameters.items() if _is_meant(data, meant)}
    read = list(statements_of(request, at))
    if any(each.is_refused or each.bound - set(request.parameters) for _, each in read):
        return
    for path, statement in read:
        if len(statement.changes) == 1:
            is_theirs = bool(statement.changes[0].bound & theirs)
        else:
            is_theirs = bool(statement.bound & theirs) or not statement.changes
        if not is_theirs:
            yield error(
                Check.EVERYBODY,
                path,
                f"{meant.what}, as nothing bound in it names {meant.whom}; "
                f"give its WHERE a parameter with {meant.mend.removeprefix('name ')}",
            )
    if not any(statement.changes or statement.bound & theirs for _, statement in read):
        yield error(Check.EVERYBODY, at, meant.told())


def _is_meant(data: object, meant: _Meant) -> bool:
    return any(meant.is_in(name) for _, text in texts_in(data, ()) for name in names_of(text, is_expression=False))

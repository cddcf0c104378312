"""SQL requests: whole statements, values that are bound, and changes that name the person."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from sqlalchemy import text as sql_text

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.language import nearest
from plans.checks.walking import requests_of
from plans.requests import KeyPath, SqlRequest

#: Literals and comments, which may hold anything, and the words and signs that give a statement its structure.
_PART = re.compile(
    r"""(?P<skipped>'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|(\$\w*\$).*?\2)"""
    r"""|(?P<part>[();]|(?<![:\w\\]):\w+(?!:)|[A-Za-z_]\w*)""",
    re.DOTALL,
)
_CHANGES = frozenset({"delete", "update", "insert", "replace", "merge"})
_NEEDS_WHERE = frozenset({"delete", "update"})
_FOR_EVERYBODY = frozenset({"truncate", "drop", "alter"})
_CAST = re.compile(r"(?<![:\w\\]):(\w+)::")
_TEMPLATE = re.compile(r"\{\{|\{%|\$\{")
#: `id LIKE :id || '%'`: a value that is compared by likeness.
_LIKE = re.compile(
    r"\b(?:i?like|similar\s+to|glob|regexp|rlike)\s+(?:\w+\s*\(\s*)*(?:'[^']*'\s*(?:\|\||,)\s*)?:\w", re.IGNORECASE
)


@dataclass(kw_only=True)
class Change:
    """One change that a statement makes, and the values that decide whom it changes."""

    verb: str
    has_where: bool
    bound: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is known of a statement without a database."""

    verb: str
    is_one: bool
    changes: tuple[Change, ...]
    bound: frozenset[str]
    #: `:name::type`, which SQLAlchemy takes for a cast of something else.
    cast: frozenset[str]
    has_template: bool
    #: Is a bound value compared by likeness?
    is_loose: bool

    @property
    def is_refused(self) -> bool:
        """Is something told of it already that makes it useless to ask whom it changes?"""
        lacks_where = any(change.verb in _NEEDS_WHERE and not change.has_where for change in self.changes)
        return self.has_template or lacks_where or not self.is_one or self.verb in ("", *_FOR_EVERYBODY)


def statements(draft: Draft) -> Iterator[Finding]:
    """Statements that can't be what was meant, and values that aren't bound."""
    for asked in requests_of(draft.written):
        if isinstance(asked.request, SqlRequest):
            for path, statement in statements_of(asked.request, asked.path):
                yield from _wrong(statement, path)
            yield from _parameters(draft, asked.request, asked.path)


def statements_of(request: SqlRequest, at: KeyPath) -> Iterator[tuple[KeyPath, Statement]]:
    """The statements of a request that stands at `at`, each with its place."""
    is_list = not isinstance(request.sql, str)
    for index, text in enumerate(request.statements):
        yield (*at, "sql", *((index,) if is_list else ())), read_statement(text)


@lru_cache(maxsize=1024)
def read_statement(text: str) -> Statement:
    """What can be told of a statement by its words."""
    parts = [match.group("part") for match in _PART.finditer(text) if match.group("part")]
    while parts and parts[-1] == ";":
        parts.pop()
    changes: list[Change] = []
    verb = _read(parts, changes)
    return Statement(
        verb=verb,
        is_one=";" not in parts,
        changes=tuple(changes),
        bound=frozenset(sql_text(text).compile().params),
        cast=frozenset(_CAST.findall(text)),
        has_template=_TEMPLATE.search(text) is not None,
        is_loose=_LIKE.search(text) is not None,
    )


@dataclass
class _Clause:
    """The words of one pair of brackets, and the values bound in it, split by where they stand."""

    words: list[str] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    #: Values of the SET list say what is written, not to whom.
    is_set_list: bool = False


def _read(parts: list[str], changes: list[Change]) -> str:
    """Collect the changes of a statement, innermost first, and return the statement's verb."""
    clauses = [_Clause()]
    for part in parts:
        clause = clauses[-1]
        if part == "(":
            clauses.append(_Clause(is_set_list=clause.is_set_list))
        elif part == ")" and len(clauses) > 1:
            _end(clauses, changes)
        elif part.startswith(":") and not clause.is_set_list:
            clause.bound.add(part[1:])
        elif part[0] not in ":;)":
            word = part.lower()
            clause.words.append(word)
            clause.is_set_list = word == "set" or (clause.is_set_list and word not in ("from", "where"))
    while len(clauses) > 1:
        _end(clauses, changes)
    _close(clauses[0], changes)
    return _verb_of(clauses[0])


def _end(clauses: list[_Clause], changes: list[Change]) -> None:
    inner = clauses.pop()
    _close(inner, changes)
    clauses[-1].bound |= inner.bound


def _close(clause: _Clause, changes: list[Change]) -> None:
    verb = _verb_of(clause)
    if verb in _CHANGES:
        changes.append(Change(verb=verb, has_where="where" in clause.words, bound=frozenset(clause.bound)))


def _verb_of(clause: _Clause) -> str:
    first = clause.words[0] if clause.words else ""
    if first != "with":
        return first
    return next((word for word in clause.words if word in _CHANGES or word == "select"), first)


def _wrong(statement: Statement, path: KeyPath) -> Iterator[Finding]:
    if statement.has_template:
        yield error(
            Check.SQL_TEMPLATE,
            path,
            "has a template in it, and a value in a statement could change what it does; "
            "write `:name`, and the value under parameters",
        )
    if not statement.verb:
        yield error(Check.SQL_STATEMENT, path, "has no statement in it; write one, or remove it")
    elif not statement.is_one:
        yield error(Check.SQL_STATEMENT, path, "has several statements in one text; write them as a list, one an item")
    elif statement.verb in _FOR_EVERYBODY:
        yield error(
            Check.SQL_STATEMENT,
            path,
            f"is {statement.verb.upper()}, which is done to everybody; write a DELETE … WHERE",
        )
    for change in statement.changes:
        if change.verb in _NEEDS_WHERE and not change.has_where:
            yield error(
                Check.SQL_WHERE,
                path,
                f"is {change.verb.upper()} without WHERE, which changes every row; add a WHERE that names the person",
            )
    if statement.is_loose and statement.changes:
        yield warning(
            Check.SQL_LIKE,
            path,
            "compares by LIKE what it changes: `_` and `%` in a value stand for anything, and `u1%` is also u10; "
            "write `=`",
        )


def _parameters(draft: Draft, request: SqlRequest, at: KeyPath) -> Iterator[Finding]:
    known = draft.names(*at, "parameters")
    used: set[str] = set()
    for path, statement in statements_of(request, at):
        used |= statement.bound | statement.cast
        for name in sorted(statement.cast & set(known)):
            what = f"has :{name}::…, which binds nothing; write CAST(:{name} AS …)"
            yield error(Check.SQL_PARAMETER, path, what)
        for name in sorted(statement.bound - set(known)):
            close = nearest(name, known)
            meant = f"did you mean :{close}?" if close is not None else f"add `{name}: …` under parameters"
            if draft.knows(*at, "parameters"):
                yield error(Check.SQL_PARAMETER, path, f"binds :{name}, and parameters has no such value; {meant}")
    if draft.is_whole(*at, "sql"):
        for name in request.parameters:
            if name not in used:
                yield error(
                    Check.SQL_PARAMETER,
                    (*at, "parameters", name),
                    f"is bound nowhere; use it as :{name} in a statement, or remove it",
                )

"""YAML with line numbers, and with fewer surprises than YAML: text stays text, and every key is there once."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import yaml

#: Where a value stands in the document: keys and indexes from the top.
KeyPath = tuple[str | int, ...]

_LARGEST = 1_000_000
_MOST_NODES = 50_000
_MERGE = "<<"

#: What a plain word may mean besides text. YAML 1.1 would read `no` as a boolean, `10:30` as a number in base 60.
_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"|~|null"), lambda text: None),
    (re.compile(r"true|false"), lambda text: text == "true"),
    # A zero or a plus in front would be lost: such a word is a code or a telephone number.
    (re.compile(r"-?(0|[1-9]\d{0,17})"), int),
    (re.compile(r"-?(0|[1-9]\d{0,17})\.\d{1,18}"), float),
)
#: Words without quotes that are text here, and that others take for a truth value, for nothing, or for a number.
_DOUBTFUL = re.compile(r"(?!true$|false$|null$)(?i:yes|no|on|off|true|false|null|none|nil)|[-+]?0\d+|\+\d+")


class Severity(StrEnum):
    """How bad a problem is."""

    #: The plan can't be used.
    ERROR = "error"
    #: The plan can be used; what it says is likely not what was meant.
    WARNING = "warning"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a plan: where, what, and how to mend it. Never a value: it may be a misplaced secret.

    `line` is 0 where the file as a whole is meant. `check` names the kind of mistake.
    """

    line: int
    where: str
    what: str
    severity: Severity = Severity.ERROR
    check: str = "yaml"

    def told(self, file: str) -> str:
        """As a line of text: `file:line: key.path: what is wrong; how to mend`; a warning says that it is one."""
        place = f"{file}:{self.line}" if self.line else file
        label = "warning" if self.severity is Severity.WARNING else ""
        return ": ".join(part for part in (place, label, self.where, self.what) if part)


@dataclass
class Document:
    """A YAML document as plain data, with the line of each value."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    #: Where a word without quotes stands that may have been meant for something else than text.
    doubtful: list[KeyPath] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int:
        """The line of a value, or of the nearest thing around it that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: KeyPath, what: str, *, severity: Severity = Severity.ERROR, check: str = "yaml") -> Problem:
        """A problem at a place of this document."""
        return Problem(line=self.line_of(path), where=dotted(path), what=what, severity=severity, check=check)


def dotted(path: KeyPath) -> str:
    """A key path as people write it: `steps.forum.absent[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def read_yaml(raw: bytes) -> Document:
    """Read a YAML file. Whatever is wrong with it is in `problems`; `data` is then what could be read."""
    document = Document()
    if len(raw) > _LARGEST:
        return _broken(document, 1, "is larger than 1 MB; a plan is a few hundred lines: is it the right file?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return _broken(document, line, "isn't UTF-8; save the file in that encoding")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return _broken(document, mark.line + 1 if mark else 1, _syntax_problem(error))
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        return _broken(document, line, "has a control character; remove it")
    except RecursionError:
        return _broken(document, 1, "is nested too deeply; a plan has about six levels")
    if node is None:
        return _broken(document, 1, "is empty; begin with `plan: <name>`")
    try:
        document.data = _Reader(document).value(node, ())
    except _TooLarge as error:
        return _broken(document, error.line, "grows too large with its anchors; write the parts out")
    return document


def _broken(document: Document, line: int, what: str) -> Document:
    document.data = None
    document.problems.append(Problem(line=line, where="", what=what))
    return document


def _syntax_problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "can't be read"
    if r"'\t'" in problem:
        return "has a tab where YAML wants spaces; indent with spaces"
    if "undefined alias" in problem:
        return "uses an anchor (`*name`) that isn't defined above it; define it with `&name`, or write the part out"
    if "single document" in (error.context or ""):
        return "has a second document (`---`); keep one plan a file"
    if "mapping values are not allowed" in problem:
        return (
            "isn't valid YAML: a `:` where none can be; put texts that hold `: ` in quotes, and check the indentation"
        )
    # PyYAML names tokens and single characters here, never a text of the file.
    return f"isn't valid YAML: {problem}; check indentation, quotes and brackets around this line"


class _TooLarge(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


class _Reader:
    """Turns nodes into data and keeps their lines."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen = 0
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._seen += 1
        line = node.start_mark.line + 1
        if self._seen > _MOST_NODES or len(path) > 50:
            raise _TooLarge(line)
        self._document.lines.setdefault(path, line)
        if any(node is outer for outer in self._open):
            return self._wrong(node, path, "contains itself through an anchor; write the part out")
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            return self._wrong(node, path, "has a tag (`!…`), which plans don't use; remove it")
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            if getattr(node, "style", None) is None and _DOUBTFUL.fullmatch(str(node.value)):
                self._document.doubtful.append(path)
            return _scalar(node)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        first_line: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in first_line:
                self._document.problems.append(
                    Problem(
                        line=line,
                        where=dotted((*path, key)),
                        what=f"is there twice, first on line {first_line[key]}; remove one",
                    )
                )
                continue
            first_line[key] = line
            if key == _MERGE:
                continue
            # An own key stands before one taken over by `<<`, so its line is kept.
            self._document.lines.setdefault((*path, key), line)
            data[key] = self.value(value_node, (*path, key))
        for merged in self._merged(node, path):
            data = merged | data
        return data

    def _merged(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[dict[str, Any]]:
        """`<<: *anchor`: keys taken over from elsewhere, which the mapping's own keys win over."""
        for key_node, value_node in node.value:
            if not (isinstance(key_node, yaml.ScalarNode) and key_node.value == _MERGE):
                continue
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in sources:
                if isinstance(source, yaml.MappingNode) and not any(source is outer for outer in self._open):
                    yield self.value(source, path)
                else:
                    self._wrong(source, (*path, _MERGE), "takes over keys of a mapping; name one by its anchor")

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            # `path: {{ user_id }}` without quotes is, to YAML, a mapping whose key is a mapping.
            self._wrong(node, path, 'has a template outside quotes; write "{{ … }}"')
            return None
        if not isinstance(_scalar(node), str):
            self._wrong(node, path, "has a key that isn't text; put it in quotes")
            return None
        return str(node.value)

    def _wrong(self, node: yaml.Node, path: KeyPath, what: str) -> None:
        self._document.problems.append(Problem(line=node.start_mark.line + 1, where=dotted(path), what=what))


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if getattr(node, "style", None) is None:
        for pattern, meaning in _PLAIN:
            if pattern.fullmatch(text):
                return meaning(text)
    return text

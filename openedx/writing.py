"""Data as YAML that people read and change: short things on one line, comments above what they are about.

The same data always gives the same text.
"""

import re
import textwrap
from collections.abc import Collection, Mapping
from typing import Any

from plans.yaml_reading import KeyPath

_WIDTH = 120
#: Words that every reader of YAML takes for a text, without quotes. `on` and `1e3` are none.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*|[1-9]\d*(ms|s|m|h|d|w)")
_NOT_PLAIN = re.compile(r"y|n|yes|no|on|off|true|false|null|none|nil|nan|inf", re.IGNORECASE)


def write_yaml(
    data: Mapping[str, Any], *, heading: str, comments: Mapping[KeyPath, str], blocks: Collection[KeyPath]
) -> str:
    """A document: `comments` stand above the key of their path, and what is in `blocks` is never put on one line.

    Of a comment, lines that are indented are left as they are: they can be pasted.
    """
    lines = [*_comment(heading, indent=0), ""] if heading else []
    for key, value in data.items():
        entry = _entry(key, value, (key,), indent=0, comments=comments, blocks=blocks)
        if len(entry) > 1 and lines and lines[-1]:
            lines.append("")
        lines += entry
        if len(entry) > 1:
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _entry(
    key: str,
    value: Any,
    path: KeyPath,
    *,
    indent: int,
    comments: Mapping[KeyPath, str],
    blocks: Collection[KeyPath],
) -> list[str]:
    """A key with its value: on one line where that fits, else below it."""
    above = _comment(comments[path], indent=indent) if path in comments else []
    lead = f"{' ' * indent}{_scalar(key)}:"
    line = f"{lead} {_flow(value)}"
    if not isinstance(value, dict | list) or not value or (len(line) <= _WIDTH and path not in blocks):
        return [*above, line]
    if isinstance(value, list):
        return [*above, lead, *(f"{' ' * (indent + 2)}- {_flow(item)}" for item in value)]
    below: list[str] = []
    for name, item in value.items():
        entry = _entry(name, item, (*path, name), indent=indent + 2, comments=comments, blocks=blocks)
        # Steps and services are read one at a time.
        if below and (*path, name) in blocks and len(path) == 1:
            below.append("")
        below += entry
    return [*above, lead, *below]


def _flow(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and not _NOT_PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_quoted(character) for character in text) + '"'


def _quoted(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def _comment(text: str, *, indent: int) -> list[str]:
    """Each paragraph wrapped by itself."""
    lead = f"{' ' * indent}# "
    lines: list[str] = []
    for paragraph in text.splitlines():
        if not paragraph or paragraph.startswith(" "):
            lines.append(f"{lead}{paragraph}".rstrip())
            continue
        wrapped = textwrap.wrap(
            paragraph,
            _WIDTH,
            initial_indent=lead,
            subsequent_indent=lead,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += wrapped
    return lines

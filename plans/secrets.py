"""Secret references in a plan: `${env:NAME}` and `${file:/path}`, resolved at the moment of the call.

Only the plan's own text is ever resolved, never a value of the person: a user called `${env:TOKEN}` is data.
"""

import os
import re
from pathlib import Path

_REFERENCE = re.compile(r"\$\{([^}]*)\}")


class SecretMissing(Exception):
    """A reference that can't be resolved on this worker. Names the reference, which is plan text; never a value."""

    def __init__(self, *, reference: str) -> None:
        super().__init__(
            f"{reference} can't be resolved on this worker; "
            "set the variable or mount the file, spelt ${env:NAME} or ${file:/path}"
        )
        self.reference = reference


def resolve(text: str) -> str:
    """Put the secrets into a text of the plan. A file's last line break is left out.

    Raises:
        SecretMissing: the variable isn't set, the file can't be read, or the reference is of neither kind.
    """
    return _REFERENCE.sub(lambda match: _value_of(match.group(1)), text)


def split_references(text: str) -> list[tuple[bool, str]]:
    """The parts of a text in order, each with whether it is a reference. What lies between may be a template."""
    parts: list[tuple[bool, str]] = []
    at = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > at:
            parts.append((False, text[at : match.start()]))
        parts.append((True, match.group(0)))
        at = match.end()
    if at < len(text):
        parts.append((False, text[at:]))
    return parts


def _value_of(reference: str) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env" and name in os.environ:
        return os.environ[name]
    if kind == "file":
        try:
            return Path(name).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, ValueError):
            pass
    raise SecretMissing(reference=f"${{{reference}}}") from None

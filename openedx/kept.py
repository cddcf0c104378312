"""Keys that nothing here reads are kept, but no secret among them: a reference stands in its place."""

import re
from typing import Any

#: Names of keys whose value is a secret, or likely is one.
_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|token|key|credential|private|auth|dsn|cookie|salt|cert", re.IGNORECASE
)
#: Long words of letters and digits, as keys and tokens are; words of a language have no digits in them.
_OPAQUE = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9+/=_\-.:~]{20,}")
_WITH_PASSWORD = re.compile(r"://[^/\s]*@")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9]+")


def reference_to(name: str, *, prefix: str) -> str:
    """What stands for a secret: a variable named after the key."""
    return f"${{env:{variable_for(name, prefix=prefix)}}}"


def variable_for(name: str, *, prefix: str) -> str:
    """The variable's name: `OPENEDX_CLIENT_SECRET`."""
    return f"{prefix}_{_NOT_A_NAME.sub('_', name).strip('_').upper()}"


def without_secrets(value: Any, *, name: str, prefix: str) -> Any:
    """The same data; what looks like a secret by its key's name or by itself is a reference. Rather one too many."""
    match value:
        case dict():
            return {key: without_secrets(item, name=_inner(name, key), prefix=prefix) for key, item in value.items()}
        case list():
            return [without_secrets(item, name=name, prefix=prefix) for item in value]
        case None | bool():
            return value
    text = str(value)
    is_secret = _SECRET_NAME.search(name) or _OPAQUE.fullmatch(text) or _WITH_PASSWORD.search(text)
    return reference_to(name, prefix=prefix) if is_secret else value


def _inner(name: str, key: str) -> str:
    return f"{name}_{key}"

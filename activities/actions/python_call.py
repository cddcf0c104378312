"""What Python code is given when a plan calls it, and how it says that it could not do what it was asked.

For whoever adds a service in Python. Install a package with an entry point in the group `account_retirement.calls`:

```toml
[project.entry-points."account_retirement.calls"]
erase_author = "acme_retirement:erase_author"
```

and call it from the plan by the entry point's name:

```yaml
services:
  archive: {type: python, settings: {bucket: "${env:ARCHIVE_BUCKET}"}}
steps:
  archive:
    phase: erase
    service: archive
    request: {call: erase_author, arguments: {author: "{{ user_id }}"}}
```

```python
def erase_author(call: PythonCall) -> dict[str, int]:
    archive = Archive(call.settings["bucket"], timeout=call.timeout.total_seconds())
    try:
        found = archive.author(call.arguments["author"])
    except archive.Unknown:
        raise NotThere from None
    except archive.Overloaded as overloaded:
        raise TryLater(after=overloaded.retry_after) from None
    if found.on_legal_hold:
        raise Refused("legal_hold")
    return {"deleted": archive.delete(found, request_id=call.idempotency_key)}
```

The function is called in a thread of its own; an `async def` is run there by an event loop of its own, so make clients
anew in each call. It may be called again after a crash or a lost answer, with the same `idempotency_key`: a repeat must do
no harm. What it returns is plain data (what JSON can hold, at most 1 MiB), which the plan reads as `body`. Whatever it
raises besides the exceptions below is taken for a mistake: only the type's name is told, and it is called again later.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

_CODE = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class PythonCall:
    """One call. Its values may be the person's and the settings secret, so neither is in its repr."""

    #: As the plan's `arguments` say, with values put in.
    arguments: Mapping[str, Any] = field(repr=False)
    #: As the service's `settings` say, with secrets put in.
    settings: Mapping[str, str] = field(repr=False)
    #: The same for every repeat of this call. None for what only reads: lookup, facts, probes.
    idempotency_key: str | None
    #: After this the call is given up, and repeated later. Whatever is still at work then isn't waited for.
    timeout: timedelta


class NotThere(Exception):
    """There is nobody, or nothing, of that id here. Counts as the answer 404: gone for a probe, unknown for a lookup."""


class TryLater(Exception):
    """It can't be done now, and may be later: the step is tried again for as long as its patience lasts.

    Something may have been done already. `after`: how long to wait at least, where the service says so.

    Raises:
        TypeError: `after` is no timedelta; write `timedelta(seconds=30)`.
    """

    def __init__(self, after: timedelta | None = None) -> None:
        if after is not None and not isinstance(after, timedelta):
            raise TypeError("after is a timedelta; write timedelta(seconds=30)")
        super().__init__("try later")
        self.after = after


class Refused(Exception):
    """It will be refused every time, and nothing was done: the step fails, or its `on_permanent` is done instead.

    `code` says why. It is shown, logged and kept: a constant such as `legal_hold`, never a value of the person.

    Raises:
        ValueError: the code is none; write lower-case letters, digits, - and _, a letter first, at most 63.
    """

    def __init__(self, code: str) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError("a code is lower-case letters, digits, - and _, a letter first, at most 63")
        super().__init__(code)
        self.code = code

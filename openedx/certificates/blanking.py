"""Making the LMS forget where certificates were: by its own command, or by an endpoint of the site."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from activities.actions.action import Call
from activities.actions.answers import Answer, Held, NoAnswer, Rules, Transient, meaning_of
from activities.actions.http import HttpAction
from activities.actions.wire import BadAddress
from plans.requests import HttpRequest, Method
from plans.secrets import SecretMissing, resolve
from plans.services import Auth, HttpService

#: The LMS' command takes no more at once.
MOST_AT_ONCE = 100
#: Its arguments: the ids follow, as arguments of their own.
IDS_OPTION = "--certificate_ids"
_ACCEPTED = frozenset({200, 207})
#: Seconds before the second, third … try, each with full jitter. Blanking twice is as good as once.
_WAITS = (1.0, 2.0, 4.0)
_LONGEST_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Blanked:
    """Which certificates the LMS has forgotten the links of. `code` says what became of the others."""

    done: frozenset[int] = field(default_factory=frozenset)
    code: str | None = None
    #: The command or endpoint itself is the matter, not one of the certificates: others will fare the same.
    is_general: bool = False


class Blanking(Protocol):
    """A way to blank `download_url` and `download_uuid`. Nothing else of a certificate is touched."""

    async def blank(self, ids: Sequence[int]) -> Blanked:
        """Blank the links of these, at most `MOST_AT_ONCE`. A repeat does no harm. Never raises for what went wrong."""
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


class ByCommand:
    """`manage.py lms purge_references_to_pdf_certificates`, or what the site has in its place."""

    def __init__(self, *, command: Sequence[str], within: timedelta) -> None:
        self._command = tuple(command)
        self._within = within

    async def blank(self, ids: Sequence[int]) -> Blanked:
        """Run it. Only its exit code is looked at: what it prints may be about people, and is shown to nobody."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                IDS_OPTION,
                *(str(id) for id in ids),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                # A group of its own, which can be ended as a whole.
                start_new_session=True,
            )
        except FileNotFoundError:
            return Blanked(code="command_not_found", is_general=True)
        except (OSError, ValueError):
            return Blanked(code="command_not_startable", is_general=True)
        try:
            async with asyncio.timeout(self._within.total_seconds()):
                code = await process.wait()
        except TimeoutError:
            return Blanked(code="command_took_too_long", is_general=True)
        finally:
            # Also where we are cancelled: it must not go on unobserved. What it began in its group goes with it.
            if process.returncode is None:
                await _end(process)
        if code == 0:
            return Blanked(done=frozenset(ids))
        return Blanked(code=f"command_exit_{code}" if code > 0 else f"command_signal_{-code}")

    async def close(self) -> None:
        """Nothing is held."""


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


class ByUrl:
    """An endpoint of the site that answers which ids it has processed."""

    def __init__(
        self, *, url: str, auth: Auth, within: timedelta, version: str, waits: Sequence[float] = _WAITS
    ) -> None:
        self._url = url
        self._auth = auth
        self._within = within
        self._waits = tuple(waits)
        self._http = HttpAction(version=version)

    async def blank(self, ids: Sequence[int]) -> Blanked:
        """POST the ids; only what the answer names as processed, and not as failed, is done."""
        try:
            call = self._call(ids)
            answer = await self._asked(call)
        except SecretMissing:
            return Blanked(code="secret_missing", is_general=True)
        except (BadAddress, ValueError):
            return Blanked(code="bad_url", is_general=True)
        if isinstance(answer, NoAnswer):
            return Blanked(code=answer.code, is_general=True)
        if answer.status not in _ACCEPTED:
            # A 4xx may be about one of the ids; whatever else it is about, it is none of them.
            return Blanked(code=f"http_{answer.status}", is_general=answer.status not in (400, 404, 409, 422))
        done = _processed(answer.body, asked=ids)
        return Blanked(done=done, code=None if len(done) == len(set(ids)) else "not_processed")

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close()

    def _call(self, ids: Sequence[int]) -> Call:
        parts = urlsplit(resolve(self._url))
        service = HttpService(base_url=urlunsplit(parts._replace(path="", query="", fragment="")), auth=self._auth)
        service = service.model_copy(update={"timeout": self._within})
        path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        request = HttpRequest.model_validate({"method": Method.POST, "path": path, "json": {"certificate_ids": [*ids]}})
        return Call(service=service, request=request, context={})

    async def _asked(self, call: Call) -> Answer | NoAnswer:
        waits = list(self._waits)
        while True:
            answer = await self._http.call(call)
            meaning = meaning_of(answer, Rules(method=call.request.verb))
            wait = meaning.wait if isinstance(meaning, Transient) else None
            passes = isinstance(meaning, Transient) and (wait is None or wait <= _LONGEST_WAIT)
            if isinstance(meaning, Held) or not passes or not waits:
                return answer
            most = waits.pop(0)
            await asyncio.sleep(wait.total_seconds() if wait is not None else random.uniform(0, most))  # noqa: S311


def _processed(body: Any, *, asked: Collection[int]) -> frozenset[int]:
    """What an answer says is done: an id that it names as failed, too, isn't, and neither is one that nobody asked for."""
    if not isinstance(body, dict):
        return frozenset()
    return (_ids(body.get("processed")) & frozenset(asked)) - _ids(body.get("failed"))


def _ids(value: Any) -> frozenset[int]:
    return frozenset(id for id in value if type(id) is int) if isinstance(value, list) else frozenset()

"""The `python` action: a function that an installed package offers, for what YAML can't say."""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from activities.actions.action import Call, WithoutRoutes
from activities.actions.answers import Answer, NoAnswer
from activities.actions.python_call import NotThere, PythonCall, Refused, TryLater
from activities.actions.threads import TIMED_OUT, Threads
from activities.actions.wire import LARGEST_BODY
from activities.rendering import render_data
from plans.requests import CALLS_GROUP, PythonRequest
from plans.secrets import resolve
from plans.services import PythonService
from workflows.names import HeldCause

#: How much longer than its time limit a call is waited for: one that heeds the limit has its own say.
_GRACE = 0.5

Function = Callable[[PythonCall], Any]


@dataclass(frozen=True, kw_only=True)
class _Offered:
    """A function, and the package it comes from."""

    entry: EntryPoint
    package: str


class PythonAction(WithoutRoutes):
    """Calls installed Python code. One for a worker: it keeps what it has loaded, and what is in flight."""

    def __init__(self) -> None:
        self._threads = Threads()
        self._offered: dict[str, _Offered] = {}
        self._loaded: dict[str, Function] = {}

    async def call(self, call: Call) -> Answer | NoAnswer:
        """Call the function in a thread; what it returns is the body, what it raises is told as a code."""
        service, request = _python(call)
        asked = PythonCall(
            arguments=render_data(request.arguments, call.context),
            settings={name: resolve(text) for name, text in service.settings.items()},
            idempotency_key=call.key,
            timeout=service.timeout,
        )
        offered = self._find(request.call)
        if isinstance(offered, NoAnswer):
            return offered

        def work() -> Answer | NoAnswer:
            function = self._load(request.call, offered.entry)
            return function if isinstance(function, NoAnswer) else _done(function, asked)

        within = service.timeout.total_seconds() + _GRACE
        return await self._threads.run(work, place=offered.package, limit=service.limits.concurrent, within=within)

    async def close(self) -> None:
        """Nothing is held: each call ends by itself."""

    def _find(self, name: str) -> _Offered | NoAnswer:
        """The entry point of that name; looked for again as long as there is none, as a package may yet be installed."""
        offered = self._offered.get(name)
        if offered is not None:
            return offered
        found = _distinct(entry_points(group=CALLS_GROUP, name=name))
        if len(found) != 1:
            # Two packages that offer the same name: whichever was taken, it might be the wrong one.
            return _held("call_ambiguous" if found else "call_unknown")
        self._offered[name] = found[0]
        return found[0]

    def _load(self, name: str, entry: EntryPoint) -> Function | NoAnswer:
        function = self._loaded.get(name)
        if function is None:
            try:
                loaded = entry.load()
            except BaseException as error:
                return _held("call_not_loadable", kind=type(error).__name__)
            if not callable(loaded):
                return _held("call_not_loadable", kind=type(loaded).__name__)
            function = self._loaded[name] = loaded
        return function


def _python(call: Call) -> tuple[PythonService, PythonRequest]:
    """What the plan's check has made sure of: code is called, and not asked by HTTP."""
    assert isinstance(call.service, PythonService) and isinstance(call.request, PythonRequest)
    return call.service, call.request


def _distinct(found: Iterable[EntryPoint]) -> list[_Offered]:
    """Each entry point once: a package that is found on two paths is one package."""
    by_place: dict[tuple[str, str], _Offered] = {}
    for entry in found:
        package = entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
        by_place.setdefault((package, entry.value), _Offered(entry=entry, package=package))
    return list(by_place.values())


def _done(function: Function, asked: PythonCall) -> Answer | NoAnswer:
    try:
        answer = function(asked)
        if inspect.isawaitable(answer):
            answer = asyncio.run(_within(answer, asked))
    except NotThere:
        return Answer(status=404)
    except TryLater as later:
        return NoAnswer(code="try_later", touched=True, wait=later.after)
    except Refused as refused:
        return NoAnswer(code=refused.code, touched=False, may_pass=False)
    except _OverTime:
        return TIMED_OUT
    except BaseException as error:
        # SystemExit, too: a library's mistake must not be the worker's end. The text may hold values; the name holds none.
        return NoAnswer(code="python_error", touched=True, kind=type(error).__name__)
    return _answer(answer)


class _OverTime(Exception):
    """Our time limit, which isn't to be taken for a TimeoutError of the function's own."""


async def _within(answer: Any, asked: PythonCall) -> Any:
    limit = asyncio.timeout(asked.timeout.total_seconds())
    try:
        async with limit:
            return await answer
    except TimeoutError:
        if limit.expired():
            raise _OverTime from None
        raise


def _answer(result: Any) -> Answer | NoAnswer:
    """What was returned, as the JSON it must be."""
    try:
        encoded = json.dumps(result, allow_nan=False)
        if len(encoded) > LARGEST_BODY:
            return NoAnswer(code="result_too_large", touched=True)
        return Answer(status=200, body=json.loads(encoded))
    except Exception:
        # Its own `__str__` or `items` may raise anything. The name of a type holds no value.
        return NoAnswer(code="result_not_json", touched=True, kind=type(result).__name__)


def _held(code: str, *, kind: str | None = None) -> NoAnswer:
    return NoAnswer(code=code, touched=False, held=HeldCause.CONFIGURATION, kind=kind)

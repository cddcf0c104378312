"""The real worker, in a process that kills itself where it is told to: `python -m tests.support.killable_worker FOLDER`.

A boundary is a place where what has happened and what is known of it may part: a decision not yet reported, a request
sent or answered, a transaction not yet committed or just committed, an activity begun or ended. Each one passed is a
line of FOLDER/passed. FOLDER/order names the one to die at; it is taken away first, so that an order is carried out
once. The worker is the product's own: only what `main` names is replaced, by what passes boundaries and otherwise does
the same.

With --staying, requests about learners can be stopped one by one, so that one kill finds many of them at work: `StayingWire`.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import Connection
from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)

import activities.actions.dispatch
import activities.actions.http
import activities.mail
import ledger.records
import worker.main
import worker.runtime
from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer
from activities.actions.http import HttpAction
from activities.actions.wire import Wire
from activities.smtp import hand_in
from ledger.database import Database
from worker.heartbeats import Heartbeats

T = TypeVar("T")

#: For the control run: with another key at each call, effects must be seen to happen twice.
RANDOM_KEYS = "--random-keys"
STAYING = "--staying"

_folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


@dataclass
class Scope:
    """The activity that passes boundaries, and how many writes it has begun."""

    name: str
    writes: Counter[str] = field(default_factory=Counter)


_scope: ContextVar[Scope | None] = ContextVar("scope", default=None)


def pass_boundary(name: str) -> None:
    """Note a boundary, and die there if that is the order."""
    with (_folder / "passed").open("a") as passed:
        passed.write(f"{name}\n")
    order = _folder / "order"
    try:
        is_ours = order.read_text() == name
    except FileNotFoundError:
        return
    if is_ours:
        order.rename(_folder / "carried-out")
        os.kill(os.getpid(), signal.SIGKILL)


def pass_in_activity(event: str) -> None:
    """Note a boundary of the activity at work; work beside activities has none."""
    scope = _scope.get()
    if scope is not None:
        pass_boundary(f"{scope.name}: {event}")


class _Passing(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        mail = getattr(input.args[0], "mail", None) if input.args else None
        _scope.set(Scope(_named(info.activity_type, id=info.activity_id, mail=mail)))
        pass_in_activity("begun")
        result = await self.next.execute_activity(input)
        pass_in_activity("ended")
        return result


class PassingHeartbeats(Heartbeats):
    """Heartbeats, and around each activity a boundary."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap an activity."""
        return super().intercept_activity(_Passing(next))


class PassingRunner(WorkflowRunner):
    """Boundaries where the workflow has decided and the server doesn't know it yet."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner

    def prepare_workflow(self, defn: Any) -> None:
        """Prepare as the worker's own runner does."""
        self._runner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make an instance that passes boundaries."""
        instance = self._runner.create_instance(det)
        activate = instance.activate

        def observed(act: Any) -> Any:
            completion = activate(act)
            if not act.is_replaying:
                for decision in _decisions(completion.successful.commands):
                    pass_boundary(f"{decision}: decided")
            return completion

        # Its class has no other seam, and differs between runners.
        instance.activate = observed  # type: ignore[method-assign]
        return instance


class PassingDatabase(Database):
    """Boundaries inside each write transaction, all but committed, and after it."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a write transaction."""
        scope = _scope.get()
        if scope is None:
            return await super().write(work)
        scope.writes["begun"] += 1
        name = f"{scope.name}: write {scope.writes['begun']}"

        def observed(connection: Connection) -> T:
            value = work(connection)
            pass_boundary(f"{name}, uncommitted")
            return value

        value = await super().write(observed)
        pass_boundary(f"{name}, committed")
        return value


class PassingWire(Wire):
    """Boundaries before each request and after its answer."""

    async def send(self, **request: Any) -> Answer | NoAnswer:
        """Send a request."""
        what = f"{request['method']} {_without_ids(urlsplit(request['url']).path)}"
        pass_in_activity(f"{what}, before")
        answer = await super().send(**request)
        pass_in_activity(f"{what}, answered")
        return answer


class StayingWire(PassingWire):
    """Stays before a request of Open edX's pipeline, or right after its answer, until the process is killed.

    Where to stay is a file in FOLDER/stay, called as `place_to_stay` says. It is renamed by whoever stays there, once.
    """

    async def send(self, **request: Any) -> Answer | NoAnswer:
        """Send a request."""
        about = _about_learner(request)
        await _stay(about, "before")
        answer = await super().send(**request)
        await _stay(about, "after")
        return answer


def place_to_stay(*, username: str, request: str, moment: str) -> str:
    """The name of a file. `request`: a state for an update, otherwise the last part of a path; `moment`: before, after."""
    return quote(f"{username} {request} {moment}", safe="")


STAYS = ".stays"


async def _stay(about: tuple[str, str] | None, moment: str) -> None:
    if about is None:
        return
    place = _folder / "stay" / place_to_stay(username=about[0], request=about[1], moment=moment)
    if place.exists():
        place.rename(f"{place}{STAYS}")
        await asyncio.Event().wait()


def _about_learner(request: dict[str, Any]) -> tuple[str, str] | None:
    """The username and what is asked of the LMS; None for other requests, such as for a token."""
    path = ["", *urlsplit(request["url"]).path.strip("/").split("/")]
    if request["method"] == "GET":
        return unquote(path[-2]), path[-1]
    body: Any = json.loads(request.get("content") or b"null")
    if not isinstance(body, dict) or "username" not in body:
        return None
    return str(body["username"]), str(body.get("new_state", path[-1]))


class RandomKeys(HttpAction):
    """Another Idempotency-Key at every call."""

    async def call(self, call: Call) -> Answer | NoAnswer:
        """Call with a key that no repeat will bring again."""
        return await super().call(replace(call, key=f"{call.key}:{secrets.token_hex(4)}" if call.key else None))


def _passing(deliver: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    async def observed(*arguments: Any, **named: Any) -> None:
        pass_in_activity("handing in, before")
        await deliver(*arguments, **named)
        pass_in_activity("handed in")

    return observed


def _decisions(commands: Any) -> list[str]:
    decisions = []
    for command in commands:
        kind = command.WhichOneof("variant")
        if kind in ("schedule_activity", "schedule_local_activity"):
            scheduled = getattr(command, kind)
            mail = json.loads(scheduled.arguments[0].data).get("mail") if scheduled.arguments else None
            decisions.append(_named(scheduled.activity_type, id=scheduled.activity_id, mail=mail))
        elif kind == "start_timer":
            decisions.append("timer")
        elif kind == "complete_workflow_execution":
            decisions.append("end")
    return decisions


def _named(activity_type: str, *, id: str, mail: str | None) -> str:
    """An activity's name, the same in each life: with the step's id or the mail, without the number of others."""
    which = mail or ("" if id.isdigit() else id)
    return f"{activity_type} {which}".strip()


def _without_ids(path: str) -> str:
    return re.sub(r"/(u-[0-9a-f]+|\d+)(?=/|$)", "/…", path)


def _end_with_parent() -> None:
    """The parent holds our stdin; its end, however it came, is ours."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Put the boundaries in place and run the worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runner = PassingRunner(worker.runtime.WORKFLOW_RUNNER)
    replacements: list[tuple[ModuleType, str, object]] = [
        (worker.runtime, "Heartbeats", PassingHeartbeats),
        (worker.main, "build_workers", partial(worker.runtime.build_workers, workflow_runner=runner)),
        (ledger.records, "Database", PassingDatabase),
        (activities.actions.http, "Wire", StayingWire if STAYING in sys.argv else PassingWire),
        (activities.mail, "hand_in", _passing(hand_in)),
    ]
    if RANDOM_KEYS in sys.argv:
        replacements.append((activities.actions.dispatch, "HttpAction", RandomKeys))
    for module, name, replacement in replacements:
        # A name that is gone would be a boundary that is never passed.
        assert hasattr(module, name), f"{module.__name__} has no {name}"
        setattr(module, name, replacement)
    return worker.main.main()


if __name__ == "__main__":
    sys.exit(main())

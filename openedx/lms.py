"""The LMS as operators' work asks it: one learner's row, the queue, forced updates, cleanup, partner reports.

A retirement's own calls are the plan's and made by the engine. These here go over the same action, so tokens, connections,
limits and encodings are the same; what differs is that somebody waits for the end, so a few tries have to do.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, TypeVar

from activities.actions.action import Call
from activities.actions.answers import Answer, Done, Held, Rules, Transient, meaning_of
from activities.actions.bulkhead import BUSY
from activities.actions.http import HttpAction
from activities.rendering import RenderingError
from openedx.lms_errors import LmsError, LmsMoved, LmsNotLetIn, LmsRefused, LmsUnreachable
from openedx.row import Row, Unreadable, read_row, read_rows
from plans.model import Plan
from plans.requests import HttpRequest, Method, Request
from plans.services import HttpService

__all__ = ["SERVICE", "Lms", "LmsError", "LmsMoved", "LmsNotLetIn", "LmsRefused", "LmsUnreachable", "Row", "lms_of"]

T = TypeVar("T")

#: What a site's plan calls the LMS among its services.
SERVICE = "lms"

_STATUS = "/api/user/v1/accounts/{{ username }}/retirement_status/"
_QUEUE = "/api/user/v1/accounts/retirement_queue/"
_BY_DATE = "/api/user/v1/accounts/retirements_by_status_and_date/"
_UPDATE = "/api/user/v1/accounts/update_retirement_status/"
_CLEANUP = "/api/user/v1/accounts/retirement_cleanup/"
_PARTNER_REPORT = "/api/user/v1/accounts/retirement_partner_report/"
_PARTNER_CLEANUP = "/api/user/v1/accounts/retirement_partner_report_cleanup/"

#: Seconds before the second, third … try, each with full jitter.
_WAITS = (1.0, 2.0, 4.0)
#: Whoever asks to be left alone for longer is not waited for: somebody sits in front of the command.
_LONGEST_WAIT = timedelta(seconds=60)
#: A queue of learners comes in one answer: one takes about a kilobyte.
_LARGEST_BODY = 64 * 1024 * 1024
_PARTNER_TIMEOUT = timedelta(seconds=300)


class _Again(Exception):
    """No usable answer this time. `touched`: it may have been done all the same; `wait`: the LMS's own wish."""

    def __init__(self, code: str, *, touched: bool, wait: timedelta | None = None) -> None:
        super().__init__(code)
        self.code, self.touched, self.wait = code, touched, wait


class Lms:
    """The LMS of a site, for operators' work. Close it: it holds connections and a token.

    Every call may raise:
        LmsNotLetIn: the LMS or its token endpoint refuses the service account (also an LmsRefused).
        LmsRefused: an answer that will be the same every time.
        LmsUnreachable: no usable answer after a few tries.
        SecretMissing, BadAddress: the plan's credentials or address can't be had on this machine.
    """

    def __init__(
        self,
        *,
        service: HttpService,
        version: str,
        absent_unchecked: bool = False,
        waits: Sequence[float] = _WAITS,
    ) -> None:
        self.service = service
        self._http = HttpAction(version=version, largest_body=_LARGEST_BODY)
        self._absent_unchecked = absent_unchecked
        self._waits = tuple(waits)

    async def status(self, username: str) -> Row | None:
        """The learner's row, found by the original username, before and after the rename; None where there is none.

        Raises:
            LmsRefused: beside the usual, 404 where the route is missing, so that it proves nothing about the learner.
        """
        request = HttpRequest(method=Method.GET, path=_STATUS)
        try:
            return await self._asked(request, {"username": username}, read=read_row)
        except LmsRefused as refused:
            if refused.status != 404:
                raise
            if not self._absent_unchecked and not await self._is_route_known(request, {"username": username}):
                raise
            return None

    async def queue(self, *, cool_off_days: int, states: Sequence[str], limit: int | None = None) -> list[Row]:
        """The rows in one of the states that were created more than so many days ago, by id; at most `limit`."""
        context = {f"state_{number}": state for number, state in enumerate(states)}
        query = [f"cool_off_days={cool_off_days}", *(f"states={{{{ {name} }}}}" for name in context)]
        if limit is not None:
            query.append(f"limit={limit}")
        # In the path, because a plan's `query` can't repeat a name.
        request = HttpRequest(method=Method.GET, path=f"{_QUEUE}?{'&'.join(query)}")
        return await self._asked(request, context, read=read_rows)

    async def by_status_and_date(self, *, state: str, start: date, end: date) -> list[Row]:
        """The rows in the state that were created from `start` to `end` (UTC), both days included."""
        request = HttpRequest(
            method=Method.GET,
            path=_BY_DATE,
            query={"start_date": start.isoformat(), "end_date": end.isoformat(), "state": "{{ state }}"},
        )
        return await self._asked(request, {"state": state}, read=read_rows)

    async def update(
        self, *, username: str, state: str, note: str, force: bool = False, was: str | None = None
    ) -> None:
        """Move a row. `note` is kept in the LMS: who or which job, and why; it must hold nothing personal.

        After an answer that leaves it open whether the row was moved, the row is read before anything is sent again.
        `was` is the state in which the caller saw it.

        Raises:
            LmsMoved: beside the usual, the row is meanwhile in a state that is neither `was` nor the one asked for.
        """
        body: dict[str, Any] = {"username": "{{ username }}", "new_state": "{{ state }}", "response": "{{ note }}"}
        request = _with_body(Method.PATCH, _UPDATE, body | ({"force": True} if force else {}))

        async def is_done() -> bool:
            row = await self.status(username)
            if row is not None and row.state == state:
                return True
            if row is None or (was is not None and row.state != was):
                raise LmsMoved(route=_route_of(request))
            return False

        await self._asked(request, {"username": username, "state": state, "note": note}, is_done=is_done, read=_nothing)

    async def cleanup(self, usernames: Sequence[str]) -> None:
        """Delete the rows of learners that are all COMPLETE. All or nothing.

        Raises:
            LmsRefused: beside the usual, 400 where one is not COMPLETE, or has no row any more: also where an earlier
                try did it and its answer was lost. Ask `status` for each of them.
        """
        request = _with_body(Method.POST, _CLEANUP, {"usernames": "{{ usernames }}"})
        await self._asked(request, {"usernames": _some(usernames)}, read=_nothing)

    async def partner_queue(self) -> list[dict[str, Any]]:
        """The learners of whom partners must hear, as the LMS sends them; it marks all of them as being processed.

        Raises:
            LmsUnreachable: with `outcome_unknown`, they may have been marked although nobody has seen them: asking again
                gives only new ones, so this call is not repeated by itself then.
        """
        request = HttpRequest(method=Method.POST, path=_PARTNER_REPORT)
        return await self._asked(request, {}, read=_read_learners, timeout=_PARTNER_TIMEOUT, may_repeat=False)

    async def partner_cleanup(self, usernames: Sequence[str]) -> None:
        """Remove learners from the partners' queue. All or nothing.

        Raises:
            LmsRefused: beside the usual, 400 where one is unknown or not being processed: also where an earlier try
                did it and its answer was lost.
        """
        request = _with_body(Method.POST, _PARTNER_CLEANUP, "{{ learners }}")
        learners = [{"original_username": username} for username in _some(usernames)]
        await self._asked(request, {"learners": learners}, read=_nothing)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close()

    async def _asked(
        self,
        request: HttpRequest,
        context: Mapping[str, Any],
        *,
        read: Callable[[Any], T],
        timeout: timedelta | None = None,  # noqa: ASYNC109 - the service's limit for one exchange
        may_repeat: bool = True,
        is_done: Callable[[], Awaitable[bool]] | None = None,
    ) -> T:
        """Ask until there is a usable answer, or the tries are used up."""
        service = self.service if timeout is None else self.service.model_copy(update={"timeout": timeout})
        headers = {**request.headers, "Content-Type": "application/json"}
        call = Call(service=service, request=request.model_copy(update={"headers": headers}), context=context)
        waits = list(self._waits)
        while True:
            try:
                return _read(await self._answer_to(call), by=read)
            except _Again as again:
                if again.code == BUSY:
                    continue
                too_long = again.wait is not None and again.wait > _LONGEST_WAIT
                if not waits or too_long or (again.touched and not may_repeat):
                    raise LmsUnreachable(
                        route=_route_of(request), code=again.code, outcome_unknown=again.touched
                    ) from None
                most = waits.pop(0)
                await asyncio.sleep(max(1.0, again.wait.total_seconds()) if again.wait else random.uniform(0, most))  # noqa: S311
                if again.touched and is_done is not None and await is_done():
                    return read(None)

    async def _answer_to(self, call: Call) -> Any:
        """The body of the answer to one try.

        Raises:
            _Again: there is none, and there may be one later.
        """
        route, service = _route_of(call.request), self.service
        try:
            answer = await self._http.call(call)
        except RenderingError:
            # A name that can't stand in a path, or a text that can't be sent: the LMS can't have such a learner.
            raise LmsRefused(status=404, route=route) from None
        rules = Rules(method=call.request.verb, permanent=service.permanent, transient=(*service.transient, 409))
        status = answer.status if isinstance(answer, Answer) else None
        match meaning_of(answer, rules):
            case Done() if isinstance(answer, Answer):
                return answer.body
            case Transient() as transient:
                raise _Again(transient.code, touched=transient.touched, wait=transient.wait)
            case Held() as held:
                raise LmsNotLetIn(status=status, route=route, code=held.code)
        if status == 403:
            raise LmsNotLetIn(status=status, route=route, code="http_403")
        raise LmsRefused(status=status, route=route)

    async def _is_route_known(self, request: HttpRequest, context: Mapping[str, Any]) -> bool:
        known = await self._http.is_route_known(Call(service=self.service, request=request, context=context))
        if known is None:
            raise LmsUnreachable(route=_route_of(request), code="route_unknown", outcome_unknown=False)
        return known


def lms_of(plan: Plan, *, version: str) -> Lms:
    """The LMS of a site's plan.

    Raises:
        ValueError: the plan has no HTTP service of the name `lms`; the text says how to mend it.
    """
    service = plan.services.get(SERVICE)
    if not isinstance(service, HttpService):
        raise ValueError(
            f"the plan {plan.plan} has no service `{SERVICE}` of type http; name the LMS so in its services"
        )
    return Lms(service=service, version=version, absent_unchecked=plan.subject.lookup.absent_unchecked is not None)


def _with_body(method: Method, path: str, body: Any) -> HttpRequest:
    """A request with a JSON body, whose texts are templates."""
    return HttpRequest.model_validate({"method": method, "path": path, "json": body})


def _route_of(request: Request) -> str:
    """Method and path template, in the words of Open edX, without the query."""
    assert isinstance(request, HttpRequest)
    return f"{request.verb} {request.path.partition('?')[0].replace('{{ username }}', '{username}')}"


def _read(body: Any, *, by: Callable[[Any], T]) -> T:
    try:
        return by(body)
    except Unreadable:
        # It was done, whatever it was; what is missing is what to learn from it.
        raise _Again("unreadable", touched=True) from None


def _nothing(body: Any) -> None:
    """Most calls answer nothing that matters."""


def _read_learners(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, list) or not all(isinstance(learner, dict) for learner in body):
        raise Unreadable
    return body


def _some(usernames: Sequence[str]) -> list[str]:
    """The LMS is never called for nobody."""
    if not usernames:
        raise ValueError("no usernames: ask only where there are some")
    return list(usernames)

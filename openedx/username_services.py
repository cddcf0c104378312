"""The services that replace usernames, in the order in which they are asked, and what their answers mean."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from activities.actions.action import Call
from activities.actions.answers import Answer, Done, Held, Permanent, Rules, Transient, meaning_of
from activities.actions.http import HttpAction
from activities.actions.wire import BadAddress
from openedx.site import Usernames
from plans.requests import HttpRequest, Method
from plans.secrets import SecretMissing
from plans.services import HttpService

#: The LMS first: it alone may choose another name than the one that was asked for, where that one is taken.
LMS = "lms"
ORDER: Mapping[str, str] = {
    LMS: "/api/user/v1/accounts/replace_usernames/",
    "ecommerce": "/api/v2/user_management/replace_usernames/",
    "discovery": "/api/v1/replace_usernames/",
    "credentials": "/api/v2/replace_usernames/",
    # A part of the LMS with a route of its own.
    "forum": "/api/discussion/v1/accounts/replace_usernames/",
}
#: A name touches rows in many tables, and an answer that isn't waited for is an unknown outcome.
_TIMEOUT = timedelta(minutes=10)
#: Seconds before the second, third … try, each with full jitter.
_WAITS = (1.0, 2.0, 4.0)
_LONGEST_WAIT = timedelta(seconds=60)
#: What may be about one of the names. Everything else is about the service, and the next names would fare the same.
_ABOUT_NAMES = frozenset({400, 413, 422})


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a service says about the names it was asked to replace."""

    #: What each is called now, by the name it had.
    replaced: Mapping[str, str] = field(default_factory=dict, repr=False)
    refused: frozenset[str] = field(default_factory=frozenset, repr=False)
    #: Why the call as a whole failed. Those in neither of the two: this happened to them.
    code: str | None = None
    #: It may have been done all the same.
    is_unknown: bool = False
    #: The service itself is the matter, not the names.
    is_general: bool = False


class UsernameServices:
    """The services of a site that replace usernames. Close it: it holds connections and a token, which all of them share."""

    def __init__(self, *, lms: HttpService, others: Usernames, version: str, waits: Sequence[float] = _WAITS) -> None:
        self._services = {
            name: lms.model_copy(update={"base_url": address, "timeout": _TIMEOUT})
            for name, address in addresses_of(lms, others).items()
        }
        self._http = HttpAction(version=version)
        self._waits = tuple(waits)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that the site has, in the order in which they are asked."""
        return tuple(self._services)

    async def replace(self, service: str, names: Mapping[str, str]) -> Reply:
        """Ask one service to replace names (new ones by old ones). It is asked again where that does no harm."""
        body = {"username_mappings": "{{ names }}"}
        request = HttpRequest.model_validate({"method": Method.POST, "path": ORDER[service], "json": body})
        asked = self._services[service]
        call = Call(service=asked, request=request, context={"names": [{old: new} for old, new in names.items()]})
        rules = Rules(method=request.verb, permanent=asked.permanent, transient=asked.transient)
        waits = list(self._waits)
        while True:
            try:
                answer = await self._http.call(call)
            except (SecretMissing, BadAddress) as error:
                # Nothing was sent.
                code = "secret_missing" if isinstance(error, SecretMissing) else "bad_address"
                return Reply(code=code, is_general=True)
            meaning = meaning_of(answer, rules)
            wait, touched = None, True
            match meaning:
                case Done():
                    reply = _read(answer, names=names)
                    if reply is not None:
                        return reply
                    code = "unreadable"
                case Transient():
                    code, wait, touched = meaning.code, meaning.wait, meaning.touched
                case _:
                    return _failed(answer, meaning.code if isinstance(meaning, Held | Permanent) else "unexpected")
            # Whoever did nothing can be asked again. The others find nobody of the old name then, which does no harm.
            may_repeat = not touched or service != LMS
            if not may_repeat or not waits or (wait is not None and wait > _LONGEST_WAIT):
                return Reply(code=code, is_unknown=touched, is_general=True)
            most = waits.pop(0)
            await asyncio.sleep(wait.total_seconds() if wait is not None else random.uniform(0, most))  # noqa: S311

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close()


def addresses_of(lms: HttpService, others: Usernames) -> dict[str, str]:
    """Where the site's services are, in the order in which they are asked. Those without an address it hasn't got."""
    addresses = {
        LMS: lms.base_url,
        "ecommerce": others.ecommerce,
        "discovery": others.discovery,
        "credentials": others.credentials,
        "forum": lms.base_url,
    }
    return {name: address for name in ORDER if (address := addresses[name]) is not None}


def _failed(answer: object, code: str) -> Reply:
    status = answer.status if isinstance(answer, Answer) else None
    # 303 is how some say that it was done.
    is_unknown = status is not None and 300 <= status < 400
    return Reply(code=code, is_unknown=is_unknown, is_general=status not in _ABOUT_NAMES)


def _read(answer: object, *, names: Mapping[str, str]) -> Reply | None:
    """The two lists of an answer; None where it has none. A name that stands in both is in neither: nobody knows."""
    body = answer.body if isinstance(answer, Answer) else None
    if not isinstance(body, dict) or not isinstance(body.get("successful_replacements"), list):
        return None
    replaced = {old: new for old, new in _pairs(body["successful_replacements"]) if old in names and new}
    refused = {old for old, _ in _pairs(body.get("failed_replacements")) if old in names}
    return Reply(
        replaced={old: new for old, new in replaced.items() if old not in refused},
        refused=frozenset(refused - set(replaced)),
    )


def _pairs(listed: Any) -> list[tuple[str, str]]:
    if not isinstance(listed, list):
        return []
    pairs = [pair for item in listed if isinstance(item, dict) for pair in item.items()]
    return [(old, new) for old, new in pairs if isinstance(old, str) and isinstance(new, str)]

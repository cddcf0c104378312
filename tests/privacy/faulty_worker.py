"""`retire worker` with mistakes in it: exceptions, logs and warnings that are full of the person, for ids that ask for it."""

import asyncio
import logging
import sys
import threading
import warnings
from email.message import EmailMessage
from typing import Any

from activities import mail as mail_activities
from activities import smtp
from activities.actions.action import Call
from activities.actions.http import HttpAction
from ledger.ledger import Ledger
from starter.main import main

#: Whose retirements meet which mistake.
IN_CALL = "u-mistake-in-call"
IN_LEDGER = "u-mistake-in-ledger"
IN_MAIL = "u-mistake-in-mail"
IN_HAND_OVER = "u-mistake-in-hand-over"
IN_LEARNER = "courses-114"


class Careless(Exception):
    """Says all it knows, as exceptions do."""


class _Lost:
    """Fails where nobody can catch it."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __del__(self) -> None:
        _fail(self._value)


def _blurt(value: object) -> None:
    """Every way of talking that a library has."""
    logging.getLogger("library").error("could not handle %s", value)
    logging.getLogger("temporalio.library").error("could not handle %s", value)
    warnings.warn(f"could not handle {value}", UserWarning, stacklevel=2)
    thread = threading.Thread(target=_fail, args=(value,))
    thread.start()
    thread.join()
    asyncio.get_running_loop().call_soon(_fail, value)
    _Lost(value)
    try:
        _fail(value)
    except Careless as error:
        raise RuntimeError(f"while handling {value}") from error


def _fail(value: object) -> None:
    raise Careless(f"can't handle {value}")


def _make_mistakes() -> None:
    left = {IN_LEDGER: 2, "choosing": 1, "moving": 1, "telling the LMS": 1}
    call, store, hand_in = HttpAction.call, Ledger.store_subject, smtp.hand_in
    choose = Ledger.choose_successors

    async def careless_call(self: HttpAction, wanted: Call) -> Any:
        if wanted.context["user_id"] == IN_CALL and wanted.request.verb == "DELETE":
            _blurt(wanted.context)
        if wanted.context["user_id"] == IN_HAND_OVER and "asset" in wanted.context and left["moving"]:
            left["moving"] -= 1
            _blurt(wanted.context)
        if wanted.context["user_id"] == IN_LEARNER and "mirror" in wanted.context and left["telling the LMS"]:
            left["telling the LMS"] -= 1
            _blurt(wanted.context)
        return await call(self, wanted)

    async def careless_store(self: Ledger, *, values: dict[str, Any], **rest: Any) -> None:
        if str(values.get("username")).endswith(IN_LEDGER) and left[IN_LEDGER]:
            left[IN_LEDGER] -= 1
            _blurt(values)
        await store(self, values=values, **rest)

    async def careless_choose(self: Ledger, *, chosen: dict[str, dict[str, Any]], **rest: Any) -> None:
        if left["choosing"] and any(str(each["id"]).startswith(IN_HAND_OVER) for each in chosen.values()):
            left["choosing"] -= 1
            _blurt(chosen)
        await choose(self, chosen=chosen, **rest)

    async def careless_hand_in(message: EmailMessage, **rest: Any) -> None:
        if any(user in message["to"] for user in (IN_MAIL, IN_HAND_OVER)):
            _blurt(message.as_string())
        await hand_in(message, **rest)

    for owner, name, careless in (
        (HttpAction, "call", careless_call),
        (Ledger, "store_subject", careless_store),
        (Ledger, "choose_successors", careless_choose),
        (mail_activities, "hand_in", careless_hand_in),
    ):
        setattr(owner, name, careless)


if __name__ == "__main__":
    _make_mistakes()
    sys.argv = ["retire", "worker"]
    main()

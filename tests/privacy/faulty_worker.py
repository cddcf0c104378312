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
    left = {IN_LEDGER: 2}
    call, store, hand_in = HttpAction.call, Ledger.store_subject, smtp.hand_in

    async def careless_call(self: HttpAction, wanted: Call) -> Any:
        if wanted.context["user_id"] == IN_CALL and wanted.request.verb == "DELETE":
            _blurt(wanted.context)
        return await call(self, wanted)

    async def careless_store(self: Ledger, *, values: dict[str, Any], **rest: Any) -> None:
        if str(values.get("username")).endswith(IN_LEDGER) and left[IN_LEDGER]:
            left[IN_LEDGER] -= 1
            _blurt(values)
        await store(self, values=values, **rest)

    async def careless_hand_in(message: EmailMessage, **rest: Any) -> None:
        if IN_MAIL in message["to"]:
            _blurt(message.as_string())
        await hand_in(message, **rest)

    for owner, name, careless in (
        (HttpAction, "call", careless_call),
        (Ledger, "store_subject", careless_store),
        (mail_activities, "hand_in", careless_hand_in),
    ):
        setattr(owner, name, careless)


if __name__ == "__main__":
    _make_mistakes()
    sys.argv = ["retire", "worker"]
    main()

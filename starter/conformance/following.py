"""Asking how far accepted work is, until it has ended."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

from activities.actions.action import Action, Call
from activities.actions.answers import Absent, Answer, Permanent, meaning_of
from activities.probing import reading_rules
from activities.rendering import RenderingError, evaluate, holds
from plans.model import Poll

#: A poll is not made slower by a plan that is written for vendors who take days.
_LONGEST_BETWEEN_POLLS = timedelta(milliseconds=500)


async def followed_to_its_end(
    action: Action, *, call: Call, accepted: Answer, poll: Poll, within: timedelta
) -> tuple[str, bool]:
    """Ask the place that a 202 names until the work has ended: `done`, or what went wrong; and was it given up?"""
    try:
        named = evaluate(poll.url, {**call.context, **accepted.values})
    except RenderingError:
        return "no place to ask: poll.url can't be read from the answer", False
    url = action.place_to_ask(call, url=named)
    if url is None:
        return "a place to ask that isn't of its own origin", False
    deadline = time.monotonic() + within.total_seconds()
    while time.monotonic() < deadline:
        followed = await action.follow(call, url=url)
        if not isinstance(followed, Answer) or not 200 <= followed.status < 300:
            said = f"{followed.status if isinstance(followed, Answer) else followed.code} at the place to ask"
            meaning = meaning_of(followed, replace(reading_rules(call, succeeded_before=True), method="GET"))
            return said, isinstance(meaning, Permanent | Absent)
        known = {**call.context, **followed.values}
        try:
            if poll.failed is not None and holds(poll.failed, known):
                return "failed", True
            if holds(poll.done, known):
                return "done", False
        except RenderingError:
            return "an answer in which poll.done can't be read", False
        await asyncio.sleep(min(poll.every, _LONGEST_BETWEEN_POLLS).total_seconds())
    return "still at work when the time was over", False

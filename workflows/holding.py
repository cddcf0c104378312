"""Held: a pause inside a run, until its cause goes away, an operator decides, or its time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio import workflow

from workflows import holds
from workflows.calls import CallFailed
from workflows.messages import Decide, Hold
from workflows.names import HeldCause
from workflows.state import RetirementState

R = TypeVar("R")


class HoldEnded(Exception):
    """A hold ended without its cause going away. `decision` is the operator's, or `expired`."""

    def __init__(self, decision: str, wish: Decide | None = None) -> None:
        super().__init__(decision)
        self.decision, self.wish = decision, wish


class Holding:
    """Keeps the holds of one run. `changed` is called when one begins or ends."""

    def __init__(self, *, state: RetirementState, changed: Callable[[Hold | None], None]) -> None:
        self._state = state
        self._changed = changed

    async def call(self, step: str, call: Callable[[], Awaitable[R]]) -> R:
        """Call until it answers or fails for good; while it is held, look again every few minutes.

        Raises:
            CallFailed: it failed for good.
            HoldEnded: an operator decided otherwise, or the hold's time is over.
        """
        try:
            while True:
                try:
                    result = await call()
                except CallFailed as failed:
                    if failed.failure.held is None:
                        raise
                    await self.wait(step, failed.failure.held, failed.failure.code)
                else:
                    self.end(step)
                    return result
        except (Exception, asyncio.CancelledError):
            # Also where a rescind has cut the wait off: nobody is to be called to a hold that is none any more.
            # No `finally`: it would run, too, when a run that is still held leaves the worker's cache.
            self.end(step)
            raise

    async def wait(self, step: str, cause: HeldCause, code: str) -> None:
        """Wait until it is time to look at the cause again.

        Raises:
            HoldEnded: an operator decided, or the hold's time is over.
        """
        now = workflow.now()
        known = self._state.holds.get(step)
        since = known.since if known else now
        expires_at = holds.expires_at(since=since, hold_for=self._state.hold_for)
        hold = self._state.holds[step] = Hold(step=step, cause=cause, code=code, since=since, expires_at=expires_at)
        if known is None:
            self._changed(hold)
        if now >= expires_at:
            self._state.expired[step] = cause
            self.end(step)
            raise HoldEnded("expired")
        try:
            await workflow.wait_condition(
                lambda: step in self._state.decisions,
                timeout=holds.next_look(since=since, now=now, hold_for=self._state.hold_for),
                timeout_summary=f"{step} is held: look again",
            )
        except TimeoutError:
            pass
        self._state.leave_if_rescinded()
        # A timeout says nothing about who was first: a decision may have come with it.
        decided = self._state.decisions.pop(step, None)
        if decided is not None and decided.decision == "adopt":
            self._state.adopted = True
        elif decided is not None and decided.decision != "retry":
            self.end(step)
            raise HoldEnded(decided.decision or "close", decided)

    def end(self, step: str) -> None:
        """The cause is gone, or nobody waits for it any more."""
        self._state.decisions.pop(step, None)
        if self._state.holds.pop(step, None) is not None:
            self._changed(None)

"""Work that outlives its step: what is asked for weeks, what a person does, what is tried beside the steps that follow."""

from collections.abc import Iterator
from datetime import timedelta

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.model import FollowUp
from plans.requests import KeyPath
from workflows.durations import format_duration

#: What has no place beside `manual`, which asks nothing.
_ASKS = (
    *("service", "request", "assets", "successor", "find", "timeout", "longest_timeout", "done_when", "absent"),
    *("absent_unchecked", "transient", "permanent", "save", "probe", "unprobed", "poll", "on_permanent", "follow_up"),
)
#: Whoever accepts something and works for weeks is not faster for being asked more often.
_SHORTEST_EVERY = timedelta(minutes=1)
_NONE = timedelta(0)


def follow_ups(draft: Draft) -> Iterator[Finding]:
    """Follow-ups that nobody would ever make, or everybody all the time."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id, "follow_up")
        if step.follow_up is None or not draft.is_whole(*at):
            continue
        yield from _times(step.follow_up, at)


def _times(follow_up: FollowUp, at: KeyPath) -> Iterator[Finding]:
    if follow_up.first > follow_up.duration > _NONE:
        yield error(
            Check.FOLLOW_UP,
            (*at, "first"),
            f"is longer than for ({format_duration(follow_up.duration)}), so nobody is asked before it is over; "
            "shorten it, or raise for",
        )
    if _NONE < follow_up.every < _SHORTEST_EVERY:
        yield warning(
            Check.FOLLOW_UP,
            (*at, "every"),
            "is shorter than a minute, for something that nobody waits for; write an hour or a day",
        )


def manuals(draft: Draft) -> Iterator[Finding]:
    """Steps for a person that ask a service, too; texts for them with a value in it."""
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id)
        if step.manual is None:
            continue
        for name in _ASKS:
            if name in step.model_fields_set:
                yield error(
                    Check.MANUAL,
                    (*at, name),
                    "has no place beside manual, which a person does and which asks nothing; remove one of them",
                )
        if "patience" in step.model_fields_set and step.mirrored is None and draft.is_whole(*at, "mirrored"):
            yield warning(Check.MANUAL, (*at, "patience"), "has no effect: nothing is asked that could fail; remove it")
        if "{{" in step.manual or "${" in step.manual:
            yield error(
                Check.MANUAL,
                (*at, "manual"),
                "names a value, and is shown as it stands; say in words which one is meant "
                "(`retire work show` has the person's values)",
            )


def deferrables(draft: Draft) -> Iterator[Finding]:
    """Steps that can't be done once the source's row has moved on, or that nobody waits for anyway."""
    mirror = draft.written.mirror
    for id, step in draft.written.steps.items():
        at: KeyPath = ("steps", id, "deferrable")
        if not step.deferrable or not draft.is_whole("steps", id):
            continue
        if step.manual is not None:
            yield error(Check.DEFERRABLE, at, "has no place beside manual, which holds nothing up anyway; remove it")
        elif step.mirrored is None:
            yield error(
                Check.DEFERRABLE,
                at,
                "is only for mirrored steps, of which each waits for the one before; take this step out of the `after` of "
                "those that need not wait for it, and remove it",
            )
        elif mirror is not None and step.service == mirror.service and draft.is_whole("mirror", "service"):
            yield error(
                Check.DEFERRABLE,
                at,
                "is not for steps of the source itself, which does them only while its row is in their state; remove it",
            )

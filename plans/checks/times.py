"""Times that can't be kept, or that make no sense."""

from collections.abc import Iterator
from datetime import timedelta

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.model import Plan, Step
from plans.requests import KeyPath
from plans.services import Service
from plans.worst_case import shortest_deadline, worst_case
from workflows.durations import format_duration

#: Nobody means a longer time; a wrong unit does. It also keeps every date within the calendar.
LONGEST = timedelta(days=36_525)
#: A call holds a slot and a connection for as long as this, in every worker.
_LONGEST_CALL = timedelta(minutes=5)
#: A step's own request may take longer than others, but an attempt with all that it asks must end before the worker's time
#: for one is over (`workflows.calls.LONGEST_ATTEMPT`): it would be cut off then, and nothing be recorded.
LONGEST_REQUEST, LONGEST_ATTEMPT = timedelta(minutes=10), timedelta(minutes=14)
#: How long what is held may wait for a person.
SHORTEST_HOLD, LONGEST_HOLD = timedelta(minutes=1), timedelta(days=30)
_NONE = timedelta(0)
#: Shorter ones serve tests and demos.
_SHORTEST_COOL_OFF, _SHORTEST_PATIENCE = timedelta(hours=1), timedelta(minutes=1)
#: The fields that decide how long a retirement takes.
_DECIDES = frozenset({"after", "duration", "for", "max", "patience", "phase", "retain"})
#: Asked more often, a service does little else.
_SHORTEST_POLL = timedelta(milliseconds=100)


def sizes(draft: Draft) -> Iterator[Finding]:
    """Times of no length, and of more than a hundred years."""
    for path, time, may_be_none in _times_of(draft.written):
        if time > LONGEST:
            yield error(Check.TOO_LONG, path, "is longer than a hundred years; check the unit")
        elif time == _NONE and not may_be_none:
            yield error(Check.NO_TIME, path, "is no time at all; write one, or leave it out for the default")


def short(draft: Draft) -> Iterator[Finding]:
    """Times that look like a wrong unit: they hold, but serve nobody."""
    duration = draft.written.cool_off.duration
    if _NONE < duration < _SHORTEST_COOL_OFF:
        yield warning(
            Check.SHORT_TIME,
            ("cool_off", "duration"),
            "is shorter than an hour, in which hardly anybody changes their mind; check the unit",
        )
    for path, time, _ in _times_of(draft.written):
        if path[-1] == "patience" and _NONE < time < _SHORTEST_PATIENCE:
            yield warning(
                Check.SHORT_TIME,
                path,
                "is shorter than a minute, so that one restart of the service ends it; check the unit",
            )


def timeouts(draft: Draft) -> Iterator[Finding]:
    """Calls that never come to an end, or end before they begin."""
    for id, service in draft.written.services.items():
        path: KeyPath = ("services", id, "timeout")
        if service.timeout == _NONE:
            yield error(Check.TIMEOUT, path, "is no time at all, so every call fails; write a few seconds")
        elif service.timeout > _LONGEST_CALL:
            yield error(
                Check.TIMEOUT,
                path,
                "is longer than 5m, and each call that hangs holds its place for so long; "
                "write 5m or less, and poll where the work takes longer",
            )


def step_timeouts(draft: Draft) -> Iterator[Finding]:
    """Steps whose own request is given no time, or more than an attempt of ours may last."""
    for id, step in draft.written.steps.items():
        given = {"timeout": step.timeout, "longest_timeout": step.longest_timeout}
        for name, time in given.items():
            if time == _NONE:
                path: KeyPath = ("steps", id, name)
                yield error(Check.TIMEOUT, path, "is no time at all, so every call fails; write a few seconds")
            elif time is not None and time > LONGEST_REQUEST:
                yield error(
                    Check.TIMEOUT,
                    ("steps", id, name),
                    "is longer than 10m, and each call that hangs holds its place for so long; "
                    "write 10m or less, and poll where the work takes longer",
                )
        service = draft.plan.services.get(step.service or "")
        is_read = draft.is_whole("steps", id) and draft.is_whole("services", step.service or "")
        if (
            service is not None
            and is_read
            and all(time is None or _NONE < time <= LONGEST_REQUEST for time in given.values())
        ):
            yield from _doubled(step, service, ("steps", id))


def _doubled(step: Step, service: Service, at: KeyPath) -> Iterator[Finding]:
    """Times for a step's request that can be kept one by one, and don't fit together."""
    if step.timeout is None and step.longest_timeout is None:
        return
    first = service.timeout if step.timeout is None else step.timeout
    if step.longest_timeout is not None and step.longest_timeout <= first:
        whose = "the service's timeout" if step.timeout is None else "timeout"
        yield error(
            Check.TIMEOUT,
            (*at, "longest_timeout"),
            f"is not longer than {whose} ({format_duration(first)}), so no request is ever given more; "
            "raise it, or leave it out",
        )
    longest = max(first, step.longest_timeout or first)
    reads = (step.find is not None) + (step.probe is not None)
    whole = longest + reads * service.timeout
    if whole > LONGEST_ATTEMPT:
        yield error(
            Check.TIMEOUT,
            (*at, "timeout" if step.longest_timeout is None else "longest_timeout"),
            f"lets an attempt last {format_duration(whole)} with what find and probe may take, and it is cut off after 15m; "
            "shorten it, or the service's timeout",
        )


def polls(draft: Draft) -> Iterator[Finding]:
    """Asking so rarely that it never comes to it, or without a pause."""
    for id, step in draft.plan.steps.items():
        if step.poll is None:
            continue
        path: KeyPath = ("steps", id, "poll", "every")
        if step.poll.every > step.patience and draft.is_whole("steps", id, "patience"):
            yield error(
                Check.POLL,
                path,
                f"is longer than the step's patience ({format_duration(step.patience)}), so the work is given up "
                "before anybody asks; shorten it, or raise patience",
            )
        elif step.poll.every < _SHORTEST_POLL:
            yield warning(Check.POLL, path, "is shorter than 100ms, which keeps the service busy; write 1s or more")


def reminders(draft: Draft) -> Iterator[Finding]:
    """Reminders that come at no time of the cool-off."""
    duration, all_of_them = draft.written.cool_off.duration, draft.written.cool_off.reminders
    for index, reminder in enumerate(all_of_them):
        path: KeyPath = ("cool_off", "reminders", index)
        if reminder >= duration:
            yield error(
                Check.REMINDERS,
                path,
                "is as long as the cool-off or longer, so the reminder would come before the person has had time; "
                "shorten it",
            )
        elif reminder == _NONE:
            yield error(Check.REMINDERS, path, "would come when the cool-off is over; write how long before, as 1d")
        elif reminder in all_of_them[:index]:
            yield warning(Check.REMINDERS, path, "is there twice; remove one")


def deadlines(draft: Draft) -> Iterator[Finding]:
    """Plans that may end after the legal deadline although everything works in the end."""
    plan, due = draft.plan, shortest_deadline(draft.plan.deadline)
    # What couldn't be read may be what makes it last so long, or not.
    if due == _NONE or any(len(lost) <= 2 or lost[-1] in _DECIDES for lost in draft.lost):
        return
    lasting = worst_case(plan, cool_off=plan.cool_off.duration)
    mend = "shorten the cool-off or a patience"
    if lasting.total > due:
        yield error(
            Check.PAST_DEADLINE,
            ("cool_off", "duration"),
            f"may end after the legal deadline: {lasting}, and there are {format_duration(due)}; {mend}",
        )
    elif (extended := worst_case(plan, cool_off=plan.cool_off.longest)).total > due:
        yield warning(
            Check.PAST_DEADLINE,
            ("cool_off", "max"),
            f"may end after the legal deadline, if the cool-off is extended so far: {extended}, "
            f"and there are {format_duration(due)}; {mend}, or lower max",
        )


def nearness(draft: Draft) -> Iterator[Finding]:
    """Alarms about a deadline that would come with every request."""
    mail, due = draft.written.mail, shortest_deadline(draft.written.deadline)
    if mail is None or "deadline_near" not in mail.model_fields_set or not draft.is_whole("deadline"):
        return
    if mail.deadline_near >= due > _NONE:
        yield warning(
            Check.DEADLINE_NEAR,
            ("mail", "deadline_near"),
            f"is as long as the legal deadline ({format_duration(due)}) or longer, so operators would hear of every "
            "retirement as soon as it begins; shorten it",
        )


def holds(draft: Draft) -> Iterator[Finding]:
    """Holds that are over before anybody has looked, or long after."""
    time = draft.written.hold_for
    if time < SHORTEST_HOLD:
        what = "is shorter than a minute, so what is held is over before anybody can mend it; write 1m or more"
        yield error(Check.HOLD_FOR, ("hold_for",), what)
    elif time > LONGEST_HOLD:
        what = "is longer than 30d, and what nobody has mended by then nobody will; write 30d or less"
        yield error(Check.HOLD_FOR, ("hold_for",), what)


def _times_of(plan: Plan) -> Iterator[tuple[KeyPath, timedelta, bool]]:
    """Each time, where it stands, and whether it may be none at all."""
    if isinstance(plan.deadline, timedelta):
        yield ("deadline",), plan.deadline, False
    yield ("cool_off", "duration"), plan.cool_off.duration, True
    if plan.cool_off.max is not None:
        yield ("cool_off", "max"), plan.cool_off.max, True
    yield ("subject", "lookup", "patience"), plan.subject.lookup.patience, False
    for id, also in plan.subject.also.items():
        yield ("subject", "also", id, "patience"), also.patience, False
    if plan.mirror is not None:
        yield ("mirror", "adopt_after"), plan.mirror.adopt_after, False
    if plan.mail is not None:
        yield ("mail", "patience"), plan.mail.patience, False
        yield ("mail", "deadline_near"), plan.mail.deadline_near, True
    for id, fact in plan.facts.items():
        yield ("facts", id, "patience"), fact.patience, False
    for id, policy in plan.successors.items():
        yield ("successors", id, "patience"), policy.patience, False
    for id, service in plan.services.items():
        if service.patience is not None:
            yield ("services", id, "patience"), service.patience, False
    for id, step in plan.steps.items():
        yield ("steps", id, "patience"), step.patience, False
        if step.follow_up is not None:
            times = {"first": step.follow_up.first, "every": step.follow_up.every, "for": step.follow_up.duration}
            for name, time in times.items():
                yield ("steps", id, "follow_up", name), time, False
        if step.retain is not None:
            yield ("steps", id, "retain", "for"), step.retain.duration, False

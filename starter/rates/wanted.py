"""How often each service may be called, over all workers: what the plans ask for, as what the Temporal server is to hold.

The server hands out activities of a task queue by fairness key, which for a call is the id of a service whose plan limits it.
It lets each key have `default × weight` activities a second, whichever worker takes them, and counts every attempt, also one
that is tried again. So a service's weight is its rate divided by the default. A weight lies between a thousandth and a
thousand: the default is as high as the slowest rate allows, since it also holds for whatever has no weight of its own.

A second's worth may come at once after a quiet time, and one call more: in any `t` seconds at most `rate × (t + 1)` calls, and
one activity's. A queue of several partitions (four, where the server isn't told otherwise) gives each an equal part of the rate:
one activity more for each of them, and less than the rate where they fill unevenly. A restart of the server forgets what was
taken in the last second.

An activity may call its service more than once, so activities are held to the rate divided by the most that one of them calls
(`calls_of`). Not counted are what is rare: a token's renewal, and proving once an hour that a route exists.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from plans.fields import Rate
from plans.model import SHORT_POLL, Plan, Step
from plans.outline import lane_of
from workflows import names
from workflows.names import UNLIMITED_KEY

#: Activities a second for them, where anything on their queue is limited: more than any worker we know of takes.
AS_GOOD_AS_UNLIMITED = 1000.0
#: The server's bounds of a weight.
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0
#: The server keeps four bytes for a number.
_SAME = 1e-5


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the plans want of one task queue."""

    #: Its name in Temporal.
    queue: str
    #: Activities a second, by service.
    activities: Mapping[str, float]
    #: The same rates as the plans write them: `20/s`.
    rates: Mapping[str, Rate]
    #: Services of the plans that nothing limits.
    free: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class WantedRates:
    """What the plans want of all task queues, and what a reader of the plans would not expect."""

    queues: tuple[Wanted, ...]
    notes: tuple[str, ...]

    @property
    def limit_something(self) -> bool:
        """Does any plan limit a service?"""
        return any(wanted.activities for wanted in self.queues)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the server holds for a task queue. Without `default` nothing is limited, whatever the weights."""

    default: float | None
    weights: Mapping[str, float]

    def activities(self, key: str) -> float | None:
        """How many activities a second a key may have; None: any number."""
        return None if self.default is None else self.default * self.weights.get(key, 1.0)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What makes of what is held what is wanted."""

    #: None takes every limit away.
    default: float | None
    weights: Mapping[str, float]
    forgotten: tuple[str, ...]


def wanted_rates(plans: Iterable[Plan], *, complete: bool = True) -> WantedRates:
    """The rates of all services in these plans, by task queue.

    A service that several plans name has the lowest of their rates, over all of them together. Where the plans are not
    `complete`, since some can't be used, another may limit what these leave free: so nothing is told to be free.
    """
    naming: dict[str, list[Plan]] = defaultdict(list)
    for plan in plans:
        for id in plan.services:
            naming[id].append(plan)
    activities: dict[str, dict[str, float]] = defaultdict(dict)
    rates: dict[str, dict[str, Rate]] = defaultdict(dict)
    free: dict[str, set[str]] = defaultdict(set)
    notes: list[str] = []
    for id, all_plans in sorted(naming.items()):
        limiting = [plan for plan in all_plans if plan.services[id].limits.rate is not None]
        queues = {_queue_of(plan, id) for plan in limiting or all_plans}
        if not limiting:
            for queue in queues:
                free[queue] |= {id} if complete else set()
            continue
        rate = min(_rates(limiting, id), key=lambda rate: rate.per_second)
        for queue in queues:
            most = max(calls_of(plan, id) for plan in limiting if _queue_of(plan, id) == queue)
            activities[queue][id] = rate.per_second / len(queues) / most
            rates[queue][id] = rate
        notes += _notes(id, rate=rate, plans=all_plans, queues=len(queues))
    return WantedRates(
        queues=tuple(
            Wanted(queue=queue, activities=activities[queue], rates=rates[queue], free=frozenset(free[queue]))
            for queue in sorted({*activities, *free})
        ),
        notes=tuple(notes),
    )


def calls_of(plan: Plan, service: str) -> int:
    """The most calls that one activity under a service's key makes to it: a step with its probe, or the look at all probes."""
    steps = [step for step in plan.steps.values() if step.service == service]
    looks = sum(step.probe is not None for step in steps)
    if plan.subject.lookup.service == service:
        looks += 1 + sum(fact.service == service for fact in plan.facts.values())
        looks += sum(asked.service == service for asked in plan.subject.also.values())
    # A mirrored step tells its source that it begins, and that it has ended.
    updates = 2 if plan.mirror is not None and plan.mirror.service == service else 0
    return max(1, looks, *(_calls_of_step(step) + (updates if step.mirrored else 0) for step in steps))


def _calls_of_step(step: Step) -> int:
    found = int(step.find is not None)
    usual = found + (step.request is not None) + (step.probe is not None)
    if step.on_permanent is None:
        return usual
    # The request that is refused, what is done instead, and the probe of either.
    return found + 2 + (step.probe is not None or step.on_permanent.probe is not None)


def change_for(held: Held, wanted: Wanted) -> Change | None:
    """What has to be changed; None where everything is as wanted.

    Keys that no plan here names keep their rates: they are those of other plans' workers, or of retirements that began under an
    older plan.
    """
    of_others = {
        key: held.default * weight
        for key, weight in held.weights.items()
        if held.default and key != UNLIMITED_KEY and key not in wanted.free and key not in wanted.activities
    }
    target = {**of_others, **wanted.activities}
    forgotten = tuple(sorted(key for key in held.weights if key in wanted.free))
    if not target:
        if held.default is None:
            return None
        return Change(default=None, weights={}, forgotten=(*forgotten, *({UNLIMITED_KEY} & held.weights.keys())))
    default = min(AS_GOOD_AS_UNLIMITED, min(target.values()) / LEAST_WEIGHT)
    weights = {key: rate / default for key, rate in {UNLIMITED_KEY: AS_GOOD_AS_UNLIMITED, **target}.items()}
    weights = {key: min(max(weight, LEAST_WEIGHT), MOST_WEIGHT) for key, weight in weights.items()}
    missing = {key: weight for key, weight in weights.items() if not _same(held.weights.get(key), weight)}
    if not missing and not forgotten and _same(held.default, default):
        return None
    return Change(default=default, weights=missing, forgotten=forgotten)


def differences(held: Held, wanted: Wanted) -> list[str]:
    """What is held otherwise than the plans say, for people. Empty where everything is as wanted."""
    change = change_for(held, wanted)
    if change is None:
        return []
    kept = {key: weight for key, weight in held.weights.items() if key not in change.forgotten}
    right = Held(default=change.default, weights={**kept, **change.weights})
    told = []
    for id, rate in wanted.rates.items():
        has, needs = held.activities(id), right.activities(id)
        if has is None or needs is None:
            told.append(f"{id}: {rate} is not held")
        elif not _same(has, needs):
            calls = rate.per_second * has / needs
            told.append(f"{id}: {rate} is not held, but {round(calls) if calls >= 100 else f'{calls:.3g}'}/s")
    if held.default is not None:
        told += [f"{id}: is held to a rate that no plan gives it" for id in sorted(wanted.free & held.weights.keys())]
    return told or ["calls that no plan limits are held to a rate"]


def _same(one: float | None, other: float) -> bool:
    return one is not None and math.isclose(one, other, rel_tol=_SAME)


def _queue_of(plan: Plan, service: str) -> str:
    return names.calls_queue(lane_of(plan, service).queue)


def _rates(plans: Iterable[Plan], service: str) -> Iterator[Rate]:
    for plan in plans:
        rate = plan.services[service].limits.rate
        if rate is not None:
            yield rate


def _notes(id: str, *, rate: Rate, plans: list[Plan], queues: int) -> Iterator[str]:
    """What the reader of one plan would not expect, or what no rate can hold."""
    limiting = [plan for plan in plans if plan.services[id].limits.rate is not None]
    if len({each.per_second for each in _rates(limiting, id)}) > 1:
        told = ", ".join(f"{plan.plan} {plan.services[id].limits.rate}" for plan in limiting)
        yield f"service {id}: the plans differ ({told}); the lowest, {rate}, holds for all of them together"
    unlimited = ", ".join(plan.plan for plan in plans if plan not in limiting)
    if unlimited:
        yield f"service {id}: has no rate in {unlimited}, so the calls of that plan are not counted; give it {rate} there"
    if queues > 1:
        yield f"service {id}: the plans put it on {queues} queues, and each holds its part of {rate}; give it one queue"
    for plan in limiting:
        for name, fact in plan.facts.items():
            if fact.service != id:
                continue
            if plan.subject.lookup.service != id:
                yield (
                    f"plan {plan.plan}, fact {name}: is asked with the lookup, so the rate of {id} is not held for it; "
                    "limit the lookup's service as well"
                )
            elif fact.next_page is not None:
                yield f"plan {plan.plan}, fact {name}: its pages count as one call of {id}; choose its rate with that in mind"
        for name, step in plan.steps.items():
            if step.service == id and step.poll is not None and step.poll.every <= SHORT_POLL:
                yield (
                    f"plan {plan.plan}, step {name}: is polled so often that {id} is asked several times for one call "
                    "that counts; let `every` be more than 2s"
                )

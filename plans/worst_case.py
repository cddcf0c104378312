"""How long a retirement takes if everything fails for as long as the plan bears it, and then succeeds."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from plans.deadlines import CCPA_DAYS
from plans.model import LegalDeadline, Plan, Step, StepPhase
from workflows.durations import format_duration

#: February: whatever month a request comes in, there is as much time as this.
SHORTEST_MONTH = timedelta(days=28)
_NONE = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A part of the way, and how long it takes at most."""

    name: str
    duration: timedelta

    def __str__(self) -> str:
        return f"{self.name} {format_duration(self.duration)}"


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """The longest way from the request to the end. Holds are not in it: they end when somebody mends what is wrong."""

    legs: tuple[Leg, ...]

    @property
    def total(self) -> timedelta:
        """All of it."""
        return sum((leg.duration for leg in self.legs), _NONE)

    def __str__(self) -> str:
        return f"{' → '.join(map(str, self.legs))} = {format_duration(self.total)}"


def worst_case(plan: Plan, *, cool_off: timedelta) -> WorstCase:
    """The longest way through a plan with this cool-off. Steps that wait for each other are left out.

    The cool-off runs from the request, so what comes before its end runs within it, as long as that is shorter.
    """
    ask = _longest_look(plan, again=False)
    before = [
        *([Leg(name="lookup", duration=ask)] if ask > _NONE else []),
        *_longest_chain(plan.steps, StepPhase.FREEZE),
    ]
    legs = [Leg(name="cool-off", duration=cool_off)] if cool_off > _NONE else []
    if sum((leg.duration for leg in before), _NONE) > cool_off:
        legs = before
    asked_again = _longest_look(plan, again=True)
    if cool_off > _NONE and asked_again > _NONE:
        # Without a cool-off no time has passed, and nobody is asked again.
        legs.append(Leg(name="re-check", duration=asked_again))
    legs += _longest_chain(plan.steps, StepPhase.TRANSFER)
    legs += _longest_chain(plan.steps, StepPhase.ERASE)
    probed = [step.patience for step in plan.steps.values() if step.phase is StepPhase.ERASE and step.probe is not None]
    if probed:
        legs.append(Leg(name="verify", duration=max(probed)))
    legs += _longest_chain(plan.steps, StepPhase.RELEASE)
    return WorstCase(legs=tuple(legs))


def _longest_look(plan: Plan, *, again: bool) -> timedelta:
    """How long it takes to ask for everything that must be known of the person, or for what is asked again.

    A mirrored source is asked for as long as it is away: nobody would be retired without it, and nobody ERRORED for it. Its
    updates take of the patience of their steps.
    """
    also = () if again else plan.subject.also.values()
    asked = (*also, *plan.facts.values(), *plan.successors.values())
    looked_up = () if plan.mirror is not None else (plan.subject.lookup,)
    return max((each.patience for each in (*looked_up, *asked)), default=_NONE)


def shortest_deadline(deadline: LegalDeadline) -> timedelta:
    """The least time that a legal deadline leaves, whenever the request comes."""
    if deadline == "gdpr":
        return SHORTEST_MONTH
    return CCPA_DAYS if deadline == "ccpa" else deadline


def _longest_chain(steps: Mapping[str, Step], phase: StepPhase) -> list[Leg]:
    """The steps that run one after the other and take longest. What is retained takes no time."""
    of_phase = {id: step for id, step in steps.items() if step.phase is phase}
    waits_for = {id: tuple(each for each in step.after if each in of_phase) for id, step in of_phase.items()}
    ends: dict[str, timedelta] = {}
    previous: dict[str, str | None] = {}
    for id in _in_order(waits_for):
        previous[id] = max(waits_for[id], key=lambda each: ends[each], default=None)
        ends[id] = _time_of(of_phase[id]) + ends.get(previous[id] or "", _NONE)
    chain: list[str] = []
    last = max(ends, key=lambda each: ends[each], default=None)
    while last is not None:
        chain.insert(0, last)
        last = previous[last]
    return [Leg(name=id, duration=_time_of(of_phase[id])) for id in chain if of_phase[id].retain is None]


def _in_order(waits_for: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Each step after those it waits for. Steps that wait for each other never come."""
    left = {id: len(others) for id, others in waits_for.items()}
    followers: dict[str, list[str]] = {id: [] for id in waits_for}
    for id, others in waits_for.items():
        for other in others:
            followers[other].append(id)
    ready = deque(id for id, count in left.items() if count == 0)
    while ready:
        id = ready.popleft()
        yield id
        for follower in followers[id]:
            left[follower] -= 1
            if left[follower] == 0:
                ready.append(follower)


def _time_of(step: Step) -> timedelta:
    return step.patience if step.retain is None else _NONE

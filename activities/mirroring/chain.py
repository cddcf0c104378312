"""The states of a mirrored source in the order of a plan's steps. Pure."""

from dataclasses import dataclass

from plans.mirror import Mirror, MirroredStates
from plans.model import Plan
from plans.step_order import before


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Where each state of the source lies: waiting, then two states a step, then complete."""

    mirror: Mirror
    steps: tuple[tuple[str, MirroredStates], ...]

    @property
    def states(self) -> tuple[str, ...]:
        """All states that a retirement goes through, in order."""
        between = (state for _, states in self.steps for state in (states.working, states.done))
        return (self.mirror.waiting, *between, self.mirror.complete)

    def is_before(self, state: str, other: str) -> bool:
        """Does the way from `state` lead to `other`? Every state leads to `errored`, but its own and the ends."""
        if state not in self.states:
            return False
        if other == self.mirror.errored:
            return state != self.mirror.complete
        return self.states.index(state) < self.states.index(other)

    def states_of(self, step: str) -> MirroredStates:
        """The states of a step."""
        return dict(self.steps)[step]

    def working_on(self, state: str) -> str | None:
        """The step that is at work in this state."""
        return next((step for step, states in self.steps if states.working == state), None)

    def first_after(self, state: str) -> str | None:
        """The step to begin with where the row is in this state, which is none of a step at work; None: all are done."""
        if state == self.mirror.waiting:
            return self.steps[0][0] if self.steps else None
        done = [states.done for _, states in self.steps]
        following = done.index(state) + 1
        return self.steps[following][0] if following < len(self.steps) else None

    def is_done(self, state: str) -> bool:
        """Is this the state of a step that is done?"""
        return any(states.done == state for _, states in self.steps)


def chain_of(plan: Plan, mirror: Mirror) -> Chain:
    """The mirrored steps in their order, as `after` gives it to them, also by way of other steps."""
    mirrored = {id: step for id, step in plan.steps.items() if step.mirrored is not None}
    earlier = {id: before(plan.steps, id) & mirrored.keys() for id in mirrored}
    ordered: list[tuple[str, MirroredStates]] = []
    placed: set[str] = set()
    while len(ordered) < len(mirrored):
        ready = [
            (id, step.mirrored)
            for id, step in mirrored.items()
            if id not in placed and step.mirrored is not None and placed.issuperset(earlier[id])
        ]
        # The plan's check has made sure that there is exactly one.
        ordered.append(ready[0])
        placed.add(ready[0][0])
    return Chain(mirror=mirror, steps=tuple(ordered))

"""To which state a stopped learner is moved back, so that work goes on at the right step. Pure.

The target is never a state in which a step is at work: nobody would be at work there, and the learner would be stranded.
"""

from activities.mirroring.chain import Chain


class NoTarget(Exception):
    """The row alone doesn't say where to go on: whoever asks must name a step. The text says which there are."""

    def __init__(self, chain: Chain) -> None:
        steps = ", ".join(step for step, _ in chain.steps)
        super().__init__(f"its last state does not tell where it stopped; name the step to go on from: {steps}")


def target_of(chain: Chain, *, last_state: str) -> str:
    """The state to go back to, by the state before the present one.

    Raises:
        NoTarget: that state is ERRORED, or none of the plan.
    """
    at_work = chain.working_on(last_state)
    if at_work is not None:
        return target_before(chain, step=at_work)
    if last_state == chain.mirror.waiting or chain.is_done(last_state):
        return last_state
    raise NoTarget(chain)


def target_before(chain: Chain, *, step: str) -> str:
    """The state from which the run goes on with this very step: the end of the one before it, or the waiting state.

    Raises:
        KeyError: the plan has no such mirrored step.
    """
    steps = [name for name, _ in chain.steps]
    if step not in steps:
        raise KeyError(step)
    before = steps.index(step) - 1
    return chain.steps[before][1].done if before >= 0 else chain.mirror.waiting


def target_behind(chain: Chain, *, step: str) -> str:
    """The state from which the run goes on behind this step, which is left out.

    Raises:
        KeyError: the plan has no such mirrored step.
    """
    return chain.states_of(step).done

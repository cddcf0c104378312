"""The ways an activity says that it did not succeed. Built here, never forwarded from what went wrong.

ApplicationError
├── TryAgain      the cause may pass: asked again after a wait of our choosing
├── StepDeferred  the same, or held, of a step that others need not wait for: the run asks again beside them
├── StepFailed    out of patience, or asking again can't help: only a resume runs the step again
└── StepHeld      a cause that a person has to remove; the run waits, visibly
"""

from datetime import timedelta

from temporalio.exceptions import ApplicationError

from workflows.messages import Failure

TRY_AGAIN = "TryAgain"
STEP_FAILED = "StepFailed"
STEP_HELD = "StepHeld"
STEP_DEFERRED = "StepDeferred"

#: The server reads a delay of zero as none given, and would use its own back-off.
_SHORTEST_DELAY = timedelta(milliseconds=10)


def try_again(*, failure: Failure, after: timedelta) -> ApplicationError:
    """Not yet: the attempt is repeated after `after`."""
    return ApplicationError(
        f"trying again: {_where(failure)}",
        failure,
        type=TRY_AGAIN,
        next_retry_delay=max(after, _SHORTEST_DELAY),
    )


def step_failed(*, failure: Failure) -> ApplicationError:
    """Failed for good; only a resume runs the step again."""
    return ApplicationError(f"failed: {_where(failure)}", failure, type=STEP_FAILED, non_retryable=True)


def step_held(*, failure: Failure) -> ApplicationError:
    """Waits for a cause to go away, or for a person. `failure.held` says which kind of cause."""
    if failure.held is None:
        raise ValueError("a held step needs its cause: set Failure.held")
    return ApplicationError(f"held: {_where(failure)}", failure, type=STEP_HELD, non_retryable=True)


def step_deferred(*, failure: Failure, after: timedelta) -> ApplicationError:
    """Not yet, and nobody need wait for it: the run asks again after `after`, while it goes on."""
    deferred = failure.model_copy(update={"deferred_for": after, "held": None})
    return ApplicationError(f"deferred: {_where(failure)}", deferred, type=STEP_DEFERRED, non_retryable=True)


def _where(failure: Failure) -> str:
    return failure.code if failure.step is None else f"{failure.code} at step {failure.step}"

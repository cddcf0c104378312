"""How long a step is tried, and how long it waits in between. Pure: every instant is given."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Patience ends with a failed attempt that is at least this one: a long pause of ours is not the service's failing.
FEWEST_ATTEMPTS = 5
#: What is asked until it answers.
FOR_EVER = timedelta(days=36500)
_LONGEST_WAIT = timedelta(seconds=300)
_SHORTEST_WAIT = timedelta(milliseconds=50)
_SHORTEST_RETRY_AFTER = timedelta(seconds=1)
_LONGEST_RETRY_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Tries:
    """What has been tried so far, the attempt that has just failed included."""

    first_failed_at: datetime
    failures: int
    patience: timedelta

    def is_over(self, *, now: datetime) -> bool:
        """Is patience at its end? It counts from the first failed attempt, never from scheduling."""
        return self.failures >= FEWEST_ATTEMPTS and now - self.first_failed_at >= self.patience

    def wait(self, *, now: datetime, chance: float, retry_after: timedelta | None = None) -> timedelta:
        """How long until the next attempt.

        Exponential with full jitter: `chance` in [0, 1) chooses within 1, 2, 4 … 300 s; with a short patience the waits
        shrink, so that five attempts fit into it. A `Retry-After` is honoured between one second and what is left of
        patience, one hour at most.
        """
        if retry_after is not None:
            left = self.patience - (now - self.first_failed_at)
            return max(_SHORTEST_RETRY_AFTER, min(retry_after, left, _LONGEST_RETRY_AFTER))
        grown = timedelta(seconds=2.0 ** min(max(self.failures - 1, 0), 10))
        cap = min(grown, _LONGEST_WAIT, self.patience / FEWEST_ATTEMPTS)
        return max(_SHORTEST_WAIT, cap * chance)


def time_for_an_answer(
    *, service: timedelta, step: timedelta | None, longest: timedelta | None, timeouts: int
) -> timedelta:
    """How long a step's request may take, after so many that got no answer in time: twice as long each time, up to `longest`.

    `service` is what its service gives any call, `step` what the step says instead.
    """
    first = service if step is None else step
    if longest is None or longest <= first:
        return first
    # More doublings than any two of a plan's durations are apart change nothing.
    return min(first * (1 << min(timeouts, 20)), longest)

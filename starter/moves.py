"""What became of learners that a command moved in the LMS: one line each, and the counts. By opaque ids, never by usernames."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from starter.exit_codes import ExitCode
from starter.output import Output, columns


@dataclass(frozen=True, kw_only=True)
class Move:
    """One learner: `moved` or `resumed`, or `skipped` or `failed` with why."""

    #: The user id; the place in what was asked for, where the LMS knows nobody.
    learner: str
    was: str | None = None
    target: str | None = None
    result: str = "moved"
    code: str | None = None
    told: str | None = None

    def stopped_by(self, error: Exception) -> "Move":
        """What stands in one learner's way is their result, and stops nobody else.

        Raises:
            LmsNotLetIn: the LMS refuses us, so everybody's way is barred.
        """
        from openedx.lms import LmsNotLetIn, LmsRefused, LmsUnreachable
        from openedx.resuming import NotMoved

        match error:
            case NotMoved():
                result = "failed" if error.is_error else "skipped"
                return replace(self, result=result, code=error.code, told=error.told)
            case LmsRefused() if not isinstance(error, LmsNotLetIn):
                return replace(self, result="failed", code=f"http_{error.status}", told=str(error))
            case LmsUnreachable():
                return replace(self, result="failed", code=error.code, told=str(error))
        raise error


def tell_moves(out: Output, moves: Sequence[Move], *, dry_run: bool, behind: str | None = None) -> ExitCode:
    """Print what became of each and how many of them; `behind`: what happens next. Non-zero where one failed."""
    counts = Counter(move.result for move in moves)
    facts: dict[str, Any] = {
        "dry_run": dry_run,
        **{result: counts[result] for result in ("moved", "resumed", "skipped", "failed")},
        "learners": [asdict(move) for move in moves],
    }
    told = [f"{number:,} {result}" for result, number in sorted(counts.items())]
    lines = columns([(move.learner, move.was, f"→ {move.target or '-'}", move.result, move.told) for move in moves])
    lines.append(("would be: " if dry_run else "") + (", ".join(told) or "nobody was found"))
    if behind is not None and counts["moved"] and not dry_run:
        lines.append(behind)
    out.result(facts, lines)
    return ExitCode.PROBLEMS if counts["failed"] else ExitCode.OK

"""What became of the checks, for people and for scripts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from starter.conformance.kit import Check
from starter.conformance.target import Target
from starter.conformance.verdicts import Outcome, Result
from starter.sheet import Line
from starter.trial.masking import place_of

_MARKS = {
    Outcome.PASSED: ("✓", "green"),
    Outcome.FAILED: ("✗", "bold red"),
    Outcome.LEFT_OUT: ("–", "yellow"),
    Outcome.DOES_NOT_APPLY: ("·", "dim"),
}
_LABEL = 8


def heading(target: Target, *, users: int) -> list[Line]:
    """What is checked, where, with how many test users."""
    step = f"step {target.step_id} ({target.step.phase})"
    counted = f"{users} test user{'' if users == 1 else 's'}"
    where = f"{target.service_id}, {place_of(target.service)}".rstrip(", ")
    return [
        Line(text=f"Conformance of {where}: {step} with {counted}", style="bold"),
        Line(text=f"asks {target.request.title}", style="dim"),
        Line(),
    ]


def lines_of(result: Result, *, width: int) -> list[Line]:
    """One result. A promise that is kept is one line."""
    mark, style = _MARKS[result.outcome]
    margin = f"  {mark} {result.check:<{width}}  "
    if result.outcome in (Outcome.LEFT_OUT, Outcome.DOES_NOT_APPLY):
        return [Line(margin=margin, text=f"{result.outcome}: {result.seen}", margin_style=style, style="dim")]
    lines = [Line(margin=margin, text=result.promise, margin_style=style)]
    if result.outcome is Outcome.FAILED:
        lines += [
            Line(margin=f"      {'seen':<{_LABEL}}", text=result.seen, margin_style="red", style="red"),
            Line(margin=f"      {'mend':<{_LABEL}}", text=result.mend, margin_style="dim"),
        ]
    return lines


def summary(results: Sequence[Result], *, users: int, needed: int) -> list[Line]:
    """How many ended how, and what is lacking for the rest."""
    counted = Counter(result.outcome for result in results)
    said = [f"{counted[outcome]} {_PLURAL[outcome]}" for outcome in Outcome if counted[outcome]]
    outcome = Outcome.FAILED if counted[Outcome.FAILED] else Outcome.PASSED
    if not counted[Outcome.PASSED] and outcome is Outcome.PASSED:
        outcome = Outcome.LEFT_OUT
    mark, style = _MARKS[outcome]
    lines = [Line(), Line(margin=f"{mark} ", text=", ".join(said) or "nothing was checked", margin_style=style)]
    if counted[Outcome.LEFT_OUT]:
        text = "What was left out is not known to hold."
        if users < needed:
            text += f" With {needed} fresh test users all checks run: give --user {needed} times."
        lines.append(Line(text=text, style="yellow"))
    return lines


_PLURAL = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "failed",
    Outcome.LEFT_OUT: "left out",
    Outcome.DOES_NOT_APPLY: "not applicable",
}


def facts_of(target: Target, results: Sequence[Result], *, users: int, needed: int) -> dict[str, Any]:
    """Everything, for --json."""
    counted = Counter(result.outcome for result in results)
    return {
        "service": target.service_id,
        "address": place_of(target.service),
        "step": target.step_id,
        "phase": str(target.step.phase),
        "test_users": users,
        "test_users_needed": needed,
        **{outcome.value.replace(" ", "_"): counted[outcome] for outcome in Outcome},
        "checks": [
            {
                "check": each.check,
                "outcome": each.outcome.value.replace(" ", "_"),
                "promise": each.promise,
                "seen": each.seen,
                "mend": each.mend if each.outcome is Outcome.FAILED else None,
                "milliseconds": round(each.took.total_seconds() * 1000),
            }
            for each in results
        ],
    }


def listing(checks: Sequence[Check]) -> list[Line]:
    """Every check with its promise."""
    width = max(len(check.id) for check in checks)
    return [Line(margin=f"{check.id:<{width}}  ", text=f"{check.promise}{_of(check)}") for check in checks]


def _of(check: Check) -> str:
    return " (freeze steps)" if check.freeze_only else ""

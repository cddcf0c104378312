"""Checks over everything that was answered."""

from starter.conformance.bench import Bench
from starter.conformance.verdicts import Failed, LeftOut
from starter.trial.doubts import took_for_people
from workflows.durations import format_duration


async def in_time(bench: Bench) -> str:
    """Every answer came within the service's timeout."""
    made = bench.action.made
    limit = format_duration(bench.target.service.timeout)
    late = sum(each.said == "nothing (timeout)" for each in made)
    if late:
        raise Failed(f"{late} of {len(made)} answers did not come within {limit}")
    if not made:
        raise LeftOut("nothing was asked")
    return f"the slowest of {len(made)} answers took {took_for_people(max(each.took for each in made))} of {limit}"


async def no_redirect(bench: Bench) -> str:
    """No answer leads elsewhere."""
    statuses = {each.status for each in bench.action.made if each.status is not None}
    redirects = sorted(status for status in statuses if 300 <= status < 400)
    if redirects:
        raise Failed(f"it answered {', '.join(map(str, redirects))}")
    return f"none of {len(bench.action.made)} answers"


async def retry_after(bench: Bench) -> str:
    """Who is asked to come back later is told when."""
    answers = [each.answer for each in bench.action.made if each.status == 429]
    if not answers:
        raise LeftOut("no 429 came")
    silent = sum("retry-after" not in getattr(answer, "headers", {}) for answer in answers)
    if silent:
        raise Failed(f"{silent} of {len(answers)} answers 429 don't say when to come back")
    return f"each of {len(answers)} answers 429 says when to come back"

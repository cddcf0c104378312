"""Remarks about answers that look right and may not be. No I/O."""

from datetime import timedelta

from activities.actions.answers import Answer
from plans.services import HttpService, Service
from starter.exchanges import Exchange
from starter.trial.findings import Remark, problem, warning
from starter.trial.reading import kind_of_body
from workflows.durations import format_duration

#: An answer that takes this share of its time limit will take longer than it on a bad day.
_NEARLY = 0.7


def slowness(took: timedelta, *, service: Service, service_id: str) -> tuple[Remark, ...]:
    """A remark where an answer came only just in time."""
    if took < service.timeout * _NEARLY:
        return ()
    what = f"It took {took_for_people(took)} of the {format_duration(service.timeout)} it may take."
    mend = f"Make the path faster, or raise services.{service_id}.timeout."
    return (warning("slow", what, mend=mend),)


def no_json(answer: Answer, *, service: Service) -> tuple[Remark, ...]:
    """A remark where a 2xx isn't JSON, so that it may come from a page or a login form."""
    if not isinstance(service, HttpService) or answer.body is not None or kind_of_body(answer) == "no body":
        return ()
    return (
        problem(
            "no_json",
            f"{answer.status}, with {kind_of_body(answer)}.",
            mend="See that the path is the API's: a page that answers everything, or a login form, says 200, too.",
        ),
    )


def uncertain(exchange: Exchange) -> Remark:
    """A remark where a made-up id was answered by neither yes nor no."""
    if exchange.status in (400, 422):
        return warning(
            "made_up_id_refused",
            f"It refuses a made-up id ({exchange.said}), so it can't be told what it says of somebody who is gone.",
            mend="Ask its owner: it must be 404, or another answer that the plan names.",
        )
    return problem(
        "nobody_is_not_gone",
        f"For an id that is nobody's it answers {exchange.said}, which says neither yes nor no.",
        mend="It would answer so for everybody who has been erased. Let it answer 404, or name what it answers.",
    )


def took_for_people(took: timedelta) -> str:
    """A short duration for people: `14 ms`, `2.3 s`."""
    seconds = took.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"

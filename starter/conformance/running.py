"""Running the kit: one check after the other, whatever becomes of them."""

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta

from activities.actions.action import Action
from activities.rendering import RenderingError
from starter.conformance.bench import Bench
from starter.conformance.deeds import Person
from starter.conformance.kit import KIT, Check
from starter.conformance.patience import PatientExchanges
from starter.conformance.target import Target
from starter.conformance.verdicts import DoesNotApply, Ending, Failed, Outcome, Result

_UNREACHED = "the service can't be asked; see reachable"


async def run_kit(
    target: Target,
    *,
    action: Action,
    users: list[str],
    locked_user: str | None = None,
    tenant: str | None = None,
    within: timedelta,
    only: tuple[Check, ...] = KIT,
    on_check: Callable[[Check], None] = lambda _: None,
    on_result: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run the checks with test users, to whom the step is done for good (a freeze is undone).

    `within` is how long accepted work and its traces may take. `on_check` is told before each check, `on_result` after it.

    Raises:
        SecretMissing: a secret of the plan is not here.
        BadAddress: the service's address is none.
    """
    bench = Bench(
        target=target,
        action=PatientExchanges(action),
        people=[Person(number=number, user_id=user) for number, user in enumerate(users, start=1)],
        frozen=Person(number=len(users) + 1, user_id=locked_user) if locked_user is not None else None,
        tenant=tenant,
        within=within,
    )
    is_reached = await _meet(bench)
    results: list[Result] = []
    try:
        for check in only:
            on_check(check)
            result = await _run(check, bench, is_reached=is_reached)
            results.append(result)
            on_result(result)
    finally:
        if is_reached:
            await _give_back(bench)
    return results


async def _meet(bench: Bench) -> bool:
    """Look everybody up and see who is there; false where the service can't be asked at all."""
    for person in [*bench.people, *([bench.frozen] if bench.frozen else [])]:
        if bench.target.needs_subject:
            person.subject = await bench.look_up(person)
    reachable = next(check for check in KIT if check.id == "reachable")
    try:
        await reachable.run(bench)
    except DoesNotApply:
        pass
    except Failed as failed:
        # A page instead of JSON still answers; the checks that need more find out.
        if bench.action.made[-1].status in (None, 401, 403) or "can't be asked" in failed.seen:
            return False
    for person in bench.people:
        with contextlib.suppress(RenderingError):
            person.is_there = await bench.is_there(person)
            person.answer_before = await bench.steady_answer(person) if person.is_there else None
            if person.is_there:
                await bench.last_resorts.meet(person.number, bench.context(person))
    return True


async def _run(check: Check, bench: Bench, *, is_reached: bool) -> Result:
    started = time.monotonic()
    try:
        if (why_not := check.why_not_for(bench.target)) is not None:
            raise DoesNotApply(why_not)
        if not is_reached and check.id != "reachable":
            outcome, seen = Outcome.LEFT_OUT, _UNREACHED
        else:
            outcome, seen = Outcome.PASSED, await check.run(bench)
    except Ending as ending:
        outcome, seen = ending.outcome, ending.seen
    except RenderingError as error:
        outcome, seen = Outcome.LEFT_OUT, f"a request can't be made: {error.code}"
    return Result(
        check=check.id,
        promise=check.promise,
        outcome=outcome,
        seen=seen,
        mend=check.mend,
        took=timedelta(seconds=time.monotonic() - started),
    )


async def _give_back(bench: Bench) -> None:
    """At the end nobody is left frozen by us. Two have been at most: the first and the one who is watched."""
    if not bench.target.is_freeze:
        return
    for person in bench.people[:2]:
        person.saved = person.saved or (bench.first.person.saved if bench.first is not None else {})
        await bench.give_back(person)

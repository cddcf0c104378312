"""Checks that only read: is the service there, does it see people, and whom does it let ask?"""

from activities.actions.answers import Answer, NoAnswer
from activities.probing import Gone, StillThere
from activities.rendering import RenderingError
from plans.services import HttpService
from starter.conformance.bench import Bench
from starter.conformance.credentials import REFUSED, has_credentials, with_wrong_credentials, without_credentials
from starter.conformance.hostile import hostile_contexts
from starter.conformance.saying import verdict
from starter.conformance.verdicts import DoesNotApply, Failed
from starter.trial.doubts import took_for_people
from starter.trial.meanings import trouble
from starter.trial.reading import kind_of_body


async def reachable(bench: Bench) -> str:
    """Answered at all, with our credentials taken, and in JSON."""
    person = bench.people[0]
    sight = bench.sight
    try:
        _, exchange = await bench.see(bench.context(person))
    except RenderingError as error:
        raise Failed(
            f"the probe can't be asked: it names a value that the lookup doesn't give ({error.code})"
        ) from None
    answer = exchange.answer
    if isinstance(answer, NoAnswer) or answer.status in REFUSED or answer.status >= 500:
        raise Failed(trouble(answer, service=sight.service, service_id=bench.target.service_id).what)
    if bench.target.is_http and 200 <= answer.status < 300 and answer.body is None and answer.status != 204:
        raise Failed(f"it answers {answer.status}, with {kind_of_body(answer)}")
    return f"answered {exchange.said} in {took_for_people(exchange.took)}"


async def sees_person(bench: Bench) -> str:
    """Every test user is seen before anything is done."""
    bench.sight  # noqa: B018 - ends the check where nothing tells
    missed = [person.name for person in bench.people if not person.is_there]
    if missed:
        raise Failed(f"it doesn't see {', '.join(missed)}")
    return f"it sees {len(bench.people)} of {len(bench.people)}"


async def unknown_is_gone(bench: Bench) -> str:
    """Somebody who doesn't exist is gone."""
    seen, exchange = await bench.see(bench.nobody())
    if not isinstance(seen.verdict, Gone):
        raise Failed(f"of an id that is nobody's it says {verdict(seen, exchange)}")
    return f"of an id that is nobody's it says {verdict(seen, exchange)}"


async def read_needs_token(bench: Bench) -> str:
    """Without credentials nothing is told."""
    return await _must_be_refused(bench, without_credentials(_guarded(bench)), shown="without credentials")


async def read_refuses_wrong_token(bench: Bench) -> str:
    """With wrong credentials nothing is told."""
    return await _must_be_refused(bench, with_wrong_credentials(_guarded(bench)), shown="with wrong credentials")


async def read_hostile_ids(bench: Bench) -> str:
    """An id is data, whatever it looks like."""
    asked = 0
    for name, context in hostile_contexts(bench, changing=False):
        try:
            seen, exchange = await bench.see(context)
        except RenderingError:
            # Refused before it is sent.
            continue
        asked += 1
        if isinstance(seen.verdict, StillThere):
            raise Failed(f"of an id with {name} it says {verdict(seen, exchange)}, as if it were somebody's")
        if not isinstance(exchange.answer, Answer) or not 200 <= exchange.answer.status < 500:
            raise Failed(f"an id with {name} is answered {exchange.said}")
        if 300 <= exchange.answer.status < 400:
            raise Failed(f"an id with {name} is answered by a redirect ({exchange.said})")
    return f"{asked} ids of odd forms are nobody's"


async def _must_be_refused(bench: Bench, service: HttpService, *, shown: str) -> str:
    _, exchange = await bench.see(bench.context(bench.main), service=service)
    said = f"{shown} it answers {exchange.said}"
    if exchange.status not in REFUSED:
        raise Failed(said)
    return said


def _guarded(bench: Bench) -> HttpService:
    sight = bench.sight
    if not sight.is_own:
        raise DoesNotApply("the step has no probe of its own")
    assert isinstance(sight.service, HttpService)
    if not has_credentials(sight.service):
        raise DoesNotApply("the service asks for no credentials, says the plan")
    return sight.service

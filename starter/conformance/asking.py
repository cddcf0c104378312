"""Checks of the step's request that should change nothing: without credentials, about nobody, with odd ids."""

import contextlib

from activities.actions.answers import Answer
from activities.rendering import VALUE_MISSING, RenderingError
from ledger.cases import new_retirement_id
from plans.services import HttpService
from starter.conformance.bench import Bench
from starter.conformance.credentials import REFUSED, has_credentials, with_wrong_credentials, without_credentials
from starter.conformance.hostile import hostile_contexts
from starter.conformance.saying import is_failing, must_be_there, must_succeed
from starter.conformance.verdicts import DoesNotApply, Failed, LeftOut


async def request_needs_token(bench: Bench) -> str:
    """Whoever doesn't show who they are changes nothing."""
    service, person = bench.target.service, bench.main
    assert isinstance(service, HttpService)
    if not has_credentials(service):
        raise DoesNotApply("the service asks for no credentials, says the plan")
    before = await bench.state(person)
    said = []
    for how, stranger in (
        ("without credentials", without_credentials(service)),
        ("with wrong credentials", with_wrong_credentials(service)),
    ):
        # Another key: an answer to this must not be kept for the real request.
        did = await bench.do(
            bench.context(person), key=f"{new_retirement_id()}:{bench.target.step_id}", service=stranger
        )
        if did.exchange.status not in REFUSED:
            await must_be_there(bench, person, after=f"a request {how}, answered {did.exchange.said}")
            await bench.give_back(person)
            raise Failed(f"{how} it answers {did.exchange.said}")
        said.append(f"{how} it answers {did.exchange.said}")
    await must_be_there(bench, person, after="requests without good credentials")
    if bench.target.is_freeze and await bench.state(person) != before:
        raise Failed(f"{'; '.join(said)}; but {person.name} is not as before")
    return f"{'; '.join(said)}; nothing changed"


async def unknown_person(bench: Bench) -> str:
    """There is nothing to do to somebody who doesn't exist, and that is no failure."""
    did = await bench.do(bench.nobody(), key=f"{new_retirement_id()}:{bench.target.step_id}")
    return must_succeed(did, what="the request for an id that is nobody's")


async def hostile_requests(bench: Bench) -> str:
    """An id is data for the request, too."""
    key = f"{new_retirement_id()}:{bench.target.step_id}"
    usual = await bench.do(bench.nobody(), key=key, to_its_end=False)
    watched = bench.main
    with contextlib.suppress(LeftOut):
        watched = bench.bystander
    before = await bench.state(watched) if bench.target.is_freeze else {}
    sent = 0
    for name, context in hostile_contexts(bench, changing=True):
        try:
            key = f"{context['retirement_id']}:{bench.target.step_id}"
            did = await bench.do(context, key=key, to_its_end=False)
        except RenderingError:
            continue
        sent += 1
        answer = did.exchange.answer
        if is_failing(answer):
            raise Failed(f"an id with {name} is answered {did.exchange.said}")
        await must_be_there(bench, watched, after=f"a request for an id with {name}")
        if bench.target.is_freeze and await bench.state(watched) != before:
            raise Failed(f"{watched.name} is not as before after a request for an id with {name}")
        was_done = isinstance(answer, Answer) and answer.status < 400
        if was_done and did.exchange.status != usual.exchange.status:
            raise Failed(
                f"an id with {name} is answered {did.exchange.said}, an id that is nobody's {usual.exchange.said}: "
                "it did something to somebody else"
            )
    return f"{sent} ids of odd forms are nobody's"


async def undo_without_freeze(bench: Bench) -> str:
    """A freeze whose request got lost is undone all the same."""
    # In a retirement of its own: a service that honours keys would only repeat its answer to the undo that follows.
    person = bench.main.in_another_retirement()
    before = await bench.state(person)
    try:
        did = await bench.undo(person)
    except RenderingError as error:
        if error.code == VALUE_MISSING:
            raise DoesNotApply("undo needs what the freeze saves, so without it nothing is sent") from None
        raise Failed(f"undo can't be made ({error.code})") from None
    if did is None:
        raise LeftOut(f"undo.when says that {person.name} has nothing to restore; give one who isn't frozen first")
    said = must_succeed(did, what="undo without a freeze before it")
    if await bench.state(person) != before:
        raise Failed(f"{said}; but {person.name} is not as before")
    return f"{said}; nothing changed"

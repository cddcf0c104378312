"""Checks of the step itself: it is done, seen to be done, and may be asked for again."""

import asyncio
from typing import Any

from activities.actions.answers import Absent, Done, Transient, Working
from ledger.cases import new_retirement_id
from plans.model import Identifiers, StepPhase
from plans.services import HttpService
from starter.conformance.bench import Bench
from starter.conformance.credentials import has_credentials, without_credentials
from starter.conformance.cutting import cut_in_mid_answer
from starter.conformance.deeds import FirstDeed, Person
from starter.conformance.saying import must_be_there, must_succeed, need_success
from starter.conformance.verdicts import DoesNotApply, Failed, LeftOut, SaveUnread
from starter.trial.doubts import took_for_people

#: The longest key that a retirement sends: the longest step id, an undo, and the number after a broken promise.
_LONGEST_KEY_END = f"{'s' * 63}:undo:10"


async def request_answers(bench: Bench) -> str:
    """The step, done to the first test user; the others look at what became of it."""
    try:
        first = await do_first(bench)
    except SaveUnread as unread:
        raise Failed(f"it was done, but {unread.seen}, so no later step and no undo could name it") from None
    did = first.did
    took = f"in {took_for_people(did.exchange.took)}"
    if isinstance(did.meaning, Absent) and bench.target.sight is not None:
        raise Failed(
            f"it answers {did.exchange.said} {took}, as if nobody were there, although the probe sees the person"
        )
    if not isinstance(did.meaning, Done | Absent | Working):
        must_succeed(did, what="the request")
    return f"answered {did.exchange.said} {took}"


async def do_first(bench: Bench) -> FirstDeed:
    """Do the step to the first test user, once."""
    if bench.first is None:
        person = bench.main
        before = await bench.state(person) if bench.target.is_freeze else {}
        answer_before = await bench.own_answer(person) if bench.target.is_freeze else {}
        did = await bench.do_to(person)
        if did.is_success and bench.target.step.probe is not None and bench.target.sight is not None:
            await bench.is_as_wanted(person)
        after = await bench.state(person) if bench.target.is_freeze else {}
        bench.first = FirstDeed(
            person=person, did=did, state_before=before, state_after=after, answer_before=answer_before
        )
        bench.visible = differing(before, after)
    return bench.first


def differing(before: dict[str, Any], after: dict[str, Any]) -> frozenset[str]:
    """What is seen otherwise of a person than before: names of lookup's fields, or the probe."""
    return frozenset(name for name in before | after if before.get(name) != after.get(name))


async def finishes(bench: Bench) -> str:
    """Work that was accepted comes to its end."""
    if bench.target.step.poll is None:
        raise DoesNotApply("the step has no poll")
    first = await do_first(bench)
    if not isinstance(first.did.meaning, Working):
        raise DoesNotApply(f"it answered {first.did.exchange.said}, so there is nothing to wait for")
    if first.did.last is not None:
        raise LeftOut(f"it answered 202, then {first.did.ended}, so the last resort was done; see last_resort")
    if first.did.ended != "done":
        raise Failed(f"it answered 202, then {first.did.ended}")
    return "it answered 202, and the place to ask said that it was done"


async def gone_after(bench: Bench) -> str:
    """What was done is seen."""
    if bench.target.step.probe is None:
        raise DoesNotApply("the step has no probe")
    bench.sight  # noqa: B018 - ends the check where nothing tells
    await do_first(bench)
    person = need_success(bench)
    as_wanted, said = await bench.is_as_wanted(person)
    if bench.last_resorts.was_done_to(person.number):
        if not as_wanted:
            raise Failed(
                f"after {took_for_people(bench.within)} the last resort's probe still doesn't say gone ({said})"
            )
        if not bench.last_resorts.has_probe:
            raise LeftOut(f"{person.name} was refused, and the last resort has no probe")
        return f"{person.name} was refused; the last resort's probe says gone ({said})"
    wanted = "taken" if bench.target.step.identifiers is Identifiers.BLOCKED else "gone"
    if not as_wanted:
        raise Failed(f"after {took_for_people(bench.within)} the probe still doesn't say {wanted} ({said})")
    return f"the probe says {wanted} ({said})"


async def token_before_person(bench: Bench) -> str:
    """Without credentials nobody learns who exists, and a 404 stays proof of nothing else."""
    sight = bench.sight
    assert isinstance(sight.service, HttpService)
    if not sight.is_own or not has_credentials(sight.service):
        raise DoesNotApply("the service asks for no credentials, or the step has no probe of its own")
    stranger = without_credentials(sight.service)
    _, of_nobody = await bench.see(bench.nobody(), service=stranger)
    if of_nobody.status in (404, 410):
        raise Failed(f"without credentials it answers {of_nobody.said} of an id that is nobody's")
    is_erasure = bench.target.step.phase is StepPhase.ERASE
    if not is_erasure or bench.last_resorts.was_done_to((await do_first(bench)).person.number):
        return f"without credentials it answers {of_nobody.said} of an id that is nobody's"
    _, of_gone = await bench.see(bench.context(need_success(bench)), service=stranger)
    if of_gone.status in (404, 410):
        raise Failed(f"without credentials it answers {of_gone.said} of somebody who has been erased")
    return f"without credentials it answers {of_gone.said} of somebody who has been erased"


async def repeat_same_key(bench: Bench) -> str:
    """A retirement that crashed asks again, under the same key."""
    await do_first(bench)
    person = need_success(bench)
    return must_succeed(await bench.do_to(person), what="the repeat")


async def repeat_other_key(bench: Bench) -> str:
    """Another retirement finds the work done."""
    await do_first(bench)
    person = need_success(bench)
    did = await bench.do_to(person, key=f"{new_retirement_id()}:{bench.target.step_id}")
    return must_succeed(did, what="the repeat under another key")


async def long_key(bench: Bench) -> str:
    """The longest key that a retirement can send is taken."""
    await do_first(bench)
    person = need_success(bench)
    key = f"{new_retirement_id()}:{_LONGEST_KEY_END}"
    return must_succeed(await bench.do_to(person, key=key), what=f"a key of {len(key)} characters")


async def two_at_once(bench: Bench) -> str:
    """A worker that was taken for dead and the one that took over ask at the same time."""
    person = bench.take()
    key = f"{new_retirement_id()}:{bench.target.step_id}"
    both = await asyncio.gather(bench.do_to(person, key=key), bench.do_to(person, key=key))
    said = " and ".join(did.said for did in both)
    for did in both:
        if isinstance(did.meaning, Transient) and did.exchange.status is not None and did.exchange.status < 500:
            # The plan says that this passes: see that it does.
            did = await bench.do_to(person, key=key)
        if not did.is_success:
            must_succeed(did, what=f"one of two at the same time (answered {said})")
    await _must_be_as_wanted(bench, person)
    return f"two at the same time were answered {said}"


async def client_gone(bench: Bench) -> str:
    """The answer gets lost; the repeat under the same key ends well."""
    service, person = bench.target.service, bench.take()
    assert isinstance(service, HttpService)
    key = f"{new_retirement_id()}:{bench.target.step_id}"
    async with cut_in_mid_answer(service) as cut:
        lost = await bench.do(bench.context(person), key=key, service=cut.service)
    if not cut.answers:
        raise LeftOut(f"the connection could not be cut in mid-answer (answered {lost.exchange.said})")
    did = await bench.do_to(person, key=key)
    said = must_succeed(did, what="the repeat after a lost answer")
    await _must_be_as_wanted(bench, person)
    return said


async def bystander(bench: Bench) -> str:
    """Nobody else is touched."""
    watched = bench.bystander
    bench.sight  # noqa: B018 - ends the check where nothing tells
    await do_first(bench)
    await must_be_there(bench, watched, after="what was done to the others")
    if watched.answer_before is None:
        return f"{watched.name} is still there"
    now = await bench.steady_answer(watched)
    if now is not None and now != watched.answer_before:
        raise Failed(f"{watched.name} is there, but what the probe answers of them isn't what it was")
    return f"{watched.name} is untouched"


async def two_people_at_once(bench: Bench) -> str:
    """Retirements of different people don't get into each other's way."""
    two = [bench.bystander, bench.take()]
    both = await asyncio.gather(*(bench.do_to(person.in_another_retirement()) for person in two))
    said = " and ".join(did.said for did in both)
    for did in both:
        must_succeed(did, what=f"one of two people at the same time (answered {said})")
    for person in two:
        await _must_be_as_wanted(bench, person)
    return f"two people at the same time were answered {said}"


async def _must_be_as_wanted(bench: Bench, person: Person) -> None:
    if bench.target.step.probe is None or bench.target.sight is None:
        return
    as_wanted, said = await bench.is_as_wanted(person)
    if not as_wanted:
        raise Failed(f"the probe doesn't say of {person.name} that it was done ({said})")

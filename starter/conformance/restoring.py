"""Checks of freeze and undo: whoever changes their mind gets back what they had, and nothing else."""

import time
from typing import Any

from activities.actions.answers import Absent
from activities.rendering import RenderingError
from starter.conformance.bench import Bench
from starter.conformance.deeds import Did, Person
from starter.conformance.doing import differing, do_first
from starter.conformance.leaves import has_changed
from starter.conformance.patience import until_next_look
from starter.conformance.saying import must_succeed, need_success
from starter.conformance.verdicts import DoesNotApply, Failed, LeftOut


async def frozen_shows(bench: Bench) -> str:
    """The freeze did something: a request that sets what the service doesn't know is accepted by many."""
    first = await do_first(bench)
    person = need_success(bench)
    if isinstance(first.did.meaning, Absent):
        raise LeftOut(f"it answered {first.did.exchange.said}: there was nobody to freeze")
    if not bench.visible and not first.answer_before:
        raise LeftOut("nothing of the person can be read at the step's service: give the step a probe")
    deadline = time.monotonic() + bench.within.total_seconds()
    while not bench.visible:
        if has_changed(first.answer_before, await bench.own_answer(person)):
            raise LeftOut(
                "something in the service's answer has changed, but not what the plan reads of it: "
                "read what shows the freeze in subject.lookup.fields, or add a probe"
            )
        if time.monotonic() > deadline:
            raise Failed(
                f"the request was answered {first.did.said}, and nothing that can be read of {person.name} has changed"
            )
        await until_next_look(deadline)
        first.state_after = await bench.state(person)
        bench.visible = differing(first.state_before, first.state_after)
    return f"{_listed(bench.visible)} show it"


async def undo_restores(bench: Bench) -> str:
    """After undo the person is as before the freeze."""
    _need_undo(bench)
    first = await do_first(bench)
    person = need_success(bench)
    said = must_succeed(await _undone(bench, person), what="undo")
    if not bench.visible:
        raise LeftOut(
            f"{said}, but nothing shows whether somebody is frozen: read it in subject.lookup.fields, or add a probe"
        )
    _must_equal(await bench.state(person), first.state_before, person)
    return f"{said}; {_listed(bench.visible)} as before"


async def undo_twice(bench: Bench) -> str:
    """A rescind that crashed asks again."""
    _need_undo(bench)
    first = await do_first(bench)
    person = need_success(bench)
    await _undone(bench, person)
    said = must_succeed(await _undone(bench, person), what="the second undo")
    _must_equal(await bench.state(person), first.state_before, person)
    return said


async def frozen_stays_frozen(bench: Bench) -> str:
    """Whoever was frozen before, by somebody else, is so afterwards."""
    _need_undo(bench)
    person = bench.frozen
    if person is None:
        raise LeftOut("needs a test user who is frozen already: give --locked-user")
    first = await do_first(bench)
    need_success(bench)
    if not bench.visible:
        raise LeftOut("nothing shows whether somebody is frozen: read it in subject.lookup.fields, or add a probe")
    before = await bench.state(person)
    if any(before.get(name) != first.state_after.get(name) for name in bench.visible):
        raise LeftOut(f"the --locked-user isn't frozen: {_listed(bench.visible)} differ from a frozen user's")
    said = must_succeed(await bench.do_to(person), what="the freeze")
    did = await bench.undo(person)
    said += "; undo.when says that there is nothing to restore" if did is None else f"; undo was answered {did.said}"
    _must_equal(await bench.state(person), before, person)
    return f"{said}; still frozen"


def _need_undo(bench: Bench) -> None:
    if bench.target.step.undo is None:
        raise DoesNotApply("the step has no undo")


async def _undone(bench: Bench, person: Person) -> Did:
    try:
        did = await bench.undo(person)
    except RenderingError as error:
        raise Failed(f"undo can't be made: it names what nobody has saved ({error.code})") from None
    if did is None:
        raise LeftOut(f"undo.when says that {person.name} has nothing to restore; give one who isn't frozen first")
    return did


def _must_equal(state: dict[str, Any], before: dict[str, Any], person: Person) -> None:
    other = sorted(name for name in state | before if state.get(name) != before.get(name))
    if other:
        raise Failed(f"{person.name} is not as before: {_listed(other)} differ")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))

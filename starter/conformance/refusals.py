"""The check of what is done where the service refuses to erase somebody for good."""

import contextlib

from starter.conformance.bench import Bench
from starter.conformance.doing import do_first
from starter.conformance.saying import must_succeed
from starter.conformance.verdicts import DoesNotApply, Failed, LeftOut, SaveUnread


async def last_resort(bench: Bench) -> str:
    """Whoever was refused by the checks before this one, or is now, was seen to be done by the last resort."""
    if bench.target.step.on_permanent is None:
        raise DoesNotApply("the step has no on_permanent")
    deeds = bench.last_resorts.deeds
    if not deeds:
        await _look_for_a_refusal(bench)
    if not deeds:
        raise LeftOut("the service refused none of the test users for good: give one with --user whom it refuses")
    if wrong := next((deed for deed in deeds if deed.wrong is not None), None):
        raise Failed(f"{wrong.person.name} was refused, and {wrong.wrong}")
    first = deeds[0]
    refused = len({deed.person.number for deed in deeds})
    # A retirement that crashed asks for the erasure again, is refused again, and comes back.
    must_succeed(await bench.do_to(first.person, key=first.key), what=f"the repeat for {first.person.name}")
    proof = "its probe says gone" if bench.last_resorts.has_probe else "it has no probe that could tell more"
    return f"{refused} refused; {first.said}; {proof}; so was its repeat"


async def _look_for_a_refusal(bench: Bench) -> None:
    """Ask for everybody who is left, the one who was only watched last."""
    with contextlib.suppress(SaveUnread):
        await do_first(bench)
    with contextlib.suppress(LeftOut):
        while not bench.last_resorts.deeds:
            await bench.do_to(bench.take())
    with contextlib.suppress(LeftOut):
        if not bench.last_resorts.deeds:
            await bench.do_to(bench.bystander)

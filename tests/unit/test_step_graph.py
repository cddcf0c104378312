"""The graph of steps: examples, then properties over random graphs with random failures."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.messages import StepOutcome, StepOutline
from workflows.names import StepResult
from workflows.step_graph import in_order, run_graph

FAILED, ERASED, SKIPPED = StepResult.FAILED, StepResult.ERASED, StepResult.SKIPPED


@dataclass
class Calls:
    """Runs steps as told and keeps what happened, in order."""

    results: dict[str, StepResult] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    #: Steps that never end by themselves.
    endless: frozenset[str] = frozenset()
    #: How many turns of the loop a cancelled step still takes to end.
    ending: int = 0
    events: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, step: StepOutline) -> StepOutcome:
        """Run a step: some turns of the loop, then its result."""
        self.events.append(("begun", step.id))
        try:
            if step.id in self.endless:
                await asyncio.Event().wait()
            await turns(self.lengths.get(step.id, 0))
        except asyncio.CancelledError:
            await turns(self.ending)
            self.events.append(("cancelled", step.id))
            raise
        self.events.append(("ended", step.id))
        return StepOutcome(step=step.id, result=self.results.get(step.id, ERASED))

    def ids(self, event: str) -> list[str]:
        """The steps something happened to, in order."""
        return [step for what, step in self.events if what == event]


async def turns(count: int) -> None:
    """Let the loop go round."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


def graph(**after: str) -> list[StepOutline]:
    """Steps by name, each with the names of those it comes after."""
    return [StepOutline(id=id, after=tuple(names.split())) for id, names in after.items()]


async def test_steps_run_after_those_they_name_and_are_returned_in_the_plans_order() -> None:
    calls = Calls(lengths={"forum": 5})
    outcomes = await run_graph(graph(profile="forum newsletter", forum="", newsletter=""), calls)
    assert [outcome.step for outcome in outcomes] == ["profile", "forum", "newsletter"]
    assert calls.events == [
        ("begun", "forum"), ("begun", "newsletter"), ("ended", "newsletter"), ("ended", "forum"),
        ("begun", "profile"), ("ended", "profile"),
    ]  # fmt: skip


async def test_a_failed_step_stops_only_what_depends_on_it() -> None:
    calls = Calls(results={"forum": FAILED})
    outcomes = await run_graph(graph(forum="", newsletter="", profile="forum", archive="profile", wiki=""), calls)
    assert {outcome.step: outcome.result for outcome in outcomes} == {
        "forum": FAILED, "newsletter": ERASED, "wiki": ERASED,
    }  # fmt: skip
    assert "profile" not in calls.ids("begun")


async def test_what_depends_on_a_skipped_step_runs() -> None:
    calls = Calls(results={"forum": SKIPPED})
    await run_graph(graph(forum="", profile="forum"), calls)
    assert calls.ids("ended") == ["forum", "profile"]


async def test_a_cancelled_graph_tells_every_step_and_waits_for_each() -> None:
    calls = Calls(endless=frozenset({"forum", "wiki"}), ending=7)
    running = asyncio.create_task(run_graph(graph(forum="", wiki="", newsletter="", profile="forum"), calls))
    await turns(10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(calls.ids("cancelled")) == ["forum", "wiki"]
    assert calls.ids("ended") == ["newsletter"]
    assert "profile" not in calls.ids("begun")


async def test_a_step_that_raises_ends_the_graph_once_all_others_have_ended() -> None:
    calls = Calls(endless=frozenset({"wiki"}), ending=5)

    async def run_step(step: StepOutline) -> StepOutcome:
        if step.id == "forum":
            raise RuntimeError("a mistake in our code")
        return await calls(step)

    with pytest.raises(RuntimeError, match="a mistake in our code"):
        await run_graph(graph(forum="", wiki="", profile="forum"), run_step)
    assert calls.ids("cancelled") == ["wiki"]
    assert calls.ids("begun") == ["wiki"]


async def test_no_steps_are_no_outcomes() -> None:
    assert await run_graph([], Calls()) == []


@pytest.mark.parametrize("steps", [graph(a="b", b="a"), graph(a="a"), graph(a="", b="nowhere")])
async def test_a_circle_and_an_unknown_name_are_refused_before_anything_runs(steps: list[StepOutline]) -> None:
    calls = Calls()
    with pytest.raises(ValueError, match="steps wait for each other"):
        await run_graph(steps, calls)
    assert calls.events == []


@st.composite
def graphs(draw: st.DrawFn) -> list[StepOutline]:
    """A graph without circles, its steps in any order."""
    count = draw(st.integers(1, 10))
    steps = []
    for index in range(count):
        earlier = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        steps.append(StepOutline(id=f"s{index}", after=tuple(f"s{each}" for each in sorted(earlier))))
    return draw(st.permutations(steps))


ids = [f"s{index}" for index in range(10)]
some_results = st.dictionaries(st.sampled_from(ids), st.sampled_from([FAILED, SKIPPED, StepResult.ABSENT]))
some_lengths = st.dictionaries(st.sampled_from(ids), st.integers(0, 6))


@given(steps=graphs(), results=some_results, lengths=some_lengths)
@settings(deadline=None)
def test_every_step_runs_once_after_its_own_unless_one_of_them_failed(
    steps: list[StepOutline], results: dict[str, StepResult], lengths: dict[str, int]
) -> None:
    calls = Calls(results=results, lengths=lengths)
    outcomes = asyncio.run(run_graph(steps, calls))
    begun = set(calls.ids("begun"))
    assert len(calls.ids("begun")) == len(begun)
    assert sorted(calls.ids("ended")) == sorted(begun)
    assert [outcome.step for outcome in outcomes] == [step.id for step in steps if step.id in begun]
    for step in steps:
        stopped = any(each not in begun or results.get(each) is FAILED for each in step.after)
        assert (step.id in begun) is not stopped
        if step.id in begun:
            at = calls.events.index(("begun", step.id))
            assert all(calls.events.index(("ended", each)) < at for each in step.after)


@given(steps=graphs(), results=some_results, lengths=some_lengths, at=st.integers(0, 25), ending=st.integers(0, 4))
@settings(deadline=None)
def test_whenever_it_is_cancelled_nothing_is_left_running(
    steps: list[StepOutline], results: dict[str, StepResult], lengths: dict[str, int], at: int, ending: int
) -> None:
    calls = Calls(results=results, lengths=lengths, ending=ending)

    async def cancel_midway() -> None:
        running = asyncio.create_task(run_graph(steps, calls))
        await turns(at)
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            pass
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        assert sorted(calls.ids("begun")) == sorted(calls.ids("ended") + calls.ids("cancelled"))

    asyncio.run(cancel_midway())


@given(steps=graphs())
def test_in_order_is_the_plans_order_as_far_as_it_can_be(steps: list[StepOutline]) -> None:
    ordered = [step.id for step in in_order(steps)]
    assert sorted(ordered) == sorted(step.id for step in steps)
    for step in steps:
        assert all(ordered.index(each) < ordered.index(step.id) for each in step.after)
    free = [step.id for step in steps if not step.after]
    assert [each for each in ordered if each in free] == free

"""Graphs on a real Temporal server: workflows, a worker, services; and an operator who looks after what is held."""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from tests.ownership.graphs import Graph, Request, Resume, a_graph
from tests.ownership.judging import Found, Judge
from tests.ownership.playing import lean
from tests.ownership.retirees import Ended, Retiree, Span
from tests.ownership.worlds import World, settle
from tests.support.plans import PlanDocument
from tests.support.stage import LONGEST_WAIT, Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Result
from workflows.names import Outcome, Phase, Reason

_AT_ONCE = 8
#: An operator looks at a run so often.
_LOOK_EVERY = 0.3


def locking(document: PlanDocument) -> None:
    """The hand-over, the end of the account, and the lock before both. Nobody is written to."""
    lock = document["steps"]["lock"]
    lean(document)
    del document["mail"]
    document["steps"] = {"lock": lock, **document["steps"]}


@dataclass(kw_only=True)
class Day:
    """What all of a graph wait for: at noon every cool-off ends, and whoever comes later comes then."""

    people: Sequence[str]
    ready: set[str] = field(default_factory=set)
    #: Who can't go on by themselves: over, or held.
    idle: set[str] = field(default_factory=set)
    noon: asyncio.Event = field(default_factory=asyncio.Event)

    async def begins_for_all(self) -> None:
        """Wait until nobody has anything to do before noon."""

        def look() -> None:
            assert self.ready == set(self.people)

        await eventually(look, within=LONGEST_WAIT)


@dataclass(kw_only=True)
class Actor(Retiree):
    """Somebody who asks to be retired, on the stage."""

    world: World
    stage: Stage
    plan: str
    day: Day

    async def live(self) -> None:
        """Ask until retired. Whoever changes their mind doesn't ask again."""
        try:
            for request in self.requests:
                end = await self._run(request)
                for resume in request.resumes:
                    if end.outcome is Outcome.ERRORED:
                        end = await self._run(request, resume=resume, of=end)
                if end.outcome is not Outcome.ABORTED or end.reason is Reason.RESCINDED:
                    return
        finally:
            self.day.idle.add(self.user_id)
            self.day.ready.add(self.user_id)

    async def _run(self, request: Request, *, resume: Resume | None = None, of: Ended | None = None) -> Ended:
        successor = request.successor if resume is None else resume.successor
        fields: dict[str, Any] = {} if successor is None else {"successor": self.world.id_of(successor)}
        if of is not None and resume is not None:
            fields |= {"resume": of.retirement_id, "go_back": resume.go_back}
        elif request.day:
            self.day.ready.add(self.user_id)
            await self.day.noon.wait()
        began = time.monotonic()
        start = self.stage.start(
            self.user_id, plan=self.plan, running_clock=True, cool_off="14d" if request.cools_off else "0", **fields
        )
        run = await start
        if not request.cools_off:
            self.day.ready.add(self.user_id)
        result = await self._ended(run, rescinds=request.rescinds)
        if of is not None and result.reason is Reason.NOT_RESUMABLE:
            return of  # something was handed over: there is no way back, and everything is as it was
        if all(span.retirement_id != result.retirement_id for span in self.spans):
            self.spans.append(Span(retirement_id=result.retirement_id or "", opened=began))
        failed = next((step for step in result.steps if step.step in result.failed), None)
        end = Ended(
            retirement_id=result.retirement_id or "",
            outcome=result.outcome,
            reason=result.reason,
            code=result.code if failed is None else failed.code,
            failed=None if failed is None else failed.step,
            at=time.monotonic(),
        )
        self.ends.append(end)
        return end

    async def _ended(self, run: Retirement, *, rescinds: bool) -> Result:
        """Wait for the end of a run. What is held is looked at again, and given up once nobody else could help it."""
        async with asyncio.timeout(LONGEST_WAIT):
            while True:
                try:
                    async with asyncio.timeout(_LOOK_EVERY):
                        return Result.model_validate(await run.handle.result())
                except WorkflowFailureError as failure:
                    assert isinstance(failure.cause, ApplicationError) and failure.cause.type == names.ERRORED_ERROR
                    return Result.model_validate(failure.cause.details[0])
                except TimeoutError:
                    await self._look_after(run, rescinds=rescinds)

    async def _look_after(self, run: Retirement, *, rescinds: bool) -> None:
        status = await run.status()
        if status.phase is Phase.COOL_OFF:
            self.day.ready.add(self.user_id)
            await self.day.noon.wait()
            await run.ask(names.RESCIND if rescinds else names.EXPEDITE)
        if not status.held:
            return self.day.idle.discard(self.user_id)
        # Whoever waits before noon has to be helped until then.
        is_hopeless = self.day.noon.is_set() and self.day.idle == set(self.day.people)
        self.day.idle.add(self.user_id)
        for hold in status.held:
            await run.ask(names.DECIDE, step=hold.step, decision="close" if is_hopeless else "retry", by="ops-7")


@dataclass(kw_only=True)
class Staged:
    """A graph that was played on the stage."""

    world: World
    actors: list[Actor]
    wrong: list[str] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.world.graph

    def told(self) -> str:
        """What was wrong with it, for people to read."""
        ends = [f"  {actor.user_id}: {end.told()}" for actor in self.actors for end in actor.ends]
        again = f"alone: GRAPH={self.graph.seed} make test T=tests/ownership/test_graphs.py"
        return "\n".join([self.graph.told(), *ends, *(f"✗ {what}" for what in self.wrong), again])


async def stage_all(seeds: Iterable[int], *, stage: Stage, plan: str) -> list[Staged]:
    """Play and judge the graphs of these seeds."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def play(world: World) -> Staged:
        async with room:
            return await _play(world, stage=stage, plan=plan)

    nonce = f"{random.getrandbits(32):08x}"
    worlds = [World(graph=a_graph(seed), nonce=f"s{nonce}-{seed}", sandbox=stage.sandbox) for seed in seeds]
    settle(worlds, sandbox=stage.sandbox)
    staged = await asyncio.gather(*(play(world) for world in worlds))
    found = Found.at(stage.sandbox)
    for each in staged:
        # Of the others the vault is gone, and with it the list.
        stopped = {
            end.retirement_id for actor in each.actors for end in actor.ends[-1:] if end.outcome is Outcome.ERRORED
        }
        assets = {case: await stage.ledger.assets(case) for case in stopped}
        each.wrong += Judge(world=each.world, lives=each.actors, found=found, assets=assets).judge()
        each.wrong += [
            f"{actor.user_id} is ABORTED, and can't log in"
            for actor in each.actors
            if actor.ends
            and actor.ends[-1].outcome is Outcome.ABORTED
            and not stage.sandbox.accounts.can_log_in(each.world.person(actor.user_id))
        ]
    return staged


async def _play(world: World, *, stage: Stage, plan: str) -> Staged:
    world.trouble()
    going = {someone.name: world.id_of(someone.name) for someone in world.graph.going}
    day = Day(people=list(going.values()))
    actors = [
        Actor(user_id=going[someone.name], requests=someone.requests, world=world, stage=stage, plan=plan, day=day)
        for someone in world.graph.going
    ]

    async def noon() -> None:
        await day.begins_for_all()
        for event in world.graph.events:
            # Whoever cools off may still be given something; of the others nobody knows how far they are.
            request = world.graph.someone(event.who).requests[:1]
            is_at_rest = all(each.cools_off or each.day for each in request) and going.get(event.who) not in day.idle
            world.happen(event, may_own_more=is_at_rest)
        day.noon.set()

    await asyncio.gather(noon(), *(actor.live() for actor in actors))
    return Staged(world=world, actors=actors)
